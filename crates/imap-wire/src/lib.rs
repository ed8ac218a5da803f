//! IMAP on the wire, without sockets (RFC 9051, RFC 3501 and the extensions named at each spot).
//!
//! Reading happens in two steps, kept apart on purpose:
//!
//! 1. [`Framer`] finds where a command ends. It knows lines and literals and nothing else, holds no
//!    more than its [`Limits`] allow, and decides about an announced literal before a byte of it is
//!    taken: eight announced gigabytes cost as much as eight announced bytes. The message of an
//!    APPEND is never part of a command's bytes; it comes out in chunks as it arrives.
//! 2. [`Tagged::parse`] reads the grammar of one complete command into [`Command`], whose types
//!    cannot hold what the grammar forbids. Nothing downstream checks again.
//!
//! Writing is plain functions over a byte buffer ([`mod@write`]): strings choose between quoted and
//! literal form by themselves, mailbox names between modified UTF-7 and UTF-8, and [`Code`] and
//! [`Status`] hold every response code this server sends.
//!
//! No error here quotes what the client sent: passwords and patients' names stay out of texts that
//! may be logged.

mod command;
mod cursor;
mod date;
mod frame;
mod parse;
mod types;
mod utf7;
pub mod write;

pub use command::{
    AppendHead, Capability, Command, FetchItem, FetchRequest, ListRequest, ListReturn, ListSelect,
    MessageText, ResyncState, SearchKey, SearchRequest, SearchReturn, Section, SectionPart,
    SelectOptions, StatusItem, StoreMode, StoreRequest, Tagged,
};
pub use cursor::{Fault, Malformed};
pub use date::{Date, DateTime};
pub use frame::{Announced, Event, FrameError, Framer, Limits};
pub use types::{
    FieldName, Flag, Keyword, ListPattern, MailboxName, Partial, SeqNumber, SeqRange, SequenceSet,
    SpecialUse, Tag,
};
pub use write::{Code, Status};
