//! REQUIRETLS (RFC 8689): a sender who asks for it gets a path that promises it all the way, or no path. No mail
//! server in Debian 12 speaks it, so the destination that does is a second Wardpost, under DANE; the one that does not
//! is a Postfix under DANE, whose path is good in every other way.

use crate::matrix::Seen;
use serde_json::Value;
use wardpost_tests::destinations::{Destination, Face};
use wardpost_tests::imap::Imap;
use wardpost_tests::knot::Proof;
use wardpost_tests::postfix::Postfix;
use wardpost_tests::practice::{PATIENCE, Practice, exists, message};
use wardpost_tests::smtp::Smtp;
use wardpost_tests::wardpost::{HOSTNAME, PARTNER, PASSWORD, Wardpost};
use wardpost_tests::{Lab, Result, wait_for};

const WORDS: &str = "canary-only-over-tls-p8";

#[test]
fn tls_04_requiretls_goes_all_the_way_or_not_at_all() -> Result<()> {
    let mut pairs = Vec::new();
    let lab = Lab::start_with(|plan| {
        for (domain, host) in [(PARTNER.domain, PARTNER.host), ("strict.test", 60)] {
            let pair = plan.ca.issue(&[&format!("mx.{domain}")])?;
            let domain = domain.to_owned();
            let face = Face { domain, ip: plan.host(host), tls: Some(pair.clone()), old: false };
            plan.zones.push(face.zone(Proof::Signed, &face.tlsa(&pair.tlsa)));
            pairs.push((face, pair));
        }
        Ok(())
    })?;
    let practice = Practice::open_in(lab, "")?;
    let partner = Wardpost::start_as(&practice.lab, PARTNER, &pairs[0].1, "")?;
    let joe = partner.add_account("joe", "Joe")?;
    let strict = Postfix::start(&practice.lab, "strict", &[pairs[1].0.clone()], &[])?;
    let patient = "pat@strict.test";

    assert_eq!(explained(&practice, &joe)?, ("direct".to_owned(), "T5".to_owned()));
    assert_eq!(explained(&practice, patient)?, ("direct".to_owned(), "T4".to_owned()));

    let mut smtp = Smtp::connect(practice.wardpost.submission())?;
    smtp.starttls(&practice.lab.ca, HOSTNAME)?;
    smtp.login(&practice.dana, PASSWORD)?;
    for to in [joe.as_str(), patient] {
        let text = message(&practice.dana, to, "Letter", WORDS);
        smtp.send_with(&practice.dana, "REQUIRETLS", &[to], &text)?;
    }
    let mut imap =
        Imap::login(partner.imaps(), &practice.lab.ca, PARTNER.hostname, &joe, PASSWORD)?;
    wait_for("the letter at the partner's", PATIENCE, || {
        // The lab's practice publishes no DKIM key: what it sends to another practice is Junk there.
        let count = exists(&imap.must("SELECT Junk").ok()?)?;
        let last = imap.must(&format!("FETCH {count} BODY.PEEK[]")).ok()?;
        last.contains(WORDS).then_some(())
    })
    .map_err(|e| format!("{e}\n{}\n{}", practice.wardpost.log(), partner.log()))?;

    // The same letter to the one who does not promise: it waits to be picked up, and nothing of it is there.
    wait_for("the parcel", PATIENCE, || {
        Seen::ask(&practice).ok().filter(|seen| seen.parcels_for(patient) == 1)
    })?;
    let held = strict.wait_for_message("https://mail.clinic.test", PATIENCE)?;
    assert!(!held.contains(WORDS), "{held}");
    assert!(strict.messages().iter().all(|message| !message.contains(WORDS)));
    Ok(())
}

/// Outcome and grade.
fn explained(practice: &Practice, to: &str) -> Result<(String, String)> {
    let said = practice.wardpost.cli(&["route", "explain", &practice.dana, to, "--json"], "")?;
    let view: Value = serde_json::from_str(&said)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok((text(&view["outcome"]), text(&view["hops"][0]["grade"])))
}
