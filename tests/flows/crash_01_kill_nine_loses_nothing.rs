//! kill -9 in the middle of deliveries and submissions, again and again: every message that was acknowledged
//! is in the mailbox once, and every message that was queued reaches its destination.
//!
//! `WARDPOST_KILLS` sets how often (4 unless told; the long run is 20).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;
use wardpost_tests::destinations::{Destination, HOSPITAL};
use wardpost_tests::practice::{Practice, exists, message};
use wardpost_tests::smtp::Smtp;
use wardpost_tests::wardpost::{HOSTNAME, PASSWORD};
use wardpost_tests::{Result, wait_for};

const CLIENTS: u32 = 8;

#[test]
fn crash_01_kill_nine_loses_nothing() -> Result<()> {
    let kills: u32 = std::env::var("WARDPOST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
    let mut practice = Practice::open()?;
    let hospital = HOSPITAL.start(&practice.lab)?;
    let mut taken = BTreeSet::new();
    let mut queued = BTreeSet::new();
    let next = AtomicU32::new(1);
    for _ in 0..kills {
        let round = deliver_until_killed(&mut practice, &next)?;
        taken.extend(round.taken);
        queued.extend(round.queued);
        practice.wardpost.run()?;
    }
    assert!(taken.len() > 20 * kills as usize, "only {} were taken in {kills} rounds", taken.len());
    assert!(!queued.is_empty(), "nothing was queued");

    let seen = marks_in_inbox(&practice)?;
    for mark in &taken {
        assert_eq!(seen.get(mark), Some(&1), "message {mark} was acknowledged");
    }
    let duplicates: Vec<_> = seen.iter().filter(|(_, count)| **count > 1).collect();
    assert!(duplicates.is_empty(), "there more than once: {duplicates:?}");
    wait_for("every queued message to go out", Duration::from_secs(120), || {
        let out: BTreeSet<u32> = hospital.messages().iter().filter_map(|m| mark(m)).collect();
        queued.is_subset(&out).then_some(())
    })
    .map_err(|e| format!("{e}\n{}", practice.wardpost.log()).into())
}

/// What was acknowledged in one round.
#[derive(Default)]
struct Round {
    taken: Vec<u32>,
    queued: Vec<u32>,
}

fn deliver_until_killed(practice: &mut Practice, next: &AtomicU32) -> Result<Round> {
    let killed = AtomicBool::new(false);
    let mut round = Round::default();
    thread::scope(|scope| -> Result<()> {
        let shared: &Practice = practice;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| {
                let (next, killed) = (&next, &killed);
                scope.spawn(move || send_until(shared, n == 0, next, killed))
            })
            .collect();
        thread::sleep(Duration::from_millis(700));
        killed.store(true, Ordering::SeqCst);
        // The process is killed from outside, as an administrator or the kernel would.
        if let Some(process) = shared.wardpost.process() {
            process.signal("KILL")?;
        }
        for (n, client) in clients.into_iter().enumerate() {
            let acknowledged = client.join().map_err(|_| "a client panicked")?;
            if n == 0 {
                round.queued.extend(acknowledged)
            } else {
                round.taken.extend(acknowledged)
            }
        }
        Ok(())
    })?;
    practice.wardpost.kill();
    Ok(round)
}

/// Sends marked messages one after the other until the server dies; gives the marks that got a 250.
fn send_until(
    practice: &Practice,
    submits: bool,
    next: &AtomicU32,
    killed: &AtomicBool,
) -> Vec<u32> {
    let mut acknowledged = Vec::new();
    while !killed.load(Ordering::SeqCst) {
        let Ok(mut smtp) = open(practice, submits) else { continue };
        loop {
            let mark = next.fetch_add(1, Ordering::SeqCst);
            let text = message("x@hospital.test", "y", "crash", &format!("mark={mark};"));
            let sent = if submits {
                let text = text.replacen("x@hospital.test", &practice.dana, 1);
                smtp.send(&practice.dana, &["ward@hospital.test"], &text)
            } else {
                smtp.send("x@hospital.test", &[&practice.dana, &practice.lee], &text)
            };
            match sent {
                Ok(_) => acknowledged.push(mark),
                Err(_) => break,
            }
        }
    }
    acknowledged
}

fn open(practice: &Practice, submits: bool) -> Result<Smtp> {
    if !submits {
        return practice.stranger();
    }
    let mut smtp = Smtp::connect(practice.wardpost.submission())?;
    smtp.starttls(&practice.lab.ca, HOSTNAME)?;
    smtp.login(&practice.dana, PASSWORD)?;
    Ok(smtp)
}

/// How often each mark is in Dana's INBOX.
fn marks_in_inbox(practice: &Practice) -> Result<BTreeMap<u32, u32>> {
    let mut imap = practice.imap(&practice.dana)?;
    let count = exists(&imap.must("SELECT INBOX")?).ok_or("no EXISTS")?;
    let mut seen = BTreeMap::new();
    for n in 1..=count {
        if let Some(mark) = mark(&imap.must(&format!("FETCH {n} BODY.PEEK[TEXT]"))?) {
            *seen.entry(mark).or_insert(0) += 1;
        }
    }
    Ok(seen)
}

fn mark(text: &str) -> Option<u32> {
    text.split("mark=").nth(1)?.split(';').next()?.parse().ok()
}
