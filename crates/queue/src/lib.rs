//! What waits to go out.
//!
//! A message is taken with its envelope and a route for each recipient, sealed by the store and synced
//! before anybody is told 250. From then on each recipient is on its own: [`Queue::next_due`] hands out
//! work grouped by (message, domain, route), the courier tries, and [`Queue::record`] writes what came
//! of it. The message leaves the queue in the same commit that ends its last recipient; what every attempt
//! saw stays for a time, as the item's history.
//!
//! **What a crash does.** Leases live in memory only. After kill -9 every recipient that has no recorded
//! end is due again; nothing acknowledged is lost and nothing is removed before its end is recorded. A
//! recipient whose delivery succeeded on the wire in the moment of the crash gets the message twice:
//! SMTP has no third way (RFC 1047), and twice is better than never.
//!
//! **Follow-ups.** What an outcome brings about (a notice, a report to the sender, a parcel's records)
//! goes into the commit that records the outcome: see [`Record::follow_up`] and [`Record::batch`].
//!
//! **Fairness.** Work is drawn lane by lane in turn, a lane being a destination domain (or local
//! delivery, or pickup). A domain with ten thousand waiting messages gets its cap of concurrent
//! attempts and no more; a fresh message to a healthy domain is next in line. A domain whose servers let us
//! wait is given one attempt at a time, all such domains together have a share, and who draws with
//! [`Queue::next_brisk`] draws past them: ten thousand messages to a thousand dead domains delay nobody else.
//!
//! Memory holds a few words for each waiting recipient; envelopes and messages stay in the store.

mod error;
mod evidence;
mod history;
mod ids;
mod item;
mod queue;
mod recording;
mod records;
pub mod retry;
mod schedule;
mod view;
mod work;

pub use error::QueueError;
pub use evidence::Evidence;
pub use item::{Kind, NewItem};
pub use queue::{Options, Queue};
pub use view::{ItemView, QueueStats, RecipientState, RecipientView};
pub use work::{JoinError, Joined, Outcome, Record, Work, WorkRecipient};
