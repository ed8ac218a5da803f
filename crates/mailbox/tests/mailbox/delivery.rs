//! Delivery to locked and open accounts, folding, and what others see of it.

use wardpost_mail::{MailboxId, Uid};
use wardpost_mailbox::{MailboxError, ModSeq, SealedMail, SpecialUse, SystemFlags};
use wardpost_store::{Batch, Column};

use crate::*;

#[tokio::test]
async fn mail_for_a_locked_account_is_there_at_login() {
    let (store, mailboxes) = memory();
    let dana = dana();
    for n in 0..3 {
        deliver(&mailboxes, &[dana.at(SpecialUse::Inbox)], &format!("m{n}")).await;
    }
    let mail = mailboxes.open(dana.id, dana.unlock());
    // Visible and readable before anything is folded, even before the defaults are made.
    let snapshot = mail.select(INBOX).await.unwrap();
    assert_eq!(snapshot.messages.len(), 3);
    assert_eq!(snapshot.messages[0].size as usize, message("m0").len());
    assert_eq!(snapshot.messages[0].internal_date, 1_000);
    assert_eq!(&*mail.body(INBOX, Uid(2)).await.unwrap(), message("m1"));
    let summary = mail.summary(INBOX, Uid(3)).await.unwrap();
    assert_eq!(summary.envelope().subject.unwrap(), &b"m2"[..]);

    mail.prepare().await.unwrap();
    assert_eq!(subjects(&mail, INBOX).await.len(), 3);
    // The stream folded everything: no waiting record is left.
    let waiting = [&dana.id.0.to_be_bytes()[..], b"d"].concat();
    assert!(store.scan(Column::Mailbox, &waiting, None, 9).unwrap().is_empty());
    assert_eq!(&*mail.body(INBOX, Uid(2)).await.unwrap(), message("m1"));
    let again = mail.select(INBOX).await.unwrap();
    assert_eq!(again.messages, snapshot.messages);
    assert_eq!(again.highest_modseq, snapshot.highest_modseq);
}

#[tokio::test]
async fn more_than_one_batch_is_folded() {
    let (_, mailboxes) = memory();
    let dana = dana();
    for n in 0..600 {
        deliver(&mailboxes, &[dana.at(SpecialUse::Inbox)], &format!("m{n}")).await;
    }
    let mail = dana.open(&mailboxes).await;
    let found = subjects(&mail, INBOX).await;
    let expected: Vec<_> = (0..600).map(|n| (n + 1, format!("m{n}"))).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn one_body_serves_all_recipients_until_the_last_lets_go() {
    let (store, mailboxes) = memory();
    let (dana, lee) = (dana(), lee());
    let dana_mail = dana.open(&mailboxes).await;
    // Dana is logged in, Lee is not; Dana is named twice.
    let to = [dana.at(SpecialUse::Inbox), lee.at(SpecialUse::Inbox), dana.at(SpecialUse::Inbox)];
    deliver(&mailboxes, &to, "both").await;
    assert_eq!(bodies(&store), 1);
    assert_eq!(uids(&dana_mail, INBOX).await, [1]);

    mark(&dana_mail, INBOX, &[Uid(1)], SystemFlags::DELETED).await;
    assert_eq!(dana_mail.expunge(INBOX, None).await.unwrap(), [Uid(1)]);
    assert_eq!(bodies(&store), 1);
    assert!(matches!(dana_mail.body(INBOX, Uid(1)).await, Err(MailboxError::NoSuchMessage)));

    let lee_mail = lee.open(&mailboxes).await;
    assert_eq!(&*lee_mail.body(INBOX, Uid(1)).await.unwrap(), message("both"));
    mark(&lee_mail, INBOX, &[Uid(1)], SystemFlags::DELETED).await;
    lee_mail.expunge(INBOX, None).await.unwrap();
    assert_eq!(bodies(&store), 0);
    assert!(store.scan(Column::Message, b"", None, 9).unwrap().is_empty());
}

#[tokio::test]
async fn large_messages_and_many_recipients_take_the_slow_road() {
    let (_, mailboxes) = memory();
    let (dana, lee) = (dana(), lee());
    let mut raw = message("large");
    raw.extend(std::iter::repeat_n(b"0123456789abcdef\r\n", 20_000).flatten());
    let to = [dana.at(SpecialUse::Inbox), lee.at(SpecialUse::Junk)];
    mailboxes.deliver(raw.clone(), &to, 7).await.unwrap();
    let mail = lee.open(&mailboxes).await;
    assert_eq!(&*mail.body(SpecialUse::Junk.mailbox(), Uid(1)).await.unwrap(), raw);
    let status = mail.status(SpecialUse::Junk.mailbox()).await.unwrap();
    assert_eq!(status.size, raw.len() as u64);
}

#[tokio::test]
async fn idle_sessions_wake_after_the_commit() {
    let (_, mailboxes) = memory();
    let dana = dana();
    let mail = dana.open(&mailboxes).await;
    let before = mail.select(INBOX).await.unwrap().highest_modseq;
    let (mut inbox, mut all) = (mail.watch(INBOX).unwrap(), mail.watch_all());
    deliver(&mailboxes, &[dana.at(SpecialUse::Inbox)], "new").await;
    tokio::time::timeout(Duration::from_secs(5), inbox.changed()).await.unwrap().unwrap();
    assert!(all.has_changed().unwrap());
    all.mark_unchanged();
    let changes = mail.changes_since(INBOX, before).await.unwrap();
    assert_eq!(changes.changed.len(), 1);
    assert_eq!(changes.uid_next, Uid(2));
    assert_eq!(changes.highest_modseq, *inbox.borrow());
    let nothing = mail.changes_since(INBOX, changes.highest_modseq).await.unwrap();
    assert!(nothing.changed.is_empty() && nothing.vanished.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_deliveries_at_once_give_each_a_uid_of_its_own() {
    let (_, mailboxes) = memory();
    let (dana, lee) = (dana(), lee());
    let mail = dana.open(&mailboxes).await;
    let mut tasks = Vec::new();
    for n in 0..64 {
        let mailboxes = mailboxes.clone();
        let to = [dana.at(SpecialUse::Inbox), lee.at(SpecialUse::Inbox)];
        let order = if n % 2 == 0 { [0, 1] } else { [1, 0] };
        let to = order.map(|at| to[at].clone());
        tasks.push(tokio::spawn(async move { deliver(&mailboxes, &to, &format!("m{n}")).await }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let snapshot = mail.select(INBOX).await.unwrap();
    assert_eq!(
        snapshot.messages.iter().map(|m| m.uid.0).collect::<Vec<_>>(),
        (1..=64).collect::<Vec<_>>()
    );
    assert!(snapshot.messages.windows(2).all(|w| w[0].modseq < w[1].modseq));
    assert_eq!(snapshot.highest_modseq, snapshot.messages[63].modseq);
    let mut found: Vec<_> = subjects(&mail, INBOX).await.into_iter().map(|(_, s)| s).collect();
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 64);
}

#[tokio::test]
async fn a_failed_commit_leaves_nothing_to_see() {
    let (store, mailboxes) = memory();
    let dana = dana();
    let mail = dana.open(&mailboxes).await;
    deliver(&mailboxes, &[dana.at(SpecialUse::Inbox)], "kept").await;
    let before = mail.select(INBOX).await.unwrap();
    let watch = mail.watch(INBOX).unwrap();
    store.close();
    assert!(mailboxes.deliver(message("lost"), &[dana.at(SpecialUse::Inbox)], 0).await.is_err());
    let flags = Flags::system(SystemFlags::SEEN);
    let store_flags =
        mail.store_flags(INBOX, &[Uid(1)], wardpost_mailbox::FlagOp::Add, &flags, None);
    assert!(store_flags.await.is_err());
    let after = mail.select(INBOX).await.unwrap();
    assert_eq!(after.messages, before.messages);
    assert_eq!(after.uid_next, before.uid_next);
    assert_eq!(*watch.borrow(), before.highest_modseq);
}

#[tokio::test]
async fn a_dropped_caller_does_not_undo_a_delivery() {
    let (_, mailboxes) = memory();
    let dana = dana();
    let mail = dana.open(&mailboxes).await;
    let mut watch = mail.watch(INBOX).unwrap();
    let to = [dana.at(SpecialUse::Inbox)];
    let mut delivery = Box::pin(mailboxes.deliver(message("x"), &to, 0));
    // Polled once it is in the store's line; then the connection breaks.
    let _ = futures_poll_once(delivery.as_mut()).await;
    drop(delivery);
    tokio::time::timeout(Duration::from_secs(5), watch.changed()).await.unwrap().unwrap();
    assert_eq!(uids(&mail, INBOX).await, [1]);
}

async fn futures_poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match future.as_mut().poll(context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test]
async fn a_deleted_junk_mailbox_means_inbox() {
    let (_, mailboxes) = memory();
    let dana = dana();
    let mail = dana.open(&mailboxes).await;
    deliver(&mailboxes, &[dana.at(SpecialUse::Junk)], "first").await;
    mail.delete("Junk").await.unwrap();
    deliver(&mailboxes, &[dana.at(SpecialUse::Junk)], "second").await;
    assert_eq!(subjects(&mail, INBOX).await, [(1, "second".to_owned())]);
    // Another mailbox may take the use over.
    let spam = mail.create("Spam", Some(SpecialUse::Junk)).await.unwrap();
    deliver(&mailboxes, &[dana.at(SpecialUse::Junk)], "third").await;
    assert_eq!(subjects(&mail, spam.id).await, [(1, "third".to_owned())]);
}

#[tokio::test]
async fn appended_mail_has_its_flags_and_date() {
    let (_, mailboxes) = memory();
    let mail = dana().open(&mailboxes).await;
    let sent = SpecialUse::Sent.mailbox();
    let flags = Flags::new(SystemFlags::SEEN, ["$Forwarded"]);
    let new = NewMessage { raw: message("s"), flags: flags.clone(), internal_date: Some(-5) };
    let (validity, uid) = mail.append(sent, new).await.unwrap();
    let snapshot = mail.select(sent).await.unwrap();
    assert_eq!(snapshot.uid_validity, validity);
    let state = &snapshot.messages[0];
    assert_eq!((state.uid, &state.flags, state.internal_date), (uid, &flags, -5));
    let nowhere = NewMessage { raw: Vec::new(), flags: Flags::default(), internal_date: None };
    let error = mail.append(MailboxId(99), nowhere).await.unwrap_err();
    assert!(matches!(error, MailboxError::NoSuchDestination));
}

#[tokio::test]
async fn empty_and_odd_messages_are_kept_byte_for_byte() {
    let (_, mailboxes) = memory();
    let dana = dana();
    let mail = dana.open(&mailboxes).await;
    for raw in [&b""[..], b"\0\xff\r\n.\r\n", b"no header at all", b"Subject: x"] {
        mailboxes.deliver(raw.to_vec(), &[dana.at(SpecialUse::Inbox)], 0).await.unwrap();
        let last = mail.select(INBOX).await.unwrap().messages.last().unwrap().uid;
        assert_eq!(&*mail.body(INBOX, last).await.unwrap(), raw);
    }
}

#[tokio::test]
async fn a_locked_account_forgets_its_tables_and_finds_them_again() {
    let (_, mailboxes) = memory();
    let dana = dana();
    let mail = dana.open(&mailboxes).await;
    deliver(&mailboxes, &[dana.at(SpecialUse::Inbox)], "a").await;
    mark(&mail, INBOX, &[Uid(1)], SystemFlags::FLAGGED).await;
    let before = mail.select(INBOX).await.unwrap();
    let second = mail.clone();
    drop(mail);
    assert_eq!(second.select(INBOX).await.unwrap().messages, before.messages);
    drop(second);
    deliver(&mailboxes, &[dana.at(SpecialUse::Inbox)], "while away").await;
    let mail = dana.open(&mailboxes).await;
    let after = mail.select(INBOX).await.unwrap();
    assert_eq!(after.messages[0], before.messages[0]);
    assert_eq!(after.messages.len(), 2);
    let changes = mail.changes_since(INBOX, before.highest_modseq).await.unwrap();
    assert_eq!(changes.changed.len(), 1);
    assert!(changes.highest_modseq > ModSeq(1));
}

fn condition() -> Batch {
    let mut batch = Batch::new();
    batch
        .require_value(Column::Queue, b"item".as_slice(), b"waits")
        .delete(Column::Queue, b"item".as_slice());
    batch
}

#[tokio::test]
async fn a_delivery_and_what_it_is_committed_with_are_one() {
    let (store, mailboxes) = memory();
    let (dana, lee) = (dana(), lee());
    let mail = dana.open(&mailboxes).await;
    let to = [dana.at(SpecialUse::Inbox), lee.at(SpecialUse::Inbox)];
    let prepare = |subject| mailboxes.prepare(Arc::new(message(subject)), &to, 1_000);
    let mut queued = Batch::new();
    queued.put(Column::Queue, b"item".as_slice(), b"waits");
    store.commit(queued).await.unwrap();

    // Dropped, as by a crash: nothing happened.
    drop(prepare("m1").await.unwrap());
    assert!(uids(&mail, INBOX).await.is_empty() && bodies(&store) == 0);
    // Two messages, partly to the same mailbox.
    let both = prepare("m1").await.unwrap().and(prepare("m2").await.unwrap());
    both.commit(condition()).await.unwrap();
    assert_eq!(subjects(&mail, INBOX).await, [(1, "m1".to_owned()), (2, "m2".to_owned())]);
    assert!(store.get(Column::Queue, b"item").unwrap().is_none());
    // The same attempt again, by somebody who had not heard: refused, and nothing shows.
    let again = prepare("m1").await.unwrap().commit(condition()).await;
    assert!(matches!(again, Err(MailboxError::Busy)));
    deliver(&mailboxes, &to, "m3").await;
    let found: Vec<_> = subjects(&mail, INBOX).await.into_iter().map(|(_, s)| s).collect();
    assert_eq!(found, ["m1", "m2", "m3"]);
    assert_eq!(bodies(&store), 3);
    // And a new start finds the same.
    let mail = lee.open(&Mailboxes::new(store)).await;
    let found: Vec<_> = subjects(&mail, INBOX).await.into_iter().map(|(_, s)| s).collect();
    assert_eq!(found, ["m1", "m2", "m3"]);
}

#[tokio::test]
async fn a_mail_sealed_once_is_delivered_later_to_whom_it_was_sealed() {
    let (_, mailboxes) = memory();
    let (dana, lee) = (dana(), lee());
    let to = [&dana, &lee].map(|one| (one.id, one.at(SpecialUse::Inbox).certificate));
    let sealed = SealedMail::seal(&message("code"), &to).unwrap().to_bytes();
    assert!(!sealed.windows(4).any(|four| four == b"Body"), "nobody reads it on the way");
    let kept = SealedMail::from_bytes(&sealed).unwrap();
    assert!(kept.is_for(dana.id) && !kept.is_for(AccountId(9)));
    let stranger = mailboxes.prepare_sealed(&kept, AccountId(9), 7);
    assert!(matches!(stranger, Err(MailboxError::NoSuchDestination)));

    // Dana is logged in, Lee is not.
    let open = dana.open(&mailboxes).await;
    for person in [&dana, &lee] {
        let delivery = mailboxes.prepare_sealed(&kept, person.id, 7).unwrap();
        delivery.commit(Batch::new()).await.unwrap();
    }
    let closed = lee.open(&mailboxes).await;
    for mail in [&open, &closed] {
        assert_eq!(&*mail.body(INBOX, Uid(1)).await.unwrap(), message("code"));
        assert_eq!(subjects(mail, INBOX).await, [(1, "code".to_owned())]);
        assert_eq!(mail.select(INBOX).await.unwrap().messages[0].internal_date, 7);
    }
    assert!(SealedMail::from_bytes(b"\x01\xff\xff").is_err());
}
