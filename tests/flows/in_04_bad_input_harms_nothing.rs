//! Smuggling, loops, oversized and malformed mail get a clear refusal; the next message still arrives.

use wardpost_tests::Result;
use wardpost_tests::practice::{Practice, message};
use wardpost_tests::smtp::Smtp;

/// Starts a transaction up to the 354 that invites the message.
fn ready_for_data(practice: &Practice) -> Result<Smtp> {
    let mut smtp = practice.stranger()?;
    smtp.must("MAIL FROM:<a@hospital.test>", 250)?;
    smtp.must(&format!("RCPT TO:<{}>", practice.dana), 250)?;
    smtp.must("DATA", 354)?;
    Ok(smtp)
}

#[test]
fn in_04_bad_input_harms_nothing() -> Result<()> {
    let practice = Practice::open_with("[limits]\nmessage_bytes = 5242880")?;
    smuggling(&practice)?;
    oversize(&practice)?;
    loops(&practice)?;
    nested(&practice)?;
    http(&practice)?;
    let text = message("a@hospital.test", &practice.dana, "fine", "after the storm");
    practice.stranger()?.send("a@hospital.test", &[&practice.dana], &text)?;
    let read = practice.wait_for_mail(&practice.dana, "after the storm")?;
    assert!(!read.contains("smuggled"), "{read}");
    Ok(())
}

/// SMTP smuggling: no line end but CRLF ends a message, and such a message is refused.
fn smuggling(practice: &Practice) -> Result<()> {
    for end in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r\r\n"] {
        let mut smtp = ready_for_data(practice)?;
        let inner = "MAIL FROM:<evil@hospital.test>\r\nRCPT TO:<dana@clinic.test>\r\nDATA\r\n";
        let wire =
            format!("Subject: x\r\n\r\nbody{end}{inner}Subject: smuggled\r\n\r\nsmuggled\r\n.\r\n");
        smtp.send_raw(wire.as_bytes())?;
        let reply = smtp.reply()?;
        assert!(reply.starts_with('5'), "{end:?} was answered with {reply}");
    }
    Ok(())
}

fn oversize(practice: &Practice) -> Result<()> {
    let mut smtp = practice.stranger()?;
    let early = smtp.command("MAIL FROM:<a@hospital.test> SIZE=104857600")?;
    assert!(early.starts_with("552"), "{early}");
    let mut smtp = ready_for_data(practice)?;
    let line = format!("{}\r\n", "x".repeat(76)).repeat(1000);
    for _ in 0..80 {
        smtp.send_raw(line.as_bytes())?;
    }
    smtp.send_raw(b".\r\n")?;
    let reply = smtp.reply()?;
    assert!(reply.starts_with("552"), "{reply}");
    Ok(())
}

fn loops(practice: &Practice) -> Result<()> {
    let mut smtp = ready_for_data(practice)?;
    let received = "Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\n".repeat(120);
    smtp.send_raw(format!("{received}Subject: round\r\n\r\nx\r\n.\r\n").as_bytes())?;
    let reply = smtp.reply()?;
    assert!(reply.starts_with("554") && reply.contains("5.4.6"), "{reply}");
    Ok(())
}

/// Ten thousand nested parts are odd but harmless: taken, and readable as far as they go.
fn nested(practice: &Practice) -> Result<()> {
    let mut text = String::from("Subject: nested\r\nMIME-Version: 1.0\r\n");
    for n in 0..10_000 {
        text.push_str(&format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n"));
    }
    let mut smtp = ready_for_data(practice)?;
    smtp.send_raw(format!("{text}\r\nend\r\n.\r\n").as_bytes())?;
    let reply = smtp.reply()?;
    assert!(reply.starts_with("250"), "{reply}");
    let mut imap = practice.imap(&practice.dana)?;
    imap.must("SELECT INBOX")?;
    imap.must("FETCH 1:* (ENVELOPE BODYSTRUCTURE)")?;
    Ok(())
}

/// A browser that was tricked into talking to port 25 is hung up on.
fn http(practice: &Practice) -> Result<()> {
    let mut smtp = Smtp::connect(practice.wardpost.mx())?;
    smtp.send_raw(b"POST / HTTP/1.1\r\nHost: x\r\n\r\nMAIL FROM:<a@b.test>\r\n")?;
    while let Ok(reply) = smtp.reply() {
        assert!(!reply.starts_with("250"), "{reply}");
    }
    Ok(())
}
