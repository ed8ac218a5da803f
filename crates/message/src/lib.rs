//! Messages as RFC 5322 and MIME write them: read, described, altered and written.
//!
//! [`summarise`] describes a mail once, when it arrives, so that IMAP can list it and cut sections out
//! of it without parsing again. [`headers`] changes header fields and leaves every other byte alone;
//! [`results`] writes, reads and removes Authentication-Results.
//! [`dsn`], [`notice`] and [`reply`] write the mails Wardpost itself sends. [`render`] decodes a mail
//! for a person who reads it on a page.
//!
//! Reading is split in two on purpose. Where a header, a part or a field begins and ends is decided
//! here, by scanners that are linear, bounded in depth and number, and follow RFC 2046 to the letter:
//! the same offsets later serve IMAP sections, so they must be exact, and hostile mail must not be
//! able to make them expensive. What those bytes mean (transfer encodings, character sets, encoded
//! words, dates) is left to `mail-parser`; all writing of MIME goes through `mail-builder`.

pub mod dsn;
pub mod headers;
pub mod notice;
pub mod render;
pub mod reply;
pub mod report;
pub mod results;

mod decode;
mod scan;
mod summary;

pub use summary::{
    Disposition, Embedded, Envelope, EnvelopeAddress, Kind, Parameter, Part, SearchField, Sent,
    Summary, summarise,
};
