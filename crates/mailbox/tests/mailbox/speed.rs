//! How fast it is, on a real disk. Run it when it matters, optimised:
//! `cargo test --release -p wardpost-mailbox speed -- --ignored --nocapture`

use std::future::Future;
use std::time::Instant;

use wardpost_keys::SystemKey;
use wardpost_mailbox::SpecialUse;

use crate::*;

fn text(size: usize) -> Vec<u8> {
    let mut raw = message("a subject of the usual length, more or less");
    while raw.len() < size {
        raw.extend_from_slice(
            b"Sixty-four characters of text make up one line of this letter.\r\n",
        );
    }
    raw.truncate(size);
    raw
}

/// Runs `each` `count` times by `callers` at once.
async fn rate<F: Future<Output = ()> + Send>(
    what: &str,
    count: u32,
    callers: u32,
    each: impl Fn() -> F + Clone + Send + 'static,
) {
    let start = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..callers {
        let each = each.clone();
        tasks.push(tokio::spawn(async move {
            for _ in 0..count / callers {
                each().await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    report(what, count, start.elapsed());
}

fn report(what: &str, count: u32, elapsed: Duration) {
    let rate = f64::from(count) / elapsed.as_secs_f64();
    println!("{what:<44} {rate:>8.0} /s  {:>9.1} µs each", 1e6 / rate);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a check"]
async fn speed() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = Store::open(dir.path(), &SystemKey::generate()).unwrap();
    let mailboxes = Mailboxes::new(store.clone());
    let dana = dana();
    for callers in [1, 8, 32] {
        let (mailboxes, to, raw) = (mailboxes.clone(), dana.at(SpecialUse::Inbox), text(4096));
        let each = move || {
            let (mailboxes, to, raw) = (mailboxes.clone(), to.clone(), raw.clone());
            async move {
                mailboxes.deliver(raw, &[to], 0).await.unwrap();
            }
        };
        rate(&format!("deliver 4 KiB, locked, {callers} callers"), 3_200, callers, each).await;
    }
    let mail = mailboxes.open(dana.id, dana.unlock());
    let start = Instant::now();
    mail.prepare().await.unwrap();
    let count = subjects(&mail, INBOX).await.len() as u32;
    report("fold and list, first time", count, start.elapsed());
    for _ in 0..2 {
        let start = Instant::now();
        let count = subjects(&mail, INBOX).await.len() as u32;
        report("list again", count, start.elapsed());
    }
    let (mailboxes2, to) = (mailboxes.clone(), dana.at(SpecialUse::Inbox));
    let each = move || {
        let (mailboxes, to, raw) = (mailboxes2.clone(), to.clone(), text(4096));
        async move {
            mailboxes.deliver(raw, &[to], 0).await.unwrap();
        }
    };
    rate("deliver 4 KiB, open, 8 callers", 3_200, 8, each).await;

    for (callers, size) in [(1, 4096), (8, 4096), (8, 50 * 1024)] {
        let mail = mail.clone();
        let each = move || {
            let (mail, raw) = (mail.clone(), text(size));
            async move {
                let new = NewMessage { raw, flags: Flags::default(), internal_date: None };
                mail.append(SpecialUse::Archive.mailbox(), new).await.unwrap();
            }
        };
        rate(&format!("append {} KiB, {callers} callers", size / 1024), 2_000, callers, each).await;
    }
    let last =
        mail.select(SpecialUse::Archive.mailbox()).await.unwrap().messages.pop().unwrap().uid;
    let start = Instant::now();
    for _ in 0..1_000 {
        mail.body(SpecialUse::Archive.mailbox(), last).await.unwrap();
    }
    report("open a body of 50 KiB", 1_000, start.elapsed());

    let all = uids(&mail, INBOX).await.into_iter().map(Uid).collect::<Vec<_>>();
    let start = Instant::now();
    mark(&mail, INBOX, &all, SystemFlags::SEEN).await;
    report("store flags, all at once", all.len() as u32, start.elapsed());
    let start = Instant::now();
    for uid in &all[..500] {
        mark(&mail, INBOX, &[*uid], SystemFlags::FLAGGED).await;
    }
    report("store flags, one by one", 500, start.elapsed());
    drop(mail);
    let mail = mailboxes.open(dana.id, dana.unlock());
    let start = Instant::now();
    let count = mail.select(INBOX).await.unwrap().messages.len() as u32;
    report("load a mailbox", count, start.elapsed());
    mark(&mail, INBOX, &all, SystemFlags::DELETED).await;
    let start = Instant::now();
    mail.expunge(INBOX, None).await.unwrap();
    report("expunge all", all.len() as u32, start.elapsed());
    store.close();
}
