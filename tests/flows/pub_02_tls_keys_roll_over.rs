//! A TLS key changes and nobody who uses DANE is ever shown a key that is not in the DNS.

use crate::published::{dane_verifies, dig, fetch, publish, start, tlsa, without_files};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use wardpost_tests::wardpost::{HOSTNAME, Wardpost};
use wardpost_tests::{Lab, Result, run, wait_for};

/// How long a roll-over may take: the lab's records live for seconds.
const PATIENCE: Duration = Duration::from_secs(90);

/// Fails if the daemon does it.
fn refused(wardpost: &Wardpost, words: &[&str]) -> Result<String> {
    let output = wardpost.cli_output(words, "")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.code() {
        Some(1) => Ok(said),
        _ => Err(format!("wardpost {words:?} ended with {}: {said}", output.status).into()),
    }
}

/// Waits until the roll-over is not too early any more; what it said. Until then the key that the world
/// knows is in use.
fn roll(wardpost: &Wardpost, known: &str) -> Result<String> {
    wait_for("the time for a roll-over", PATIENCE, || {
        let output = wardpost.cli_output(&["tls", "roll"], "").ok()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            return Some(Ok(said));
        }
        let in_use = dane_verifies(wardpost, known);
        match in_use {
            Ok(true) if said.contains("try again then") => None,
            other => Some(Err(format!("{other:?}: {said}").into())),
        }
    })?
}

#[test]
fn pub_02_a_self_signed_key_rolls_over() -> Result<()> {
    let lab = Lab::start()?;
    let mut wardpost = start(&lab, |text| without_files(&text))?;
    let policy = fetch(&lab, &wardpost, "mta-sts.clinic.test", &["--insecure"])?;
    assert!(policy.contains("mode: testing\r\n"), "{policy}");
    publish(&lab, &wardpost)?;
    let first = tlsa(&wardpost, "current")?;
    assert!(dane_verifies(&wardpost, &first)?);
    assert!(refused(&wardpost, &["tls", "roll"])?.contains("there is no next key"));

    wardpost.cli(&["tls", "next-key"], "")?;
    let next = tlsa(&wardpost, "next")?;
    assert_ne!(first, next);
    assert!(refused(&wardpost, &["tls", "roll"])?.contains("not in the DNS"));
    let printed = publish(&lab, &wardpost)?;
    assert!(printed.contains(&first) && printed.contains(&next), "{printed}");
    assert!(refused(&wardpost, &["tls", "roll"])?.contains("try again then"));
    roll(&wardpost, &first)?;

    assert!(dane_verifies(&wardpost, &next)? && !dane_verifies(&wardpost, &first)?);
    assert_eq!((tlsa(&wardpost, "current")?, tlsa(&wardpost, "old")?), (next.clone(), first));
    // What is in the zone is still right, and a restart changes nothing.
    publish(&lab, &wardpost)?;
    assert_eq!(dig(&lab, "_25._tcp.mail.clinic.test", "TLSA")?.len(), 2);
    wardpost.stop()?;
    wardpost.run()?;
    assert!(dane_verifies(&wardpost, &next)?);
    Ok(())
}

#[test]
fn pub_03_certificate_files_take_the_next_key() -> Result<()> {
    let lab = Lab::start()?;
    let wardpost = start(&lab, |text| text)?;
    let text = fs::read_to_string(wardpost.config())?;
    let (certificate, key) = (named(&text, "certificate")?, named(&text, "private_key")?);
    publish(&lab, &wardpost)?;
    let first = tlsa(&wardpost, "current")?;

    // The request is one that an authority takes, and asks for every name that is needed.
    let said = wardpost.cli(&["tls", "next-key", "--csr"], "")?;
    let request = said.find("-----BEGIN").map(|at| &said[at..]).ok_or("no request")?;
    let file = lab.root().join("request.pem");
    fs::write(&file, request)?;
    let shown =
        run(Command::new("openssl").args(["req", "-verify", "-noout", "-text", "-in"]).arg(&file))?;
    assert!(shown.contains(HOSTNAME) && shown.contains("mta-sts.clinic.test"), "{shown}");

    let next = tlsa(&wardpost, "next")?;
    publish(&lab, &wardpost)?;
    let told = roll(&wardpost, &first)?;
    let waiting = PathBuf::from(format!("{}.next", key.display()));
    assert!(told.contains(&*waiting.to_string_lossy()), "{told}");
    assert_eq!(fs::metadata(&waiting)?.permissions().mode() & 0o777, 0o600);
    assert!(dane_verifies(&wardpost, &first)?, "nothing has changed yet");

    certify(&waiting, &certificate)?;
    fs::rename(&waiting, &key)?;
    wardpost.process().ok_or("it does not run")?.signal("HUP")?;
    wait_for("the next key to be in use", PATIENCE, || {
        (tlsa(&wardpost, "current").ok()? == next).then_some(())
    })?;
    assert!(dane_verifies(&wardpost, &next)?);
    assert!(wardpost.log().contains("as announced"), "{}", wardpost.log());

    // A key that nobody was told of is taken all the same, with a complaint until it is published.
    run(Command::new("openssl")
        .args(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out"])
        .arg(&key))?;
    certify(&key, &certificate)?;
    wardpost.process().ok_or("it does not run")?.signal("HUP")?;
    wait_for("a complaint", PATIENCE, || {
        wardpost.log().contains("never to be published").then_some(())
    })?;
    assert!(wardpost.cli(&["tls", "show"], "")?.contains("NOT ANNOUNCED"));
    assert!(wardpost.cli(&["status"], "")?.contains("URGENT"));
    publish(&lab, &wardpost)?;
    wait_for("the record to be seen", PATIENCE, || {
        (!wardpost.cli(&["tls", "show"], "").ok()?.contains("NOT ANNOUNCED")).then_some(())
    })?;
    Ok(())
}

/// The file that a key of the configuration names.
fn named(text: &str, key: &str) -> Result<PathBuf> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""));
    Ok(line.and_then(|line| line.strip_suffix('"')).ok_or("not in the configuration")?.into())
}

/// A certificate for a key, such as DANE is content with.
fn certify(key: &Path, certificate: &Path) -> Result<()> {
    let names = format!("subjectAltName=DNS:{HOSTNAME}");
    run(Command::new("openssl")
        .args(["req", "-x509", "-new", "-days", "30", "-subj", "/CN=x", "-addext", &names, "-key"])
        .arg(key)
        .arg("-out")
        .arg(certificate))?;
    Ok(())
}
