//! A hospital with everything in order gets the message itself: over TLS, signed, once, without Bcc.

use wardpost_tests::Result;
use wardpost_tests::destinations::{Destination, HOSPITAL};
use wardpost_tests::practice::{PATIENCE, Practice, message_with_attachment};

#[test]
fn out_01_verified_tls_delivers() -> Result<()> {
    let practice = Practice::open()?;
    let hospital = HOSPITAL.start(&practice.lab)?;
    let text = message_with_attachment(
        &practice.dana,
        "ward@hospital.test",
        "Transfer",
        "Patient arrives at noon.\r\n.\r\n..dots stay as they are",
        ("results.csv", "a,b\r\n1,2\r\n"),
    );
    let text = text.replacen("Subject:", "Bcc: hidden@hospital.test\r\nSubject:", 1);
    practice.submit(&practice.dana, &["ward@hospital.test"], &text)?;

    let got = hospital
        .wait_for_message("Patient arrives at noon.", PATIENCE)
        .map_err(|e| format!("{e}\n{}", practice.wardpost.log()))?;
    assert!(got.contains("\n.\n..dots stay as they are"), "{got}");
    assert!(got.contains("DKIM-Signature:") && got.contains("d=clinic.test"), "{got}");
    assert!(got.contains("Message-ID:") && got.contains("Date:"), "{got}");
    assert!(!got.contains("hidden@hospital.test"), "{got}");
    assert!(hospital.log().contains("TLS connection established from"), "{}", hospital.log());
    assert_eq!(hospital.messages().len(), 1);
    Ok(())
}
