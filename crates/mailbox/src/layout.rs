//! Store keys: numbers only, big endian, so that order in the store is order of UID.

use std::time::{SystemTime, UNIX_EPOCH};

use wardpost_mail::{AccountId, MailboxId, Uid};

/// Names one sealed body. The first six bytes count milliseconds, so that bodies of one time lie
/// together on disk; the rest is random.
pub(crate) type BlobId = [u8; 16];

/// A new body's name.
pub(crate) fn new_blob() -> BlobId {
    let mut id: BlobId = rand::random();
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    id[..6].copy_from_slice(&(millis as u64).to_be_bytes()[2..]);
    id
}

/// What a key in `Column::Mailbox` leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// [`crate::records::AccountRecord`]; its presence says that the default mailboxes were made.
    Account = b'A',
    /// Subscribed names, sealed under the account key.
    Subscriptions = b'S',
    /// [`crate::records::CountersRecord`] of a mailbox.
    Counters = b'c',
    /// [`crate::records::WaitingRecord`]: delivered, not folded yet.
    Waiting = b'd',
    /// [`crate::records::EntryRecord`]: a message, folded.
    Entry = b'e',
    /// A mailbox that was deleted and whose messages are still to be removed.
    Grave = b'g',
    /// [`crate::records::MailboxRecord`].
    Mailbox = b'm',
    /// [`crate::records::SummaryRecord`] of a message.
    Summary = b's',
    /// UIDs expunged at one change number.
    Expunged = b'x',
}

/// All keys of an account.
pub(crate) fn account_prefix(account: AccountId) -> [u8; 4] {
    account.0.to_be_bytes()
}

/// The account whose key this is.
pub(crate) fn account_of(key: &[u8]) -> Option<AccountId> {
    Some(AccountId(u32::from_be_bytes(key.get(..4)?.try_into().ok()?)))
}

/// Behind all keys of an account, and before those of the next.
pub(crate) fn behind_account(account: AccountId) -> [u8; 5] {
    let [a, b, c, d] = account_prefix(account);
    // No kind has this number.
    [a, b, c, d, u8::MAX]
}

/// All keys of one kind in an account; also the key itself where there is one an account.
pub(crate) fn account_key(account: AccountId, kind: Kind) -> Vec<u8> {
    let mut key = Vec::with_capacity(17);
    key.extend_from_slice(&account.0.to_be_bytes());
    key.push(kind as u8);
    key
}

/// All keys of one kind in a mailbox; also the key itself where there is one a mailbox.
pub(crate) fn mailbox_key(account: AccountId, kind: Kind, mailbox: MailboxId) -> Vec<u8> {
    let mut key = account_key(account, kind);
    key.extend_from_slice(&mailbox.0.to_be_bytes());
    key
}

/// The key of a message's record.
pub(crate) fn message_key(account: AccountId, kind: Kind, mailbox: MailboxId, uid: Uid) -> Vec<u8> {
    let mut key = mailbox_key(account, kind, mailbox);
    key.extend_from_slice(&uid.0.to_be_bytes());
    key
}

/// The key of a record of expunged UIDs.
pub(crate) fn expunged_key(account: AccountId, mailbox: MailboxId, modseq: u64) -> Vec<u8> {
    let mut key = mailbox_key(account, Kind::Expunged, mailbox);
    key.extend_from_slice(&modseq.to_be_bytes());
    key
}

/// The mailbox that a key of kind [`Kind::Mailbox`], [`Kind::Counters`] or [`Kind::Grave`] belongs to.
pub(crate) fn mailbox_of(key: &[u8]) -> Option<MailboxId> {
    Some(MailboxId(u32::from_be_bytes(key.get(5..9)?.try_into().ok()?)))
}

/// The UID in a message's key.
pub(crate) fn uid_of(key: &[u8]) -> Option<Uid> {
    Some(Uid(u32::from_be_bytes(key.get(9..13)?.try_into().ok()?)))
}

/// The change number in the key of a record of expunged UIDs.
pub(crate) fn modseq_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(9..17)?.try_into().ok()?))
}

/// In `Column::Message`: a sealed body.
pub(crate) fn body_key(blob: &BlobId) -> Vec<u8> {
    [b"b".as_slice(), blob].concat()
}

/// In `Column::Message`: how many messages share a body; absent means one.
pub(crate) fn shares_key(blob: &BlobId) -> Vec<u8> {
    [b"n".as_slice(), blob].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_by_uid_and_read_back() {
        let key = |uid| message_key(AccountId(7), Kind::Entry, MailboxId(1), Uid(uid));
        assert!(key(255) < key(256));
        assert_eq!(uid_of(&key(70_000)), Some(Uid(70_000)));
        assert_eq!(mailbox_of(&key(1)), Some(MailboxId(1)));
        assert_eq!(modseq_of(&expunged_key(AccountId(1), MailboxId(2), 1 << 40)), Some(1 << 40));
        assert_eq!(uid_of(b"short"), None);
        assert_eq!(account_of(&key(1)), Some(AccountId(7)));
        let next = account_key(AccountId(8), Kind::Account);
        for kind in [Kind::Account, Kind::Expunged] {
            let last = account_key(AccountId(7), kind);
            assert!(last.as_slice() < &behind_account(AccountId(7))[..]);
        }
        assert!(&behind_account(AccountId(7))[..] < next.as_slice());
    }

    #[test]
    fn bodies_of_one_time_lie_together() {
        let (a, b) = (new_blob(), new_blob());
        assert_eq!(a[..4], b[..4]);
        assert_ne!(a[6..], b[6..]);
    }
}
