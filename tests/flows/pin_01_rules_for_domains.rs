//! Rules that an administrator sets for single domains, from the command line to the wire.

use crate::pickup::{ATTACHED, BODY, Letter, SUBJECT, expect_pickup};
use std::path::PathBuf;
use wardpost_tests::destinations::{BILLER, COLLEAGUE, Destination, HOSPITAL, MISNAMED, PLAINMAIL};
use wardpost_tests::practice::{PATIENCE, Practice};
use wardpost_tests::{Lab, Result, SMTP_PORT, files_containing, wait_for};

/// The certificate that the lab made for a host, as its owner would send it to us.
fn certificate_of(lab: &Lab, host: &str) -> Result<String> {
    let folder = lab.ca.root.parent().ok_or("the authority has a folder")?;
    let of_host = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with(&format!("{host}-")) && name.ends_with(".pem")
    };
    let mut files = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let file = files.find(of_host).ok_or_else(|| format!("no certificate of {host}"))?;
    Ok(file.display().to_string())
}

fn pin(practice: &Practice, words: &[&str]) -> Result<String> {
    practice.wardpost.cli(&[&["pin", "add"], words].concat(), "")
}

#[test]
fn pin_01_a_pinned_self_signed_certificate_gets_the_message() -> Result<()> {
    let practice = Practice::open()?;
    let biller = BILLER.start(&practice.lab)?;
    let certificate = certificate_of(&practice.lab, "mx.biller.test")?;
    let said = pin(&practice, &["biller.test", "--certificate", &certificate])?;
    assert!(said.contains("Only a server with the pinned certificate"), "{said}");

    let explained =
        practice.wardpost.cli(&["route", "explain", &practice.dana, "pat@biller.test"], "")?;
    assert!(explained.contains("which certificates are trusted (biller.test)"), "{explained}");
    Letter::send(&practice, "pat@biller.test")?;
    let got = biller
        .wait_for_message(SUBJECT, PATIENCE)
        .map_err(|e| format!("{e}\n{}", practice.wardpost.log()))?;
    assert!(got.contains(BODY), "{got}");
    // The log says that a rule was set, not for whom.
    let log = practice.wardpost.log();
    assert!(log.contains("rule for a domain set") && !log.contains("biller.test"), "{log}");
    Ok(())
}

#[test]
fn pin_02_another_certificate_than_the_pinned_one_goes_to_pickup() -> Result<()> {
    let practice = Practice::open()?;
    // In order with a public authority, and not what was pinned.
    let hospital = HOSPITAL.start(&practice.lab)?;
    let _other = BILLER.start(&practice.lab)?;
    let other = certificate_of(&practice.lab, "mx.biller.test")?;
    pin(&practice, &["hospital.test", "--certificate", &other])?;
    let letter = Letter::send(&practice, "pat.patient@hospital.test")?;
    expect_pickup(&practice, &hospital, &letter)?;
    Ok(())
}

#[test]
fn pin_03_an_exception_lasts_as_long_as_it_is_there() -> Result<()> {
    let practice = Practice::open()?;
    let biller = BILLER.start(&practice.lab)?;
    let unreasoned = pin(&practice, &["biller.test", "--allow-unverified", "--expires", "30d"]);
    let words = unreasoned.err().ok_or("an exception without a reason")?.to_string();
    assert!(words.contains("--reason"), "{words}");
    let mut exception = vec!["biller.test", "--allow-unverified", "--reason", "new server soon"];
    let words = pin(&practice, &exception).err().ok_or("an exception without end")?.to_string();
    assert!(words.contains("--expires"), "{words}");
    exception.extend(["--expires", "30d"]);
    pin(&practice, &exception)?;
    Letter::send(&practice, "pat@biller.test")?;
    biller
        .wait_for_message(SUBJECT, PATIENCE)
        .map_err(|e| format!("{e}\n{}", practice.wardpost.log()))?;
    practice.settled()?;

    let list = practice.wardpost.cli(&["pin", "list", "--json"], "")?;
    assert!(list.contains("\"exception\": true") && list.contains("new server soon"), "{list}");
    practice.wardpost.cli(&["pin", "remove", "biller.test"], "")?;
    Letter::send(&practice, "lee.patient@biller.test")?;
    let noticed =
        || biller.messages().iter().any(|it| it.contains("https://mail.clinic.test")).then_some(());
    wait_for("the notice", PATIENCE, noticed)?;
    assert_eq!(biller.messages().iter().filter(|it| it.contains(BODY)).count(), 1);
    Ok(())
}

#[test]
fn pin_04_a_smarthost_takes_all_mail_if_its_owner_answers_for_it() -> Result<()> {
    let practice = Practice::open()?;
    // It takes mail for a domain that has no TLS of its own: that is between the two of them.
    let relay = COLLEAGUE
        .start_with(&practice.lab, &["virtual_mailbox_domains = colleague.test, plainmail.test"])?;
    let plain = PLAINMAIL.start(&practice.lab)?;
    let smarthost = format!("mx.colleague.test:{SMTP_PORT}");
    let words = pin(&practice, &["*", "--smarthost", &smarthost])?;
    assert!(words.contains("REQUIRETLS") && words.contains("business associate"), "{words}");

    // This Postfix promises nothing about the way onward.
    let letter = Letter::send(&practice, "pat.patient@plainmail.test")?;
    expect_pickup(&practice, &relay, &letter)?;
    let reason = ["--trusted-onward", "--reason", "contract of May 1"];
    pin(&practice, &[&["*", "--smarthost", &smarthost], &reason[..]].concat())?;
    Letter::send(&practice, "kim.patient@plainmail.test")?;
    relay
        .wait_for_message(BODY, PATIENCE)
        .map_err(|e| format!("{e}\n{}", practice.wardpost.log()))?;
    assert!(plain.messages().is_empty(), "nobody went round the smarthost");
    Ok(())
}

#[test]
fn pin_05_a_smarthost_with_a_wrong_certificate_learns_nothing() -> Result<()> {
    let practice = Practice::open()?;
    let relay = MISNAMED
        .start_with(&practice.lab, &["virtual_mailbox_domains = misnamed.test, plainmail.test"])?;
    let smarthost = format!("mx.misnamed.test:{SMTP_PORT}");
    let words = ["*", "--trusted-onward", "--reason", "contract", "--smarthost", &smarthost];
    practice.wardpost.cli(
        &[&["pin", "add"], &words[..], &["--user", "clinic", "--password-stdin"]].concat(),
        "canary-password-h3ron\n",
    )?;
    Letter::send(&practice, "pat.patient@plainmail.test")?;
    let parcels = || {
        let list = practice.wardpost.cli(&["parcel", "list", "--json"], "").ok()?;
        list.contains("pat.patient@plainmail.test").then_some(())
    };
    wait_for("the parcel", PATIENCE, parcels)?;
    practice.wait_for_mail(&practice.dana, "pat.patient@plainmail.test")?;
    for secret in [SUBJECT, BODY, ATTACHED, "pat.patient", "dana@", "canary-password"] {
        let leaks = files_containing(relay.folder(), secret)?;
        assert!(leaks.is_empty(), "{secret} was found in {leaks:?}");
    }
    assert!(!practice.wardpost.log().contains("canary-password"));
    Ok(())
}
