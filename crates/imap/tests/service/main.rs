//! The IMAP service in this process, on a loopback port with TLS, as clients see it.

mod behaviour;
mod dialogues;
mod world;
