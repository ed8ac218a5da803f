//! The columns of the store.

/// A column of the store, one for each owner of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Column {
    /// What concerns the installation.
    System,
    /// Domains, accounts, aliases, credentials.
    Directory,
    /// Mailboxes, entries, flags.
    Mailbox,
    /// Message bodies: large values.
    Message,
    /// What waits to go out.
    Queue,
    /// What waits to be picked up.
    Parcel,
    /// Evidence.
    Ledger,
    /// What is known of other domains: pins, MTA-STS policies.
    Trust,
    /// What reports are made of, and reports that came in.
    Report,
}

impl Column {
    /// All columns, in order.
    pub const ALL: [Self; 9] = [
        Self::System,
        Self::Directory,
        Self::Mailbox,
        Self::Message,
        Self::Queue,
        Self::Parcel,
        Self::Ledger,
        Self::Trust,
        Self::Report,
    ];

    /// The column's name on disk and in key derivation: never change one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Directory => "directory",
            Self::Mailbox => "mailbox",
            Self::Message => "message",
            Self::Queue => "queue",
            Self::Parcel => "parcel",
            Self::Ledger => "ledger",
            Self::Trust => "trust",
            Self::Report => "report",
        }
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}
