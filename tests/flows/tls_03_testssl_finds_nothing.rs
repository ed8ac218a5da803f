//! testssl.sh (Debian's) looks at every port that Wardpost offers TLS on and finds nothing to complain of: no
//! protocol below 1.2, no cipher without forward secrecy or authenticated encryption, none of the known
//! vulnerabilities.

use serde_json::Value;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread;
use wardpost_tests::practice::Practice;
use wardpost_tests::wardpost::HOSTNAME;
use wardpost_tests::{Lab, Result};

/// testssl.sh opens many connections at once from one address.
const LIMITS: &str = "[limits]\nconnections_per_address = 400\nmx_connections_per_address = 400";

/// What must have been found, word for word; everything else must at least be harmless.
const MUST: &[(&str, &str)] = &[
    ("SSLv2", "not offered"),
    ("SSLv3", "not offered"),
    ("TLS1", "not offered"),
    ("TLS1_1", "not offered"),
    ("TLS1_2", "offered"),
    ("TLS1_3", "offered with final"),
    ("cipherlist_NULL", "not offered"),
    ("cipherlist_aNULL", "not offered"),
    ("cipherlist_EXPORT", "not offered"),
    ("cipherlist_LOW", "not offered"),
    ("cipherlist_3DES_IDEA", "not offered"),
    ("cipherlist_AVERAGE", "not offered"),
    ("cipherlist_STRONG", "offered"),
    ("PFS", "offered"),
];
/// Findings about the program that tests, not about what is tested.
const ABOUT_ITSELF: &[&str] = &["engine_problem", "scanTime", "service", "pre_128cipher"];

#[test]
fn tls_03_testssl_finds_nothing() -> Result<()> {
    let practice = Practice::open_in(Lab::start()?, LIMITS)?;
    let wardpost = &practice.wardpost;
    let ports: [(&str, SocketAddr, &[&str]); 5] = [
        ("mx", wardpost.mx(), &["--starttls", "smtp"]),
        ("submission", wardpost.submission(), &["--starttls", "smtp"]),
        ("submissions", wardpost.submissions(), &[]),
        ("imaps", wardpost.imaps(), &[]),
        ("https", wardpost.https(), &[]),
    ];
    let folder = practice.lab.folder("testssl")?;
    let wrong: Vec<String> = thread::scope(|scope| {
        let scans: Vec<_> = ports
            .into_iter()
            .map(|(name, address, words)| {
                let report = folder.join(format!("{name}.json"));
                scope.spawn(move || {
                    let said = scan(address, words, &report).map_err(|e| e.to_string());
                    match said.and_then(|()| judge(&report).map_err(|e| e.to_string())) {
                        Ok(wrong) => wrong,
                        Err(e) => vec![e],
                    }
                    .into_iter()
                    .map(|what| format!("{name}: {what}"))
                    .collect::<Vec<_>>()
                })
            })
            .collect();
        scans.into_iter().flat_map(|scan| scan.join().unwrap_or_default()).collect()
    });
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), wardpost.log());
    Ok(())
}

/// Protocols, ciphers, forward secrecy, vulnerabilities.
pub(crate) fn scan(address: SocketAddr, words: &[&str], report: &Path) -> Result<()> {
    let output = Command::new("testssl")
        .args(["--quiet", "--color", "0", "--warnings", "batch", "--nodns", "min"])
        .args(["--ip", &address.ip().to_string(), "-p", "-s", "-f", "-U"])
        .arg("--jsonfile")
        .arg(report)
        .args(words)
        .arg(format!("{HOSTNAME}:{}", address.port()))
        .output()?;
    if report.is_file() {
        return Ok(());
    }
    Err(format!("testssl wrote no report: {}", String::from_utf8_lossy(&output.stdout)).into())
}

/// What is wrong with a report.
pub(crate) fn judge(report: &Path) -> Result<Vec<String>> {
    let findings: Vec<Value> = serde_json::from_str(&fs::read_to_string(report)?)?;
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let mut wrong = Vec::new();
    for (id, must) in MUST {
        let found = findings.iter().find(|f| f["id"] == *id).map(|f| text(f, "finding"));
        if found.as_deref() != Some(*must) {
            wrong.push(format!("{id} is {found:?}, not {must:?}"));
        }
    }
    for finding in &findings {
        let (id, severity) = (text(finding, "id"), text(finding, "severity"));
        if !matches!(severity.as_str(), "OK" | "INFO") && !ABOUT_ITSELF.contains(&id.as_str()) {
            wrong.push(format!("{id} ({severity}): {}", text(finding, "finding")));
        }
    }
    Ok(wrong)
}
