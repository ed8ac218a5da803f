//! A university's Exim delivers over verified TLS, with CHUNKING; the message is read over IMAP. An
//! address that does not exist is refused to Exim, which tells its user.

use wardpost_tests::Result;
use wardpost_tests::destinations::{Destination, UNIVERSITY};
use wardpost_tests::practice::{PATIENCE, Practice, message};
use wardpost_tests::smtp::Smtp;

#[test]
fn in_05_exim_delivers() -> Result<()> {
    let practice = Practice::open()?;
    let exim = UNIVERSITY.start_exim(&practice.lab, &practice.wardpost)?;
    let prof = "prof@university.test";
    let text = message(prof, &practice.dana, "Seminar", "Dots:\r\n.\r\n..\r\nI will be late.");
    let mut smtp = Smtp::connect(exim.address)?;
    smtp.must("EHLO desk.university.test", 250)?;
    smtp.send(prof, &[&practice.dana, &practice.lee], &text)?;
    let read = practice
        .wait_for_mail(&practice.dana, "I will be late.")
        .map_err(|e| format!("{e}\n{}", exim.log()))?;
    assert!(read.contains("Dots:\r\n.\r\n..\r\nI will"), "{read}");
    assert!(read.contains("ESMTPS"), "{read}");
    practice.wait_for_mail(&practice.lee, "I will be late.")?;
    let log = exim.log();
    assert!(log.contains("CV=yes"), "Exim did not verify us:\n{log}");
    // `K` on a delivery line: with CHUNKING (Exim's specification §55.3).
    assert!(log.lines().any(|line| line.contains("=> dana@") && line.contains(" K ")), "{log}");

    smtp.send(prof, &["nobody@clinic.test"], &text)?;
    let bounce = exim.wait_for_message("nobody@clinic.test", PATIENCE)?;
    assert!(bounce.contains("550 5.1.1"), "{bounce}");
    Ok(())
}
