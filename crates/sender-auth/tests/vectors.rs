//! The golden family in `tests/vectors/senders`: a message, the DNS there was, and what is to be said and done.
//!
//! A case is a TOML file: `why` it is one, the `peer`, `helo` and `mail_from` (empty for `<>`), the `dns` table
//! (see `support/dns.rs`), the `message` (lines end with CRLF when it is checked), the `trusted` sealers; then the
//! `results`, one a line of Authentication-Results, complete, and the `disposition`: `inbox`, `junk`, or a
//! reply's code.
//!
//! To see what would be said of a new case, leave its `results` out: the test fails and prints them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/dns.rs"]
mod dns;

use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wardpost_mail::{Address, Domain, ReversePath};
use wardpost_policy::{Disposition, Folder, inbound};
use wardpost_sender_auth::{Claim, SenderAuth, Settings};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    why: String,
    peer: String,
    helo: String,
    mail_from: String,
    dns: String,
    message: String,
    #[serde(default)]
    trusted: Vec<String>,
    #[serde(default)]
    results: Vec<String>,
    disposition: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/senders")
}

async fn play(case: &Case) -> (Vec<String>, String) {
    let resolver = wardpost_dns::HickoryResolver::new(&[dns::serve(&case.dns).await]).unwrap();
    let trusted = case.trusted.iter().map(|domain| Domain::parse(domain).unwrap());
    let settings = Settings {
        hostname: Domain::parse("mail.clinic.test").unwrap(),
        // What is silent is waited for; what answers does so at once.
        time_limit: Duration::from_secs(if case.dns.contains("SILENT") { 2 } else { 60 }),
        trusted_sealers: trusted.collect(),
    };
    let checker = SenderAuth::new(resolver.hickory(), settings);
    let sender = match case.mail_from.as_str() {
        "" => ReversePath::Null,
        address => ReversePath::Address(Address::parse(address).unwrap()),
    };
    let message = case.message.replace('\n', "\r\n");
    let claim = Claim {
        peer: case.peer.parse().unwrap(),
        helo: &case.helo,
        sender: &sender,
        message: message.as_bytes(),
    };
    let facts = checker.facts(claim).await;
    let text = facts.authentication_results.replace("\r\n\t ", " ").replace("\r\n\t", "");
    let (id, results) = text.split_once(';').unwrap();
    assert_eq!(id, "mail.clinic.test");
    let disposition = match inbound(&facts.inbound) {
        Disposition::Accept { mailbox: Folder::Inbox } => "inbox".to_owned(),
        Disposition::Accept { mailbox: Folder::Junk } => "junk".to_owned(),
        Disposition::Reject(reply) => reply.code.to_string(),
    };
    (results.split(';').map(str::to_owned).collect(), disposition)
}

#[tokio::test]
async fn all_cases() {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    let mut wrong = Vec::new();
    for file in &files {
        let name = file.file_stem().unwrap().to_string_lossy();
        let text = std::fs::read_to_string(file).unwrap();
        let case: Case = toml::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(!case.why.is_empty(), "{name} says not why");
        let (results, disposition) = play(&case).await;
        if results != case.results || disposition != case.disposition {
            wrong.push(format!(
                "{name}: {}\n  {disposition}\n  {}",
                case.why,
                results.join("\n  ")
            ));
        }
    }
    assert!(files.len() >= 40, "only {} cases are there", files.len());
    assert!(wrong.is_empty(), "{} cases differ; found was\n{}", wrong.len(), wrong.join("\n"));
}
