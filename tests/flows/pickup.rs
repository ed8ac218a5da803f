//! What the pickup flows share: a letter full of secrets, and what must come of it.

use wardpost_tests::destinations::Destination;
use wardpost_tests::practice::{PATIENCE, Practice, exists, message_with_attachment};
use wardpost_tests::{Result, files_containing, wait_for, web};

/// Words that stand for a patient's secrets; none may be found where it does not belong.
pub(crate) const SUBJECT: &str = "canary-subject-b1opsy";
pub(crate) const BODY: &str = "canary-body-haemogl0bin";
pub(crate) const ATTACHED: &str = "canary-attachment-x7ray";

/// A letter that was sent to a patient.
pub(crate) struct Letter {
    /// The patient's address.
    pub(crate) patient: String,
}

impl Letter {
    /// Dana writes to a patient, with an attachment.
    pub(crate) fn send(practice: &Practice, patient: &str) -> Result<Self> {
        let text = message_with_attachment(
            &format!("Dr. Dana Reyes <{}>", practice.dana),
            patient,
            SUBJECT,
            &format!("Dear Pat, your result: {BODY}."),
            ("result.csv", ATTACHED),
        );
        practice.submit(&practice.dana, &[patient], &text)?;
        Ok(Self { patient: patient.to_owned() })
    }

    /// Dana writes to a patient, as plain text and as `html`.
    pub(crate) fn send_formatted(practice: &Practice, patient: &str, html: &str) -> Result<Self> {
        let text = format!(
            "From: Dr. Dana Reyes <{}>\r\nTo: {patient}\r\nSubject: {SUBJECT}\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/alternative; boundary=\"=_wp\"\r\n\r\n\
             --=_wp\r\nContent-Type: text/plain\r\n\r\nDear Pat, your result: {BODY}.\r\n\
             --=_wp\r\nContent-Type: text/html\r\n\r\n{html}\r\n--=_wp--\r\n",
            practice.dana,
        );
        practice.submit(&practice.dana, &[patient], &text)?;
        Ok(Self { patient: patient.to_owned() })
    }
}

/// What the patient holds: the link from the notice, and the code that Dana told by phone.
#[derive(Debug)]
pub(crate) struct Pickup {
    pub(crate) link: String,
    pub(crate) code: String,
}

/// The server got the notice and nothing else; Dana got the code.
pub(crate) fn expect_pickup(
    practice: &Practice,
    server: &impl Destination,
    letter: &Letter,
) -> Result<Pickup> {
    let notice = server
        .wait_for_message("https://mail.clinic.test", PATIENCE)
        .map_err(|e| format!("{e}\n{}", practice.wardpost.log()))?;
    let plain = unfolded(&notice);
    assert!(plain.contains("+1 555 0100"), "no telephone number to check:\n{plain}");
    assert!(!plain.contains("Dana"), "the notice names the sender:\n{plain}");
    for secret in [SUBJECT, BODY, ATTACHED] {
        let leaks = files_containing(server.folder(), secret)?;
        assert!(leaks.is_empty(), "{secret} was found in {leaks:?}");
    }
    let link =
        web::link(&plain, "https://mail.clinic.test:8443/p/").ok_or("no link in the notice")?;

    let told = practice.wait_for_mail(&practice.dana, &letter.patient)?;
    let code = web::code(&told).ok_or("no code in the mail to the sender")?;
    assert!(!plain.contains(&code), "link and code travel together");
    Ok(Pickup { link, code })
}

/// Waits for a notice whose link is none of those known already.
pub(crate) fn next_link(server: &impl Destination, known: &[&str]) -> Result<String> {
    wait_for("another notice", PATIENCE, || {
        server.messages().iter().find_map(|notice| {
            let link = web::link(&unfolded(notice), "https://mail.clinic.test:8443/p/")?;
            (!known.contains(&link.as_str())).then_some(link)
        })
    })
    .map_err(|e| format!("{e}\n{}", server.log()).into())
}

/// The messages in somebody's INBOX that contain `text`.
pub(crate) fn mails_with(practice: &Practice, who: &str, text: &str) -> Result<Vec<String>> {
    let mut imap = practice.imap(who)?;
    let count = exists(&imap.must("SELECT INBOX")?).ok_or("no EXISTS")?;
    let mut found = Vec::new();
    for n in 1..=count {
        let mail = imap.must(&format!("FETCH {n} BODY.PEEK[]"))?;
        if mail.contains(text) {
            found.push(mail);
        }
    }
    Ok(found)
}

/// A quoted-printable text without its soft line breaks.
fn unfolded(text: &str) -> String {
    text.replace("=\r\n", "").replace("=\n", "").replace("=3D", "=")
}
