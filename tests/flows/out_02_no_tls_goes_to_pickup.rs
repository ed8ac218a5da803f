//! A provider without TLS gets the notice alone: nothing of the message is in what arrives there or in
//! that server's log.

use crate::pickup::{Letter, expect_pickup};
use wardpost_tests::Result;
use wardpost_tests::destinations::{BILLER, LAPSED, MISNAMED, PLAINMAIL, Place};
use wardpost_tests::practice::Practice;

fn goes_to_pickup(place: Place) -> Result<()> {
    let practice = Practice::open()?;
    let server = place.start(&practice.lab)?;
    let letter = Letter::send(&practice, &format!("pat.patient@{}", place.domain))?;
    expect_pickup(&practice, &server, &letter)?;
    Ok(())
}

#[test]
fn out_02_no_tls_goes_to_pickup() -> Result<()> {
    goes_to_pickup(PLAINMAIL)
}

#[test]
fn out_03_self_signed_goes_to_pickup() -> Result<()> {
    goes_to_pickup(BILLER)
}

#[test]
fn out_04_wrong_name_goes_to_pickup() -> Result<()> {
    goes_to_pickup(MISNAMED)
}

#[test]
fn out_05_expired_goes_to_pickup() -> Result<()> {
    goes_to_pickup(LAPSED)
}
