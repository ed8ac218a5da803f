//! STORE, COPY, MOVE, EXPUNGE.

use wardpost_mail::Uid;
use wardpost_mailbox::{FlagOp, MailboxError, MessageState, ModSeq, SpecialUse, SystemFlags};

use crate::*;

const ARCHIVE: MailboxId = SpecialUse::Archive.mailbox();

async fn three() -> (Store, Mailboxes, AccountMail) {
    let (store, mailboxes) = memory();
    let mail = dana().open(&mailboxes).await;
    for subject in ["a", "b", "c"] {
        append(&mail, INBOX, subject).await;
    }
    (store, mailboxes, mail)
}

async fn state(mail: &AccountMail, uid: u32) -> MessageState {
    mail.states(INBOX, &[UidRange::one(Uid(uid))]).await.unwrap().remove(0)
}

#[tokio::test]
async fn flags_change_once_and_tell_their_number() {
    let (_, _, mail) = three().await;
    let since = mail.select(INBOX).await.unwrap().highest_modseq;
    let flags = Flags::new(SystemFlags::SEEN, ["$Junk"]);
    let uids = [Uid(1), Uid(3), Uid(9)];
    let outcome = mail.store_flags(INBOX, &uids, FlagOp::Add, &flags, None).await.unwrap();
    assert_eq!(outcome.stored.len(), 2);
    assert!(outcome.stored.iter().all(|s| s.flags == flags && Some(s.modseq) == outcome.modseq));
    assert_eq!(outcome.modseq, Some(ModSeq(since.0 + 1)));
    // The same again changes nothing.
    let again = mail.store_flags(INBOX, &uids, FlagOp::Add, &flags, None).await.unwrap();
    assert_eq!((again.modseq, again.stored), (None, outcome.stored.clone()));
    let changes = mail.changes_since(INBOX, since).await.unwrap();
    assert_eq!(changes.changed, outcome.stored);
    let status = mail.status(INBOX).await.unwrap();
    assert_eq!((status.messages, status.unseen, status.deleted), (3, 1, 0));
}

#[tokio::test]
async fn unchangedsince_leaves_what_others_changed() {
    let (_, _, mail) = three().await;
    let since = mail.select(INBOX).await.unwrap().highest_modseq;
    mark(&mail, INBOX, &[Uid(2)], SystemFlags::FLAGGED).await;
    let uids = [Uid(1), Uid(2)];
    let flags = Flags::system(SystemFlags::SEEN);
    let outcome = mail.store_flags(INBOX, &uids, FlagOp::Set, &flags, Some(since)).await.unwrap();
    assert_eq!(outcome.modified, [Uid(2)]);
    assert_eq!(outcome.stored.len(), 1);
    assert_eq!(state(&mail, 2).await.flags, Flags::system(SystemFlags::FLAGGED));
}

#[tokio::test]
async fn flags_of_mail_that_still_waits_can_be_changed() {
    let (_, mailboxes) = memory();
    let dana = dana();
    deliver(&mailboxes, &[dana.at(SpecialUse::Inbox)], "w").await;
    let mail = mailboxes.open(dana.id, dana.unlock());
    mark(&mail, INBOX, &[Uid(1)], SystemFlags::SEEN).await;
    assert_eq!(state(&mail, 1).await.flags, Flags::system(SystemFlags::SEEN));
    assert_eq!(subjects(&mail, INBOX).await, [(1, "w".to_owned())]);
    assert_eq!(&*mail.body(INBOX, Uid(1)).await.unwrap(), message("w"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_sessions_never_lose_a_flag() {
    let (_, _, mail) = three().await;
    let mut tasks = Vec::new();
    for n in 0..20 {
        let mail = mail.clone();
        tasks.push(tokio::spawn(async move {
            let keyword = format!("k{n:02}");
            let flags = Flags::new(SystemFlags::NONE, [keyword.as_str()]);
            mail.store_flags(INBOX, &[Uid(1), Uid(2)], FlagOp::Add, &flags, None).await.unwrap();
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(state(&mail, 1).await.flags.keywords.len(), 20);
    assert_eq!(state(&mail, 2).await.flags.keywords.len(), 20);
}

#[tokio::test]
async fn copies_share_the_body() {
    let (store, _, mail) = three().await;
    mark(&mail, INBOX, &[Uid(2)], SystemFlags::FLAGGED).await;
    let (validity, pairs) = mail.copy(INBOX, &[Uid(3), Uid(2), Uid(77)], ARCHIVE).await.unwrap();
    assert_eq!(pairs, [(Uid(2), Uid(1)), (Uid(3), Uid(2))]);
    assert_eq!(validity, mail.status(ARCHIVE).await.unwrap().uid_validity);
    assert_eq!(bodies(&store), 3);
    let archived = mail.select(ARCHIVE).await.unwrap();
    assert_eq!(archived.messages[0].flags, Flags::system(SystemFlags::FLAGGED));
    // The original may go.
    mark(&mail, INBOX, &[Uid(2), Uid(3)], SystemFlags::DELETED).await;
    mail.expunge(INBOX, None).await.unwrap();
    assert_eq!(subjects(&mail, ARCHIVE).await, [(1, "b".to_owned()), (2, "c".to_owned())]);
    assert_eq!(&*mail.body(ARCHIVE, Uid(1)).await.unwrap(), message("b"));
    mark(&mail, ARCHIVE, &[Uid(1), Uid(2)], SystemFlags::DELETED).await;
    mail.expunge(ARCHIVE, None).await.unwrap();
    assert_eq!(bodies(&store), 1);
}

#[tokio::test]
async fn copies_within_a_mailbox_and_many_times_over() {
    let (store, _, mail) = three().await;
    for _ in 0..3 {
        mail.copy(INBOX, &[Uid(1)], INBOX).await.unwrap();
    }
    assert_eq!(uids(&mail, INBOX).await, [1, 2, 3, 4, 5, 6]);
    let all: Vec<Uid> = (1..=6).map(Uid).collect();
    mark(&mail, INBOX, &all, SystemFlags::DELETED).await;
    // Several messages of one body go in one batch.
    assert_eq!(mail.expunge(INBOX, None).await.unwrap(), all);
    assert_eq!(bodies(&store), 0);
}

#[tokio::test]
async fn moving_takes_everything_along() {
    let (store, _, mail) = three().await;
    let flags = Flags::new(SystemFlags::SEEN, ["$Label1"]);
    mail.store_flags(INBOX, &[Uid(1)], FlagOp::Set, &flags, None).await.unwrap();
    let before = mail.select(INBOX).await.unwrap();
    let (_, pairs) = mail.move_messages(INBOX, &[Uid(1), Uid(2)], TRASH).await.unwrap();
    assert_eq!(pairs, [(Uid(1), Uid(1)), (Uid(2), Uid(2))]);
    assert_eq!(uids(&mail, INBOX).await, [3]);
    let moved = mail.select(TRASH).await.unwrap();
    assert_eq!(moved.messages[0].flags, flags);
    assert_eq!(moved.messages[0].internal_date, before.messages[0].internal_date);
    assert_eq!(subjects(&mail, TRASH).await, [(1, "a".to_owned()), (2, "b".to_owned())]);
    assert_eq!(bodies(&store), 3);
    let changes = mail.changes_since(INBOX, before.highest_modseq).await.unwrap();
    assert_eq!(changes.vanished, [UidRange { first: Uid(1), last: Uid(2) }]);
    // Backwards, against the order of the locks, and onto itself.
    mail.move_messages(TRASH, &[Uid(1)], INBOX).await.unwrap();
    mail.move_messages(INBOX, &[Uid(3)], INBOX).await.unwrap();
    assert_eq!(subjects(&mail, INBOX).await, [(4, "a".to_owned()), (5, "c".to_owned())]);
    assert_eq!(uids(&mail, INBOX).await, [4, 5]);
    let nowhere = mail.move_messages(INBOX, &[Uid(4)], MailboxId(99)).await;
    assert!(matches!(nowhere, Err(MailboxError::NoSuchDestination)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn moving_to_and_fro_at_once_loses_nothing() {
    let (store, _, mail) = three().await;
    for n in 0..20 {
        append(&mail, TRASH, &format!("t{n}")).await;
    }
    let mut tasks = Vec::new();
    for n in 0..20 {
        let mail = mail.clone();
        tasks.push(tokio::spawn(async move {
            let (from, to) = if n % 2 == 0 { (INBOX, TRASH) } else { (TRASH, INBOX) };
            let here: Vec<Uid> = uids(&mail, from).await.into_iter().take(3).map(Uid).collect();
            mail.move_messages(from, &here, to).await.unwrap();
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let mut all: Vec<String> = subjects(&mail, INBOX).await.into_iter().map(|(_, s)| s).collect();
    all.extend(subjects(&mail, TRASH).await.into_iter().map(|(_, s)| s));
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 23);
    assert_eq!(bodies(&store), 23);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn shared_bodies_survive_everybody_deleting_at_once() {
    let (store, mailboxes) = memory();
    let (dana, lee) = (dana(), lee());
    let mails = [dana.open(&mailboxes).await, lee.open(&mailboxes).await];
    let to = [dana.at(SpecialUse::Inbox), lee.at(SpecialUse::Inbox)];
    for n in 0..30 {
        deliver(&mailboxes, &to, &format!("m{n}")).await;
    }
    let mut tasks = Vec::new();
    for mail in &mails {
        for n in 1..=30 {
            let mail = mail.clone();
            tasks.push(tokio::spawn(async move {
                // Half are copied first, against the other account's expunge.
                if n % 2 == 0 {
                    mail.copy(INBOX, &[Uid(n)], ARCHIVE).await.unwrap();
                }
                mark(&mail, INBOX, &[Uid(n)], SystemFlags::DELETED).await;
                mail.expunge(INBOX, Some(&[UidRange::one(Uid(n))])).await.unwrap();
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(bodies(&store), 15);
    for mail in &mails {
        let archived = mail.select(ARCHIVE).await.unwrap().messages;
        assert_eq!(archived.len(), 15);
        // A copy that had to be tried again left gaps in the UIDs.
        let all: Vec<Uid> = archived.iter().map(|state| state.uid).collect();
        for uid in &all {
            mail.body(ARCHIVE, *uid).await.unwrap();
        }
        mark(mail, ARCHIVE, &all, SystemFlags::DELETED).await;
        mail.expunge(ARCHIVE, None).await.unwrap();
    }
    assert!(store.scan(wardpost_store::Column::Message, b"", None, 9).unwrap().is_empty());
}

#[tokio::test]
async fn expunge_goes_by_flag_and_by_uid() {
    let (_, _, mail) = three().await;
    let since = mail.select(INBOX).await.unwrap().highest_modseq;
    mark(&mail, INBOX, &[Uid(1), Uid(3)], SystemFlags::DELETED).await;
    let only = [UidRange { first: Uid(2), last: Uid(9) }];
    assert_eq!(mail.expunge(INBOX, Some(&only)).await.unwrap(), [Uid(3)]);
    assert_eq!(mail.expunge(INBOX, None).await.unwrap(), [Uid(1)]);
    assert_eq!(mail.expunge(INBOX, None).await.unwrap(), []);
    let changes = mail.changes_since(INBOX, since).await.unwrap();
    assert_eq!(changes.vanished, [UidRange::one(Uid(1)), UidRange::one(Uid(3))]);
    assert_eq!(append(&mail, INBOX, "d").await, Uid(4));
}

#[tokio::test]
async fn too_many_keywords_are_refused() {
    let (_, _, mail) = three().await;
    let many: Vec<String> = (0..65).map(|n| format!("k{n}")).collect();
    let flags = Flags::new(SystemFlags::NONE, many.iter().map(String::as_str));
    let error = mail.store_flags(INBOX, &[Uid(1)], FlagOp::Add, &flags, None).await.unwrap_err();
    assert!(matches!(error, MailboxError::Limit(_)));
    assert_eq!(state(&mail, 1).await.flags, Flags::default());
}

#[tokio::test]
async fn an_export_opens_as_openpgp() {
    let (_, _, mail) = three().await;
    let openpgp = mail.sealed(INBOX, Uid(1)).await.unwrap();
    // A PKESK packet in the new format (RFC 9580 §4.2) comes first; nothing is legible.
    assert_eq!(openpgp[0], 0xC0 | 1);
    assert!(!openpgp.windows(4).any(|w| w == b"Body"));
}
