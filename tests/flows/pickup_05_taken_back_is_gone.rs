//! A letter that was taken back cannot be read any more, not even by somebody who has it open.

use crate::pickup::{BODY, Letter, expect_pickup};
use serde_json::Value;
use wardpost_tests::Result;
use wardpost_tests::destinations::PLAINMAIL;
use wardpost_tests::practice::Practice;
use wardpost_tests::web::{Browser, enter_code};

#[test]
fn pickup_05_taken_back_is_gone() -> Result<()> {
    let practice = Practice::open()?;
    let plainmail = PLAINMAIL.start(&practice.lab)?;
    let letter = Letter::send(&practice, "pat@plainmail.test")?;
    let pickup = expect_pickup(&practice, &plainmail, &letter)?;
    let patient = Browser::new(&practice.lab, &practice.wardpost, "patient")?;
    let opened = enter_code(&patient, &patient.open(&pickup.link)?, &pickup.code)?;
    assert!(opened.body.contains(BODY), "{}", opened.body);

    let list = ["parcel", "list", "--sender", &practice.dana, "--json"];
    let parcels: Value = serde_json::from_str(&practice.wardpost.cli(&list, "")?)?;
    assert_eq!(parcels[0]["state"], "opened", "{parcels}");
    let id = parcels[0]["id"].as_str().ok_or("no parcel")?;
    practice.wardpost.cli(&["parcel", "recall", id], "")?;

    for page in [opened.url.clone(), format!("{}/file/0", opened.url)] {
        let again = patient.open(&page)?;
        assert!(again.status != 200 && !again.body.contains(BODY), "{}", again.body);
    }
    let again = enter_code(&patient, &patient.open(&pickup.link)?, &pickup.code)?;
    assert!(again.status == 410 && again.body.contains("taken"), "{}", again.body);
    let show = practice.wardpost.cli(&["parcel", "show", id], "")?;
    assert!(show.contains("recalled"), "{show}");
    Ok(())
}
