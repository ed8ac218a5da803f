//! DKIM keys change, and every message that arrives while they do is verified by somebody else's program
//! (dkimpy) with what is in the DNS at that moment.

use crate::published::publish;
use std::io::Write;
use std::process::{Command, Stdio};
use wardpost_tests::destinations::{Destination, HOSPITAL};
use wardpost_tests::postfix::Postfix;
use wardpost_tests::practice::{PATIENCE, Practice, message};
use wardpost_tests::{DOMAIN, Lab, Result, wait_for};

/// For Debian's Python, whose packages these modules are.
/// Prints the selector and the result of each signature of the message on standard input.
const VERIFY: &str = "
import re, sys, dkim, dns.resolver
resolver = dns.resolver.Resolver(configure=False)
resolver.nameservers, resolver.port = [sys.argv[1]], int(sys.argv[2])
def txt(name, timeout=5):
    try:
        return b''.join(resolver.resolve(name.decode(), 'TXT')[0].strings)
    except dns.exception.DNSException:
        return None
text = sys.stdin.buffer.read()
found = [value for name, value in dkim.DKIM(text).headers if name.lower() == b'dkim-signature']
for n, value in enumerate(found):
    selector = re.search(rb's=([^;]*);', value).group(1).decode()
    print(selector, dkim.DKIM(text).verify(idx=n, dnsfunc=txt))
";

fn verify(lab: &Lab, message: &str) -> Result<String> {
    let (server, port) = (lab.dns.address.ip().to_string(), lab.dns.address.port().to_string());
    let mut python = Command::new("/usr/bin/python3")
        .args(["-c", VERIFY, &server, &port])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    python.stdin.take().ok_or("no input")?.write_all(message.as_bytes())?;
    let output = python.wait_with_output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Sends a message, and verifies it as it arrives: every signature of the generation, and no other.
fn signed_by(
    practice: &Practice,
    hospital: &Postfix,
    text: &str,
    generation: u32,
) -> Result<String> {
    let to = "ward@hospital.test";
    let mail = message(&practice.dana, to, "Transfer", text);
    practice.submit(&practice.dana, &[to], &mail)?;
    let got = hospital
        .wait_for_message(text, PATIENCE)
        .map_err(|e| format!("{e}\n{}", practice.wardpost.log()))?;
    let found = verify(&practice.lab, &got)?;
    let mut lines: Vec<&str> = found.lines().collect();
    lines.sort_unstable();
    let wanted = ["ed25519", "rsa"].map(|kind| format!("wp{generation}-{kind} True"));
    assert_eq!(lines, wanted, "{text}");
    Ok(got)
}

#[test]
fn pub_04_dkim_keys_rotate() -> Result<()> {
    let practice = Practice::open()?;
    let hospital = HOSPITAL.start(&practice.lab)?;
    publish(&practice.lab, &practice.wardpost)?;
    let first = signed_by(&practice, &hospital, "before", 1)?;

    let rotate = ["domain", "dkim", DOMAIN, "rotate"];
    let made = practice.wardpost.cli(&rotate, "")?;
    assert!(made.contains("wp2-ed25519") && made.contains("wp2-rsa"), "{made}");
    signed_by(&practice, &hospital, "made, not published", 1)?;
    let now = [&rotate[..], &["--now"]].concat();
    let early = practice.wardpost.cli_output(&now, "")?;
    assert!(!early.status.success());
    let said = String::from_utf8_lossy(&early.stderr).into_owned();
    assert!(said.contains("wp2-rsa._domainkey.clinic.test"), "{said}");

    publish(&practice.lab, &practice.wardpost)?;
    signed_by(&practice, &hospital, "published, not seen", 1)?;
    wait_for("the new records to be seen", PATIENCE, || practice.wardpost.cli(&now, "").ok())?;
    signed_by(&practice, &hospital, "seen and in use", 2)?;

    // What is listed now still verifies what was signed before.
    publish(&practice.lab, &practice.wardpost)?;
    signed_by(&practice, &hospital, "after", 2)?;
    let again = verify(&practice.lab, &first)?;
    assert!(again.contains("wp1-rsa True") && again.contains("wp1-ed25519 True"), "{again}");
    Ok(())
}
