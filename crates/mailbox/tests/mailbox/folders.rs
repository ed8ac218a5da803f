//! The list of mailboxes.

use wardpost_mailbox::{MailboxError, SpecialUse, SystemFlags};
use wardpost_store::Column;

use crate::*;

fn names(mail: &AccountMail) -> Vec<String> {
    mail.list().unwrap().into_iter().map(|info| info.name).collect()
}

#[tokio::test]
async fn a_new_account_has_the_usual_mailboxes() {
    let (_, mailboxes) = memory();
    let mail = dana().open(&mailboxes).await;
    assert_eq!(names(&mail), ["INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"]);
    for info in mail.list().unwrap() {
        let special = info.special_use.unwrap();
        assert_eq!((special.mailbox(), special.default_name()), (info.id, info.name.as_str()));
        assert!(info.subscribed);
        assert_eq!(mail.special(special).unwrap(), info);
    }
    let validity = mail.status(INBOX).await.unwrap().uid_validity;
    mail.prepare().await.unwrap();
    assert_eq!(mail.list().unwrap().len(), 6);
    assert_eq!(mail.status(INBOX).await.unwrap().uid_validity, validity);
    assert_eq!(mail.find("inbox").unwrap().id, INBOX);
}

#[tokio::test]
async fn creating_makes_what_is_missing_above() {
    let (_, mailboxes) = memory();
    let mail = dana().open(&mailboxes).await;
    let lab = mail.create("Patients/2026/Lab/", None).await.unwrap();
    assert_eq!(lab.name, "Patients/2026/Lab");
    assert!(!lab.subscribed);
    assert_eq!(
        names(&mail)[4..],
        ["Patients", "Patients/2026", "Patients/2026/Lab", "Sent", "Trash"]
    );
    for taken in ["Patients/2026", "INBOX", "inbox"] {
        assert!(matches!(mail.create(taken, None).await, Err(MailboxError::AlreadyExists)));
    }
    assert!(matches!(mail.create("a//b", None).await, Err(MailboxError::BadName)));
    append(&mail, lab.id, "result").await;
    assert_eq!(uids(&mail, lab.id).await, [1]);
}

#[tokio::test]
async fn deleting_removes_messages_and_wakes_watchers() {
    let (store, mailboxes) = memory();
    let mail = dana().open(&mailboxes).await;
    let lab = mail.create("Lab", None).await.unwrap();
    let validity = mail.status(lab.id).await.unwrap().uid_validity;
    for n in 0..3 {
        append(&mail, lab.id, &format!("m{n}")).await;
    }
    mail.copy(lab.id, &[Uid(1)], INBOX).await.unwrap();
    let mut watch = mail.watch(lab.id).unwrap();
    watch.mark_unchanged();
    mail.create("Lab/Old", None).await.unwrap();
    assert!(matches!(mail.delete("Lab").await, Err(MailboxError::HasChildren)));
    mail.delete("Lab/Old").await.unwrap();
    mail.delete("Lab").await.unwrap();
    assert!(watch.changed().await.is_err());
    assert!(matches!(mail.status(lab.id).await, Err(MailboxError::NoSuchMailbox)));
    assert!(matches!(mail.delete("Lab").await, Err(MailboxError::NoSuchMailbox)));
    assert!(matches!(mail.delete("inbox").await, Err(MailboxError::Inbox)));
    assert_eq!(bodies(&store), 1);
    assert_eq!(&*mail.body(INBOX, Uid(1)).await.unwrap(), message("m0"));
    let again = mail.create("Lab", None).await.unwrap();
    assert_ne!(again.id, lab.id);
    assert!(mail.status(again.id).await.unwrap().uid_validity > validity);
    assert!(uids(&mail, again.id).await.is_empty());
}

#[tokio::test]
async fn an_interrupted_burial_is_finished_later() {
    let (store, mailboxes) = memory();
    let dana = dana();
    let lab = {
        let mail = dana.open(&mailboxes).await;
        let lab = mail.create("Lab", None).await.unwrap();
        append(&mail, lab.id, "m").await;
        lab
    };
    // What the first batch of a deletion leaves when the power goes.
    let key = |kind: &[u8]| [&dana.id.0.to_be_bytes(), kind, &lab.id.0.to_be_bytes()].concat();
    let mut batch = wardpost_store::Batch::new();
    batch.delete(Column::Mailbox, key(b"m")).put(Column::Mailbox, key(b"g"), []);
    store.commit(batch).await.unwrap();

    let mailboxes = Mailboxes::new(store.clone());
    let mail = mailboxes.open(dana.id, dana.unlock());
    assert!(matches!(mail.select(lab.id).await, Err(MailboxError::NoSuchMailbox)));
    assert_eq!(bodies(&store), 1);
    mail.prepare().await.unwrap();
    assert_eq!(bodies(&store), 0);
    assert!(store.get(Column::Mailbox, &key(b"g")).unwrap().is_none());
    assert!(store.get(Column::Mailbox, &key(b"c")).unwrap().is_none());
}

#[tokio::test]
async fn renaming_takes_those_below_along() {
    let (_, mailboxes) = memory();
    let mail = dana().open(&mailboxes).await;
    mail.create("A/B/C", None).await.unwrap();
    mail.create("AB", None).await.unwrap();
    mail.set_subscribed("A/B", true).await.unwrap();
    let b = mail.find("A/B").unwrap();
    append(&mail, b.id, "kept").await;
    mail.rename("A", "X/Y").await.unwrap();
    let list = names(&mail);
    for name in ["AB", "X", "X/Y", "X/Y/B", "X/Y/B/C"] {
        assert!(list.contains(&name.to_owned()), "{name}");
    }
    assert!(!list.contains(&"A".to_owned()));
    let moved = mail.find("X/Y/B").unwrap();
    assert_eq!((moved.id, moved.subscribed), (b.id, true));
    assert_eq!(subjects(&mail, b.id).await, [(1, "kept".to_owned())]);
    assert!(matches!(mail.rename("A", "Z").await, Err(MailboxError::NoSuchMailbox)));
    assert!(matches!(mail.rename("X", "AB").await, Err(MailboxError::AlreadyExists)));
    assert!(matches!(mail.rename("X", "X/Z").await, Err(MailboxError::BadName)));
    // A special mailbox keeps its use, and mail for that use goes on arriving.
    mail.rename("Junk", "Rubbish").await.unwrap();
    assert_eq!(mail.special(SpecialUse::Junk).unwrap().name, "Rubbish");
}

#[tokio::test]
async fn renaming_inbox_empties_it_and_leaves_it() {
    let (_, mailboxes) = memory();
    let mail = dana().open(&mailboxes).await;
    mail.create("INBOX/Below", None).await.unwrap();
    append(&mail, INBOX, "a").await;
    mark(&mail, INBOX, &[Uid(1)], SystemFlags::SEEN).await;
    mail.rename("inbox", "Old/2025").await.unwrap();
    assert!(uids(&mail, INBOX).await.is_empty());
    assert!(names(&mail).contains(&"INBOX/Below".to_owned()));
    let old = mail.find("Old/2025").unwrap();
    let moved = mail.select(old.id).await.unwrap();
    assert_eq!(moved.messages[0].flags, Flags::system(SystemFlags::SEEN));
    assert_eq!(append(&mail, INBOX, "b").await, Uid(2));
}

#[tokio::test]
async fn subscriptions_are_names() {
    let (_, mailboxes) = memory();
    let mail = dana().open(&mailboxes).await;
    mail.set_subscribed("Never/There", true).await.unwrap();
    mail.set_subscribed("Never/There", true).await.unwrap();
    mail.set_subscribed("Junk", false).await.unwrap();
    let names = mail.subscriptions().unwrap();
    assert!(names.contains(&"Never/There".to_owned()) && !names.contains(&"Junk".to_owned()));
    assert!(!mail.find("Junk").unwrap().subscribed);
    mail.delete("Archive").await.unwrap();
    assert!(mail.subscriptions().unwrap().contains(&"Archive".to_owned()));
}

#[tokio::test]
async fn a_removed_account_leaves_nothing() {
    let (store, mailboxes) = memory();
    let (dana, lee) = (dana(), lee());
    {
        let mail = dana.open(&mailboxes).await;
        mail.create("Lab", None).await.unwrap();
        deliver(&mailboxes, &[dana.at(SpecialUse::Inbox), lee.at(SpecialUse::Inbox)], "both").await;
        append(&mail, TRASH, "own").await;
    }
    assert_eq!(mailboxes.accounts().unwrap(), [dana.id, lee.id]);
    mailboxes.remove_account(dana.id).await.unwrap();
    assert_eq!(mailboxes.accounts().unwrap(), [lee.id]);
    let left = store.scan(Column::Mailbox, &dana.id.0.to_be_bytes(), None, 9).unwrap();
    assert!(left.is_empty());
    assert_eq!(bodies(&store), 1);
    let mail = lee.open(&mailboxes).await;
    assert_eq!(&*mail.body(INBOX, Uid(1)).await.unwrap(), message("both"));
}
