//! The Simple Mail Transfer Protocol (RFC 5321) without sockets: bytes go in, events and replies come
//! out. [`ServerSession`] is what `mx` and `submission` drive, [`ClientSession`] what `courier` drives.
//!
//! # Strictness
//! Lines end with CRLF and with nothing else. A CR or LF that stands alone is refused wherever it
//! occurs, in commands and in message data, and is never repaired: a message that two servers cut at
//! different places is how mail is smuggled past a check (`<LF>.<CRLF>` and its kin). Such data is read
//! to its true end, `<CRLF>.<CRLF>`, and then refused with 550 5.6.0.
//!
//! The command grammar is read here and not by `smtp-proto`, whose parser takes a bare LF for a line
//! end, drops CRs and quotes inside addresses, and fills in for missing brackets. That is kind to old
//! software and hands downstream an address that is not the one on the wire.
//!
//! # Bounds
//! Everything kept has a limit: command lines, message size, recipients, transactions, and the number
//! of bad commands a session may send. What is over a limit is discarded as it comes.
//!
//! # Left out on purpose
//! BINARYMIME (nothing behind us could pass it on), VRFY and EXPN beyond 252, HELP beyond one line,
//! TURN, ETRN.

mod capabilities;
mod client;
mod command;
mod data;
mod line;
mod reply;
mod sasl;
mod server;
mod xtext;

pub use capabilities::{Capabilities, Mechanism};
pub use client::{ClientError, ClientEvent, ClientSession, Unsendable};
pub use command::{Command, CommandError, ForwardPath, MailParameters, RcptParameters};
pub use data::{Chunk, DataError, DotReader, DotWriter};
pub use reply::{ReplyError, ReplyReader};
pub use sasl::{Credentials, SaslError};
pub use server::{Channel, Event, Profile, Refusal, ServerSession};
