//! What a practice wants on its dashboard is in the metrics: who came and how, what went which way, what
//! waits, what was refused.

use crate::pickup::{Letter, expect_pickup};
use std::collections::BTreeMap;
use std::process::Command;
use wardpost_tests::destinations::{Destination, HOSPITAL, PLAINMAIL};
use wardpost_tests::imap::Imap;
use wardpost_tests::practice::{PATIENCE, Practice, message};
use wardpost_tests::smtp::Smtp;
use wardpost_tests::wardpost::HOSTNAME;
use wardpost_tests::{Result, run};

#[test]
fn ops_08_metrics_tell_the_day() -> Result<()> {
    let practice = Practice::open()?;
    let _day = a_day(&practice)?;
    let _open = practice.imap(&practice.dana)?;

    let metrics = scrape(&practice)?;
    let value = |name: &str| metrics.get(name).copied();
    for (name, wanted) in [
        ("wardpost_imap_sessions", 2.0),
        ("wardpost_mx_open_sessions", 1.0),
        ("wardpost_mx_refused_total{reason=\"cleartext\"}", 1.0),
        ("wardpost_mx_messages_total{disposition=\"inbox\"}", 1.0),
        ("wardpost_courier_deliveries_total{grade=\"T3\",route=\"direct\"}", 1.0),
        ("wardpost_courier_attempts_total{outcome=\"parcel\"}", 1.0),
        ("wardpost_queue_messages", 0.0),
        ("wardpost_queue_oldest_age_seconds", 0.0),
        ("wardpost_parcels{state=\"waiting\"}", 1.0),
        ("wardpost_parcels{state=\"opened\"}", 0.0),
        ("wardpost_accounts_unlocked", 1.0),
        ("wardpost_logins_total{result=\"failed\"}", 1.0),
    ] {
        assert_eq!(value(name), Some(wanted), "{name} in {metrics:#?}");
    }
    for name in [
        "wardpost_logins_total{result=\"ok\"}",
        "wardpost_store_sync_seconds_count",
        "wardpost_certificate_expiry_timestamp_seconds",
        "wardpost_certificate_not_before_timestamp_seconds",
    ] {
        assert!(value(name).is_some_and(|value| value > 0.0), "{name} in {metrics:#?}");
    }
    Ok(())
}

/// What happens on a day of a practice; the servers it happened with.
pub(crate) fn a_day(practice: &Practice) -> Result<impl Sized + use<>> {
    let hospital = HOSPITAL.start(&practice.lab)?;
    let plainmail = PLAINMAIL.start(&practice.lab)?;
    let letter = Letter::send(practice, "pat@plainmail.test")?;
    expect_pickup(practice, &plainmail, &letter)?;
    let text = message(&practice.dana, "ward@hospital.test", "x", "to the ward");
    practice.submit(&practice.dana, &["ward@hospital.test"], &text)?;
    hospital.wait_for_message("to the ward", PATIENCE)?;
    let text = message("a@hospital.test", &practice.dana, "x", "y");
    practice.stranger()?.send("a@hospital.test", &[&practice.dana], &text)?;
    let mut clear = Smtp::connect(practice.wardpost.mx())?;
    clear.must("EHLO x.test", 250)?;
    clear.must("MAIL FROM:<a@plainmail.test>", 530)?;
    let mut guess = Imap::connect(practice.wardpost.imaps(), &practice.lab.ca, HOSTNAME)?;
    assert!(guess.must("LOGIN dana wrong-password").is_err());
    Ok((hospital, plainmail, clear, guess))
}

/// Every sample by its name and labels.
fn scrape(practice: &Practice) -> Result<BTreeMap<String, f64>> {
    let url = format!("http://{}/metrics", practice.wardpost.metrics());
    let text = run(Command::new("curl").args(["-sS", &url]))?;
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    Ok(samples
        .filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        })
        .collect())
}
