//! The first hour of a server: five questions in a browser, and the answers become a configuration, a
//! store and the first account.
//!
//! * Whoever stands before the machine reads a one-time code there ([`SetUp::status`]) and types it into the
//!   page: so nobody else on the network takes the box first. The code gives the browser a cookie; the
//!   right code in another browser takes the set-up over, answers and all.
//! * What is typed stays in memory, passwords never go back into a page. `flow` says which page comes
//!   next and is the only way to the end; `check` says what is wrong with an answer, in a sentence.
//! * At the end `apply` makes everything or nothing: the configuration is written last, by rename.
//!   Killed before that, the next start begins afresh; after it, the server is set up.
//!
//! The pages work without scripts; one prints the recovery sheet where a browser lets it.

mod answers;
mod apply;
mod check;
mod clock;
mod code;
mod flow;
mod machine;
mod pages;
mod paper;
mod relay;
mod seat;
mod typed;
mod world;
mod written;

pub use apply::{Found, make_folder, prepare, settle};
pub use machine::Machine;
pub use seat::{Done, SetUp, Status};
pub use written::Seed;
