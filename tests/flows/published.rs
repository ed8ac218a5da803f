//! What the flows about our own records share: an administrator who publishes what Wardpost prints, and
//! somebody outside who looks.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use wardpost_tests::ca::Pair;
use wardpost_tests::knot::{Proof, Zone};
use wardpost_tests::wardpost::{HOSTNAME, Wardpost};
use wardpost_tests::{DOMAIN, Lab, Result, run};

/// A Wardpost that runs with `edit` applied to its configuration.
pub(crate) fn start(lab: &Lab, edit: impl FnOnce(String) -> String) -> Result<Wardpost> {
    let mut wardpost = Wardpost::prepare(lab, "")?;
    let text = fs::read_to_string(wardpost.config())?;
    fs::write(wardpost.config(), edit(text))?;
    wardpost.run()?;
    Ok(wardpost)
}

/// The configuration with other certificate files.
pub(crate) fn with_pair(text: &str, pair: &Pair) -> String {
    let line = |line: &str| match line.split(" = ").next() {
        Some("certificate") => format!("certificate = \"{}\"\n", pair.certificate.display()),
        Some("private_key") => format!("private_key = \"{}\"\n", pair.key.display()),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// The configuration without certificate files.
pub(crate) fn without_files(text: &str) -> String {
    let own = |line: &&str| {
        !["[tls]", "certificate =", "private_key ="].iter().any(|s| line.starts_with(s))
    };
    text.lines().filter(own).map(|line| format!("{line}\n")).collect()
}

/// Puts what `wardpost domain show --zone` prints into the practice's zone, as it is. Gives the print.
pub(crate) fn publish(lab: &Lab, wardpost: &Wardpost) -> Result<String> {
    let printed = wardpost.cli(&["domain", "show", DOMAIN, "--zone"], "")?;
    let zone = [format!("{HOSTNAME}. A {}", lab.host(10)), printed.clone()];
    // A second opinion on whether it is a zone file.
    let file = lab.folder("printed")?.join("clinic.test.zone");
    let head = "$TTL 5\n@ SOA ns.test. hostmaster.test. 1 3600 600 86400 5\n@ NS ns.test.\n";
    fs::write(&file, format!("{head}{}\n", zone.join("\n")))?;
    run(Command::new("kzonecheck").args(["-o", "clinic.test."]).arg(&file))?;
    lab.dns.change(&Zone::new(DOMAIN, Proof::Signed, &zone))?;
    Ok(printed)
}

/// The records that `wardpost domain show` lists: name, type, value.
pub(crate) fn listed(wardpost: &Wardpost) -> Result<Vec<(String, String, String)>> {
    let text = wardpost.cli(&["domain", "show", DOMAIN, "--json"], "")?;
    let view: serde_json::Value = serde_json::from_str(&text)?;
    let field = |record: &serde_json::Value, name: &str| {
        record[name].as_str().map(str::to_owned).ok_or_else(|| format!("no {name}: {record}"))
    };
    let records = view["records"].as_array().ok_or("no records")?.iter();
    let read =
        |record| Ok((field(record, "name")?, field(record, "kind")?, field(record, "value")?));
    records.map(read).collect()
}

/// What the lab's DNS says: one line a record, the strings of a TXT record joined.
pub(crate) fn dig(lab: &Lab, name: &str, kind: &str) -> Result<Vec<String>> {
    let (server, port) = (lab.dns.address.ip(), lab.dns.address.port());
    let said = run(Command::new("dig").args([
        "+short",
        &format!("@{server}"),
        "-p",
        &port.to_string(),
        name,
        kind,
    ]))?;
    let line = |line: &str| match line.strip_prefix('"').and_then(|l| l.strip_suffix('"')) {
        Some(strings) => strings.replace("\" \"", ""),
        None => line.to_owned(),
    };
    Ok(said.lines().map(line).collect())
}

/// The value of the TLSA record that has this role in `wardpost tls show`.
pub(crate) fn tlsa(wardpost: &Wardpost, role: &str) -> Result<String> {
    let view: serde_json::Value =
        serde_json::from_str(&wardpost.cli(&["tls", "show", "--json"], "")?)?;
    let keys = view["keys"].as_array().ok_or("no keys")?.iter();
    let key = keys.into_iter().find(|key| key["role"] == role);
    let value = key.and_then(|key| key["record"]["value"].as_str());
    Ok(value.ok_or_else(|| format!("no {role} key in {view}"))?.to_owned())
}

/// Whether OpenSSL, told this TLSA record and no authority, finds our port 25 to be us.
pub(crate) fn dane_verifies(wardpost: &Wardpost, record: &str) -> Result<bool> {
    let output = Command::new("openssl")
        .args(["s_client", "-starttls", "smtp", "-connect", &wardpost.mx().to_string()])
        .args(["-dane_tlsa_domain", HOSTNAME, "-dane_tlsa_rrdata", record])
        .args(["-verify_return_error", "-brief"])
        .stdin(Stdio::null())
        .output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let matched = said.contains("matched EE certificate");
    if !matched && !said.contains("verify error") && !said.contains("verify failed") {
        return Err(format!("neither a match nor a mismatch: {said}").into());
    }
    Ok(matched)
}

/// What curl gets from our web server under another host name, trusting the lab's authority.
pub(crate) fn fetch(lab: &Lab, wardpost: &Wardpost, host: &str, extra: &[&str]) -> Result<String> {
    let https = wardpost.https();
    let resolve = format!("{host}:{}:{}", https.port(), https.ip());
    let url = format!("https://{host}:{}/.well-known/mta-sts.txt", https.port());
    run(Command::new("curl")
        .args(["-sS", "--cacert"])
        .arg(&lab.ca.root)
        .args(["--resolve", &resolve])
        .args(extra)
        .arg(url))
}

/// The SHA-256 of a text, in hexadecimal.
pub(crate) fn sha256(folder: &Path, text: &str) -> Result<String> {
    let file = folder.join("text");
    fs::write(&file, text)?;
    let said = run(Command::new("sha256sum").arg(&file))?;
    Ok(said.split(' ').next().unwrap_or_default().to_owned())
}
