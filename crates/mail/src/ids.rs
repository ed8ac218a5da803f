//! Numbers that stand for things. Store keys are made of these, never of names.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// An account: a person, or a shared account, with a key. Never reused.
    AccountId(u32)
);
id!(
    /// A mailbox (folder) within one account. Never reused within the account.
    MailboxId(u32)
);
id!(
    /// An IMAP unique identifier (RFC 9051 §2.3.1.1). Starts at 1, strictly ascending.
    Uid(u32)
);
id!(
    /// An IMAP UIDVALIDITY value (RFC 9051 §2.3.1.1).
    UidValidity(u32)
);
id!(
    /// A message waiting to go out. Ascending in order of arrival.
    QueueId(u64)
);
