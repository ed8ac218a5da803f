//! The list of mailboxes: making, deleting, renaming, subscribing.

use std::collections::BTreeMap;
use std::sync::Arc;

use wardpost_mail::MailboxId;
use wardpost_store::{Batch, Column};

use crate::account::{AccountState, OpenAccount};
use crate::blob::{ATTEMPTS, Shares};
use crate::change;
use crate::error::MailboxError;
use crate::fold;
use crate::layout::{BlobId, Kind, account_key, mailbox_key, mailbox_of};
use crate::names::{INBOX, SEPARATOR, below, normalise, superiors};
use crate::records::{
    AccountRecord, EntryRecord, MailboxRecord, SubscriptionsRecord, WaitingRecord, decode, encode,
};
use crate::state::{Core, MailboxState, now};
use crate::types::{MailboxInfo, SpecialUse};

/// How many mailboxes an account may have.
const MAX_MAILBOXES: usize = 2_000;
/// How many names may be subscribed.
const MAX_SUBSCRIPTIONS: usize = 4_000;
/// How many messages of a deleted mailbox are removed in one batch.
const CHUNK: usize = 500;

/// What a name is sealed together with.
const NAME: &[u8] = b"mailbox/name";
/// What the list of subscriptions is sealed together with.
const SUBSCRIPTIONS: &[u8] = b"mailbox/subscriptions";

/// A mailbox with its name in the clear.
struct Folder {
    id: MailboxId,
    special: Option<SpecialUse>,
}

type Folders = BTreeMap<String, Folder>;

impl OpenAccount {
    fn folders(&self) -> Result<Folders, MailboxError> {
        let mut folders = Folders::new();
        for (id, record) in self.state.records()? {
            let name = self
                .keys
                .open(NAME, &record.name)
                .ok()
                .and_then(|plain| String::from_utf8(plain).ok())
                .ok_or(MailboxError::Sealed("mailbox name"))?;
            folders.insert(name, Folder { id, special: record.special });
        }
        Ok(folders)
    }

    fn put_folder(&self, batch: &mut Batch, name: &str, folder: &Folder) {
        let record =
            MailboxRecord { name: self.keys.seal(NAME, name.as_bytes()), special: folder.special };
        let key = mailbox_key(self.state.id, Kind::Mailbox, folder.id);
        batch.put(Column::Mailbox, key, encode(&record));
    }

    pub(crate) fn subscriptions(&self) -> Result<Vec<String>, MailboxError> {
        let key = account_key(self.state.id, Kind::Subscriptions);
        let Some(bytes) = self.state.store.get(Column::Mailbox, &key)? else {
            return Ok(Vec::new());
        };
        let sealed = wardpost_keys::Sealed::<wardpost_keys::Record>::from_stored(bytes);
        let plain = self
            .keys
            .open(SUBSCRIPTIONS, &sealed)
            .map_err(|_| MailboxError::Sealed("subscriptions"))?;
        Ok(decode::<SubscriptionsRecord>(&plain, "subscriptions")?.0)
    }

    fn put_subscriptions(&self, batch: &mut Batch, mut names: Vec<String>) {
        names.sort_unstable();
        names.dedup();
        let plain = encode(&SubscriptionsRecord(names));
        let sealed = self.keys.seal::<wardpost_keys::Record>(SUBSCRIPTIONS, &plain);
        let key = account_key(self.state.id, Kind::Subscriptions);
        batch.put(Column::Mailbox, key, sealed.as_bytes());
    }

    /// LIST: INBOX first, then by name.
    pub(crate) fn list(&self) -> Result<Vec<MailboxInfo>, MailboxError> {
        let subscribed = self.subscriptions()?;
        let mut list: Vec<_> = self
            .folders()?
            .into_iter()
            .map(|(name, folder)| MailboxInfo {
                id: folder.id,
                subscribed: subscribed.binary_search(&name).is_ok(),
                special_use: folder.special,
                name,
            })
            .collect();
        list.sort_by_key(|info| info.name != INBOX);
        Ok(list)
    }

    pub(crate) fn find(&self, name: &str) -> Result<MailboxInfo, MailboxError> {
        let name = normalise(name).map_err(|_| MailboxError::NoSuchMailbox)?;
        let found = self.list()?.into_iter().find(|info| info.name == name);
        found.ok_or(MailboxError::NoSuchMailbox)
    }

    /// Makes new mailboxes in a batch; the record of the account is written along.
    fn make(
        &self,
        batch: &mut Batch,
        record: &mut AccountRecord,
        name: &str,
        special: Option<SpecialUse>,
    ) -> Folder {
        let folder = Folder { id: MailboxId(record.next_mailbox), special };
        record.next_mailbox += 1;
        // Names come and go, but one name with one UIDVALIDITY must never be two mailboxes
        // (RFC 9051 §2.3.1.1): so no number is given twice in an account.
        record.last_validity = record.last_validity.saturating_add(1).max(now() as u32);
        let counters = encode(&Core::fresh(record.last_validity));
        let key = mailbox_key(self.state.id, Kind::Counters, folder.id);
        batch.put(Column::Mailbox, key, counters);
        self.put_folder(batch, name, &folder);
        folder
    }

    fn put_record(&self, batch: &mut Batch, record: &AccountRecord) {
        batch.put(Column::Mailbox, account_key(self.state.id, Kind::Account), encode(record));
    }

    fn record(&self) -> Result<AccountRecord, MailboxError> {
        self.state.record()?.ok_or(MailboxError::NoSuchMailbox)
    }
}

/// CREATE, with what is missing above.
pub(crate) async fn create(
    open: Arc<OpenAccount>,
    name: String,
    special: Option<SpecialUse>,
) -> Result<MailboxInfo, MailboxError> {
    let _list = open.state.list.clone().lock_owned().await;
    let name = normalise(&name)?;
    let folders = open.folders()?;
    if folders.contains_key(&name) {
        return Err(MailboxError::AlreadyExists);
    }
    let mut batch = Batch::new();
    let mut record = open.record()?;
    make_superiors(&open, &mut batch, &mut record, &folders, &name)?;
    if special.is_some() {
        for (other, folder) in folders.iter().filter(|(_, folder)| folder.special == special) {
            open.put_folder(&mut batch, other, &Folder { id: folder.id, special: None });
        }
    }
    let made = open.make(&mut batch, &mut record, &name, special);
    open.put_record(&mut batch, &record);
    open.state.store.commit(batch).await?;
    open.state.list_changed();
    let subscribed = open.subscriptions()?.binary_search(&name).is_ok();
    Ok(MailboxInfo { id: made.id, name, special_use: special, subscribed })
}

fn make_superiors(
    open: &OpenAccount,
    batch: &mut Batch,
    record: &mut AccountRecord,
    folders: &Folders,
    name: &str,
) -> Result<(), MailboxError> {
    let missing: Vec<&str> = superiors(name).filter(|n| !folders.contains_key(*n)).collect();
    if folders.len() + missing.len() >= MAX_MAILBOXES {
        return Err(MailboxError::Limit("mailboxes of an account"));
    }
    for superior in missing {
        open.make(batch, record, superior, None);
    }
    Ok(())
}

/// DELETE.
pub(crate) async fn delete(open: Arc<OpenAccount>, name: String) -> Result<(), MailboxError> {
    let _list = open.state.list.clone().lock_owned().await;
    let name = normalise(&name).map_err(|_| MailboxError::NoSuchMailbox)?;
    if name == INBOX {
        return Err(MailboxError::Inbox);
    }
    let folders = open.folders()?;
    let folder = folders.get(&name).ok_or(MailboxError::NoSuchMailbox)?;
    if folders.keys().any(|other| below(other, &name).is_some()) {
        return Err(MailboxError::HasChildren);
    }
    let mailbox = open.state.mailbox(folder.id)?;
    let _modify = mailbox.modify.lock().await;
    mailbox.close().await;
    let mut batch = Batch::new();
    batch.delete(Column::Mailbox, mailbox_key(open.state.id, Kind::Mailbox, mailbox.id));
    batch.put(Column::Mailbox, mailbox_key(open.state.id, Kind::Grave, mailbox.id), []);
    if let Err(error) = open.state.store.commit(batch).await {
        mailbox.core().closed = false;
        return Err(error.into());
    }
    open.state.forget(mailbox.id);
    mailbox.core().end_watch();
    open.state.list_changed();
    // The mailbox is gone, whatever becomes of the rest: the next log-in goes on with it.
    if let Err(error) = bury(&open.state, mailbox.id).await {
        let (account, mailbox) = (open.state.id, mailbox.id);
        tracing::warn!(%account, %mailbox, %error, "a deleted mailbox is not cleared away yet");
    }
    Ok(())
}

/// Removes what is left of a deleted mailbox. May be interrupted anywhere and done again.
pub(crate) async fn bury(account: &AccountState, id: MailboxId) -> Result<(), MailboxError> {
    let mut conflicts = 0;
    loop {
        let (batch, last) = burial(account, id)?;
        match account.store.commit(batch).await.map_err(MailboxError::from) {
            Ok(_) if last => return Ok(()),
            Ok(_) => conflicts = 0,
            Err(MailboxError::Busy) if conflicts < ATTEMPTS => conflicts += 1,
            Err(error) => return Err(error),
        }
    }
}

/// One batch of a burial, and whether it is the last.
fn burial(account: &AccountState, id: MailboxId) -> Result<(Batch, bool), MailboxError> {
    let (mut batch, mut shares, mut left) = (Batch::new(), Shares::default(), CHUNK);
    for kind in [Kind::Entry, Kind::Waiting, Kind::Summary, Kind::Expunged] {
        let prefix = mailbox_key(account.id, kind, id);
        if left == 0 {
            break;
        }
        for (key, value) in account.store.scan(Column::Mailbox, &prefix, None, left)? {
            left -= 1;
            if let Some(blob) = blob_of(kind, &value)? {
                shares.lose(blob);
            }
            batch.delete(Column::Mailbox, key);
        }
    }
    shares.write(&account.store, &mut batch)?;
    let last = left > 0;
    if last {
        for kind in [Kind::Counters, Kind::Grave] {
            batch.delete(Column::Mailbox, mailbox_key(account.id, kind, id));
        }
    }
    Ok((batch, last))
}

fn blob_of(kind: Kind, value: &[u8]) -> Result<Option<BlobId>, MailboxError> {
    match kind {
        Kind::Entry => Ok(Some(decode::<EntryRecord>(value, "entry")?.blob)),
        Kind::Waiting => Ok(Some(decode::<WaitingRecord>(value, "waiting")?.blob)),
        _ => Ok(None),
    }
}

/// RENAME.
pub(crate) async fn rename(
    open: Arc<OpenAccount>,
    from: String,
    to: String,
) -> Result<(), MailboxError> {
    let from = normalise(&from).map_err(|_| MailboxError::NoSuchMailbox)?;
    let to = normalise(&to)?;
    if from == INBOX {
        return rename_inbox(open, to).await;
    }
    let _list = open.state.list.clone().lock_owned().await;
    let folders = open.folders()?;
    if !folders.contains_key(&from) {
        return Err(MailboxError::NoSuchMailbox);
    }
    if folders.contains_key(&to) {
        return Err(MailboxError::AlreadyExists);
    }
    if below(&to, &from).is_some() {
        return Err(MailboxError::BadName);
    }
    let (mut batch, mut record) = (Batch::new(), open.record()?);
    make_superiors(&open, &mut batch, &mut record, &folders, &to)?;
    let renamed = |name: &str| match below(name, &from) {
        Some(rest) => Some(format!("{to}{SEPARATOR}{rest}")),
        None => (name == from).then(|| to.clone()),
    };
    for (name, folder) in &folders {
        if let Some(new) = renamed(name) {
            // A name below may have grown too long.
            open.put_folder(&mut batch, &normalise(&new)?, folder);
        }
    }
    let subscriptions = open.subscriptions()?;
    if subscriptions.iter().any(|name| renamed(name).is_some()) {
        let names = subscriptions.into_iter().map(|n| renamed(&n).unwrap_or(n)).collect();
        open.put_subscriptions(&mut batch, names);
    }
    open.put_record(&mut batch, &record);
    open.state.store.commit(batch).await?;
    open.state.list_changed();
    Ok(())
}

/// INBOX stays; its messages go (RFC 9051 §6.3.6).
async fn rename_inbox(open: Arc<OpenAccount>, to: String) -> Result<(), MailboxError> {
    let made = create(open.clone(), to, None).await?;
    let inbox = open.state.mailbox(SpecialUse::Inbox.mailbox())?;
    let target = open.state.mailbox(made.id)?;
    change::move_messages(open, inbox, None, target).await?;
    Ok(())
}

/// SUBSCRIBE and UNSUBSCRIBE.
pub(crate) async fn set_subscribed(
    open: Arc<OpenAccount>,
    name: String,
    on: bool,
) -> Result<(), MailboxError> {
    let _list = open.state.list.clone().lock_owned().await;
    let name = normalise(&name)?;
    let mut names = open.subscriptions()?;
    match (on, names.binary_search(&name)) {
        (true, Ok(_)) | (false, Err(_)) => return Ok(()),
        (true, Err(_)) if names.len() >= MAX_SUBSCRIPTIONS => {
            return Err(MailboxError::Limit("subscriptions"));
        }
        (true, Err(at)) => names.insert(at, name),
        (false, Ok(at)) => {
            names.remove(at);
        }
    }
    let mut batch = Batch::new();
    open.put_subscriptions(&mut batch, names);
    open.state.store.commit(batch).await?;
    open.state.touch();
    Ok(())
}

/// Makes the default mailboxes where that was not done, finishes burials that were interrupted.
pub(crate) async fn prepare(open: Arc<OpenAccount>) -> Result<(), MailboxError> {
    {
        let _list = open.state.list.clone().lock_owned().await;
        if open.state.record()?.is_none() {
            make_defaults(&open).await?;
        }
        let mut graves = Vec::new();
        open.state.visit(&account_key(open.state.id, Kind::Grave), |key, _| {
            graves.extend(mailbox_of(key));
            Ok(())
        })?;
        for id in graves {
            bury(&open.state, id).await?;
        }
    }
    tokio::spawn(async move {
        if let Err(error) = fold_everything(&open).await {
            tracing::warn!(account = %open.state.id, %error, "folding stopped");
        }
    });
    Ok(())
}

async fn make_defaults(open: &Arc<OpenAccount>) -> Result<(), MailboxError> {
    let mailboxes = SpecialUse::ALL
        .iter()
        .map(|special| open.state.mailbox(special.mailbox()))
        .collect::<Result<Vec<Arc<MailboxState>>, _>>()?;
    let mut batch = Batch::new();
    let ticket = {
        // Deliveries may be taking numbers right now: the counters are written in their order.
        let cores: Vec<_> = mailboxes.iter().map(|mailbox| mailbox.core()).collect();
        let mut last_validity = 0;
        for ((special, mailbox), core) in SpecialUse::ALL.iter().zip(&mailboxes).zip(&cores) {
            let folder = Folder { id: mailbox.id, special: Some(*special) };
            open.put_folder(&mut batch, special.default_name(), &folder);
            let key = mailbox_key(open.state.id, Kind::Counters, mailbox.id);
            batch.put(Column::Mailbox, key, core.counters());
            last_validity = last_validity.max(core.uid_validity.0);
        }
        let next_mailbox = SpecialUse::ALL.len() as u32 + 1;
        open.put_record(&mut batch, &AccountRecord { next_mailbox, last_validity });
        let names = SpecialUse::ALL.iter().map(|s| s.default_name().to_owned()).collect();
        open.put_subscriptions(&mut batch, names);
        open.state.store.submit(batch)
    };
    ticket.await?;
    open.state.list_changed();
    Ok(())
}

async fn fold_everything(open: &Arc<OpenAccount>) -> Result<(), MailboxError> {
    let records = open.state.records()?;
    for id in records.into_keys() {
        match open.state.mailbox(id) {
            Ok(mailbox) => fold::fold_mailbox(open, &mailbox).await?,
            Err(MailboxError::NoSuchMailbox) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
