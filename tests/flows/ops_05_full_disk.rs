//! The disk fills up to its last byte: mail is turned away for the moment, in both directions, reading goes
//! on, and nothing that was acknowledged is lost. Once there is room again everything works, without a
//! restart.

use std::fs::{self, File};
use std::io::Write;
use std::time::Duration;
use wardpost_tests::imap::Imap;
use wardpost_tests::practice::{Practice, exists, message};
use wardpost_tests::smtp::Smtp;
use wardpost_tests::wardpost::{HOSTNAME, PASSWORD};
use wardpost_tests::{Result, wait_for};

#[test]
fn ops_05_full_disk() -> Result<()> {
    let practice = Practice::open_on_small_disk(192)?;
    let mut taken = deliver(&practice, 0..20)?;
    assert_eq!(taken.len(), 20);
    let mut imap = practice.imap(&practice.dana)?;
    imap.must("SELECT INBOX")?;

    let filler = practice.wardpost.seen_by_daemon(&practice.wardpost.data())?.join("filler");
    fill(&filler)?;
    let refusal = send(&practice, 100).err().ok_or("taken on a full disk")?.to_string();
    assert!(refusal.contains("452 4.3.1"), "{refusal}");
    assert!(deliver(&practice, 101..105)?.is_empty(), "taken on a full disk");
    let refusal = submit(&practice).err().ok_or("queued on a full disk")?.to_string();
    assert!(refusal.contains("452 4.3.1"), "{refusal}");
    reads_but_does_not_write(&mut imap)?;
    // Whoever logs in now reads as well.
    let mut fresh = practice.imap(&practice.dana)?;
    fresh.must("SELECT INBOX")?;
    assert!(fresh.must("FETCH 1 BODY.PEEK[]")?.contains("mark=0;"));

    fs::remove_file(&filler)?;
    wait_for("mail to be taken again", Duration::from_secs(30), || send(&practice, 200).ok())?;
    taken.push(200);
    imap.append("Drafts", "Subject: later\r\n\r\nkept now\r\n")?;
    imap.must("NOOP")?;
    submit(&practice)?;
    practice.wait_for_mail(&practice.lee, "to the front desk")?;

    let count = exists(&imap.must("SELECT INBOX")?).ok_or("no EXISTS")?;
    assert_eq!(count as usize, taken.len(), "each acknowledged message once, and no other");
    for (n, mark) in taken.iter().enumerate() {
        let text = imap.must(&format!("FETCH {} BODY.PEEK[TEXT]", n + 1))?;
        assert!(text.contains(&format!("mark={mark};")), "{mark}: {text}");
    }
    let log = practice.wardpost.log();
    assert!(!log.contains("panicked"), "{log}");
    Ok(())
}

/// An open session still reads everything; what it would write is refused, not lost silently.
fn reads_but_does_not_write(imap: &mut Imap) -> Result<()> {
    for n in [1, 20] {
        assert!(imap.must(&format!("FETCH {n} BODY.PEEK[]"))?.contains("mark="));
    }
    let refusal = imap.append("Drafts", "Subject: x\r\n\r\nno room\r\n");
    let refusal = refusal.err().ok_or("appended on a full disk")?.to_string();
    assert!(refusal.contains(" NO "), "{refusal}");
    let answer = imap.command("STORE 1 +FLAGS (\\Flagged)")?;
    assert!(answer.contains(" NO "), "{answer}");
    imap.must("NOOP")?;
    Ok(())
}

fn send(practice: &Practice, mark: u32) -> Result<()> {
    let text = message("a@hospital.test", "y", "full", &format!("mark={mark};"));
    practice.stranger()?.send("a@hospital.test", &[&practice.dana], &text)?;
    Ok(())
}

/// Sends marked messages; gives those that were acknowledged.
fn deliver(practice: &Practice, marks: std::ops::Range<u32>) -> Result<Vec<u32>> {
    let mut taken = Vec::new();
    for mark in marks {
        if send(practice, mark).is_ok() {
            taken.push(mark);
        }
    }
    Ok(taken)
}

fn submit(practice: &Practice) -> Result<()> {
    let mut smtp = Smtp::connect_tls(practice.wardpost.submissions(), &practice.lab.ca, HOSTNAME)?;
    smtp.must("EHLO desk.test", 250)?;
    smtp.login(&practice.dana, PASSWORD)?;
    let text = message(&practice.dana, &practice.lee, "x", "to the front desk");
    smtp.send(&practice.dana, &[&practice.lee], &text)?;
    Ok(())
}

/// Writes a file until the disk takes no more.
fn fill(path: &std::path::Path) -> Result<()> {
    let mut file = File::create(path)?;
    for size in [1 << 20, 4096, 1] {
        let block = vec![0; size];
        while file.write_all(&block).is_ok() {}
    }
    Ok(())
}
