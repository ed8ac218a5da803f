//! Whose mail is deleted, and whose never.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use super::*;
use std::path::Path;
use wardpost_directory::{NewAccount, Options};
use wardpost_keys::SystemKey;
use wardpost_mail::{Address, Domain, Secret};
use wardpost_mailbox::{Destination, SpecialUse};
use wardpost_store::{Column, Store};

/// What the daemon opens at its start.
struct House {
    store: Store,
    remover: Remover,
}

impl House {
    async fn of(store: Store) -> Self {
        let domain = Domain::parse("clinic.test").unwrap();
        let directory =
            Directory::open_with(store.clone(), &domain, Options::for_tests()).await.unwrap();
        directory.initialise().await.unwrap();
        let mailboxes = Mailboxes::new(store.clone());
        Self { store, remover: Remover { directory, mailboxes, turn: Arc::default() } }
    }

    async fn open(dir: &Path, key: &SystemKey) -> Self {
        Self::of(Store::open(dir, key).unwrap()).await
    }

    /// Ends without a word, and comes back.
    async fn restart(self, dir: &Path, key: &SystemKey) -> Self {
        let Self { store, remover } = self;
        drop(remover);
        store.close();
        Self::open(dir, key).await
    }

    async fn add(&self, name: &str) -> AccountId {
        let new = NewAccount {
            address: Address::parse(&format!("{name}@clinic.test")).unwrap(),
            name: String::new(),
            password: Secret::new("nineteen blue otters".to_owned()),
            administrator: false,
        };
        self.remover.directory.add_account(new).await.unwrap()
    }

    async fn deliver(&self, to: &[AccountId]) {
        let to: Vec<Destination> = to
            .iter()
            .map(|id| Destination {
                account: *id,
                certificate: self.remover.directory.certificate(*id).unwrap(),
                mailbox: SpecialUse::Inbox,
            })
            .collect();
        let raw = b"From: <p@home.test>\r\nSubject: s\r\n\r\nbody\r\n".to_vec();
        self.remover.mailboxes.deliver(raw, &to, 1).await.unwrap();
    }

    fn kept(&self) -> Vec<AccountId> {
        self.remover.mailboxes.accounts().unwrap()
    }

    /// How many records there are, of mailboxes and of bodies.
    fn records(&self) -> (usize, usize) {
        let count = |column| self.store.scan(column, b"", None, usize::MAX).unwrap().len();
        (count(Column::Mailbox), count(Column::Message))
    }
}

#[tokio::test]
async fn an_account_is_removed_with_its_mail() {
    let house = House::of(Store::in_memory()).await;
    let (dana, lee) = (house.add("dana").await, house.add("lee").await);
    house.deliver(&[dana, lee]).await;
    assert_eq!(house.remover.remove(lee).await.unwrap(), Removed::Everything);
    assert_eq!(house.kept(), [dana]);
    assert!(house.remover.remove(lee).await.is_err());
    assert_eq!(house.remover.sweep().await, 0);
}

/// The daemon dies after the account is removed, at any moment of the deletion of its mail.
#[tokio::test]
async fn what_a_crash_left_is_swept_and_who_has_an_account_keeps_everything() {
    for deleted in 0..6 {
        let (dir, key) = (tempfile::tempdir().unwrap(), SystemKey::generate());
        let house = House::open(dir.path(), &key).await;
        let (dana, lee) = (house.add("dana").await, house.add("lee").await);
        house.deliver(&[dana]).await;
        let danas = house.records();
        house.deliver(&[lee]).await;
        house.deliver(&[lee]).await;
        house.remover.directory.remove_account(lee).await.unwrap();
        let mut batch = wardpost_store::Batch::new();
        // A deletion takes entries first, and counters last.
        let records = house.store.scan(Column::Mailbox, &lee.0.to_be_bytes(), None, 99).unwrap();
        for (key, _) in records.iter().rev().take(deleted) {
            batch.delete(Column::Mailbox, key.clone());
        }
        house.store.commit(batch).await.unwrap();
        let house = house.restart(dir.path(), &key).await;
        let left = records.len() > deleted;
        assert_eq!(house.kept().contains(&lee), left, "{deleted} of {}", records.len());
        assert_eq!(house.remover.sweep().await, usize::from(left));
        assert_eq!(house.kept(), [dana]);
        assert_eq!(house.records().0, danas.0);
        assert_eq!(house.remover.sweep().await, 0);
    }
}

#[tokio::test]
async fn a_whole_leaving_is_swept_with_its_bodies() {
    let (dir, key) = (tempfile::tempdir().unwrap(), SystemKey::generate());
    let house = House::open(dir.path(), &key).await;
    let (dana, lee) = (house.add("dana").await, house.add("lee").await);
    house.deliver(&[dana]).await;
    let danas = house.records();
    house.deliver(&[lee]).await;
    house.deliver(&[dana, lee]).await;
    house.remover.directory.remove_account(lee).await.unwrap();
    let house = house.restart(dir.path(), &key).await;
    assert_eq!(house.remover.sweep().await, 1);
    assert_eq!(house.kept(), [dana]);
    // The body that both had stays.
    assert_eq!(house.records().1, danas.1 + 1);
}

/// A number that was never given is nobody's who was removed: then the directory lacks something, and mail
/// is not what is to go.
#[tokio::test]
async fn mail_of_numbers_that_were_never_given_stays() {
    let house = House::of(Store::in_memory()).await;
    let dana = house.add("dana").await;
    let certificate = house.remover.directory.certificate(dana).unwrap();
    let stranger = AccountId(dana.0 + 1);
    let to = Destination { account: stranger, certificate, mailbox: SpecialUse::Inbox };
    house.remover.mailboxes.deliver(b"a: b\r\n\r\nc".to_vec(), &[to], 1).await.unwrap();
    assert_eq!(house.remover.sweep().await, 0);
    assert_eq!(house.kept(), [stranger]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_is_just_being_made_keeps_the_first_mail() {
    let house = Arc::new(House::of(Store::in_memory()).await);
    let remover = house.remover.clone();
    let sweeping = tokio::spawn(async move {
        loop {
            assert_eq!(remover.sweep().await, 0);
            tokio::task::yield_now().await;
        }
    });
    let mut all = Vec::new();
    for n in 0..20 {
        let id = house.add(&format!("a{n}")).await;
        house.deliver(&[id]).await;
        all.push(id);
    }
    assert!(!sweeping.is_finished());
    sweeping.abort();
    assert_eq!(house.kept(), all);
}
