//! Port 25 takes nothing before TLS, and never a password.

use wardpost_tests::Result;
use wardpost_tests::practice::Practice;
use wardpost_tests::smtp::Smtp;
use wardpost_tests::wardpost::HOSTNAME;

#[test]
fn in_01_cleartext_is_refused() -> Result<()> {
    let practice = Practice::open()?;
    let mut smtp = Smtp::connect(practice.wardpost.mx())?;
    let ehlo = smtp.must("EHLO client.test", 250)?;
    assert!(ehlo.contains("STARTTLS") && !ehlo.contains("AUTH"), "{ehlo}");
    let refusal = smtp.must("MAIL FROM:<a@plainmail.test>", 530)?;
    assert!(refusal.contains("5.7.0") && refusal.contains("https://"), "{refusal}");

    // Submission offers passwords inside TLS only.
    let mut smtp = Smtp::connect(practice.wardpost.submission())?;
    let ehlo = smtp.must("EHLO client.test", 250)?;
    assert!(ehlo.contains("STARTTLS") && !ehlo.contains("AUTH"), "{ehlo}");
    let refusal = smtp.command("AUTH PLAIN AGRhbmEAeA==")?;
    assert!(refusal.starts_with("53") || refusal.starts_with("50"), "{refusal}");
    let mut smtp = Smtp::connect(practice.wardpost.submission())?;
    let ehlo = smtp.starttls(&practice.lab.ca, HOSTNAME)?;
    assert!(ehlo.contains("AUTH PLAIN LOGIN") || ehlo.contains("AUTH LOGIN PLAIN"), "{ehlo}");
    Ok(())
}
