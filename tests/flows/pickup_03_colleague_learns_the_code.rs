//! A second person at the practice writes to a patient whose code was made for the first: they are told the
//! same code, once, and the server, which cannot read it, has only passed a sealed mail on.

use crate::pickup::{Letter, expect_pickup, mails_with, next_link};
use wardpost_tests::destinations::PLAINMAIL;
use wardpost_tests::practice::{Practice, message};
use wardpost_tests::web::{Browser, code, enter_code};
use wardpost_tests::{Result, files_containing};

#[test]
fn pickup_03_colleague_learns_the_code() -> Result<()> {
    let mut practice = Practice::open()?;
    let plainmail = PLAINMAIL.start(&practice.lab)?;
    let pat = "pat@plainmail.test";
    let letter = Letter::send(&practice, pat)?;
    let pickup = expect_pickup(&practice, &plainmail, &letter)?;

    // Nothing of this may rest on what the server still remembers.
    practice.wardpost.stop()?;
    practice.wardpost.run()?;
    let text = message(&practice.lee, pat, "Your appointment", "It is on Monday at nine.");
    practice.submit(&practice.lee, &[pat], &text)?;
    let second = next_link(&plainmail, &[&pickup.link])?;
    let told = practice.wait_for_mail(&practice.lee, pat)?;
    assert_eq!(code(&told).as_ref(), Some(&pickup.code), "{told}");

    let patient = Browser::new(&practice.lab, &practice.wardpost, "patient")?;
    let page = patient.open(&second)?;
    let opened = enter_code(&patient, &page, &pickup.code)?;
    assert!(opened.body.contains("Monday at nine"), "{}", opened.body);

    practice.submit(&practice.lee, &[pat], &text)?;
    let third = next_link(&plainmail, &[&pickup.link, &second])?;
    assert_ne!(third, second);
    for who in [&practice.dana, &practice.lee] {
        let codes = mails_with(&practice, who, &pickup.code)?;
        assert_eq!(codes.len(), 1, "{who} was told so often");
    }
    practice.wardpost.stop()?;
    let leaks = files_containing(&practice.wardpost.data(), &pickup.code)?;
    assert!(leaks.is_empty(), "the code was found in {leaks:?}");
    Ok(())
}
