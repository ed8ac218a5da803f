//! Mailboxes through their public interface.

#![allow(clippy::unwrap_used)]

mod changes;
mod delivery;
mod folders;
mod kill;
mod model;
mod rest;
mod speed;

use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

use wardpost_keys::{AccountKeys, KdfCost, Unlocked};
use wardpost_mail::{AccountId, MailboxId, Secret, Uid};
use wardpost_mailbox::{
    AccountMail, Destination, Flags, Mailboxes, NewMessage, SpecialUse, SystemFlags, UidRange,
};
use wardpost_store::Store;

pub(crate) const INBOX: MailboxId = SpecialUse::Inbox.mailbox();
pub(crate) const TRASH: MailboxId = SpecialUse::Trash.mailbox();

/// Keys are slow to make: two people serve all tests.
static DANA: LazyLock<AccountKeys> = LazyLock::new(|| keys("dana"));
static LEE: LazyLock<AccountKeys> = LazyLock::new(|| keys("lee"));

fn keys(name: &str) -> AccountKeys {
    AccountKeys::generate(name, &password(), None, KdfCost::Test).unwrap()
}

fn password() -> Secret<String> {
    Secret::new("three blind mice on a bus".to_owned())
}

/// A person with a mailbox.
pub(crate) struct Person {
    pub(crate) id: AccountId,
    keys: &'static AccountKeys,
}

pub(crate) fn dana() -> Person {
    Person { id: AccountId(1), keys: &DANA }
}

pub(crate) fn lee() -> Person {
    Person { id: AccountId(2), keys: &LEE }
}

impl Person {
    pub(crate) fn unlock(&self) -> Arc<Unlocked> {
        Arc::new(self.keys.unlock_with_password(&password()).unwrap())
    }

    pub(crate) fn at(&self, mailbox: SpecialUse) -> Destination {
        let certificate = self.keys.certificate().clone();
        Destination { account: self.id, certificate, mailbox }
    }

    /// Logs in.
    pub(crate) async fn open(&self, mailboxes: &Mailboxes) -> AccountMail {
        let mail = mailboxes.open(self.id, self.unlock());
        mail.prepare().await.unwrap();
        mail
    }
}

/// Waits until nobody holds an account's keys any more, folding in the background included.
pub(crate) async fn logged_out(keys: &Weak<Unlocked>) {
    while keys.strong_count() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

pub(crate) fn memory() -> (Store, Mailboxes) {
    let store = Store::in_memory();
    (store.clone(), Mailboxes::new(store))
}

/// A small message.
pub(crate) fn message(subject: &str) -> Vec<u8> {
    format!(
        "From: Pat Patient <pat@example.test>\r\nTo: dana@clinic.test\r\nSubject: {subject}\r\n\
         Message-ID: <{subject}@example.test>\r\n\r\nBody of {subject}\r\n"
    )
    .into_bytes()
}

pub(crate) async fn deliver(mailboxes: &Mailboxes, to: &[Destination], subject: &str) {
    mailboxes.deliver(message(subject), to, 1_000).await.unwrap();
}

pub(crate) async fn append(mail: &AccountMail, id: MailboxId, subject: &str) -> Uid {
    let new = NewMessage { raw: message(subject), flags: Flags::default(), internal_date: Some(5) };
    mail.append(id, new).await.unwrap().1
}

/// A mailbox as UID and subject.
pub(crate) async fn subjects(mail: &AccountMail, id: MailboxId) -> Vec<(u32, String)> {
    let mut stream = mail.summaries(id, vec![UidRange::ALL]);
    let mut found = Vec::new();
    while let Some(chunk) = stream.next().await {
        for (uid, summary) in chunk.unwrap() {
            let subject = summary.envelope().subject.unwrap().into_owned();
            found.push((uid.0, String::from_utf8(subject).unwrap()));
        }
    }
    found
}

pub(crate) async fn uids(mail: &AccountMail, id: MailboxId) -> Vec<u32> {
    mail.select(id).await.unwrap().messages.iter().map(|m| m.uid.0).collect()
}

pub(crate) async fn mark(mail: &AccountMail, id: MailboxId, uids: &[Uid], flags: SystemFlags) {
    let flags = Flags::system(flags);
    mail.store_flags(id, uids, wardpost_mailbox::FlagOp::Add, &flags, None).await.unwrap();
}

/// How many sealed bodies the store holds.
pub(crate) fn bodies(store: &Store) -> usize {
    store.scan(wardpost_store::Column::Message, b"b", None, 100_000).unwrap().len()
}
