//! Mailboxes and messages, sealed.
//!
//! [`Mailboxes`] takes mail in for any account at any time; an [`AccountMail`], which only an
//! [`Unlocked`] account key opens, lists, reads and changes it. This is everything an IMAP server needs,
//! without its grammar.
//!
//! # What is kept
//! A message is one sealed body (an OpenPGP encryption packet, in `Column::Message`) that any number of
//! messages in any number of mailboxes and accounts may share, and two small records for each place it
//! lies in (in `Column::Mailbox`):
//!
//! ```text
//! account A                        next mailbox id; says that the defaults were made
//! account S                        subscribed names                       ┐ sealed under
//! account m mailbox                name, special use (not sealed)         ┘ the account key
//! account c mailbox                UIDVALIDITY, next UID, last change number, floor of the history
//! account d mailbox uid            waiting: blob, date, size, key packet
//! account e mailbox uid            entry:   the same, session key and flags under the account key
//! account s mailbox uid            summary: under the session key (waiting) or the account key
//! account x mailbox modseq         UIDs expunged at that change number
//! account g mailbox                deleted; its messages are still to be removed
//! b blob                           sealed body                            (Column::Message)
//! n blob                           how many share it, when not one        (Column::Message)
//! ```
//!
//! Keys are numbers only. The store seals every value once more under the system's keys; what the list
//! says is sealed under the account key opens only while its owner is logged in.
//!
//! # Locked and unlocked
//! Mail for somebody who is not logged in is sealed to the public certificate and *waits*. At log-in it
//! is *folded*: its session key and summary go under the account key, so that everything after costs
//! symmetric work only. It is visible and readable before that, only slower. Mail for somebody who is
//! logged in is folded as it arrives. Either way the key packet stays in the record: body and packet
//! are a standard OpenPGP message, which the exported secret key opens without this program.
//!
//! # Order, and what a crash leaves
//! Every change is one atomic batch; numbers are taken, and the batch is put in the store's line, under
//! one short lock (see `state`). Change numbers (RFC 7162) strictly ascend in each mailbox. After
//! kill -9 a message that was acknowledged is there once; one that was not is there or not, whole. What
//! failed, for a full disk say, was never visible.
//!
//! # Left out on purpose
//! No `\Recent` (RFC 9051 dropped it). No search index yet: summaries serve header search, bodies are
//! opened for the rest. No quota. Names are compared as given, without Unicode normalisation.

mod account;
mod add;
mod blob;
mod change;
mod error;
mod fold;
mod folders;
mod layout;
mod names;
mod read;
mod records;
mod seal;
mod state;
mod table;
mod types;

pub use add::Delivery;
pub use error::MailboxError;
pub use read::Summaries;
pub use seal::SealedMail;
pub use types::{
    Changes, Destination, FlagOp, Flags, MailboxInfo, MessageState, ModSeq, NewMessage, Snapshot,
    SpecialUse, Status, StoreOutcome, SystemFlags, UidRange,
};

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use wardpost_keys::Unlocked;
use wardpost_mail::{AccountId, MailboxId, Uid, UidValidity};
use wardpost_message::Summary;
use wardpost_store::{Batch, Column, Committed, Store};

use crate::account::{AccountState, OpenAccount, detached, run};
use crate::add::{Load, Recipient};
use crate::layout::{Kind, account_key, account_of, account_prefix, behind_account, mailbox_of};
use crate::state::{MailboxState, now};

struct Inner {
    store: Store,
    accounts: Mutex<HashMap<AccountId, Arc<AccountState>>>,
}

/// All mailboxes of all accounts. Clones share everything.
#[derive(Clone)]
pub struct Mailboxes(Arc<Inner>);

impl Mailboxes {
    /// Mailboxes kept in `store`. Reads nothing yet. There must be only one for a store.
    pub fn new(store: Store) -> Self {
        Self(Arc::new(Inner { store, accounts: Mutex::default() }))
    }

    fn account(&self, id: AccountId) -> Arc<AccountState> {
        let mut accounts = self.0.accounts.lock();
        let new = || Arc::new(AccountState::new(id, self.0.store.clone()));
        accounts.entry(id).or_insert_with(new).clone()
    }

    /// Puts a message into a mailbox of each destination: all or none, safe on disk when this
    /// returns. One body is kept for all; a mailbox named twice gets the message once. `received`
    /// becomes INTERNALDATE (Unix seconds).
    ///
    /// # Errors
    /// When `to` is empty, sealing or the store fails; nothing is delivered then.
    pub async fn deliver(
        &self,
        raw: Vec<u8>,
        to: &[Destination],
        received: i64,
    ) -> Result<Committed, MailboxError> {
        let raw = Arc::new(raw);
        // A mailbox may be deleted between the look and the lock; then INBOX takes the mail.
        for _ in 0..3 {
            let delivery = self.prepare(raw.clone(), to, received).await?;
            match delivery.commit(Batch::new()).await {
                Err(MailboxError::NoSuchMailbox) => {}
                outcome => return outcome,
            }
        }
        Err(MailboxError::Busy)
    }

    /// Seals a message as [`Mailboxes::deliver`] does and leaves the commit to the caller, who may
    /// have something to commit along with it.
    ///
    /// # Errors
    /// When `to` is empty, sealing fails or the store cannot be read.
    pub async fn prepare(
        &self,
        raw: Arc<Vec<u8>>,
        to: &[Destination],
        received: i64,
    ) -> Result<Delivery, MailboxError> {
        if to.is_empty() {
            return Err(MailboxError::NoSuchDestination);
        }
        let recipients = self.recipients(to)?;
        let small = raw.len() <= seal::SMALL && recipients.len() <= seal::FEW;
        let addings = run(small, move || add::seal_delivery(&raw, recipients, received)).await?;
        Ok(Delivery { store: self.0.store.clone(), load: Load(vec![addings]) })
    }

    /// A delivery of nothing, to add others to.
    pub fn nothing(&self) -> Delivery {
        Delivery { store: self.0.store.clone(), load: Load(Vec::new()) }
    }

    /// Makes a delivery, to the INBOX, of a mail that was sealed earlier to `account` among others.
    ///
    /// # Errors
    /// [`MailboxError::NoSuchDestination`] when it was not sealed to that account, or when the store
    /// cannot be read.
    pub fn prepare_sealed(
        &self,
        mail: &SealedMail,
        account: AccountId,
        received: i64,
    ) -> Result<Delivery, MailboxError> {
        let account = self.account(account);
        let mailbox = account.delivery_mailbox(SpecialUse::Inbox)?;
        let addings = add::take_up(mail, account, mailbox, received)?;
        Ok(Delivery { store: self.0.store.clone(), load: Load(vec![addings]) })
    }

    /// Where the destinations are, sorted, each mailbox once.
    fn recipients(&self, to: &[Destination]) -> Result<Vec<Recipient>, MailboxError> {
        let mut recipients = to
            .iter()
            .map(|destination| {
                let account = self.account(destination.account);
                let mailbox = account.delivery_mailbox(destination.mailbox)?;
                Ok(Recipient { account, mailbox, certificate: destination.certificate.clone() })
            })
            .collect::<Result<Vec<_>, MailboxError>>()?;
        recipients.sort_by_key(Recipient::key);
        recipients.dedup_by_key(|recipient| recipient.key());
        Ok(recipients)
    }

    /// An unlocked account's mail. Cheap; all handles of an account share their state. Call
    /// [`AccountMail::prepare`] once after log-in.
    pub fn open(&self, account: AccountId, unlocked: Arc<Unlocked>) -> AccountMail {
        AccountMail { open: self.account(account).open(unlocked) }
    }

    /// All accounts that anything is kept for, in ascending order. One look at the disk for each account,
    /// however much mail it has.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn accounts(&self) -> Result<Vec<AccountId>, MailboxError> {
        let mut accounts = Vec::new();
        let mut behind: Option<Vec<u8>> = None;
        while let Some((key, _)) =
            self.0.store.scan(Column::Mailbox, b"", behind.as_deref(), 1)?.pop()
        {
            behind = Some(match account_of(&key) {
                Some(account) => {
                    accounts.push(account);
                    behind_account(account).to_vec()
                }
                None => key,
            });
        }
        Ok(accounts)
    }

    /// Removes everything of an account that was removed from the directory.
    ///
    /// # Errors
    /// When the store fails; call again then.
    pub async fn remove_account(&self, account: AccountId) -> Result<(), MailboxError> {
        let state = self.account(account);
        let mut mailboxes = Vec::new();
        state.visit(&account_key(account, Kind::Counters), |key, _| {
            mailboxes.extend(mailbox_of(key));
            Ok(())
        })?;
        state.visit(&account_key(account, Kind::Grave), |key, _| {
            mailboxes.extend(mailbox_of(key));
            Ok(())
        })?;
        for id in mailboxes {
            if let Ok(mailbox) = state.mailbox(id) {
                let _modify = mailbox.modify.lock().await;
                mailbox.close().await;
                mailbox.core().end_watch();
            }
            folders::bury(&state, id).await?;
        }
        loop {
            let prefix = account_prefix(account);
            let rest = self.0.store.scan(Column::Mailbox, &prefix, None, 1_000)?;
            if rest.is_empty() {
                break;
            }
            let mut batch = Batch::new();
            for (key, _) in rest {
                batch.delete(Column::Mailbox, key);
            }
            self.0.store.commit(batch).await?;
        }
        state.touch();
        self.0.accounts.lock().remove(&account);
        Ok(())
    }
}

/// The mail of one unlocked account. Clones share everything; while one lives, the account's keys are
/// in memory.
///
/// A change that was begun is finished even when the future that asked for it is dropped.
#[derive(Clone)]
pub struct AccountMail {
    open: Arc<OpenAccount>,
}

impl AccountMail {
    /// Makes the default mailboxes of a new account, and begins to fold what was delivered while
    /// nobody was logged in (in the background; everything is visible at once).
    ///
    /// # Errors
    /// When the store fails.
    pub async fn prepare(&self) -> Result<(), MailboxError> {
        detached(folders::prepare(self.open.clone())).await
    }

    /// Whose mail it is.
    pub fn account(&self) -> AccountId {
        self.open.state.id
    }

    /// All mailboxes, by name, INBOX first.
    ///
    /// # Errors
    /// When the store fails.
    pub fn list(&self) -> Result<Vec<MailboxInfo>, MailboxError> {
        self.open.list()
    }

    /// The mailbox of that name; INBOX in any case.
    ///
    /// # Errors
    /// [`MailboxError::NoSuchMailbox`], or when the store fails.
    pub fn find(&self, name: &str) -> Result<MailboxInfo, MailboxError> {
        self.open.find(name)
    }

    /// The mailbox with that use.
    ///
    /// # Errors
    /// [`MailboxError::NoSuchMailbox`] when it was deleted, or when the store fails.
    pub fn special(&self, special: SpecialUse) -> Result<MailboxInfo, MailboxError> {
        let found = self.list()?.into_iter().find(|info| info.special_use == Some(special));
        found.ok_or(MailboxError::NoSuchMailbox)
    }

    /// Creates a mailbox and those above it that are missing (RFC 9051 §6.3.4). A trailing `/` is
    /// dropped. `special` assigns a use (CREATE-SPECIAL-USE), taking it from the mailbox that had it.
    ///
    /// # Errors
    /// When the name is bad or taken, or the store fails.
    pub async fn create(
        &self,
        name: &str,
        special: Option<SpecialUse>,
    ) -> Result<MailboxInfo, MailboxError> {
        if special == Some(SpecialUse::Inbox) {
            return Err(MailboxError::Inbox);
        }
        detached(folders::create(self.open.clone(), name.to_owned(), special)).await
    }

    /// Deletes a mailbox with its messages (RFC 9051 §6.3.5).
    ///
    /// # Errors
    /// For INBOX, for a mailbox with others below it, or when the store fails.
    pub async fn delete(&self, name: &str) -> Result<(), MailboxError> {
        detached(folders::delete(self.open.clone(), name.to_owned())).await
    }

    /// Renames a mailbox and all below it; renaming INBOX moves its messages into the new mailbox and
    /// leaves it empty (RFC 9051 §6.3.6). Subscriptions follow the names.
    ///
    /// # Errors
    /// When the name is bad or taken, or the store fails.
    pub async fn rename(&self, from: &str, to: &str) -> Result<(), MailboxError> {
        detached(folders::rename(self.open.clone(), from.to_owned(), to.to_owned())).await
    }

    /// Subscribes to a name, or ends that. The name need not exist (RFC 9051 §6.3.7).
    ///
    /// # Errors
    /// When the name is bad, the list is full, or the store fails.
    pub async fn set_subscribed(&self, name: &str, on: bool) -> Result<(), MailboxError> {
        detached(folders::set_subscribed(self.open.clone(), name.to_owned(), on)).await
    }

    /// All subscribed names, whether or not they exist, sorted.
    ///
    /// # Errors
    /// When the store fails.
    pub fn subscriptions(&self) -> Result<Vec<String>, MailboxError> {
        self.open.subscriptions()
    }

    /// A mailbox with its table in memory.
    async fn loaded(&self, id: MailboxId) -> Result<Arc<MailboxState>, MailboxError> {
        let mailbox = self.open.state.mailbox(id)?;
        self.open.loaded(&mailbox).await?;
        Ok(mailbox)
    }

    /// A mailbox's counters. The first call for a mailbox loads its table.
    ///
    /// # Errors
    /// When there is no such mailbox or the store fails.
    pub async fn status(&self, id: MailboxId) -> Result<Status, MailboxError> {
        let mailbox = self.loaded(id).await?;
        let core = mailbox.core();
        let totals = core.table().ok_or(MailboxError::Interrupted)?.totals();
        Ok(Status {
            messages: totals.messages,
            unseen: totals.unseen,
            deleted: totals.deleted,
            size: totals.size,
            uid_next: core.visible_uid_next,
            uid_validity: core.uid_validity,
            highest_modseq: core.visible,
        })
    }

    /// All messages of a mailbox as they are now.
    ///
    /// # Errors
    /// When there is no such mailbox or the store fails.
    pub async fn select(&self, id: MailboxId) -> Result<Snapshot, MailboxError> {
        let mailbox = self.loaded(id).await?;
        let core = mailbox.core();
        Ok(Snapshot {
            uid_validity: core.uid_validity,
            uid_next: core.visible_uid_next,
            highest_modseq: core.visible,
            messages: core.table().ok_or(MailboxError::Interrupted)?.states(),
        })
    }

    /// The messages in `ranges` (ascending, not overlapping) that exist, ascending by UID. After a
    /// [`AccountMail::select`] this only looks into memory and returns at once.
    ///
    /// # Errors
    /// When there is no such mailbox or the store fails.
    pub async fn states(
        &self,
        id: MailboxId,
        ranges: &[UidRange],
    ) -> Result<Vec<MessageState>, MailboxError> {
        let mailbox = self.loaded(id).await?;
        let core = mailbox.core();
        Ok(core.table().ok_or(MailboxError::Interrupted)?.within(ranges))
    }

    /// What changed after `since`. Exact for any change number ever shown, see [`Changes::vanished`].
    /// After a [`AccountMail::select`] this only looks into memory.
    ///
    /// # Errors
    /// When there is no such mailbox (it may have been deleted by another session) or the store fails.
    pub async fn changes_since(
        &self,
        id: MailboxId,
        since: ModSeq,
    ) -> Result<Changes, MailboxError> {
        let mailbox = self.loaded(id).await?;
        let core = mailbox.core();
        let table = core.table().ok_or(MailboxError::Interrupted)?;
        let (changed, vanished) = if since >= core.visible {
            (Vec::new(), Vec::new())
        } else {
            let vanished = table.vanished_since(since, core.floor, core.visible_uid_next);
            (table.changed_since(since), vanished)
        };
        Ok(Changes {
            changed,
            vanished,
            uid_next: core.visible_uid_next,
            highest_modseq: core.visible,
        })
    }

    /// Wakes when the mailbox changes; the value is its highest change number. The sender is gone when
    /// the mailbox was deleted.
    ///
    /// # Errors
    /// When there is no such mailbox or the store fails.
    pub fn watch(&self, id: MailboxId) -> Result<watch::Receiver<ModSeq>, MailboxError> {
        self.open.state.mailbox(id)?.core().watch().ok_or(MailboxError::NoSuchMailbox)
    }

    /// Wakes when anything in the account changes (messages or the list of mailboxes). The value only
    /// tells changes apart.
    pub fn watch_all(&self) -> watch::Receiver<u64> {
        self.open.state.watch()
    }

    /// One message's summary. Reads and opens one record, in place.
    ///
    /// # Errors
    /// When there is no such message, or the store fails.
    pub async fn summary(&self, id: MailboxId, uid: Uid) -> Result<Summary, MailboxError> {
        self.open.summary(id, uid)
    }

    /// The summaries of all messages in `ranges` (ascending), in order of UID, read ahead in the
    /// background a few hundred at a time. Waiting mail is folded first.
    pub fn summaries(&self, id: MailboxId, ranges: Vec<UidRange>) -> Summaries {
        Summaries::new(self.open.clone(), id, ranges)
    }

    /// A message, byte for byte as it came. Opens it anew every time: keep it while it is needed.
    ///
    /// # Errors
    /// When there is no such message, or the store fails.
    pub async fn body(&self, id: MailboxId, uid: Uid) -> Result<Arc<[u8]>, MailboxError> {
        self.open.body(id, uid).await
    }

    /// A message as a standard OpenPGP message to the account's certificate, for export.
    ///
    /// # Errors
    /// When there is no such message, or the store fails.
    pub async fn sealed(&self, id: MailboxId, uid: Uid) -> Result<Vec<u8>, MailboxError> {
        self.open.openpgp(id, uid).await
    }

    /// Appends a message; safe on disk when this returns (APPENDUID, RFC 4315 §3).
    ///
    /// # Errors
    /// [`MailboxError::NoSuchDestination`], too many keywords, or when the store fails.
    pub async fn append(
        &self,
        id: MailboxId,
        message: NewMessage,
    ) -> Result<(UidValidity, Uid), MailboxError> {
        change::check_keywords(&message.flags)?;
        let mailbox = self.destination(id)?;
        let open = self.open.clone();
        let NewMessage { raw, flags, internal_date } = message;
        let date = internal_date.unwrap_or_else(now);
        let validity = mailbox.core().uid_validity;
        let addings = run(raw.len() <= seal::SMALL, move || {
            add::seal_append(&open, mailbox, &raw, flags, date)
        })
        .await?;
        Ok((validity, add::append(&self.open.state.store, addings).await?))
    }

    fn destination(&self, id: MailboxId) -> Result<Arc<MailboxState>, MailboxError> {
        self.open.state.mailbox(id).map_err(|error| match error {
            MailboxError::NoSuchMailbox => MailboxError::NoSuchDestination,
            other => other,
        })
    }

    /// Changes flags (STORE, RFC 9051 §6.4.6, RFC 7162 §3.1.3). UIDs that do not exist are passed over.
    ///
    /// # Errors
    /// When there is no such mailbox, too many keywords, or when the store fails.
    pub async fn store_flags(
        &self,
        id: MailboxId,
        uids: &[Uid],
        op: FlagOp,
        flags: &Flags,
        unchanged_since: Option<ModSeq>,
    ) -> Result<StoreOutcome, MailboxError> {
        let mailbox = self.open.state.mailbox(id)?;
        let (open, uids, flags) = (self.open.clone(), uids.to_vec(), flags.clone());
        detached(change::store_flags(open, mailbox, uids, op, flags, unchanged_since)).await
    }

    /// Copies messages, all or none; the answer pairs old and new UIDs (COPYUID, RFC 4315 §3).
    ///
    /// # Errors
    /// When a mailbox does not exist, or the store fails.
    pub async fn copy(
        &self,
        id: MailboxId,
        uids: &[Uid],
        to: MailboxId,
    ) -> Result<(UidValidity, Vec<(Uid, Uid)>), MailboxError> {
        let (from, to) = (self.open.state.mailbox(id)?, self.destination(to)?);
        detached(change::copy(self.open.clone(), from, uids.to_vec(), to)).await
    }

    /// Moves messages (MOVE, RFC 6851); the answer pairs old and new UIDs. Up to 2,000 messages move in
    /// one atomic step, more in several.
    ///
    /// # Errors
    /// When a mailbox does not exist, or the store fails.
    pub async fn move_messages(
        &self,
        id: MailboxId,
        uids: &[Uid],
        to: MailboxId,
    ) -> Result<(UidValidity, Vec<(Uid, Uid)>), MailboxError> {
        let (from, to) = (self.open.state.mailbox(id)?, self.destination(to)?);
        detached(change::move_messages(self.open.clone(), from, Some(uids.to_vec()), to)).await
    }

    /// Removes messages that have `\Deleted`; with `only`, just those of them (UID EXPUNGE, RFC 4315
    /// §2.1). The answer lists the UIDs removed, ascending.
    ///
    /// # Errors
    /// When there is no such mailbox, or the store fails.
    pub async fn expunge(
        &self,
        id: MailboxId,
        only: Option<&[UidRange]>,
    ) -> Result<Vec<Uid>, MailboxError> {
        let mailbox = self.open.state.mailbox(id)?;
        let only = only.map(<[UidRange]>::to_vec);
        detached(change::expunge(self.open.clone(), mailbox, only)).await
    }
}
