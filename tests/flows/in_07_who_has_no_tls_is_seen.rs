//! A colleague's Postfix without TLS is kept out, seen, let in for a time, and kept out again.

use wardpost_tests::destinations::{COLLEAGUE, Destination};
use wardpost_tests::postfix::Postfix;
use wardpost_tests::practice::{PATIENCE, Practice, exists, message};
use wardpost_tests::smtp::Smtp;
use wardpost_tests::{Result, wait_for};

const JOE: &str = "joe@colleague.test";

/// Has the colleague's Postfix send to Dana.
fn send(practice: &Practice, postfix: &Postfix, subject: &str) -> Result<()> {
    let mut smtp = Smtp::connect(postfix.address)?;
    smtp.must("EHLO desk.colleague.test", 250)?;
    smtp.send(JOE, &[&practice.dana], &message(JOE, &practice.dana, subject, "A referral."))?;
    Ok(())
}

/// Waits for a message in Dana's Junk.
fn wait_in_junk(practice: &Practice, text: &str) -> Result<String> {
    let mut imap = practice.imap(&practice.dana)?;
    wait_for(&format!("{text:?} in Junk"), PATIENCE, || {
        let count = exists(&imap.must("SELECT Junk").ok()?)?;
        (1..=count).rev().find_map(|n| {
            let answer = imap.must(&format!("FETCH {n} BODY.PEEK[]")).ok()?;
            answer.contains(text).then_some(answer)
        })
    })
    .map_err(|e| format!("{e}\n{}", practice.wardpost.log()).into())
}

fn report(practice: &Practice) -> Result<serde_json::Value> {
    let text = practice.wardpost.cli(&["report", "cleartext", "--json"], "")?;
    Ok(serde_json::from_str(&text)?)
}

#[test]
fn in_07_who_has_no_tls_is_seen() -> Result<()> {
    let mut practice = Practice::open()?;
    let relay =
        format!("relayhost = [{}]:{}", practice.wardpost.mx().ip(), practice.wardpost.mx().port());
    let postfix =
        COLLEAGUE.start_with(&practice.lab, &[&relay, "smtp_tls_security_level = none"])?;

    send(&practice, &postfix, "One")?;
    wait_for("the refusal", PATIENCE, || postfix.log().contains("530").then_some(()))
        .map_err(|e| format!("{e}\n{}", postfix.log()))?;
    let seen = wait_for("it to be counted", PATIENCE, || {
        report(&practice).ok().filter(|seen| seen["peers"][0]["refused"] == 1)
    })?;
    let peer = &seen["peers"][0];
    let address = postfix.address.ip().to_string();
    assert_eq!(peer["peer"], address.as_str(), "{seen}");
    assert_eq!(peer["helo"], "mx.colleague.test", "{seen}");
    assert_eq!(peer["sender"], "colleague.test", "{seen}");
    assert_eq!(peer["let_in"], 0, "{seen}");
    let words = practice.wardpost.cli(&["report", "cleartext"], "")?;
    assert!(words.contains("wardpost exception add"), "{words}");

    // Without an end or a reason there is no exception.
    let endless =
        practice.wardpost.cli_output(&["exception", "add", &address, "--reason", "x"], "")?;
    assert_eq!(endless.status.code(), Some(2));
    let add = ["exception", "add", &address, "--days", "30", "--reason", "their server is old"];
    practice.wardpost.cli(&add, "")?;
    send(&practice, &postfix, "Two")?;
    let mail = wait_in_junk(&practice, "Subject: Two")?;
    assert!(mail.contains("X-Wardpost-Received-In-Clear: yes"), "{mail}");
    assert!(mail.contains(" with ESMTP\r\n") && !mail.contains("ESMTPS"), "{mail}");

    // What was counted and allowed is there after a restart, and what is taken back is not.
    practice.wardpost.stop()?;
    practice.wardpost.run()?;
    let seen = report(&practice)?;
    assert_eq!((&seen["peers"][0]["refused"], &seen["peers"][0]["let_in"]), (&1.into(), &1.into()));
    let list = practice.wardpost.cli(&["exception", "list"], "")?;
    assert!(list.contains(&address) && list.contains("their server is old"), "{list}");
    practice.wardpost.cli(&["exception", "remove", &address], "")?;
    send(&practice, &postfix, "Three")?;
    wait_for("the second refusal", PATIENCE, || {
        report(&practice).ok().filter(|seen| seen["peers"][0]["refused"] == 2)
    })?;

    // The same by the sender's domain.
    let add = ["exception", "add", "colleague.test", "--days", "1", "--reason", "for today"];
    practice.wardpost.cli(&add, "")?;
    send(&practice, &postfix, "Four")?;
    wait_in_junk(&practice, "Subject: Four")?;
    Ok(())
}

#[test]
fn in_07_accept_and_mark_takes_everybody() -> Result<()> {
    let practice = Practice::open_with("[inbound]\ncleartext = \"accept-and-mark\"")?;
    let relay =
        format!("relayhost = [{}]:{}", practice.wardpost.mx().ip(), practice.wardpost.mx().port());
    let clear = COLLEAGUE.start_with(&practice.lab, &[&relay, "smtp_tls_security_level = none"])?;
    send(&practice, &clear, "In clear")?;
    let mail = wait_in_junk(&practice, "Subject: In clear")?;
    assert!(mail.contains("X-Wardpost-Received-In-Clear: yes"), "{mail}");
    drop(clear);

    let tls = COLLEAGUE.start_with(&practice.lab, &[&relay, "smtp_tls_security_level = may"])?;
    send(&practice, &tls, "In TLS")?;
    let mail = practice.wait_for_mail(&practice.dana, "Subject: In TLS")?;
    assert!(mail.contains("ESMTPS") && !mail.contains("Received-In-Clear"), "{mail}");
    Ok(())
}
