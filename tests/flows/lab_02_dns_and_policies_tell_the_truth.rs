//! The lab itself: a validator of somebody else's (BIND's delv) finds the signed zones secure, the unsigned
//! ones insecure and the broken ones bogus; and the policy host serves what it was told to.

use std::fs;
use std::process::Command;
use wardpost_tests::ca::Ca;
use wardpost_tests::knot::{Proof, Zone};
use wardpost_tests::policies::{self, Answer, Policies};
use wardpost_tests::{Lab, Result, run};

/// What delv says to a question.
fn delv(lab: &Lab, name: &str, kind: &str) -> Result<String> {
    let ds = fs::read_to_string(&lab.dns.anchor)?;
    let fields: Vec<&str> = ds.split_whitespace().skip(2).collect();
    let anchor = lab.folder("delv")?.join("anchor");
    let (numbers, digest) = fields.split_at(3);
    fs::write(
        &anchor,
        format!(
            "trust-anchors {{ . static-ds {} \"{}\"; }};\n",
            numbers.join(" "),
            digest.concat()
        ),
    )?;
    let output = Command::new("delv")
        .arg(format!("@{}", lab.dns.address.ip()))
        .args(["-p", &lab.dns.address.port().to_string()])
        .arg("-a")
        .arg(&anchor)
        .args(["+root=.", name, kind])
        .output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn lab_02_dns_is_secure_insecure_and_bogus() -> Result<()> {
    let lab = Lab::start_with(|plan| {
        for (name, proof) in [("broken.test", Proof::Broken), ("expired.test", Proof::Expired)] {
            let records = [format!("{name}. MX 10 mx.{name}.")];
            plan.zones.push(Zone::new(name, proof, &records));
        }
        Ok(())
    })?;
    for (name, word) in [
        ("hospital.test", "fully validated"),
        ("clinic.test", "fully validated"),
        ("biller.test", "unsigned answer"),
        ("broken.test", "failed"),
        ("expired.test", "failed"),
    ] {
        let said = delv(&lab, name, "MX")?;
        assert!(said.contains(word), "{name}: {said}");
    }
    let changed = ["hospital.test. MX 10 other.hospital.test.".to_owned()];
    lab.dns.change(&Zone::new("hospital.test", Proof::Signed, &changed))?;
    let said = delv(&lab, "hospital.test", "MX")?;
    assert!(said.contains("other.hospital.test") && said.contains("fully validated"), "{said}");
    Ok(())
}

#[test]
fn lab_02_policies_are_served() -> Result<()> {
    let lab = Lab::start_with(|plan| {
        let records = policies::records(plan, "strict.test", "1");
        plan.zones.push(Zone::new("strict.test", Proof::Unsigned, &records));
        Ok(())
    })?;
    let host = Policies::start(&lab)?;
    let stranger = Ca::create(&lab.folder("stranger")?)?;
    let ask = || {
        run(Command::new("curl")
            .args(["--silent", "--show-error", "--fail", "--cacert"])
            .arg(&lab.ca.root)
            .arg("--resolve")
            .arg(format!("mta-sts.strict.test:443:{}", host.address().ip()))
            .arg("https://mta-sts.strict.test/.well-known/mta-sts.txt"))
    };
    assert!(ask().is_err(), "there is no certificate yet");
    let policy = Answer::policy("enforce", "mx.strict.test", 86400);
    host.set("strict.test", &lab.ca.issue(&["mta-sts.strict.test"])?, policy.clone())?;
    assert!(ask()?.contains("mode: enforce\r\nmx: mx.strict.test\r\n"));
    assert_eq!(host.asked("strict.test"), 1);
    host.set("strict.test", &stranger.issue(&["mta-sts.strict.test"])?, policy)?;
    assert!(ask().is_err(), "a stranger's certificate was believed");
    Ok(())
}
