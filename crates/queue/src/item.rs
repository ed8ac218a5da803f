//! Items: what is put into the queue, and how it is written down.

use serde::{Deserialize, Serialize};
use wardpost_mail::{AccountId, Envelope};
use wardpost_policy::Route;

/// What an item is, which decides how its failure is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A message somebody wrote. Goes only over a path that reaches the floor.
    Mail,
    /// The plain mail that says a parcel waits. Says nothing private.
    Notice,
    /// A report to a sender (RFC 3464), or a code mail. Its failure is not reported again
    /// (RFC 5321 §4.5.5).
    Report,
}

impl Kind {
    /// A word for metric labels and lists.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Notice => "notice",
            Self::Report => "report",
        }
    }
}

/// Something to be sent.
#[derive(Debug, Clone)]
pub struct NewItem {
    /// The account that sends it or is to be told of its fate; `None` for what nobody is told about.
    pub sender: Option<AccountId>,
    /// The envelope.
    pub envelope: Envelope,
    /// The message as it goes out (RFC 5322, CRLF line ends).
    pub message: Vec<u8>,
    /// The route of each recipient, in the order of `envelope.to`.
    pub routes: Vec<Route>,
    /// What it is.
    pub kind: Kind,
}

/// Times as milliseconds since 1970 in records.
pub(crate) mod unix_ms {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    pub(crate) fn of(time: SystemTime) -> u64 {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn time(ms: u64) -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_millis(ms)).unwrap_or(UNIX_EPOCH)
    }

    pub(crate) fn serialize<S: Serializer>(time: &SystemTime, s: S) -> Result<S::Ok, S::Error> {
        of(*time).serialize(s)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<SystemTime, D::Error> {
        u64::deserialize(d).map(time)
    }
}
