//! What we print goes into a zone as it is, and what somebody outside then finds is true: the policy is
//! served, and the key is ours.

use crate::published::{
    dane_verifies, dig, fetch, listed, publish, sha256, start, tlsa, with_pair,
};
use wardpost_tests::wardpost::HOSTNAME;
use wardpost_tests::{DOMAIN, Lab, Result};

#[test]
fn pub_01_printed_records_hold() -> Result<()> {
    let lab = Lab::start()?;
    let pair = lab.ca.issue(&[HOSTNAME, "mta-sts.clinic.test"])?;
    let mut complaint = String::new();
    let wardpost = start(&lab, |text| {
        complaint.clone_from(&text);
        with_pair(&text, &pair)
    })?;

    // Everything that is listed is found, and nothing else is found there.
    publish(&lab, &wardpost)?;
    let records = listed(&wardpost)?;
    for (name, kind, value) in &records {
        let found = dig(&lab, name, kind)?;
        let same = |found: &String| {
            found.to_lowercase().replace(' ', "") == value.to_lowercase().replace(' ', "")
        };
        assert!(found.iter().any(same), "{name} {kind} {value}: {found:?}");
        let wanted = records.iter().filter(|(n, k, _)| (n, k) == (name, kind)).count();
        assert_eq!(found.len(), wanted, "{name} {kind}: {found:?}");
    }
    assert!(records.iter().any(|(_, kind, _)| kind == "SRV"));

    // The policy, as a sender fetches it.
    let policy = fetch(&lab, &wardpost, "mta-sts.clinic.test", &[])?;
    assert_eq!(
        policy,
        "version: STSv1\r\nmode: enforce\r\nmx: mail.clinic.test\r\nmax_age: 1209600\r\n"
    );
    let id = &sha256(lab.root(), &policy)?[..32];
    assert_eq!(dig(&lab, "_mta-sts.clinic.test", "TXT")?, [format!("v=STSv1; id={id};")]);
    let head = fetch(&lab, &wardpost, "mta-sts.clinic.test", &["--head"])?;
    assert!(
        head.contains("200") && head.to_lowercase().contains("content-type: text/plain\r\n"),
        "{head}"
    );
    // Over HTTP/1.1 too; and nobody else has a policy here.
    assert_eq!(fetch(&lab, &wardpost, "mta-sts.clinic.test", &["--http1.1"])?, policy);
    let code = ["-o", "/dev/null", "-w", "%{http_code}"];
    assert_eq!(fetch(&lab, &wardpost, HOSTNAME, &code)?, "404");
    let stranger = [&code[..], &["--insecure"]].concat();
    assert_eq!(fetch(&lab, &wardpost, "mta-sts.other.test", &stranger)?, "404");

    // The key on port 25 is the one in the zone.
    let ours = tlsa(&wardpost, "current")?;
    assert!(dane_verifies(&wardpost, &ours)?);
    assert!(!dane_verifies(&wardpost, &format!("3 1 1 {}", "00".repeat(32)))?);

    // A certificate without the policy host's name is complained about.
    assert!(!wardpost.cli(&["check"], "")?.contains("mta-sts"));
    let notes = wardpost.cli(&["domain", "show", DOMAIN], "")?;
    assert!(!notes.contains("The certificate is not for"), "{notes}");
    std::fs::write(wardpost.config(), complaint)?;
    let said = wardpost.cli(&["check"], "")?;
    assert!(said.contains("not for mta-sts.clinic.test"), "{said}");
    Ok(())
}
