//! An account's mailboxes in memory, and the handle that a log-in gives.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::ops::ControlFlow;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, watch};
use wardpost_keys::Unlocked;
use wardpost_mail::{AccountId, MailboxId};
use wardpost_store::{Column, Store};

use crate::error::MailboxError;
use crate::layout::{Kind, account_key, mailbox_key, mailbox_of};
use crate::records::{AccountRecord, CountersRecord, MailboxRecord, decode};
use crate::state::{Core, MailboxState, now};
use crate::types::SpecialUse;

/// An account as deliveries see it, locked or not. Stays in memory; a few hundred bytes.
pub(crate) struct AccountState {
    pub(crate) id: AccountId,
    pub(crate) store: Store,
    mailboxes: Mutex<HashMap<MailboxId, Arc<MailboxState>>>,
    /// The account's handle, while somebody is logged in.
    open: Mutex<Weak<OpenAccount>>,
    /// Held by whoever changes the list of mailboxes.
    pub(crate) list: Arc<AsyncMutex<()>>,
    /// What mailbox has which use; read once and after every change of the list.
    uses: Mutex<Option<HashMap<SpecialUse, MailboxId>>>,
    changed: watch::Sender<u64>,
}

/// An account whose keys are open. The last session to drop it drops keys and tables.
pub(crate) struct OpenAccount {
    pub(crate) state: Arc<AccountState>,
    pub(crate) keys: Arc<Unlocked>,
}

impl AccountState {
    pub(crate) fn new(id: AccountId, store: Store) -> Self {
        Self {
            id,
            store,
            mailboxes: Mutex::default(),
            open: Mutex::default(),
            list: Arc::default(),
            uses: Mutex::default(),
            changed: watch::Sender::new(0),
        }
    }

    /// The handle, shared with sessions that are there.
    pub(crate) fn open(self: &Arc<Self>, keys: Arc<Unlocked>) -> Arc<OpenAccount> {
        let mut open = self.open.lock();
        if let Some(account) = open.upgrade() {
            return account;
        }
        let account = Arc::new(OpenAccount { state: self.clone(), keys });
        *open = Arc::downgrade(&account);
        account
    }

    /// The handle, if somebody is logged in.
    pub(crate) fn opened(&self) -> Option<Arc<OpenAccount>> {
        self.open.lock().upgrade()
    }

    /// Wakes those who watch the whole account.
    pub(crate) fn touch(&self) {
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The account's record; `None` until the default mailboxes were made.
    pub(crate) fn record(&self) -> Result<Option<AccountRecord>, MailboxError> {
        let bytes = self.store.get(Column::Mailbox, &account_key(self.id, Kind::Account))?;
        bytes.map(|b| decode(&b, "account")).transpose()
    }

    /// A mailbox that exists.
    pub(crate) fn mailbox(&self, id: MailboxId) -> Result<Arc<MailboxState>, MailboxError> {
        let mut mailboxes = self.mailboxes.lock();
        if let Some(mailbox) = mailboxes.get(&id) {
            return Ok(mailbox.clone());
        }
        let counters = match self.kept_counters(id)? {
            Some(counters) => counters,
            None => self.first_counters(id)?,
        };
        let mailbox = Arc::new(MailboxState::new(self.id, id, counters));
        mailboxes.insert(id, mailbox.clone());
        Ok(mailbox)
    }

    /// Forgets a mailbox that was deleted.
    pub(crate) fn forget(&self, id: MailboxId) {
        self.mailboxes.lock().remove(&id);
    }

    fn kept_counters(&self, id: MailboxId) -> Result<Option<CountersRecord>, MailboxError> {
        let exists = |kind| self.store.get(Column::Mailbox, &mailbox_key(self.id, kind, id));
        if exists(Kind::Grave)?.is_some() {
            return Err(MailboxError::NoSuchMailbox);
        }
        exists(Kind::Counters)?.map(|b| decode(&b, "counters")).transpose()
    }

    /// Default mailboxes take mail before their owner first logs in.
    fn first_counters(&self, id: MailboxId) -> Result<CountersRecord, MailboxError> {
        let is_default = SpecialUse::ALL.iter().any(|special| special.mailbox() == id);
        if !is_default || self.record()?.is_some() {
            return Err(MailboxError::NoSuchMailbox);
        }
        // Unix seconds fit UIDVALIDITY until 2106; a different number for each of the six.
        Ok(Core::fresh((now() as u32).saturating_add(id.0)))
    }

    /// Where mail for a use is delivered; INBOX when nothing has that use (any more).
    pub(crate) fn delivery_mailbox(
        &self,
        special: SpecialUse,
    ) -> Result<Arc<MailboxState>, MailboxError> {
        let id = self.uses()?.get(&special).copied();
        match id.map(|id| self.mailbox(id)) {
            Some(Ok(mailbox)) => Ok(mailbox),
            Some(Err(MailboxError::NoSuchMailbox)) | None => {
                self.mailbox(SpecialUse::Inbox.mailbox())
            }
            Some(Err(error)) => Err(error),
        }
    }

    fn uses(&self) -> Result<HashMap<SpecialUse, MailboxId>, MailboxError> {
        if let Some(uses) = &*self.uses.lock() {
            return Ok(uses.clone());
        }
        if self.record()?.is_none() {
            return Ok(SpecialUse::ALL.iter().map(|s| (*s, s.mailbox())).collect());
        }
        let uses: HashMap<_, _> = self
            .records()?
            .into_iter()
            .filter_map(|(id, record)| Some((record.special?, id)))
            .collect();
        *self.uses.lock() = Some(uses.clone());
        Ok(uses)
    }

    /// The list of mailboxes changed.
    pub(crate) fn list_changed(&self) {
        *self.uses.lock() = None;
        self.touch();
    }

    /// All mailboxes' records.
    pub(crate) fn records(&self) -> Result<BTreeMap<MailboxId, MailboxRecord>, MailboxError> {
        let mut records = BTreeMap::new();
        self.visit(&account_key(self.id, Kind::Mailbox), |key, value| {
            if let Some(id) = mailbox_of(key) {
                records.insert(id, decode(&value, "mailbox")?);
            }
            Ok(())
        })?;
        Ok(records)
    }

    /// Visits all records below a key, stopping at the first error.
    pub(crate) fn visit(
        &self,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], Vec<u8>) -> Result<(), MailboxError>,
    ) -> Result<(), MailboxError> {
        let mut outcome = Ok(());
        self.store.for_each(Column::Mailbox, prefix, &mut |key, value| {
            outcome = visit(key, value);
            if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        outcome
    }
}

impl Drop for OpenAccount {
    fn drop(&mut self) {
        // Under the lock that `open` takes: a session that came in between keeps the tables.
        let open = self.state.open.lock();
        if open.strong_count() > 0 {
            return;
        }
        for mailbox in self.state.mailboxes.lock().values() {
            mailbox.core().forget();
        }
    }
}

/// Runs an operation to its end even when the caller goes away: once begun, a change is finished and
/// made visible.
pub(crate) async fn detached<T: Send + 'static>(
    operation: impl Future<Output = Result<T, MailboxError>> + Send + 'static,
) -> Result<T, MailboxError> {
    tokio::spawn(operation).await.unwrap_or(Err(MailboxError::Interrupted))
}

/// Runs work that takes a while off the async threads, and small work in place.
pub(crate) async fn run<T: Send + 'static>(
    small: bool,
    work: impl FnOnce() -> Result<T, MailboxError> + Send + 'static,
) -> Result<T, MailboxError> {
    if small {
        return work();
    }
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(MailboxError::Interrupted))
}
