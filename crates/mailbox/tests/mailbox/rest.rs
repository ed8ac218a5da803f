//! What lies on the disk, and what is there after a restart.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use wardpost_keys::SystemKey;
use wardpost_mailbox::{FlagOp, SpecialUse, SystemFlags};
use wardpost_store::Column;

use crate::*;

#[tokio::test]
async fn after_a_restart_everything_is_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let key = SystemKey::generate();
    let dana = dana();
    let (list, states, subjects_before, changes) = {
        let store = Store::open(dir.path(), &key).unwrap();
        let mailboxes = Mailboxes::new(store.clone());
        deliver(&mailboxes, &[dana.at(SpecialUse::Inbox)], "early").await;
        let keys = dana.unlock();
        let held = std::sync::Arc::downgrade(&keys);
        let mail = mailboxes.open(dana.id, keys);
        mail.prepare().await.unwrap();
        let lab = mail.create("Lab/2026", None).await.unwrap();
        for n in 0..5 {
            append(&mail, INBOX, &format!("m{n}")).await;
        }
        let flags = Flags::new(SystemFlags::SEEN, ["$Forwarded"]);
        mail.store_flags(INBOX, &[Uid(2)], FlagOp::Add, &flags, None).await.unwrap();
        mail.copy(INBOX, &[Uid(2)], lab.id).await.unwrap();
        mark(&mail, INBOX, &[Uid(4)], SystemFlags::DELETED).await;
        mail.expunge(INBOX, None).await.unwrap();
        let seen = observe(&mail).await;
        drop((mail, mailboxes));
        logged_out(&held).await;
        store.close();
        seen
    };
    let store = Store::open(dir.path(), &key).unwrap();
    let mailboxes = Mailboxes::new(store);
    let mail = dana.open(&mailboxes).await;
    let after = observe(&mail).await;
    assert_eq!(after.0, list);
    assert_eq!(after.1, states);
    assert_eq!(after.2, subjects_before);
    assert_eq!(after.3, changes);
    assert_eq!(append(&mail, INBOX, "next").await, Uid(7));
}

type Seen = (
    Vec<wardpost_mailbox::MailboxInfo>,
    Vec<(wardpost_mailbox::Status, Vec<wardpost_mailbox::MessageState>)>,
    Vec<Vec<(u32, String)>>,
    Vec<wardpost_mailbox::Changes>,
);

async fn observe(mail: &AccountMail) -> Seen {
    let list = mail.list().unwrap();
    let (mut states, mut found, mut changes) = (Vec::new(), Vec::new(), Vec::new());
    for info in &list {
        let snapshot = mail.select(info.id).await.unwrap();
        states.push((mail.status(info.id).await.unwrap(), snapshot.messages));
        found.push(subjects(mail, info.id).await);
        let since = wardpost_mailbox::ModSeq(3);
        changes.push(mail.changes_since(info.id, since).await.unwrap());
    }
    (list, states, found, changes)
}

/// What must not be found, in any of the places it could be.
const CANARIES: [&str; 6] =
    ["canarysubject", "canarybody", "canarysender", "CanaryFolder", "canarykeyword", "canaryname"];

fn canary() -> Vec<u8> {
    b"From: Canaryname <canarysender@example.test>\r\nSubject: canarysubject\r\n\r\ncanarybody\r\n"
        .to_vec()
}

async fn spread_canaries(store: &Store) {
    let mailboxes = Mailboxes::new(store.clone());
    let dana = dana();
    mailboxes.deliver(canary(), &[dana.at(SpecialUse::Inbox)], 0).await.unwrap();
    let mail = dana.open(&mailboxes).await;
    let folder = mail.create("CanaryFolder", None).await.unwrap();
    mail.set_subscribed("CanaryFolder", true).await.unwrap();
    mailboxes.deliver(canary(), &[dana.at(SpecialUse::Inbox)], 0).await.unwrap();
    // More than a blob file's threshold.
    let mut large = canary();
    large.extend(b"canarybody ".repeat(2_000));
    let flags = Flags::new(SystemFlags::SEEN, ["canarykeyword"]);
    let new = NewMessage { raw: large, flags, internal_date: None };
    mail.append(folder.id, new).await.unwrap();
    assert_eq!(subjects(&mail, INBOX).await.len(), 2);
}

fn finds(haystack: &[u8], needle: &str) -> bool {
    let needle = needle.to_lowercase();
    haystack.windows(needle.len()).any(|w| w.eq_ignore_ascii_case(needle.as_bytes()))
}

fn search(dir: &Path, found: &mut Vec<String>, files: &mut usize) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            search(&path, found, files);
            continue;
        }
        *files += 1;
        let bytes = fs::read(&path).unwrap();
        let here = CANARIES.iter().filter(|canary| finds(&bytes, canary));
        found.extend(here.map(|canary| format!("{canary} in {}", path.display())));
    }
}

#[tokio::test]
async fn nothing_private_lies_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &SystemKey::generate()).unwrap();
    spread_canaries(&store).await;
    let (mut found, mut files) = (Vec::new(), 0);
    search(dir.path(), &mut found, &mut files);
    store.close();
    search(dir.path(), &mut found, &mut files);
    assert!(files > 4, "there was nothing to search");
    assert_eq!(found, Vec::<String>::new());
}

#[tokio::test]
async fn the_system_key_alone_opens_nothing_private() {
    let store = Store::in_memory();
    spread_canaries(&store).await;
    let mut values = 0;
    for column in Column::ALL {
        store
            .for_each(column, b"", &mut |key, value| {
                values += 1;
                for canary in CANARIES {
                    assert!(!finds(key, canary), "{canary} in a key");
                    assert!(!finds(&value, canary), "{canary} in {:?}", key[4] as char);
                }
                ControlFlow::Continue(())
            })
            .unwrap();
    }
    assert!(values > 20);
}
