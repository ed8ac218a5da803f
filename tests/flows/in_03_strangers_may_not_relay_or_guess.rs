//! Unknown people are refused at RCPT, and nobody relays.

use wardpost_tests::Result;
use wardpost_tests::practice::Practice;

#[test]
fn in_03_strangers_may_not_relay_or_guess() -> Result<()> {
    let practice = Practice::open()?;
    let mut smtp = practice.stranger()?;
    smtp.must("MAIL FROM:<a@hospital.test>", 250)?;
    let unknown = smtp.must("RCPT TO:<nobody@clinic.test>", 550)?;
    assert!(unknown.contains("5.1.1"), "{unknown}");
    let relay = smtp.must("RCPT TO:<b@hospital.test>", 55)?;
    assert!(relay.contains("5.7.1"), "{relay}");
    let percent = smtp.command("RCPT TO:<b%hospital.test@clinic.test>")?;
    assert!(percent.starts_with("55"), "{percent}");
    smtp.must("RCPT TO:<DANA+lab@Clinic.TEST>", 250)?;
    Ok(())
}
