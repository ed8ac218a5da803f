//! Parcels as the portal, the practice and metrics see them: never with content.

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;
use wardpost_mail::{AccountId, Address};

/// A parcel's name inside the practice: a keyed hash of the identifier in its link, so that it opens
/// nothing and leads to no link. Shown as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ParcelId(pub(crate) [u8; 16]);

impl fmt::Display for ParcelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER_PERMISSIVE.encode(&self.0))
    }
}

impl fmt::Debug for ParcelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ParcelId({self})")
    }
}

impl FromStr for ParcelId {
    type Err = crate::ParcelError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let bytes = HEXLOWER_PERMISSIVE.decode(s.as_bytes()).ok();
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(crate::ParcelError::NotFound)
    }
}

/// How a parcel stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParcelState {
    /// Not opened yet.
    Waiting,
    /// Opened at least once.
    Opened,
    /// Opened and answered.
    Answered,
    /// Taken back by its sender.
    Recalled,
    /// Its time is over.
    Expired,
    /// Lost to a new code.
    Superseded,
}

impl ParcelState {
    /// Whether the message is there to be read.
    pub fn is_there(self) -> bool {
        matches!(self, Self::Waiting | Self::Opened | Self::Answered)
    }

    /// A word for metric labels and lists.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Opened => "opened",
            Self::Answered => "answered",
            Self::Recalled => "recalled",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
        }
    }
}

/// One parcel, without its message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParcelView {
    /// The parcel.
    pub id: ParcelId,
    /// Whose message it is.
    pub sender: AccountId,
    /// For whom.
    pub recipient: Address,
    /// When it was made.
    pub created: SystemTime,
    /// When it is deleted.
    pub expires: SystemTime,
    /// How it stands.
    pub state: ParcelState,
    /// When it was opened, oldest first; the last twenty times.
    pub opened_at: Vec<SystemTime>,
    /// How often it was opened.
    pub views: u32,
    /// Wrong codes since the last right one.
    pub wrong_codes: u32,
    /// Locked after too many wrong codes.
    pub locked: bool,
    /// Octets of the message.
    pub size: u64,
}

/// What somebody with a right link may know before giving the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glance {
    /// The parcel.
    pub id: ParcelId,
    /// Whose message it is.
    pub sender: AccountId,
    /// When it is deleted.
    pub expires: SystemTime,
    /// The recipient has set a passphrase: ask for it rather than for the code.
    pub has_passphrase: bool,
    /// Locked after too many wrong codes.
    pub locked: bool,
}

/// Another parcel of the same recipient. Its own notice's link opens it; nothing here does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherParcel {
    /// Whose message it is.
    pub sender: AccountId,
    /// When it was made.
    pub created: SystemTime,
    /// When it is deleted.
    pub expires: SystemTime,
    /// Opened before.
    pub opened: bool,
}

/// Numbers for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ParcelStats {
    /// Not opened yet.
    pub waiting: usize,
    /// Opened, answered or not, and still there.
    pub opened: usize,
    /// Locked after too many wrong codes.
    pub locked: usize,
}

/// What [`crate::Parcels::expire`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Purged {
    /// Parcels whose time came now without ever having been opened: their senders want to know.
    pub unread: Vec<ParcelView>,
    /// Messages deleted.
    pub messages: usize,
    /// Records deleted, their messages having gone before.
    pub records: usize,
}

impl Purged {
    pub(crate) fn add(&mut self, more: Self) {
        self.unread.extend(more.unread);
        self.messages += more.messages;
        self.records += more.records;
    }
}

/// What is kept so that staff who write to somebody later can learn the code, though nobody here can
/// read it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CodeNote {
    /// Whose message the code was made for; `None` when an administrator made it.
    pub maker: Option<AccountId>,
    /// Who has been told already.
    pub told: Vec<AccountId>,
    /// The mail with the code, sealed to the staff of that day by whoever keeps this; its form means
    /// nothing here. Empty where there is none.
    pub mail: Vec<u8>,
}
