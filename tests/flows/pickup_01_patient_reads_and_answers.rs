//! A patient opens the link, is asked for the code, reads, downloads the attachment and answers with a file;
//! the answer is in the doctor's INBOX as a threaded mail. Scanners that open the link change nothing.

use crate::pickup::{ATTACHED, BODY, Letter, expect_pickup};
use std::fs;
use wardpost_tests::Result;
use wardpost_tests::destinations::PLAINMAIL;
use wardpost_tests::practice::Practice;
use wardpost_tests::web::{Browser, attribute_after, enter_code, hidden_fields};

#[test]
fn pickup_01_patient_reads_and_answers() -> Result<()> {
    let practice = Practice::open()?;
    let plainmail = PLAINMAIL.start(&practice.lab)?;
    let letter = Letter::send(&practice, "pat@plainmail.test")?;
    let pickup = expect_pickup(&practice, &plainmail, &letter)?;

    let scanner = Browser::new(&practice.lab, &practice.wardpost, "scanner")?;
    for _ in 0..5 {
        let page = scanner.open(&pickup.link)?;
        scanner.head(&pickup.link)?;
        assert!(!page.body.contains(BODY) && !page.body.contains("Dana"), "{}", page.body);
        assert!(!page.body.contains("<script"), "{}", page.body);
    }
    let page = scanner.open(&pickup.link)?;
    let wrong = enter_code(&scanner, &page, "0000-0000")?;
    assert!(!wrong.body.contains(BODY), "{}", wrong.body);

    let patient = Browser::new(&practice.lab, &practice.wardpost, "patient")?;
    let page = patient.open(&pickup.link)?;
    let opened = enter_code(&patient, &page, &pickup.code)?;
    assert_eq!(opened.status, 200, "{}", opened.body);
    assert!(opened.body.contains(BODY), "{}", opened.body);
    assert!(opened.body.contains("Dana"), "{}", opened.body);

    let origin = pickup.link.split("/p/").next().unwrap_or_default();
    let file = attribute_after(&opened.body, "result.csv", "href")
        .or_else(|| attribute_after(&opened.body, "attachment", "href"))
        .ok_or("no link to the attachment")?;
    let attachment = patient.open(&absolute(origin, &opened.url, &file))?;
    assert!(attachment.body.contains(ATTACHED), "{}", attachment.body);

    let enclosed = practice.lab.folder("patient")?.join("photo.txt");
    fs::write(&enclosed, "a picture of the rash")?;
    let form = opened.body.split("<form").find(|f| f.contains("multipart/form-data"));
    let form = form.ok_or("no form to answer with")?;
    let action = attribute_after(form, "", "action").unwrap_or_default();
    let fields = hidden_fields(form);
    let mut fields: Vec<(&str, &str)> =
        fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    fields.push(("text", "Thank you, I will come on Monday."));
    let sent = patient.post_files(
        &absolute(origin, &opened.url, &action),
        &fields,
        &[("files", &enclosed)],
    )?;
    assert_eq!(sent.status, 200, "{}", sent.body);

    let answer = practice.wait_for_mail(&practice.dana, "I will come on Monday")?;
    assert!(answer.contains("In-Reply-To:"), "{answer}");
    assert!(answer.contains("pat@plainmail.test"), "{answer}");
    assert!(answer.contains("photo.txt"), "{answer}");
    Ok(())
}

/// Where a link on the page at `url` leads.
fn absolute(origin: &str, url: &str, link: &str) -> String {
    if link.is_empty() {
        return url.to_owned();
    }
    if link.starts_with('/') {
        return format!("{origin}{link}");
    }
    let folder = url.rsplit_once('/').map_or(url, |(folder, _)| folder);
    format!("{folder}/{link}")
}
