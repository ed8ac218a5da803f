//! Debian's Thunderbird reads, is told of new mail, flags, moves, deletes and sends; what it did is what
//! another client then sees.

use serde_json::{Value, json};
use wardpost_tests::destinations::{Destination, HOSPITAL};
use wardpost_tests::practice::{PATIENCE, Practice, message};
use wardpost_tests::thunderbird::Thunderbird;
use wardpost_tests::{Result, wait_for};

fn arrive(practice: &Practice, subject: &str) -> Result<()> {
    let text = message("a@hospital.test", &practice.dana, subject, &format!("text of {subject}"));
    practice.stranger()?.send("a@hospital.test", &[&practice.dana], &text)?;
    Ok(())
}

#[test]
fn imap_03_thunderbird_works_through_a_day() -> Result<()> {
    let practice = Practice::open()?;
    let hospital = HOSPITAL.start(&practice.lab)?;
    for subject in ["read", "flag", "move", "delete"] {
        arrive(&practice, subject)?;
    }
    let mut bird =
        Thunderbird::start(&practice.lab, &practice.wardpost, &practice.dana, "Dr. Dana Reyes")?;
    let listed = bird.run("openFolder('INBOX', 4)", &[])?;
    assert_eq!(listed, json!(["delete", "flag", "move", "read"]));

    let text = bird.run("openMessage('read')", &[])?;
    assert!(text.as_str().is_some_and(|text| text.contains("text of read")), "{text}");
    wait_for_search(&practice, "INBOX", "SEEN SUBJECT read", 1)?;

    bird.run("openMessage('flag')", &[])?;
    bird.run("command('cmd_markAsFlagged')", &[])?;
    wait_for_search(&practice, "INBOX", "FLAGGED SUBJECT flag", 1)?;
    bird.run("command('cmd_tag1')", &[])?;
    wait_for_search(&practice, "INBOX", "KEYWORD $label1 SUBJECT flag", 1)?;

    bird.run("openMessage('move')", &[])?;
    bird.run("command('cmd_moveMessage', folder('Archive'))", &[])?;
    wait_for_search(&practice, "Archive", "SUBJECT move", 1)?;
    bird.run("openMessage('delete')", &[])?;
    bird.run("command('cmd_delete')", &[])?;
    wait_for_search(&practice, "Trash", "SUBJECT delete", 1)?;
    wait_for_search(&practice, "INBOX", "ALL", 2)?;

    // It waits in IDLE and is told.
    arrive(&practice, "news")?;
    let listed = bird.run("isTold('INBOX', 3)", &[])?;
    assert_eq!(listed, json!(["flag", "news", "read"]));

    let words = ["ward@hospital.test", "From Thunderbird", "All went well."].map(Value::from);
    bird.run("send(...args)", &words)?;
    let got = hospital.wait_for_message("All went well.", PATIENCE)?;
    assert!(got.contains("Thunderbird") && got.contains("DKIM-Signature:"), "{got}");
    wait_for_search(&practice, "Sent", "SUBJECT Thunderbird SEEN", 1)?;
    Ok(())
}

/// Waits until a search in a mailbox finds `count` messages.
fn wait_for_search(practice: &Practice, mailbox: &str, what: &str, count: usize) -> Result<()> {
    let mut imap = practice.imap(&practice.dana)?;
    let mut last = String::new();
    wait_for(&format!("{count} of {what} in {mailbox}"), PATIENCE, || {
        imap.must(&format!("EXAMINE {mailbox}")).ok()?;
        last = imap.must(&format!("UID SEARCH {what}")).ok()?;
        let found = last.lines().find_map(|line| line.strip_prefix("* SEARCH"))?;
        (found.split_whitespace().count() == count).then_some(())
    })
    .map_err(|e| format!("{e}: {last}\n{}", practice.wardpost.log()).into())
}
