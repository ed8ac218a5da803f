//! Words from a subject, a body, an attachment, a patient's address, a mailbox's name and a parcel are in
//! no file of Wardpost's: not in the data folder, not in the log, while it runs and after it stopped.

use crate::pickup::{ATTACHED, BODY, Letter, SUBJECT, expect_pickup};
use wardpost_tests::destinations::{HOSPITAL, PLAINMAIL};
use wardpost_tests::practice::{Practice, message};
use wardpost_tests::{Result, files_containing};

const FOLDER: &str = "canary-folder-onc0logy";
const PATIENT: &str = "canary.patient.q9";
const UNSENT: &str = "canary-unsent-k1dney";

#[test]
fn rest_01_nothing_readable_at_rest() -> Result<()> {
    let mut practice = Practice::open()?;
    let plainmail = PLAINMAIL.start(&practice.lab)?;
    let letter = Letter::send(&practice, &format!("{PATIENT}@plainmail.test"))?;
    expect_pickup(&practice, &plainmail, &letter)?;

    // Mail in, filed under a telling name, drafts, and mail that waits for a server that is down.
    let text = message(&format!("{PATIENT}@hospital.test"), &practice.dana, SUBJECT, BODY);
    practice.stranger()?.send(&format!("{PATIENT}@hospital.test"), &[&practice.dana], &text)?;
    let mut imap = practice.imap(&practice.dana)?;
    imap.must(&format!("CREATE \"{FOLDER}\""))?;
    imap.append(FOLDER, &text)?;
    imap.must("SELECT INBOX")?;
    imap.must(&format!("STORE 1:* +FLAGS ({FOLDER})"))?;
    let waiting = message(&practice.dana, "ward@hospital.test", UNSENT, UNSENT);
    practice.submit(&practice.dana, &[&format!("{PATIENT}@{}", HOSPITAL.domain)], &waiting)?;

    search(&practice)?;
    practice.wardpost.stop()?;
    search(&practice)
}

fn search(practice: &Practice) -> Result<()> {
    let folder = practice.wardpost.config();
    let folder = folder.parent().ok_or("no folder")?;
    for canary in [SUBJECT, BODY, ATTACHED, FOLDER, PATIENT, UNSENT] {
        let found = files_containing(folder, canary)?;
        assert!(found.is_empty(), "{canary} was found in {found:?}");
    }
    Ok(())
}
