//! Exim as a destination: with a good certificate it gets the message, without TLS only the notice.

use crate::pickup::{Letter, expect_pickup};
use wardpost_tests::Result;
use wardpost_tests::destinations::{Destination, OLDMAIL, UNIVERSITY};
use wardpost_tests::practice::{PATIENCE, Practice, message_with_attachment};

#[test]
fn out_06_exim_verified() -> Result<()> {
    let practice = Practice::open()?;
    let exim = UNIVERSITY.start_exim(&practice.lab, &practice.wardpost)?;
    let text = message_with_attachment(
        &practice.dana,
        "prof@university.test",
        "Seminar",
        "Slides enclosed.\r\n.\r\n..dots stay as they are",
        ("slides.csv", "a,b\r\n"),
    );
    practice.submit(&practice.dana, &["prof@university.test", "dean@university.test"], &text)?;
    let got = exim
        .wait_for_message("Slides enclosed.", PATIENCE)
        .map_err(|e| format!("{e}\n{}", practice.wardpost.log()))?;
    assert!(got.contains("\n.\n..dots stay as they are"), "{got}");
    assert!(got.contains("DKIM-Signature:"), "{got}");
    let log = exim.log();
    let arrivals: Vec<&str> = log.lines().filter(|line| line.contains(" <= dana@")).collect();
    assert_eq!(arrivals.len(), 1, "not one transaction for both recipients:\n{log}");
    assert!(arrivals[0].contains("X=TLS1.3"), "{log}");
    Ok(())
}

#[test]
fn out_07_exim_without_tls_goes_to_pickup() -> Result<()> {
    let practice = Practice::open()?;
    let exim = OLDMAIL.start_exim(&practice.lab, &practice.wardpost)?;
    let letter = Letter::send(&practice, "pat.patient@oldmail.test")?;
    expect_pickup(&practice, &exim, &letter)?;
    Ok(())
}
