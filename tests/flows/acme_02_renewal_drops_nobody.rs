//! A certificate is renewed in the middle of the day: whoever is connected notices nothing, and the key
//! stays, so that what is in the DNS about it holds.

use crate::acme::{Certified, PATIENCE, serial, show};
use crate::published::{dane_verifies, tlsa};
use wardpost_tests::imap::Imap;
use wardpost_tests::pebble::Manners;
use wardpost_tests::practice::exists;
use wardpost_tests::smtp::Smtp;
use wardpost_tests::wardpost::{HOSTNAME, PASSWORD};
use wardpost_tests::{Result, wait_for};

/// A large message: as much as an X-ray.
const LINES: usize = 200_000;

#[test]
fn acme_02_renewal_drops_nobody() -> Result<()> {
    let mut practice = Certified::open(Manners { remembers: 100, ..Manners::default() })?;
    let view = practice.certified()?;
    let trust = practice.pebble.trust()?;
    let wardpost = &practice.wardpost;
    let dana = wardpost.add_account("dana", "Dr. Dana Reyes")?;
    let (first, record) = (serial(wardpost)?, tlsa(wardpost, "current")?);
    assert!(dane_verifies(wardpost, &record)?);

    // Somebody reads, somebody waits for news, and a large message is half way in.
    let open = || Imap::login(wardpost.imaps(), &trust, HOSTNAME, &dana, PASSWORD);
    let (mut reads, mut waits) = (open()?, open()?);
    reads.must("SELECT INBOX")?;
    waits.must("SELECT INBOX")?;
    waits.start("IDLE")?;
    assert!(waits.response()?.starts_with(b"+"));
    let mut letter = Smtp::connect(wardpost.mx())?;
    letter.starttls(&trust, HOSTNAME)?;
    letter.must("EHLO radiology.test", 250)?;
    letter.must("MAIL FROM:<x@radiology.test>", 250)?;
    letter.must(&format!("RCPT TO:<{dana}>"), 250)?;
    letter.must("DATA", 354)?;
    letter.send_raw(b"From: x@radiology.test\r\nSubject: picture\r\n\r\nbegin-of-picture\r\n")?;
    let line = [[b'x'; 62].as_slice(), b"\r\n"].concat();
    let half = line.repeat(LINES / 2);
    letter.send_raw(&half)?;

    for _ in 0..3 {
        let before = serial(wardpost)?;
        wardpost.cli(&["tls", "renew"], "")?;
        assert_ne!(serial(wardpost)?, before, "new connections see the new certificate");
    }

    letter.send_raw(&half)?;
    letter.send_raw(b"end-of-picture\r\n.\r\n")?;
    let taken = letter.reply()?;
    assert!(taken.starts_with("250"), "{taken}");
    let news = String::from_utf8_lossy(&waits.response()?).into_owned();
    assert!(exists(&news) == Some(1), "{news}");
    let noticed = reads.must("NOOP")?;
    assert!(noticed.contains("* 1 EXISTS"), "{noticed}");
    let text = reads.must("FETCH 1 BODY.PEEK[TEXT]")?;
    assert!(text.contains("begin-of-picture") && text.contains("end-of-picture"));
    assert!(text.len() > LINES * 64, "it came whole");

    // The key is the same, so the TLSA record that was published for the first certificate holds.
    assert_ne!(serial(wardpost)?, first);
    assert_eq!(tlsa(wardpost, "current")?, record);
    assert!(dane_verifies(wardpost, &record)?);
    let orders = |log: &str| log.matches("Issued certificate").count();
    let issued = orders(&practice.pebble.log());
    assert_eq!(issued, 4, "{}", practice.pebble.log());
    // Nobody may do that all day: authorities give out a few a week.
    for _ in 0..2 {
        wardpost.cli(&["tls", "renew"], "")?;
    }
    let output = wardpost.cli_output(&["tls", "renew"], "")?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && told.contains("5 certificates"), "{told}");
    assert!(show(wardpost)?["acme"]["last_failure"].is_null());
    let issued = orders(&practice.pebble.log());
    assert_eq!(issued, 6, "{}", practice.pebble.log());
    // What the authority remembers is not proven again.
    let proofs = practice.pebble.log().matches("Pulled a task").count();
    assert_eq!(proofs, 1, "{}", practice.pebble.log());

    // A restart finds the certificate, and orders nothing.
    let last = serial(&practice.wardpost)?;
    practice.wardpost.stop()?;
    practice.wardpost.run()?;
    assert_eq!(serial(&practice.wardpost)?, last);
    let again = show(&practice.wardpost)?;
    assert_ne!(again["acme"]["since"], view["acme"]["since"]);
    assert_eq!(orders(&practice.pebble.log()), issued);
    Ok(())
}

#[test]
fn acme_02_an_authority_that_forgot_us_is_told_again() -> Result<()> {
    let mut practice = Certified::open(Manners::default())?;
    practice.certified()?;
    let first = serial(&practice.wardpost)?;
    // Another authority under the old name: it knows neither our account nor our certificate.
    practice.pebble.stop();
    practice.pebble.run()?;
    practice.wardpost.cli(&["tls", "renew"], "")?;
    assert_ne!(serial(&practice.wardpost)?, first);
    // And with an account of its own making, as for one that was closed.
    practice.wardpost.cli(&["tls", "renew", "--new-account"], "")?;
    let view = show(&practice.wardpost)?;
    assert_eq!(view["acme"]["failures"], 0, "{view}");
    wait_for("two accounts", PATIENCE, || {
        practice.pebble.log().contains("There are now 2 accounts").then_some(())
    })?;
    Ok(())
}
