//! SIGHUP takes a new certificate without dropping anybody; SIGTERM lets everybody finish and ends.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use wardpost_tests::practice::{Practice, message};
use wardpost_tests::smtp::Smtp;
use wardpost_tests::wardpost::HOSTNAME;
use wardpost_tests::{Result, run, wait_for};

#[test]
fn ops_06_sighup_swaps_the_certificate() -> Result<()> {
    let practice = Practice::open()?;
    let mut open = practice.imap(&practice.dana)?;
    open.must("SELECT INBOX")?;
    let before = served_serial(&practice)?;

    // A new certificate in the files that the configuration names.
    let next = practice.lab.ca.issue(&[HOSTNAME])?;
    let certificate = configured(&practice, "certificate")?;
    fs::copy(&next.key, configured(&practice, "private_key")?)?;
    fs::copy(&next.certificate, &certificate)?;
    assert_eq!(served_serial(&practice)?, before, "taken without being told");
    practice.wardpost.process().ok_or("it does not run")?.signal("HUP")?;
    wait_for("the new certificate", Duration::from_secs(10), || {
        (served_serial(&practice).ok()? != before).then_some(())
    })?;
    open.must("NOOP")?;
    let text = message("a@hospital.test", &practice.dana, "x", "after the change");
    practice.stranger()?.send("a@hospital.test", &[&practice.dana], &text)?;
    let told = open.must("NOOP")?;
    assert!(told.contains("* 1 EXISTS"), "the open session is deaf: {told}");

    // A broken file changes nothing, and is complained about.
    fs::write(&certificate, "not a certificate")?;
    let good = served_serial(&practice)?;
    practice.wardpost.process().ok_or("it does not run")?.signal("HUP")?;
    wait_for("a complaint", Duration::from_secs(10), || {
        practice.wardpost.log().contains(&*certificate.to_string_lossy()).then_some(())
    })?;
    assert_eq!(served_serial(&practice)?, good);
    Ok(())
}

/// The file that a key of the configuration names.
fn configured(practice: &Practice, key: &str) -> Result<PathBuf> {
    let text = fs::read_to_string(practice.wardpost.config())?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.trim().strip_prefix('='));
    Ok(line.ok_or("it is not configured")?.trim().trim_matches('"').into())
}

/// The serial number of the certificate that port 993 shows.
fn served_serial(practice: &Practice) -> Result<String> {
    let server = practice.wardpost.imaps();
    run(Command::new("sh").arg("-c").arg(format!(
        "openssl s_client -connect {server} -servername {HOSTNAME} </dev/null 2>/dev/null | openssl x509 -noout -serial"
    )))
}

#[test]
fn ops_07_sigterm_drains() -> Result<()> {
    let mut practice = Practice::open()?;
    let mut idle = practice.imap(&practice.dana)?;
    idle.must("SELECT INBOX")?;
    let mut smtp = practice.stranger()?;
    smtp.must("MAIL FROM:<a@hospital.test>", 250)?;
    smtp.must(&format!("RCPT TO:<{}>", practice.dana), 250)?;
    smtp.must("DATA", 354)?;
    smtp.send_raw(b"Subject: x\r\n\r\nfirst half, ")?;
    let process = practice.wardpost.process().ok_or("it does not run")?;
    process.signal("TERM")?;

    // Nobody new is let in, the message under way is taken to its end, and clients are told.
    wait_for("the port to close", Duration::from_secs(10), || {
        Smtp::connect(practice.wardpost.mx()).err()
    })?;
    smtp.send_raw(b"second half\r\n.\r\n")?;
    let reply = smtp.reply()?;
    assert!(reply.starts_with("250"), "{reply}");
    let bye = String::from_utf8_lossy(&idle.response()?).into_owned();
    assert!(bye.starts_with("* BYE"), "{bye}");
    drop(smtp);
    let start = Instant::now();
    practice.wardpost.stop()?;
    assert!(start.elapsed() < Duration::from_secs(10), "took {:?}", start.elapsed());

    practice.wardpost.run()?;
    practice.wait_for_mail(&practice.dana, "first half, second half")?;
    Ok(())
}
