//! The IMAP service in this process, on a loopback port with TLS, as clients see it.

// A test that cannot go on says so.
#![allow(clippy::unwrap_used)]

mod behaviour;
mod dialogues;
mod world;
