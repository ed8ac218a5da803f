//! The ways out and in: other servers that answer, do not, turn us away, or whose encryption somebody takes away;
//! and who answers at our own address.

use crate::doctor::examine;
use std::process::Command;
use std::time::Duration;
use wardpost_tests::destinations::{COLLEAGUE, Destination, HOSPITAL, OLDMAIL, PLAINMAIL};
use wardpost_tests::knot::{Proof, Zone};
use wardpost_tests::middle::{Middle, Trick};
use wardpost_tests::practice::{Practice, message};
use wardpost_tests::wardpost::Wardpost;
use wardpost_tests::{Lab, Result, SMTP_PORT, run, wait_for};

/// A Wardpost that calls the servers of these domains.
fn calling(lab: &Lab, domains: &[&str]) -> Result<Wardpost> {
    Wardpost::start_with(lab, &format!("[doctor]\nprobe_hosts = {domains:?}\ntime_servers = []"))
}

/// State and sentence of a check of which there is one finding.
fn one(wardpost: &Wardpost, check: &str) -> Result<(String, String, String)> {
    let found = examine(wardpost, &[])?;
    match found.of(check)[..] {
        [(state, says, to_do)] => Ok((state.to_owned(), says.to_owned(), to_do.to_owned())),
        _ => Err(format!("{check}: {found:?}").into()),
    }
}

#[test]
fn doc_02_servers_that_answer_and_servers_that_do_not() -> Result<()> {
    let lab = Lab::start()?;
    let wardpost = calling(&lab, &["hospital.test", "colleague.test", "no-such.test"])?;
    let (state, says, to_do) = one(&wardpost, "port-25-out")?;
    assert_eq!(
        (&*state, &*says),
        (
            "bad",
            "None of 2 large mail servers can be reached on port 25: no mail goes out. Mostly that is the internet provider's doing."
        )
    );
    assert!(to_do.contains("please unblock outgoing connections to TCP port 25"), "{to_do}");
    assert_eq!(one(&wardpost, "starttls")?.0, "unknown");

    let hospital = HOSPITAL.start(&lab)?;
    let colleague = COLLEAGUE.start(&lab)?;
    let (state, says, _) = one(&wardpost, "port-25-out")?;
    assert_eq!((&*state, &*says), ("good", "2 of 2 large mail servers answered."));
    assert_eq!(one(&wardpost, "starttls")?.0, "good");
    // We said hello and good-bye, and nothing else.
    let log = wait_for("the call to be logged", Duration::from_secs(10), || {
        let log = hospital.log();
        log.contains("commands=2").then_some(log)
    })?;
    assert!(log.contains("ehlo=1 quit=1 commands=2"), "{log}");
    drop(colleague);

    // One that turns us away is a hint; when all do, no mail goes out.
    let _colleague = COLLEAGUE
        .start_with(&lab, &["smtpd_delay_reject = no", "smtpd_client_restrictions = reject"])?;
    let (state, says, to_do) = one(&wardpost, "port-25-out")?;
    assert_eq!(state, "warning", "{says}");
    assert!(
        says.contains("1 turned us away") && to_do.contains("check.spamhaus.org"),
        "{says} {to_do}"
    );
    drop(hospital);
    let (state, says, _) = one(&wardpost, "port-25-out")?;
    assert_eq!(state, "bad");
    assert!(says.contains("turn us away with their first words"), "{says}");

    // By a smarthost nobody needs port 25.
    wardpost.cli(
        &[
            "pin",
            "add",
            "*",
            "--smarthost",
            "relay.test",
            "--trusted-onward",
            "--reason",
            "the provider's",
        ],
        "",
    )?;
    let (state, says, _) = one(&wardpost, "port-25-out")?;
    assert_eq!(
        (&*state, &*says),
        ("good", "All mail to others goes by a smarthost, so port 25 is not needed.")
    );
    Ok(())
}

#[test]
fn doc_03_encryption_that_somebody_takes_away_is_noticed() -> Result<()> {
    let lab = Lab::start_with(|plan| {
        let records = [
            "stripped.test. MX 10 mx.stripped.test.".to_owned(),
            format!("mx.stripped.test. A {}", plan.host(60)),
        ];
        plan.zones.push(Zone::new("stripped.test", Proof::Unsigned, &records));
        Ok(())
    })?;
    let hospital = HOSPITAL.start(&lab)?;
    let middle =
        Middle::start((lab.host(60), SMTP_PORT).into(), hospital.address, &[Trick::Strip])?;
    let wardpost = calling(&lab, &["stripped.test"])?;
    let (state, says, to_do) = one(&wardpost, "starttls")?;
    assert_eq!(state, "bad", "{says}");
    assert!(
        says.contains("writes over what mail servers say (XXXXXXXA in place of STARTTLS)"),
        "{says}"
    );
    assert!(to_do.contains("please switch off SMTP inspection"), "{to_do}");
    assert_eq!(one(&wardpost, "port-25-out")?.0, "good");
    // He heard nothing but EHLO and QUIT.
    for capture in middle.captures() {
        let said = capture.client_text();
        assert!("EHLO mail.clinic.test.\nQUIT.\n".starts_with(&said), "{said:?}");
    }
    drop(wardpost);

    // Taken away without a trace, it shows by nobody's offering it.
    let _plain = (PLAINMAIL.start(&lab)?, OLDMAIL.start(&lab)?);
    let wardpost = calling(&lab, &["plainmail.test", "oldmail.test"])?;
    let (state, says, _) = one(&wardpost, "starttls")?;
    assert_eq!(state, "bad");
    assert!(says.contains("None of 2 large mail servers offers encryption"), "{says}");
    drop(wardpost);
    let wardpost = calling(&lab, &["plainmail.test", "hospital.test"])?;
    let (state, says, _) = one(&wardpost, "starttls")?;
    assert_eq!((&*state, &*says), ("good", "1 of 2 mail servers offer encryption (STARTTLS)."));
    Ok(())
}

#[test]
fn doc_04_who_answers_at_our_address() -> Result<()> {
    let practice = Practice::open()?;
    // Nobody has written yet: from inside nothing is proven.
    let (state, says, to_do) = one(&practice.wardpost, "port-25-in")?;
    assert_eq!(state, "unknown", "{says}");
    assert!(to_do.contains("Send a mail from a private address"), "{to_do}");
    let text = message("a@hospital.test", &practice.dana, "x", "y");
    practice.stranger()?.send("a@hospital.test", &[&practice.dana], &text)?;
    let (state, says, _) = one(&practice.wardpost, "port-25-in")?;
    assert_eq!(state, "good", "{says}");
    assert!(says.starts_with("A mail server from outside was here "), "{says}");

    // The metrics say the same, one state of each check, and no name.
    let url = format!("http://{}/metrics", practice.wardpost.metrics());
    let metrics = run(Command::new("curl").args(["-sS", &url]))?;
    assert!(
        metrics.contains("\nwardpost_health{check=\"port-25-in\",state=\"good\"} 1\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains("\nwardpost_health{check=\"port-25-in\",state=\"bad\"} 0\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains("\nwardpost_health{check=\"backups\",state=\"warning\"} 1\n"),
        "{metrics}"
    );
    assert!(metrics.contains("\nwardpost_health_examined_timestamp_seconds 1"), "{metrics}");
    let health: Vec<&str> =
        metrics.lines().filter(|line| line.starts_with("wardpost_health")).collect();
    assert!(!health.concat().contains("clinic"), "{health:?}");
    let lab = practice.lab;
    drop(practice.wardpost);

    // The router leads port 25 to somebody else, or to nobody.
    let hospital = HOSPITAL.start(&lab)?;
    let at = |ip: std::net::IpAddr| {
        Wardpost::start_with(&lab, &format!("[publish]\naddresses = [\"{ip}\"]"))
    };
    let wardpost = at(hospital.address.ip())?;
    let (state, says, to_do) = one(&wardpost, "port-25-in")?;
    assert_eq!(state, "bad", "{says}");
    assert!(says.contains("somebody else answers than this server"), "{says}");
    assert!(to_do.contains("port forwarding"), "{to_do}");
    drop(wardpost);
    let wardpost = at(lab.host(77).into())?;
    let (state, says, _) = one(&wardpost, "port-25-in")?;
    assert_eq!(state, "bad", "{says}");
    assert!(says.contains("does not answer on port 25 at its own public address"), "{says}");
    Ok(())
}
