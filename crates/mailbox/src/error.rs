//! What can go wrong.

use thiserror::Error;

/// Why an operation on mailboxes failed. No text of these holds a name, a subject or an address.
#[derive(Debug, Clone, Error)]
pub enum MailboxError {
    /// There is no such mailbox. (NO \[NONEXISTENT\], RFC 5530)
    #[error("there is no such mailbox")]
    NoSuchMailbox,
    /// The destination mailbox does not exist. (NO \[TRYCREATE\], RFC 9051 §7.1)
    #[error("the mailbox to put it in does not exist")]
    NoSuchDestination,
    /// The name is taken. (NO \[ALREADYEXISTS\])
    #[error("a mailbox of that name exists already")]
    AlreadyExists,
    /// The name is empty, too long, or has control characters or empty levels. (NO \[CANNOT\])
    #[error("that is not a name a mailbox can have")]
    BadName,
    /// INBOX can be neither deleted nor created. (NO \[CANNOT\])
    #[error("that cannot be done with INBOX")]
    Inbox,
    /// The mailbox has mailboxes below it. (NO \[HASCHILDREN\], RFC 9051 §7.1)
    #[error("there are mailboxes below that one")]
    HasChildren,
    /// There is no such message.
    #[error("there is no such message")]
    NoSuchMessage,
    /// Too many mailboxes, keywords or subscriptions. (NO \[LIMIT\])
    #[error("a limit was reached: {0}")]
    Limit(&'static str),
    /// Others kept changing the same messages; try again. (NO \[INUSE\])
    #[error("others are changing the same messages; try again")]
    Busy,
    /// Sealing or opening failed: wrong keys or damaged data.
    #[error("sealed data could not be opened or written ({0})")]
    Sealed(&'static str),
    /// A record was written by another version or is damaged.
    #[error("a mailbox record cannot be read ({0}): was it written by a newer Wardpost?")]
    Record(&'static str),
    /// The program is ending, or a task failed unexpectedly.
    #[error("the operation was interrupted")]
    Interrupted,
    /// The disk is full. (452 / NO \[OVERQUOTA\] or \[UNAVAILABLE\])
    #[error("the disk is full")]
    DiskFull,
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(String),
}

impl From<wardpost_store::StoreError> for MailboxError {
    fn from(error: wardpost_store::StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

impl From<wardpost_store::CommitError> for MailboxError {
    fn from(error: wardpost_store::CommitError) -> Self {
        match error {
            wardpost_store::CommitError::Conflict => Self::Busy,
            wardpost_store::CommitError::DiskFull => Self::DiskFull,
            other => Self::Store(other.to_string()),
        }
    }
}
