//! A colleague's Postfix delivers over STARTTLS; the message is read over IMAP, with what was learnt of
//! its sender.

use wardpost_tests::Result;
use wardpost_tests::destinations::{COLLEAGUE, Destination};
use wardpost_tests::practice::{Practice, message};
use wardpost_tests::smtp::Smtp;

#[test]
fn in_02_postfix_delivers_and_imap_reads() -> Result<()> {
    let practice = Practice::open()?;
    let relay =
        format!("relayhost = [{}]:{}", practice.wardpost.mx().ip(), practice.wardpost.mx().port());
    let postfix =
        COLLEAGUE.start_with(&practice.lab, &[&relay, "smtp_tls_security_level = encrypt"])?;
    let mut smtp = Smtp::connect(postfix.address)?;
    smtp.must("EHLO desk.colleague.test", 250)?;
    let text = message("joe@colleague.test", &practice.dana, "Referral", "Please see my patient.");
    smtp.send("joe@colleague.test", &[&practice.dana], &text)?;

    let read = practice
        .wait_for_mail(&practice.dana, "Please see my patient.")
        .map_err(|e| format!("{e}\n{}", postfix.log()))?;
    assert!(read.contains("Authentication-Results: mail.clinic.test;"), "{read}");
    assert!(read.contains("ESMTPS"), "{read}");
    assert!(postfix.log().contains("250 2."), "{}", postfix.log());
    Ok(())
}
