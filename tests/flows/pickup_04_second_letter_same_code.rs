//! A patient through several letters: the second opens with the same code, the third with a password of the
//! patient's own. Wrong codes slow down until somebody at the practice helps; a new code replaces whatever
//! was there before.

use crate::pickup::{BODY, Letter, expect_pickup, mails_with, next_link};
use serde_json::Value;
use wardpost_tests::Result;
use wardpost_tests::destinations::PLAINMAIL;
use wardpost_tests::practice::Practice;
use wardpost_tests::web::{Browser, Page, code, enter_code, hidden_fields};

const PAT: &str = "pat@plainmail.test";
const PASSWORD: &str = "my neighbour's blue bicycle";

#[test]
fn pickup_04_second_letter_same_code() -> Result<()> {
    let practice = Practice::open()?;
    let plainmail = PLAINMAIL.start(&practice.lab)?;
    let letter = Letter::send(&practice, PAT)?;
    let pickup = expect_pickup(&practice, &plainmail, &letter)?;
    let patient = Browser::new(&practice.lab, &practice.wardpost, "patient")?;
    let first = enter(&patient, &pickup.link, &pickup.code)?;
    assert!(first.body.contains(BODY), "{}", first.body);

    Letter::send(&practice, PAT)?;
    let second = next_link(&plainmail, &[&pickup.link])?;
    let opened = enter(&patient, &second, &pickup.code.replace('-', " "))?;
    assert!(opened.body.contains(BODY), "{}", opened.body);
    choose_password(&patient, &opened)?;

    Letter::send(&practice, PAT)?;
    let third = next_link(&plainmail, &[&pickup.link, &second])?;
    assert_eq!(enter(&patient, &third, &pickup.code)?.status, 403, "the code is worth nothing now");
    let opened = enter_password(&patient, &third, PASSWORD)?;
    assert!(opened.body.contains(BODY), "{}", opened.body);
    assert_eq!(mails_with(&practice, &practice.dana, &pickup.code)?.len(), 1, "told again");

    guess_until_told_to_wait(&patient, &third)?;
    assert_eq!(enter_password(&patient, &third, PASSWORD)?.status, 429);
    let parcels: Value =
        serde_json::from_str(&practice.wardpost.cli(&["parcel", "list", "--json"], "")?)?;
    let slowed = parcels.as_array().and_then(|all| all.iter().find(|one| one["wrong_codes"] != 0));
    let id = slowed.and_then(|one| one["id"].as_str()).ok_or("no parcel with wrong codes")?;
    practice.wardpost.cli(&["parcel", "unlock", id], "")?;
    assert_eq!(enter_password(&patient, &third, PASSWORD)?.status, 200);

    let said = practice.wardpost.cli(&["parcel", "code", PAT], "")?;
    let fresh = code(&said).ok_or("no code was printed")?;
    let gone = enter(&patient, &third, &fresh)?;
    assert!(gone.status == 410 && gone.body.contains("new code"), "{}", gone.body);
    Letter::send(&practice, PAT)?;
    let fourth = next_link(&plainmail, &[&pickup.link, &second, &third])?;
    let opened = enter(&patient, &fourth, &fresh)?;
    assert!(opened.body.contains(BODY), "{}", opened.body);
    Ok(())
}

fn enter(patient: &Browser, link: &str, code: &str) -> Result<Page> {
    enter_code(patient, &patient.open(link)?, code)
}

fn enter_password(patient: &Browser, link: &str, password: &str) -> Result<Page> {
    patient.post(link, &[("password", password)])
}

fn choose_password(patient: &Browser, opened: &Page) -> Result<()> {
    let form = patient.open(&format!("{}/password", opened.url))?;
    let hidden = hidden_fields(&form.body);
    let mut fields: Vec<(&str, &str)> =
        hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    fields.extend([("password", PASSWORD), ("again", PASSWORD)]);
    let done = patient.post(&form.url, &fields)?;
    assert!(done.body.contains("Your password is set"), "{}", done.body);
    Ok(())
}

fn guess_until_told_to_wait(patient: &Browser, link: &str) -> Result<()> {
    for _ in 0..5 {
        if enter(patient, link, "0000-0000")?.status == 429 {
            return Ok(());
        }
    }
    Err("five wrong codes in a row and nobody minds".into())
}
