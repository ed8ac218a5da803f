//! What attackers and broken programs send: each gets a clear answer, the daemon's memory stays bounded, and
//! the office goes on working.

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};
use wardpost_tests::imap::Imap;
use wardpost_tests::practice::{Practice, exists, message};
use wardpost_tests::smtp::Smtp;
use wardpost_tests::wardpost::HOSTNAME;
use wardpost_tests::{Result, wait_for};

/// More than the daemon may ever hold, in MiB, whatever strangers send. It needs about 180; a
/// password hash under way takes 64.
const BOUND_MIB: u64 = 300;

#[test]
fn in_06_hostile_input_harms_nothing() -> Result<()> {
    let practice = Practice::open()?;
    let before = practice.wardpost.peak_memory_mib()?;
    too_large(&practice)?;
    endless_line(&practice)?;
    broken_bytes(&practice)?;
    endless_imap_line(&practice)?;
    huge_literals(&practice)?;
    let after = practice.wardpost.peak_memory_mib()?;
    assert!(after < BOUND_MIB, "peak memory: {before} MiB, then {after} MiB");
    works(&practice)
}

/// Mail still comes in and is read.
fn works(practice: &Practice) -> Result<()> {
    let text = message("a@hospital.test", &practice.dana, "fine", "after the storm");
    practice.stranger()?.send("a@hospital.test", &[&practice.dana], &text)?;
    practice.wait_for_mail(&practice.dana, "after the storm")?;
    Ok(())
}

/// Up to the 354 that invites the message.
fn ready_for_data(practice: &Practice) -> Result<Smtp> {
    let mut smtp = practice.stranger()?;
    smtp.must("MAIL FROM:<a@hospital.test>", 250)?;
    smtp.must(&format!("RCPT TO:<{}>", practice.dana), 250)?;
    smtp.must("DATA", 354)?;
    Ok(smtp)
}

/// 100 MiB, unannounced, over the default limit of 50 MiB. The daemon may refuse at the end or hang up.
fn too_large(practice: &Practice) -> Result<()> {
    let mut smtp = ready_for_data(practice)?;
    let block = format!("{}\r\n", "x".repeat(76)).repeat(13443);
    for _ in 0..100 {
        smtp.send_raw(block.as_bytes())?;
    }
    smtp.send_raw(b".\r\n")?;
    let reply = smtp.reply()?;
    assert!(reply.starts_with("552"), "{reply}");
    let mut smtp = practice.stranger()?;
    smtp.must("MAIL FROM:<a@hospital.test> SIZE=104857600", 552)?;
    Ok(())
}

/// 20 MiB of command, and of message, without a line end.
fn endless_line(practice: &Practice) -> Result<()> {
    let block = vec![b'x'; 1 << 20];
    let mut smtp = practice.stranger()?;
    let mut cut_off = false;
    for _ in 0..20 {
        cut_off |= smtp.send_raw(&block).is_err();
    }
    let reply = smtp.send_raw(b"\r\n").and_then(|()| smtp.reply());
    assert!(cut_off || reply.as_ref().is_ok_and(|r| r.starts_with("500")), "{reply:?}");

    let mut smtp = ready_for_data(practice)?;
    for _ in 0..20 {
        smtp.send_raw(&block)?;
    }
    smtp.send_raw(b"\r\n.\r\n")?;
    let reply = smtp.reply()?;
    assert!(reply.starts_with("250") || reply.starts_with('5'), "{reply}");
    Ok(())
}

/// NULs and invalid UTF-8: in commands refused, in a message kept as they came.
fn broken_bytes(practice: &Practice) -> Result<()> {
    let mut smtp = practice.stranger()?;
    for line in [
        &b"MAIL FROM:<a\0b@hospital.test>\r\n"[..],
        b"MAIL FROM:<\xff\xfe@hospital.test>\r\n",
        b"MAIL FROM:<\xff\xfe@hospital.test> SMTPUTF8\r\n",
        b"\0\0\0\r\n",
    ] {
        smtp.send_raw(line)?;
        let reply = smtp.reply()?;
        assert!(reply.starts_with("50") || reply.starts_with("55"), "{reply}");
    }
    smtp.must("MAIL FROM:<j\u{f6}rg@hospital.test> SMTPUTF8", 250)?;
    smtp.send_raw(b"RCPT TO:<\xc3\x28@clinic.test>\r\n")?;
    let reply = smtp.reply()?;
    assert!(reply.starts_with('5'), "{reply}");
    smtp.must(&format!("RCPT TO:<{}>", practice.dana), 250)?;
    smtp.must("DATA", 354)?;
    smtp.send_raw(
        b"From: \xff\xfe <a@hospital.test>\r\nSubject: broken \xc3\x28 \0 bytes\r\n\
          Content-Type: text/plain; charset=\xe9\r\n\r\nNUL: \0, Latin: \xe9\r\n.\r\n",
    )?;
    let reply = smtp.reply()?;
    if !reply.starts_with("250") {
        assert!(reply.starts_with("55"), "{reply}");
        return Ok(());
    }
    let mut imap = practice.imap(&practice.dana)?;
    let count = exists(&imap.must("SELECT INBOX")?).ok_or("no EXISTS")?;
    imap.must(&format!("FETCH {count} (ENVELOPE BODYSTRUCTURE BODY.PEEK[])"))?;
    imap.must("SEARCH SUBJECT broken")?;
    Ok(())
}

fn endless_imap_line(practice: &Practice) -> Result<()> {
    let mut imap = connect(practice)?;
    let block = vec![b'x'; 1 << 20];
    let mut cut_off = false;
    for _ in 0..20 {
        cut_off |= imap.send_raw(&block).is_err();
    }
    let answer = imap.send_raw(b"\r\n").and_then(|()| imap.response());
    let text = answer.as_ref().map(|a| String::from_utf8_lossy(a).into_owned());
    assert!(
        cut_off || text.as_ref().is_ok_and(|t| t.contains("BAD") || t.contains("BYE")),
        "{text:?}"
    );
    Ok(())
}

/// 8 GiB announced, in every way, before and after log-in: refused at once, and never waited for.
fn huge_literals(practice: &Practice) -> Result<()> {
    for text in ["LOGIN {8589934592}", "LOGIN {8589934592+}", "LOGIN dana {99999999999999999999+}"]
    {
        refused(connect(practice)?, text)?;
    }
    for text in [
        "APPEND INBOX {8589934592}",
        "APPEND INBOX {8589934592+}",
        "APPEND INBOX ~{8589934592+}",
        "SEARCH SUBJECT {8589934592}",
        "SELECT {8589934592+}",
    ] {
        refused(practice.imap(&practice.dana)?, text)?;
    }
    // The session that was told no to a synchronising literal goes on.
    let mut imap = practice.imap(&practice.dana)?;
    let answer = imap.command("APPEND INBOX {8589934592}")?;
    assert!(answer.contains("TOOBIG"), "{answer}");
    imap.must("NOOP")?;
    Ok(())
}

fn refused(mut imap: Imap, text: &str) -> Result<()> {
    let start = Instant::now();
    imap.start(text)?;
    let answer = String::from_utf8_lossy(&imap.response()?).into_owned();
    let no = [" NO ", " BAD ", "* BYE"].iter().any(|word| answer.contains(word));
    assert!(no, "{text} was answered with {answer}");
    assert!(start.elapsed() < Duration::from_secs(5), "{text} took {:?}", start.elapsed());
    Ok(())
}

fn connect(practice: &Practice) -> Result<Imap> {
    Imap::connect(practice.wardpost.imaps(), &practice.lab.ca, HOSTNAME)
}

/// What port 25 says to somebody who says nothing, until it hangs up or pauses.
fn greeting(practice: &Practice) -> Result<String> {
    let mut smtp = TcpStream::connect_timeout(&practice.wardpost.mx(), Duration::from_secs(5))?;
    smtp.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut said = [0; 512];
    let n = smtp.read(&mut said)?;
    Ok(String::from_utf8_lossy(&said[..n]).into_owned())
}

/// Thousands of connections that say nothing: those over the limit are told so, memory stays bounded, and
/// once they are gone everybody is let in again.
#[test]
fn in_07_idle_strangers_are_refused_politely() -> Result<()> {
    let practice = Practice::open()?;
    let mut idle = Vec::new();
    for _ in 0..3000 {
        idle.push(TcpStream::connect_timeout(&practice.wardpost.mx(), Duration::from_secs(10))?);
    }
    // In the middle of the flood some are closed without a word.
    wait_for("a connection over the limit to be told so", Duration::from_secs(5), || {
        let said = greeting(&practice).ok()?;
        assert!(!said.starts_with("220"), "no limit");
        said.starts_with("421 ").then_some(())
    })?;
    for _ in 0..3000 {
        idle.push(TcpStream::connect_timeout(&practice.wardpost.imaps(), Duration::from_secs(10))?);
    }
    let peak = practice.wardpost.peak_memory_mib()?;
    assert!(peak < BOUND_MIB, "{peak} MiB for idle strangers");
    // Staff come from elsewhere: their way in is not blocked by strangers' connections to port 25.
    practice.submit(&practice.dana, &[&practice.lee], &message(&practice.dana, "lee", "x", "y"))?;
    drop(idle);
    wait_for("a stranger to be let in again", Duration::from_secs(20), || works(&practice).ok())
}
