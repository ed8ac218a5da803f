//! The lab itself: a destination takes mail inside TLS and keeps it where tests can see it.

use std::time::Duration;
use wardpost_tests::destinations::{Destination, HOSPITAL, PLAINMAIL};
use wardpost_tests::smtp::Smtp;
use wardpost_tests::{Lab, Result};

#[test]
fn lab_00_postfix_takes_mail_over_tls() -> Result<()> {
    let lab = Lab::start()?;
    let hospital = HOSPITAL.start(&lab)?;
    let mut smtp = Smtp::connect(hospital.address)?;
    smtp.starttls(&lab.ca, "mx.hospital.test")?;
    smtp.send("a@clinic.test", &["b@hospital.test"], "Subject: x\r\n\r\nhello lab\r\n")?;
    hospital.wait_for_message("hello lab", Duration::from_secs(20))?;
    assert!(hospital.log().contains("TLS connection established"));

    let plain = PLAINMAIL.start(&lab)?;
    let mut smtp = Smtp::connect(plain.address)?;
    let ehlo = smtp.must("EHLO client.test", 250)?;
    assert!(!ehlo.contains("STARTTLS"), "{ehlo}");
    Ok(())
}
