//! What mailboxes and messages look like from outside.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wardpost_keys::AccountCertificate;
use wardpost_mail::{AccountId, MailboxId, Uid, UidValidity};

/// A change number within a mailbox (MODSEQ, RFC 7162 §3.1). Strictly ascending; 63 bits.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct ModSeq(pub u64);

impl fmt::Display for ModSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A run of UIDs, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UidRange {
    /// The lowest.
    pub first: Uid,
    /// The highest.
    pub last: Uid,
}

impl UidRange {
    /// All UIDs there can be.
    pub const ALL: UidRange = UidRange { first: Uid(1), last: Uid(u32::MAX) };

    /// One UID.
    pub fn one(uid: Uid) -> Self {
        Self { first: uid, last: uid }
    }

    /// Whether `uid` is in the run.
    pub fn contains(self, uid: Uid) -> bool {
        self.first <= uid && uid <= self.last
    }
}

/// The system flags of a message (RFC 9051 §2.3.2), as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct SystemFlags(pub u16);

impl SystemFlags {
    /// `\Seen`
    pub const SEEN: SystemFlags = SystemFlags(1);
    /// `\Answered`
    pub const ANSWERED: SystemFlags = SystemFlags(1 << 1);
    /// `\Flagged`
    pub const FLAGGED: SystemFlags = SystemFlags(1 << 2);
    /// `\Deleted`
    pub const DELETED: SystemFlags = SystemFlags(1 << 3);
    /// `\Draft`
    pub const DRAFT: SystemFlags = SystemFlags(1 << 4);
    /// No flag.
    pub const NONE: SystemFlags = SystemFlags(0);

    /// Whether all of `other` are set.
    pub const fn contains(self, other: SystemFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both together.
    #[must_use]
    pub const fn union(self, other: SystemFlags) -> SystemFlags {
        SystemFlags(self.0 | other.0)
    }

    /// These without `other`.
    #[must_use]
    pub const fn without(self, other: SystemFlags) -> SystemFlags {
        SystemFlags(self.0 & !other.0)
    }
}

impl std::ops::BitOr for SystemFlags {
    type Output = SystemFlags;

    fn bitor(self, other: SystemFlags) -> SystemFlags {
        self.union(other)
    }
}

/// A message's flags: system flags and keywords (`$Forwarded`, `$Junk`, a user's own).
///
/// Keywords compare without case and are kept in the spelling first seen; the list is sorted and
/// holds each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flags {
    /// System flags.
    pub system: SystemFlags,
    /// Keywords, sorted.
    pub keywords: Arc<[Arc<str>]>,
}

impl Flags {
    /// System flags only.
    pub fn system(system: SystemFlags) -> Self {
        Self { system, keywords: Arc::default() }
    }

    /// System flags and keywords. Keywords are sorted and doubles removed; they must be IMAP atoms,
    /// which the caller's parser saw to.
    pub fn new<'a>(system: SystemFlags, keywords: impl IntoIterator<Item = &'a str>) -> Self {
        let mut list: Vec<Arc<str>> = keywords.into_iter().map(Arc::from).collect();
        list.sort_by_key(|k| k.to_ascii_lowercase());
        list.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
        Self { system, keywords: list.into() }
    }

    /// Whether the keyword is set, whatever its case.
    pub fn has_keyword(&self, keyword: &str) -> bool {
        self.keywords.iter().any(|k| k.eq_ignore_ascii_case(keyword))
    }
}

/// How STORE changes flags (RFC 9051 §6.4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagOp {
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
    /// `FLAGS`
    Set,
}

/// A message as a mailbox lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageState {
    /// Its UID.
    pub uid: Uid,
    /// The number of its last change.
    pub modseq: ModSeq,
    /// Its flags.
    pub flags: Flags,
    /// Its size in octets (RFC822.SIZE).
    pub size: u32,
    /// INTERNALDATE, Unix seconds.
    pub internal_date: i64,
}

/// What a mailbox is for (RFC 6154). `Inbox` is not a SPECIAL-USE attribute but told apart here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SpecialUse {
    /// INBOX.
    Inbox,
    /// `\Drafts`
    Drafts,
    /// `\Sent`
    Sent,
    /// `\Junk`
    Junk,
    /// `\Trash`
    Trash,
    /// `\Archive`
    Archive,
}

impl SpecialUse {
    /// All uses that every account has a mailbox for.
    pub const ALL: [SpecialUse; 6] =
        [Self::Inbox, Self::Drafts, Self::Sent, Self::Junk, Self::Trash, Self::Archive];

    /// The mailbox that has this use when the account is new. It keeps its id through renames.
    pub const fn mailbox(self) -> MailboxId {
        match self {
            Self::Inbox => MailboxId(1),
            Self::Drafts => MailboxId(2),
            Self::Sent => MailboxId(3),
            Self::Junk => MailboxId(4),
            Self::Trash => MailboxId(5),
            Self::Archive => MailboxId(6),
        }
    }

    /// The name that mailbox is given.
    pub const fn default_name(self) -> &'static str {
        match self {
            Self::Inbox => "INBOX",
            Self::Drafts => "Drafts",
            Self::Sent => "Sent",
            Self::Junk => "Junk",
            Self::Trash => "Trash",
            Self::Archive => "Archive",
        }
    }

    /// The attribute of LIST (RFC 6154 §2), where there is one.
    pub const fn attribute(self) -> Option<&'static str> {
        match self {
            Self::Inbox => None,
            Self::Drafts => Some("\\Drafts"),
            Self::Sent => Some("\\Sent"),
            Self::Junk => Some("\\Junk"),
            Self::Trash => Some("\\Trash"),
            Self::Archive => Some("\\Archive"),
        }
    }
}

/// A mailbox as LIST shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxInfo {
    /// Its number; stays through renames.
    pub id: MailboxId,
    /// Its name in Unicode, levels separated by `/`. INBOX is spelt so.
    pub name: String,
    /// What it is for.
    pub special_use: Option<SpecialUse>,
    /// Whether its name is subscribed.
    pub subscribed: bool,
}

/// A mailbox's counters (STATUS, RFC 9051 §6.3.11, RFC 8438).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// How many messages there are.
    pub messages: u32,
    /// How many lack `\Seen`.
    pub unseen: u32,
    /// How many have `\Deleted`.
    pub deleted: u32,
    /// The sum of all sizes, octets.
    pub size: u64,
    /// The UID the next message will have at least.
    pub uid_next: Uid,
    /// UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// The greatest change number in use.
    pub highest_modseq: ModSeq,
}

/// A mailbox at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// The UID the next message will have at least.
    pub uid_next: Uid,
    /// The greatest change number in use: ask [`crate::AccountMail::changes_since`] from here on.
    pub highest_modseq: ModSeq,
    /// All messages, ascending by UID.
    pub messages: Vec<MessageState>,
}

/// What happened in a mailbox after a given change number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// New messages and messages whose flags changed, ascending by UID, as they are now.
    pub changed: Vec<MessageState>,
    /// UIDs that are gone, ascending. Where the history does not reach back far enough, these are all
    /// UIDs below `uid_next` that no message has (RFC 7162 §3.2.5.2 allows that).
    pub vanished: Vec<UidRange>,
    /// The UID the next message will have at least.
    pub uid_next: Uid,
    /// The change number to ask from next time.
    pub highest_modseq: ModSeq,
}

/// What [`crate::AccountMail::store_flags`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoreOutcome {
    /// The messages asked for that exist and passed UNCHANGEDSINCE, as they are now (whether or not
    /// a flag really changed; an unchanged one keeps its change number).
    pub stored: Vec<MessageState>,
    /// Messages changed after UNCHANGEDSINCE and therefore left alone (RFC 7162 §3.1.3).
    pub modified: Vec<Uid>,
    /// The change number of this store, when anything changed.
    pub modseq: Option<ModSeq>,
}

/// Where a delivery goes.
#[derive(Debug, Clone)]
pub struct Destination {
    /// Whose mail it is.
    pub account: AccountId,
    /// What it is sealed to.
    pub certificate: AccountCertificate,
    /// Which mailbox; one that was deleted means INBOX.
    pub mailbox: SpecialUse,
}

/// A message to append (RFC 9051 §6.3.12).
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// The message as sent by the client.
    pub raw: Vec<u8>,
    /// Its first flags.
    pub flags: Flags,
    /// INTERNALDATE, Unix seconds; `None` means now.
    pub internal_date: Option<i64>,
}
