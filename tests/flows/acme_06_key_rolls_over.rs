//! The key behind the certificate changes: the authority issues for the next key when the world knows it,
//! and nobody who uses DANE is shown a key that is not in the DNS.

use crate::acme::{Certified, serial, show};
use crate::published::{dane_verifies, publish, tlsa};
use std::time::Duration;
use wardpost_tests::pebble::Manners;
use wardpost_tests::wardpost::Wardpost;
use wardpost_tests::{Result, wait_for};

/// The daemon looks every minute; the lab's records live for seconds.
const PATIENCE: Duration = Duration::from_secs(150);

/// What keeps `wardpost tls roll` from being done.
fn refused(wardpost: &Wardpost) -> Result<String> {
    let output = wardpost.cli_output(&["tls", "roll"], "")?;
    match output.status.code() {
        Some(1) => Ok(String::from_utf8_lossy(&output.stderr).into_owned()),
        other => Err(format!("it ended with {other:?}").into()),
    }
}

#[test]
fn acme_06_key_rolls_over() -> Result<()> {
    let mut practice = Certified::open(Manners::default())?;
    practice.certified()?;
    let wardpost = &practice.wardpost;
    publish(&practice.lab, wardpost)?;
    let first = tlsa(wardpost, "current")?;
    assert!(dane_verifies(wardpost, &first)?);
    assert!(refused(wardpost)?.contains("there is no next key"));

    wardpost.cli(&["tls", "next-key"], "")?;
    let next = tlsa(wardpost, "next")?;
    assert!(refused(wardpost)?.contains("not in the DNS"));
    // Renewals meanwhile keep the key.
    wardpost.cli(&["tls", "renew"], "")?;
    assert!(dane_verifies(wardpost, &first)?);
    publish(&practice.lab, wardpost)?;
    assert!(refused(wardpost)?.contains("try again then"));

    // From here on nobody does anything but look; whichever key is shown is in the DNS.
    let rolled = wait_for("the next key to be in use", PATIENCE, || {
        let current = tlsa(wardpost, "current").ok()?;
        match (dane_verifies(wardpost, &first), dane_verifies(wardpost, &next)) {
            (_, Ok(true)) if current == next => Some(Ok(())),
            (Ok(true), _) | (_, Ok(true)) => None,
            other => Some(Err(format!("{current} in use: {other:?}"))),
        }
    });
    rolled.map_err(|e| format!("{e}\n{}", wardpost.log()))??;
    assert!(!dane_verifies(wardpost, &first)?);
    let view = show(wardpost)?;
    assert_eq!(view["self_signed"], false, "{view}");
    assert_eq!(tlsa(wardpost, "old")?, first);
    assert!(!wardpost.log().contains("never to be published"), "{}", wardpost.log());

    // kill -9 and a restart change nothing; renewals keep the new key.
    let last = serial(wardpost)?;
    practice.wardpost.kill();
    practice.wardpost.run()?;
    assert_eq!(serial(&practice.wardpost)?, last);
    assert!(dane_verifies(&practice.wardpost, &next)?);
    practice.wardpost.cli(&["tls", "renew"], "")?;
    assert_eq!(tlsa(&practice.wardpost, "current")?, next);
    assert!(dane_verifies(&practice.wardpost, &next)?);
    Ok(())
}

#[test]
fn acme_06_a_stolen_key_is_replaced_at_once() -> Result<()> {
    let practice = Certified::open(Manners::default())?;
    practice.certified()?;
    let wardpost = &practice.wardpost;
    wardpost.cli(&["tls", "next-key"], "")?;
    let next = tlsa(wardpost, "next")?;
    wardpost.cli(&["tls", "roll", "--force"], "")?;
    assert_eq!(tlsa(wardpost, "current")?, next);
    assert!(dane_verifies(wardpost, &next)?);
    assert_eq!(show(wardpost)?["self_signed"], false);
    Ok(())
}
