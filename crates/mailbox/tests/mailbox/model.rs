//! Random operations by two sessions, against a simple model, with restarts in between.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use proptest::prelude::*;
use wardpost_mailbox::{FlagOp, ModSeq, SpecialUse, SystemFlags};

use crate::*;

/// The mailboxes that the sessions work on.
const PLACES: [MailboxId; 3] =
    [SpecialUse::Inbox.mailbox(), SpecialUse::Trash.mailbox(), SpecialUse::Archive.mailbox()];

#[derive(Debug, Clone)]
enum Operation {
    Deliver { locked: bool },
    Append { to: usize },
    Store { at: usize, pick: u32, op: u8, bits: u16, keyword: bool },
    Copy { at: usize, pick: u32, to: usize },
    Move { at: usize, pick: u32, to: usize },
    Expunge { at: usize },
    Sync { session: usize },
    Restart,
}

fn operation() -> impl Strategy<Value = Operation> {
    let place = 0..PLACES.len();
    prop_oneof![
        3 => any::<bool>().prop_map(|locked| Operation::Deliver { locked }),
        2 => place.clone().prop_map(|to| Operation::Append { to }),
        4 => (place.clone(), any::<u32>(), 0..3_u8, 0..32_u16, any::<bool>()).prop_map(
            |(at, pick, op, bits, keyword)| Operation::Store { at, pick, op, bits, keyword }
        ),
        2 => (place.clone(), any::<u32>(), place.clone())
            .prop_map(|(at, pick, to)| Operation::Copy { at, pick, to }),
        2 => (place.clone(), any::<u32>(), place.clone())
            .prop_map(|(at, pick, to)| Operation::Move { at, pick, to }),
        2 => place.prop_map(|at| Operation::Expunge { at }),
        3 => (0..2_usize).prop_map(|session| Operation::Sync { session }),
        1 => Just(Operation::Restart),
    ]
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    subject: String,
    system: u16,
    keyword: bool,
}

#[derive(Debug, Default)]
struct Place {
    items: BTreeMap<u32, Item>,
    last_uid: u32,
}

impl Place {
    fn add(&mut self, item: Item) -> u32 {
        self.last_uid += 1;
        self.items.insert(self.last_uid, item);
        self.last_uid
    }

    /// Some of the UIDs, chosen by the bits of `pick`.
    fn some(&self, pick: u32) -> Vec<Uid> {
        let chosen = self.items.keys().enumerate().filter(|(n, _)| pick >> (n % 32) & 1 == 1);
        chosen.map(|(_, uid)| Uid(*uid)).collect()
    }
}

/// What a client knows of a mailbox, kept up by changes alone.
#[derive(Debug, Default, Clone)]
struct Client {
    since: ModSeq,
    known: BTreeMap<u32, (u16, bool)>,
}

struct World {
    store: Store,
    mailboxes: Mailboxes,
    mail: Option<AccountMail>,
    keys: Weak<Unlocked>,
    model: [Place; 3],
    clients: [[Client; 3]; 2],
    serial: u32,
}

impl World {
    async fn new() -> Self {
        let (store, mailboxes) = memory();
        let (model, clients) = Default::default();
        let (mail, keys) = (None, Weak::new());
        let mut world = Self { store, mailboxes, mail, keys, model, clients, serial: 0 };
        world.login().await;
        world
    }

    fn fresh(&mut self) -> Item {
        self.serial += 1;
        Item { subject: format!("s{}", self.serial), system: 0, keyword: false }
    }

    async fn perform(&mut self, operation: Operation) {
        match operation {
            Operation::Deliver { locked } => self.deliver(locked).await,
            Operation::Append { to } => {
                let item = self.fresh();
                let uid = append(&self.mail(), PLACES[to], &item.subject).await;
                assert_eq!(uid.0, self.model[to].add(item));
            }
            Operation::Store { at, pick, op, bits, keyword } => {
                self.store(at, pick, op, bits, keyword).await;
            }
            Operation::Copy { at, pick, to } => {
                let uids = self.model[at].some(pick);
                let (_, pairs) = self.mail().copy(PLACES[at], &uids, PLACES[to]).await.unwrap();
                for (old, new) in pairs {
                    let item = self.model[at].items[&old.0].clone();
                    assert_eq!(self.model[to].add(item), new.0);
                }
            }
            Operation::Move { at, pick, to } => {
                let uids = self.model[at].some(pick);
                let moved = self.mail().move_messages(PLACES[at], &uids, PLACES[to]).await;
                for (old, new) in moved.unwrap().1 {
                    let item = self.model[at].items.remove(&old.0).unwrap();
                    assert_eq!(self.model[to].add(item), new.0);
                }
            }
            Operation::Expunge { at } => {
                let gone = self.mail().expunge(PLACES[at], None).await.unwrap();
                let deleted = SystemFlags::DELETED.0;
                let items = &mut self.model[at].items;
                let expected: Vec<Uid> = items
                    .iter()
                    .filter(|(_, item)| item.system & deleted != 0)
                    .map(|(uid, _)| Uid(*uid))
                    .collect();
                assert_eq!(gone, expected);
                items.retain(|_, item| item.system & deleted == 0);
            }
            Operation::Sync { session } => self.sync(session).await,
            Operation::Restart => self.restart().await,
        }
    }

    /// The mail of whoever is logged in.
    fn mail(&self) -> AccountMail {
        self.mail.clone().unwrap()
    }

    async fn restart(&mut self) {
        self.stop().await;
        self.login().await;
    }

    async fn login(&mut self) {
        let keys = dana().unlock();
        self.keys = Arc::downgrade(&keys);
        let mail = self.mailboxes.open(dana().id, keys);
        mail.prepare().await.unwrap();
        self.mail = Some(mail);
    }

    /// Everybody logs out, and the program starts anew.
    async fn stop(&mut self) {
        self.mail = None;
        logged_out(&self.keys).await;
        self.mailboxes = Mailboxes::new(self.store.clone());
    }

    async fn deliver(&mut self, locked: bool) {
        let item = self.fresh();
        if locked {
            self.stop().await;
        }
        deliver(&self.mailboxes, &[dana().at(SpecialUse::Inbox)], &item.subject).await;
        if locked {
            self.login().await;
        }
        self.model[0].add(item);
    }

    async fn store(&mut self, at: usize, pick: u32, op: u8, bits: u16, keyword: bool) {
        let uids = self.model[at].some(pick);
        let words: &[&str] = if keyword { &["$Word"] } else { &[] };
        let flags = Flags::new(SystemFlags(bits), words.iter().copied());
        let op = [FlagOp::Add, FlagOp::Remove, FlagOp::Set][usize::from(op)];
        let stored = self.mail().store_flags(PLACES[at], &uids, op, &flags, None).await.unwrap();
        assert_eq!(stored.stored.iter().map(|s| s.uid).collect::<Vec<_>>(), uids);
        for uid in uids {
            let item = self.model[at].items.get_mut(&uid.0).unwrap();
            (item.system, item.keyword) = match op {
                FlagOp::Add => (item.system | bits, item.keyword || keyword),
                FlagOp::Remove => (item.system & !bits, item.keyword && !keyword),
                FlagOp::Set => (bits, keyword),
            };
        }
    }

    /// A client catches up by changes alone, and must then know what there is.
    async fn sync(&mut self, session: usize) {
        for (at, place) in PLACES.into_iter().enumerate() {
            let since = self.clients[session][at].since;
            let changes = self.mail().changes_since(place, since).await.unwrap();
            let client = &mut self.clients[session][at];
            client.known.retain(|uid, _| !changes.vanished.iter().any(|r| r.contains(Uid(*uid))));
            for state in &changes.changed {
                assert!(state.modseq > client.since && state.modseq <= changes.highest_modseq);
                let seen = (state.flags.system.0, state.flags.has_keyword("$WORD"));
                client.known.insert(state.uid.0, seen);
            }
            client.since = changes.highest_modseq;
            let expected: BTreeMap<u32, (u16, bool)> = self.model[at]
                .items
                .iter()
                .map(|(uid, item)| (*uid, (item.system, item.keyword)))
                .collect();
            assert_eq!(client.known, expected);
        }
    }

    async fn check(&mut self) {
        self.sync(0).await;
        self.sync(1).await;
        let mut alive = std::collections::BTreeSet::new();
        for (at, place) in PLACES.into_iter().enumerate() {
            let expected: Vec<(u32, String)> =
                self.model[at].items.iter().map(|(u, i)| (*u, i.subject.clone())).collect();
            assert_eq!(subjects(&self.mail(), place).await, expected);
            for (uid, subject) in expected {
                assert_eq!(&*self.mail().body(place, Uid(uid)).await.unwrap(), message(&subject));
                alive.insert(subject);
            }
            let status = self.mail().status(place).await.unwrap();
            let items = self.model[at].items.values();
            assert_eq!(status.messages as usize, items.len());
            let unseen = items.filter(|i| i.system & SystemFlags::SEEN.0 == 0).count();
            assert_eq!(status.unseen as usize, unseen);
        }
        // Every body is somebody's, and nobody's body is missing.
        assert_eq!(bodies(&self.store), alive.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn mailboxes_behave_as_the_model(operations in proptest::collection::vec(operation(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for operation in operations {
                world.perform(operation).await;
            }
            world.check().await;
            world.restart().await;
            world.check().await;
        });
    }
}
