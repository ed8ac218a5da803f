//! The machine: its clock, disk and certificate; whether it came up well; and what can be seen when the daemon does
//! not run.

use crate::doctor::examine;
use crate::published::{start, with_pair, without_files};
use wardpost_tests::chrony::Chrony;
use wardpost_tests::wardpost::{HOSTNAME, Wardpost};
use wardpost_tests::{Lab, Result};

#[test]
fn doc_05_clocks_are_compared() -> Result<()> {
    let lab = Lab::start()?;
    for (ahead, state, says) in [
        (0_i32, "good", "The clock is right."),
        (-20, "warning", "The clock is 20 seconds fast."),
        (
            90,
            "bad",
            "The clock is 90 seconds slow. Signatures, certificates and sign-in codes go wrong.",
        ),
    ] {
        let host = 70 + u8::try_from(ahead.unsigned_abs() / 10)?;
        let chrony = Chrony::start(&lab, host, ahead)?;
        let servers = [chrony.address.to_string(), format!("{}:123", lab.host(99))];
        let wardpost = Wardpost::start_with(
            &lab,
            &format!("[doctor]\nprobe_hosts = []\ntime_servers = {servers:?}"),
        )?;
        let found = examine(&wardpost, &[])?;
        let [(is, said, _)] = found.of("clock")[..] else { panic!("{found:?}") };
        assert_eq!((is, said), (state, says));
    }
    let wardpost = Wardpost::start(&lab)?;
    let found = examine(&wardpost, &[])?;
    // Whether this machine's own time service says something is not ours to know.
    let [(is, said, _)] = found.of("clock")[..] else { panic!("{found:?}") };
    assert!(["unknown", "good"].contains(&is), "{said}");
    Ok(())
}

#[test]
fn doc_06_certificates_that_end() -> Result<()> {
    let lab = Lab::start()?;
    for (days, state, says) in [
        (60, "good", "The certificate is good until "),
        (10, "warning", "The certificate ends in 10 days, on "),
        (2, "bad", "The certificate ends in 2 days, on "),
    ] {
        let pair = lab.ca.issue_ending_in(&[HOSTNAME], days)?;
        let wardpost = start(&lab, |text| with_pair(&text, &pair))?;
        let found = examine(&wardpost, &[])?;
        let [(is, said, to_do)] = found.of("certificate")[..] else { panic!("{found:?}") };
        assert_eq!(is, state, "{said}");
        assert!(said.starts_with(says), "{said}");
        assert!(is == "good" || to_do.contains("set up [acme]"), "{to_do}");
        assert_eq!(found.of("certificate-renewal"), []);
    }
    let expired = lab.ca.issue_expired(&[HOSTNAME])?;
    let misnamed = lab.ca.issue(&["mail.other.test"])?;
    for (pair, says) in [
        (expired, "The certificate ended on 1 January 2021"),
        (misnamed, "The certificate is not for mail.clinic.test"),
    ] {
        let wardpost = start(&lab, |text| with_pair(&text, &pair))?;
        let found = examine(&wardpost, &[])?;
        let [("bad", said, _)] = found.of("certificate")[..] else { panic!("{found:?}") };
        assert!(said.starts_with(says), "{said}");
    }
    let wardpost = start(&lab, |text| without_files(&text))?;
    let found = examine(&wardpost, &[])?;
    let [("warning", said, _)] = found.of("certificate")[..] else { panic!("{found:?}") };
    assert!(said.starts_with("The certificate is self-signed"), "{said}");
    Ok(())
}

#[test]
fn doc_07_a_disk_that_fills_up() -> Result<()> {
    let lab = Lab::start()?;
    // A disk in memory; nothing is written on it but what an idle server writes.
    for (mib, state, says) in [
        (6000, "good", "5.9 GB are free (9"),
        (192, "bad", "When it is full, no mail is taken any more"),
    ] {
        let wardpost = Wardpost::start_on_small_disk(&lab, mib)?;
        let found = examine(&wardpost, &[])?;
        let [(is, said, _)] = found.of("disk")[..] else { panic!("{found:?}") };
        assert_eq!(is, state, "{said}");
        assert!(said.contains(says), "{said}");
        // An update is not taken back for want of room.
        let found = examine(&wardpost, &["--boot"])?;
        let [(is, _, _)] = found.of("disk")[..] else { panic!("{found:?}") };
        assert!(["good", "warning"].contains(&is), "{found:?}");
    }
    Ok(())
}

#[test]
fn doc_08_the_machine_came_up_and_the_daemon_ends() -> Result<()> {
    let lab = Lab::start()?;
    let us = lab.host(10);
    let mut wardpost = Wardpost::start_with(&lab, &format!("[publish]\naddresses = [\"{us}\"]"))?;
    let found = examine(&wardpost, &["--boot"])?;
    for check in ["daemon", "store", "ports"] {
        let [("good", _, "")] = found.of(check)[..] else { panic!("{check}: {found:?}") };
    }
    // It does not depend on the internet, and says nothing of it.
    assert_eq!(found.of("dns-mx"), []);
    assert_eq!(found.of("port-25-out"), []);

    wardpost.stop()?;
    let found = examine(&wardpost, &[])?;
    let [("bad", says, to_do)] = found.of("daemon")[..] else { panic!("{found:?}") };
    assert!(says.starts_with("Wardpost does not run"), "{says}");
    assert!(to_do.contains("systemctl start wardpost"), "{to_do}");
    // What can be seen without it.
    for check in ["dns-server", "dns-address", "certificate", "disk", "system-key", "backups"] {
        assert!(!found.of(check).is_empty(), "{check}: {found:?}");
    }
    let [("good", _, _)] = found.of("dns-address")[..] else { panic!("{found:?}") };
    let found = examine(&wardpost, &["--boot"])?;
    let [("bad", _, _)] = found.of("daemon")[..] else { panic!("{found:?}") };
    Ok(())
}
