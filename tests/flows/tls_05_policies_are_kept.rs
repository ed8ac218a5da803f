//! MTA-STS over time: a policy is fetched once, kept over a restart, and still holds when its host is gone and
//! somebody else answers for the mail server. A server that the policy does not name gets nothing; a policy that
//! is only being tested changes nothing.

use crate::matrix::Seen;
use serde_json::Value;
use wardpost_tests::ca::Pair;
use wardpost_tests::destinations::{Destination, Face};
use wardpost_tests::knot::Proof;
use wardpost_tests::policies::{self, Answer, Policies};
use wardpost_tests::postfix::Postfix;
use wardpost_tests::practice::{PATIENCE, Practice, message};
use wardpost_tests::{Lab, Plan, Result, wait_for};

const KEPT: &str = "kept.test";
const UNLISTED: &str = "unlisted.test";
const TRIED: &str = "tried.test";

/// Words that must not be where they do not belong.
const WORDS: &str = "canary-under-policy-q5";
const LATER: &str = "canary-after-the-swap-q6";

#[test]
fn tls_05_a_policy_outlives_its_host_and_the_daemon() -> Result<()> {
    let mut faces = Vec::new();
    let lab = Lab::start_with(|plan| {
        for (host, domain) in (60..).zip([KEPT, UNLISTED, TRIED]) {
            let pair = plan.ca.issue(&[&format!("mx.{domain}")])?;
            let face = face(plan, domain, host, pair);
            plan.zones.push(face.zone(Proof::Unsigned, &policies::records(plan, domain, "1")));
            faces.push(face);
        }
        Ok(())
    })?;
    let host = Policies::start(&lab)?;
    for (domain, mode, mx) in [
        (KEPT, "enforce", "*.kept.test"),
        (UNLISTED, "enforce", "mx.other.test"),
        (TRIED, "testing", "mx.other.test"),
    ] {
        let pair = lab.ca.issue(&[&format!("mta-sts.{domain}")])?;
        host.set(domain, &pair, Answer::policy(mode, mx, 86400))?;
    }
    let mut practice = Practice::open_in(lab, "")?;
    let server = Postfix::start(&practice.lab, "policies", &faces, &[])?;

    assert_eq!(explained(&practice, KEPT)?, ("direct".to_owned(), "T4".to_owned()));
    assert_eq!(explained(&practice, UNLISTED)?, ("pickup".to_owned(), "T3".to_owned()));
    assert_eq!(explained(&practice, TRIED)?, ("direct".to_owned(), "T3".to_owned()));
    for domain in [KEPT, UNLISTED, TRIED] {
        send(&practice, domain, WORDS)?;
    }
    waits_for_pickup(&practice, UNLISTED)?;
    wait_for("two letters", PATIENCE, || {
        let arrived = |domain| server.messages_for(domain).iter().any(|m| m.contains(WORDS));
        (arrived(KEPT) && arrived(TRIED)).then_some(())
    })
    .map_err(|e| format!("{e}\n{}", practice.wardpost.log()))?;
    assert_eq!(server.messages_for(UNLISTED), Vec::<String>::new());
    let asked = [KEPT, UNLISTED, TRIED].map(|domain| host.asked(domain));
    assert_eq!(asked, [1, 1, 1], "each policy is fetched once");
    assert_eq!(
        listed(&practice)?,
        ["kept.test enforce", "tried.test testing", "unlisted.test enforce"]
    );

    // The policy host fails, and whoever answers for the mail server has no certificate for it.
    let stranger = practice.lab.ca.self_signed(&["mta-sts.kept.test"])?;
    host.set(KEPT, &stranger, Answer::Status(503))?;
    drop(server);
    let swapped = practice.lab.ca.self_signed(&["mx.kept.test"])?;
    let swapped = Face { tls: Some(swapped), ..faces[0].clone() };
    let server = Postfix::start(&practice.lab, "swapped", &[swapped], &[])?;
    practice.wardpost.stop()?;
    practice.wardpost.run()?;

    assert_eq!(explained(&practice, KEPT)?, ("pickup".to_owned(), "T2".to_owned()));
    send(&practice, KEPT, LATER)?;
    waits_for_pickup(&practice, KEPT)?;
    assert_eq!(server.messages(), Vec::<String>::new(), "not even a notice may go there");
    assert_eq!(listed(&practice)?[0], "kept.test enforce");
    Ok(())
}

fn face(plan: &Plan<'_>, domain: &str, host: u8, pair: Pair) -> Face {
    Face { domain: domain.to_owned(), ip: plan.host(host), tls: Some(pair), old: false }
}

fn send(practice: &Practice, domain: &str, words: &str) -> Result<()> {
    let to = format!("pat@{domain}");
    practice.submit(&practice.dana, &[&to], &message(&practice.dana, &to, "Letter", words))
}

fn waits_for_pickup(practice: &Practice, domain: &str) -> Result<()> {
    let patient = format!("pat@{domain}");
    wait_for("the parcel", PATIENCE, || {
        Seen::ask(practice).ok().filter(|seen| seen.parcels_for(&patient) == 1).map(|_| ())
    })
    .map_err(|e| format!("{e}\n{}", practice.wardpost.log()).into())
}

/// Outcome and grade.
fn explained(practice: &Practice, domain: &str) -> Result<(String, String)> {
    let to = format!("pat@{domain}");
    let said = practice.wardpost.cli(&["route", "explain", &practice.dana, &to, "--json"], "")?;
    let view: Value = serde_json::from_str(&said)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok((text(&view["outcome"]), text(&view["hops"][0]["grade"])))
}

/// The policies that are kept, each with its mode.
fn listed(practice: &Practice) -> Result<Vec<String>> {
    let said = practice.wardpost.cli(&["sts", "list", "--json"], "")?;
    let list: Vec<Value> = serde_json::from_str(&said)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(list.iter().map(|one| format!("{} {}", text(&one["domain"]), text(&one["mode"]))).collect())
}
