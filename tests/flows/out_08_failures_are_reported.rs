//! One recipient whom the hospital does not know, a domain that takes no mail, one that does not exist: the
//! others get the message at once, and the sender a report for each that says why and quotes nothing.

use crate::pickup::{ATTACHED, BODY, SUBJECT};
use wardpost_tests::Result;
use wardpost_tests::destinations::{Destination, HOSPITAL};
use wardpost_tests::practice::{PATIENCE, Practice, exists, message_with_attachment};

const REFUSE: &str = "smtpd_recipient_restrictions = \
    check_recipient_access inline:{{nobody@hospital.test = 550 5.1.1 No such person}}, permit";

#[test]
fn out_08_failures_are_reported() -> Result<()> {
    let practice = Practice::open()?;
    let hospital = HOSPITAL.start_with(&practice.lab, &[REFUSE])?;
    let text = message_with_attachment(
        &practice.dana,
        "ward@hospital.test",
        SUBJECT,
        BODY,
        ("results.csv", ATTACHED),
    );
    let bad = ["nobody@hospital.test", "x@nomail.test", "x@does-not-exist.test"];
    let good = ["ward@hospital.test", practice.lee.as_str()];
    practice.submit(&practice.dana, &[good, [bad[0], bad[1]]].concat(), &text)?;
    hospital.wait_for_message(BODY, PATIENCE)?;
    practice.wait_for_mail(&practice.lee, BODY)?;
    practice.submit(&practice.dana, &[bad[2]], &text)?;

    let mut diagnoses = Vec::new();
    for address in bad {
        let report = practice.wait_for_mail(&practice.dana, address)?;
        assert!(report.contains("multipart/report"), "{report}");
        assert!(report.contains("Auto-Submitted: auto-replied"), "{report}");
        assert!(report.contains("Action: failed"), "{report}");
        diagnoses.push(line(&report, "Status: ").to_owned());
        for secret in [SUBJECT, BODY, ATTACHED, "results.csv"] {
            assert!(!report.contains(secret), "{secret} is in the report:\n{report}");
        }
        if address == bad[0] {
            assert!(report.contains("No such person"), "{report}");
        }
    }
    assert_eq!(diagnoses, ["5.1.1", "5.1.10", "5.1.2"]);
    assert_eq!(hospital.messages().len(), 1);
    let queue = practice.wardpost.cli(&["queue", "list", "--json"], "")?;
    assert_eq!(queue.trim(), "[]");
    let mut imap = practice.imap(&practice.dana)?;
    let count = exists(&imap.must("SELECT INBOX")?).unwrap_or_default();
    assert!((2..=3).contains(&count), "{count} reports for three failures");
    Ok(())
}

/// What follows `name` on its line.
fn line<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim()
}
