//! How a command ends, and the one place where errors become words on the wire.

use crate::connection::End;
use std::borrow::Cow;
use wardpost_directory::AuthError;
use wardpost_imap_wire::{Code, Malformed};
use wardpost_mailbox::MailboxError;

/// What a command comes to.
pub(crate) type Outcome = Result<Done, Failure>;

/// A tagged OK.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<Code>,
    pub(crate) text: &'static str,
}

/// A tagged NO or BAD, or the end of the connection.
#[derive(Debug)]
pub(crate) enum Failure {
    No(Option<Code>, Cow<'static, str>),
    Bad(Option<Code>, Cow<'static, str>),
    End(End),
}

/// A tagged OK without a code.
pub(crate) fn done(text: &'static str) -> Outcome {
    Ok(Done { code: None, text })
}

/// A tagged OK with a code.
pub(crate) fn done_with(code: Code, text: &'static str) -> Outcome {
    Ok(Done { code: Some(code), text })
}

impl Failure {
    /// A NO with a code.
    pub(crate) fn no(code: Code, text: &'static str) -> Self {
        Self::No(Some(code), text.into())
    }

    /// A BAD.
    pub(crate) fn bad(text: &'static str) -> Self {
        Self::Bad(None, text.into())
    }
}

impl From<End> for Failure {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

impl From<Malformed> for Failure {
    fn from(malformed: Malformed) -> Self {
        use wardpost_imap_wire::Fault;
        match malformed.fault {
            // A well-formed command that asks for what is not here (RFC 9051 §6.4.4).
            Fault::BadCharset => Self::No(Some(Code::BadCharset), malformed.to_string().into()),
            _ => Self::Bad(None, malformed.to_string().into()),
        }
    }
}

impl From<MailboxError> for Failure {
    /// RFC 5530 §3 and RFC 9051 §7.1 name the codes. What failed inside is logged, not told.
    fn from(error: MailboxError) -> Self {
        use MailboxError as E;
        let (code, text) = match &error {
            E::NoSuchMailbox => (Code::NonExistent, "There is no such mailbox"),
            E::NoSuchDestination => (Code::TryCreate, "There is no such mailbox; create it first"),
            E::AlreadyExists => (Code::AlreadyExists, "A mailbox of that name exists already"),
            E::BadName => (Code::Cannot, "That is not a name a mailbox can have"),
            E::Inbox => (Code::Cannot, "That cannot be done with INBOX"),
            E::HasChildren => (Code::HasChildren, "There are mailboxes below that one"),
            E::NoSuchMessage => (Code::ExpungeIssued, "Some of the messages are gone"),
            E::Limit(_) => (Code::Limit, "A limit was reached"),
            E::Busy => (Code::InUse, "Others are changing the same messages; try again"),
            E::DiskFull => (Code::Unavailable, "The server's disk is full; nothing was changed"),
            other => {
                tracing::error!(error = %other, "a mailbox operation failed");
                (Code::ServerBug, "An internal error occurred; it has been logged")
            }
        };
        Self::No(Some(code), text.into())
    }
}

impl From<AuthError> for Failure {
    fn from(error: AuthError) -> Self {
        let code = match error {
            AuthError::Rejected => Code::AuthenticationFailed,
            AuthError::SlowDown(_) => Code::Limit,
            AuthError::Unavailable => Code::Unavailable,
        };
        Self::No(Some(code), error.to_string().into())
    }
}
