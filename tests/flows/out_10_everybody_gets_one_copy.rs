//! One letter to everybody there is: a hospital, a patient without TLS, a colleague, an alias that reaches
//! several people, and the sender. Each gets it by their own route, once, however often they are reached.

use crate::pickup::{mails_with, next_link};
use wardpost_tests::Result;
use wardpost_tests::destinations::{Destination, HOSPITAL, PLAINMAIL};
use wardpost_tests::practice::{PATIENCE, Practice, message};

#[test]
fn out_10_everybody_gets_one_copy() -> Result<()> {
    let practice = Practice::open()?;
    let hospital = HOSPITAL.start(&practice.lab)?;
    let plainmail = PLAINMAIL.start(&practice.lab)?;
    practice
        .wardpost
        .cli(&["alias", "add", "team@clinic.test", &practice.dana, &practice.lee], "")?;
    let to = [
        "ward@hospital.test",
        "pat@plainmail.test",
        "team@clinic.test",
        &practice.lee,
        &practice.dana,
        "Lee+desk@clinic.test",
    ];
    let text = message(&practice.dana, &to.join(", "), "To all", "mark-of-the-letter");
    practice.submit(&practice.dana, &to, &text)?;

    hospital.wait_for_message("mark-of-the-letter", PATIENCE)?;
    next_link(&plainmail, &[])?;
    practice.settled()?;
    for who in [&practice.dana, &practice.lee] {
        assert_eq!(mails_with(&practice, who, "mark-of-the-letter")?.len(), 1, "{who}");
    }
    assert_eq!(hospital.messages().len(), 1);
    assert_eq!(plainmail.messages().len(), 1, "the notice alone");
    assert!(!plainmail.messages()[0].contains("mark-of-the-letter"));
    Ok(())
}
