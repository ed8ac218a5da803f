//! Mailboxes and messages, sealed.

mod error;
mod types;

pub use error::MailboxError;
pub use types::{
    Changes, Destination, FlagOp, Flags, MailboxInfo, MessageState, ModSeq, NewMessage, Snapshot,
    SpecialUse, Status, StoreOutcome, SystemFlags, UidRange,
};

use std::sync::Arc;

use tokio::sync::watch;
use wardpost_keys::Unlocked;
use wardpost_mail::{AccountId, MailboxId, Uid, UidValidity};
use wardpost_message::Summary;
use wardpost_store::{Committed, Store};

struct Inner {}

/// All mailboxes of all accounts. Clones share everything.
#[derive(Clone)]
pub struct Mailboxes(#[allow(dead_code)] Arc<Inner>);

impl Mailboxes {
    /// Mailboxes kept in `store`. Reads nothing yet.
    pub fn new(_store: Store) -> Self {
        unimplemented!()
    }

    /// Puts a message into a mailbox of each destination: all or none, safe on disk when this
    /// returns. One body is kept for all. `received` becomes INTERNALDATE (Unix seconds).
    ///
    /// # Errors
    /// When sealing or the store fails; nothing is delivered then.
    pub async fn deliver(
        &self,
        _raw: Vec<u8>,
        _to: &[Destination],
        _received: i64,
    ) -> Result<Committed, MailboxError> {
        unimplemented!()
    }

    /// An unlocked account's mail. Cheap; all handles of an account share their state. Call
    /// [`AccountMail::prepare`] once after log-in.
    pub fn open(&self, _account: AccountId, _unlocked: Arc<Unlocked>) -> AccountMail {
        unimplemented!()
    }

    /// Removes everything of an account that was removed from the directory.
    ///
    /// # Errors
    /// When the store fails; call again then.
    pub async fn purge(&self, _account: AccountId) -> Result<(), MailboxError> {
        unimplemented!()
    }
}

/// The mail of one unlocked account. Clones share everything.
#[derive(Clone)]
pub struct AccountMail {}

impl AccountMail {
    /// Makes the default mailboxes of a new account, and begins to fold what was delivered while
    /// nobody was logged in (in the background; everything is visible at once).
    ///
    /// # Errors
    /// When the store fails.
    pub async fn prepare(&self) -> Result<(), MailboxError> {
        unimplemented!()
    }

    /// Whose mail it is.
    pub fn account(&self) -> AccountId {
        unimplemented!()
    }

    /// All mailboxes, by name, INBOX first.
    ///
    /// # Errors
    /// When the store fails.
    pub fn list(&self) -> Result<Vec<MailboxInfo>, MailboxError> {
        unimplemented!()
    }

    /// The mailbox of that name; INBOX in any case.
    ///
    /// # Errors
    /// [`MailboxError::NoSuchMailbox`], or when the store fails.
    pub fn find(&self, _name: &str) -> Result<MailboxInfo, MailboxError> {
        unimplemented!()
    }

    /// The mailbox with that use.
    ///
    /// # Errors
    /// [`MailboxError::NoSuchMailbox`] when it was deleted, or when the store fails.
    pub fn special(&self, _special: SpecialUse) -> Result<MailboxInfo, MailboxError> {
        unimplemented!()
    }

    /// Creates a mailbox and those above it that are missing (RFC 9051 §6.3.4). A trailing `/` is
    /// dropped. `special` assigns a use (CREATE-SPECIAL-USE), taking it from the mailbox that had it.
    ///
    /// # Errors
    /// When the name is bad or taken, or the store fails.
    pub async fn create(
        &self,
        _name: &str,
        _special: Option<SpecialUse>,
    ) -> Result<MailboxInfo, MailboxError> {
        unimplemented!()
    }

    /// Deletes a mailbox with its messages (RFC 9051 §6.3.5).
    ///
    /// # Errors
    /// For INBOX, for a mailbox with others below it, or when the store fails.
    pub async fn delete(&self, _name: &str) -> Result<(), MailboxError> {
        unimplemented!()
    }

    /// Renames a mailbox and all below it; renaming INBOX moves its messages into the new mailbox and
    /// leaves it empty (RFC 9051 §6.3.6).
    ///
    /// # Errors
    /// When the name is bad or taken, or the store fails.
    pub async fn rename(&self, _from: &str, _to: &str) -> Result<(), MailboxError> {
        unimplemented!()
    }

    /// Subscribes to a name, or ends that. The name need not exist (RFC 9051 §6.3.7).
    ///
    /// # Errors
    /// When the name is bad, the list is full, or the store fails.
    pub async fn set_subscribed(&self, _name: &str, _on: bool) -> Result<(), MailboxError> {
        unimplemented!()
    }

    /// All subscribed names, whether or not they exist.
    ///
    /// # Errors
    /// When the store fails.
    pub fn subscriptions(&self) -> Result<Vec<String>, MailboxError> {
        unimplemented!()
    }

    /// A mailbox's counters.
    ///
    /// # Errors
    /// When there is no such mailbox or the store fails.
    pub async fn status(&self, _id: MailboxId) -> Result<Status, MailboxError> {
        unimplemented!()
    }

    /// All messages of a mailbox as they are now.
    ///
    /// # Errors
    /// When there is no such mailbox or the store fails.
    pub async fn select(&self, _id: MailboxId) -> Result<Snapshot, MailboxError> {
        unimplemented!()
    }

    /// What changed after `since`.
    ///
    /// # Errors
    /// When there is no such mailbox (it may have been deleted by another session) or the store fails.
    pub async fn changes_since(
        &self,
        _id: MailboxId,
        _since: ModSeq,
    ) -> Result<Changes, MailboxError> {
        unimplemented!()
    }

    /// Wakes when the mailbox changes; the value is its highest change number. The sender is gone when
    /// the mailbox was deleted.
    ///
    /// # Errors
    /// When there is no such mailbox or the store fails.
    pub fn watch(&self, _id: MailboxId) -> Result<watch::Receiver<ModSeq>, MailboxError> {
        unimplemented!()
    }

    /// Wakes when anything in the account changes (messages or the list of mailboxes). The value only
    /// tells changes apart.
    pub fn watch_all(&self) -> watch::Receiver<u64> {
        unimplemented!()
    }

    /// One message's summary.
    ///
    /// # Errors
    /// When there is no such message, or the store fails.
    pub async fn summary(&self, _id: MailboxId, _uid: Uid) -> Result<Summary, MailboxError> {
        unimplemented!()
    }

    /// The summaries of all messages in `ranges` (ascending), in order of UID, read ahead in the
    /// background a few hundred at a time.
    pub fn summaries(&self, _id: MailboxId, _ranges: Vec<UidRange>) -> Summaries {
        unimplemented!()
    }

    /// A message, byte for byte as it came.
    ///
    /// # Errors
    /// When there is no such message, or the store fails.
    pub async fn body(&self, _id: MailboxId, _uid: Uid) -> Result<Arc<[u8]>, MailboxError> {
        unimplemented!()
    }

    /// A message as a standard OpenPGP message to the account's certificate, for export.
    ///
    /// # Errors
    /// When there is no such message, or the store fails.
    pub async fn sealed(&self, _id: MailboxId, _uid: Uid) -> Result<Vec<u8>, MailboxError> {
        unimplemented!()
    }

    /// Appends a message; safe on disk when this returns (APPENDUID, RFC 4315 §3).
    ///
    /// # Errors
    /// [`MailboxError::NoSuchDestination`], too many keywords, or when the store fails.
    pub async fn append(
        &self,
        _id: MailboxId,
        _message: NewMessage,
    ) -> Result<(UidValidity, Uid), MailboxError> {
        unimplemented!()
    }

    /// Changes flags (STORE, RFC 9051 §6.4.6, RFC 7162 §3.1.3). UIDs that do not exist are passed over.
    ///
    /// # Errors
    /// When there is no such mailbox, too many keywords, or when the store fails.
    pub async fn store_flags(
        &self,
        _id: MailboxId,
        _uids: &[Uid],
        _op: FlagOp,
        _flags: &Flags,
        _unchanged_since: Option<ModSeq>,
    ) -> Result<StoreOutcome, MailboxError> {
        unimplemented!()
    }

    /// Copies messages, all or none; the answer pairs old and new UIDs (COPYUID, RFC 4315 §3).
    ///
    /// # Errors
    /// When a mailbox does not exist, or the store fails.
    pub async fn copy(
        &self,
        _id: MailboxId,
        _uids: &[Uid],
        _to: MailboxId,
    ) -> Result<(UidValidity, Vec<(Uid, Uid)>), MailboxError> {
        unimplemented!()
    }

    /// Moves messages in one atomic step (MOVE, RFC 6851); the answer pairs old and new UIDs.
    ///
    /// # Errors
    /// When a mailbox does not exist, or the store fails.
    pub async fn move_messages(
        &self,
        _id: MailboxId,
        _uids: &[Uid],
        _to: MailboxId,
    ) -> Result<(UidValidity, Vec<(Uid, Uid)>), MailboxError> {
        unimplemented!()
    }

    /// Removes messages that have `\Deleted`; with `only`, just those of them (UID EXPUNGE, RFC 4315
    /// §2.1). The answer lists the UIDs removed, ascending.
    ///
    /// # Errors
    /// When there is no such mailbox, or the store fails.
    pub async fn expunge(
        &self,
        _id: MailboxId,
        _only: Option<&[UidRange]>,
    ) -> Result<Vec<Uid>, MailboxError> {
        unimplemented!()
    }
}

/// A stream of summaries, see [`AccountMail::summaries`].
pub struct Summaries {}

impl Summaries {
    /// The next few, ascending by UID; `None` at the end.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn next(&mut self) -> Option<Result<Vec<(Uid, Summary)>, MailboxError>> {
        unimplemented!()
    }
}
