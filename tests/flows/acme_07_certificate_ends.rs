//! A certificate that nobody could renew ends: ours takes its place, with the same key, until the authority
//! is back. And what is offered on port 443 meanwhile holds up to testssl.sh.

use crate::acme::{Certified, serial, show};
use crate::published::{dane_verifies, tlsa};
use crate::tls_03_testssl_finds_nothing::{judge, scan};
use std::time::Duration;
use wardpost_tests::pebble::Manners;
use wardpost_tests::{Result, wait_for};

/// How long the certificate lasts, in seconds.
const LIFE: u32 = 100;
/// How long that may take to be noticed.
const PATIENCE: Duration = Duration::from_secs(180);

#[test]
fn acme_07_certificate_ends() -> Result<()> {
    let mut practice = Certified::open(Manners { validity: LIFE, ..Manners::default() })?;
    practice.certified()?;
    practice.pebble.stop();
    let record = tlsa(&practice.wardpost, "current")?;
    let first = serial(&practice.wardpost)?;

    let view = wait_for("the certificate to end", PATIENCE, || {
        let view = show(&practice.wardpost).ok()?;
        // It shows our own first, and asks for another then.
        (view["self_signed"] == true && view["acme"]["last_failure"].is_object()).then_some(view)
    })?;
    assert_ne!(serial(&practice.wardpost)?, first);
    assert!(view["acme"]["since"].is_null(), "{view}");
    assert_eq!(view["acme"]["last_failure"]["kind"], "authority-unreachable", "{view}");
    // Who knows us by the key notices nothing.
    assert_eq!(tlsa(&practice.wardpost, "current")?, record);
    assert!(dane_verifies(&practice.wardpost, &record)?);
    practice.wardpost.stop()?;
    practice.wardpost.run()?;
    assert_eq!(show(&practice.wardpost)?["self_signed"], true);

    practice.pebble.run()?;
    practice.wardpost.cli(&["tls", "renew"], "")?;
    let view = show(&practice.wardpost)?;
    assert!(view["self_signed"] == false && view["acme"]["last_failure"].is_null(), "{view}");
    assert_eq!(tlsa(&practice.wardpost, "current")?, record);
    Ok(())
}

#[test]
fn acme_07_testssl_finds_nothing_where_challenges_are_answered() -> Result<()> {
    let limits = |text: String| format!("{text}\n[limits]\nconnections_per_address = 400\n");
    let practice = Certified::open_with(Manners::default(), "", limits)?;
    practice.certified()?;
    let report = practice.lab.folder("testssl")?.join("https.json");
    scan(practice.wardpost.https(), &[], &report)?;
    let wrong = judge(&report)?;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
