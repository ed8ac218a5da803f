//! What reports about us say, put together for people.

use crate::received::{DmarcReceived, TlsReceived, failure_word};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Servers and addresses that are listed.
const MAX_LISTED: usize = 100;

/// What TLS reports say about our servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsView {
    /// How many days back.
    pub days: u32,
    /// Sessions without fault, of proven reports.
    pub success: u64,
    /// Sessions with one.
    pub failure: u64,
    /// What was wrong, most frequent first.
    pub failures: Vec<FailureView>,
    /// Where it went wrong, most frequent first.
    pub servers: Vec<ServerView>,
    /// The proven reports, the latest first.
    pub reporters: Vec<TlsReporter>,
    /// Reports whose sender is not proven; not counted above.
    pub unproven: Vec<TlsReporter>,
}

/// One kind of failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureView {
    /// The result type (RFC 8460 §4.3).
    pub kind: String,
    /// Sessions.
    pub count: u64,
    /// What to do about it.
    pub advice: String,
}

/// Failed sessions between one sender and one of our servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerView {
    /// The result type.
    pub kind: String,
    /// The sender's address.
    pub sending: Option<IpAddr>,
    /// Our server.
    pub host: Option<String>,
    /// Sessions.
    pub count: u64,
    /// In the reporter's words.
    pub reason: Option<String>,
}

/// One TLS report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsReporter {
    /// Who reports, in its own words.
    pub organization: String,
    /// Its domain.
    pub submitter: String,
    /// The report's name.
    pub id: String,
    /// The period, Unix seconds.
    pub begin: u64,
    /// Its end.
    pub end: u64,
    /// Sessions without fault.
    pub success: u64,
    /// Sessions with one.
    pub failure: u64,
}

/// What DMARC reports say about mail in our name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DmarcView {
    /// How many days back.
    pub days: u32,
    /// Messages that passed, of proven reports.
    pub pass: u64,
    /// Messages that failed.
    pub fail: u64,
    /// Who sends in our name, those that fail most first.
    pub sources: Vec<DmarcSource>,
    /// The proven reports, the latest first.
    pub reporters: Vec<DmarcReporter>,
    /// Reports whose sender is not proven; not counted above.
    pub unproven: Vec<DmarcReporter>,
}

/// An address that sends mail in our name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DmarcSource {
    /// The address.
    pub source: Option<IpAddr>,
    /// The domain in From.
    pub header_from: String,
    /// Messages that passed.
    pub pass: u64,
    /// Messages that failed.
    pub fail: u64,
    /// Of those that failed, how many were put into Junk or refused.
    pub stopped: u64,
    /// Domains that signed, aligned or not.
    pub signers: Vec<String>,
}

/// One DMARC report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DmarcReporter {
    /// Who reports, in its own words.
    pub organization: String,
    /// Its domain.
    pub submitter: String,
    /// The report's name.
    pub id: String,
    /// The period, Unix seconds.
    pub begin: u64,
    /// Its end.
    pub end: u64,
    /// Messages that passed.
    pub pass: u64,
    /// Messages that failed.
    pub fail: u64,
}

impl TlsView {
    /// Puts reports together, the latest first.
    pub fn of(days: u32, reports: &[TlsReceived]) -> Self {
        let mut view = Self {
            days,
            success: 0,
            failure: 0,
            failures: Vec::new(),
            servers: Vec::new(),
            reporters: Vec::new(),
            unproven: Vec::new(),
        };
        let mut kinds: BTreeMap<&'static str, u64> = BTreeMap::new();
        for report in reports {
            let row = reporter(report);
            if !report.origin.trusted {
                view.unproven.push(row);
                continue;
            }
            view.success = view.success.saturating_add(row.success);
            view.failure = view.failure.saturating_add(row.failure);
            view.reporters.push(row);
            for failure in report.policies.iter().flat_map(|policy| &policy.failures) {
                let count = kinds.entry(failure_word(&failure.kind)).or_default();
                *count = count.saturating_add(failure.count);
            }
        }
        view.failures = kinds
            .into_iter()
            .map(|(kind, count)| FailureView {
                kind: kind.to_owned(),
                count,
                advice: advice(kind).to_owned(),
            })
            .collect();
        view.failures.sort_by_key(|failure| std::cmp::Reverse(failure.count));
        view.servers = servers(reports);
        view
    }
}

fn reporter(report: &TlsReceived) -> TlsReporter {
    let sum = |of: fn(&crate::PolicySeen) -> u64| {
        report.policies.iter().map(of).fold(0u64, u64::saturating_add)
    };
    TlsReporter {
        organization: report.origin.organization.clone(),
        submitter: report.origin.submitter.clone(),
        id: report.origin.id.clone(),
        begin: report.origin.begin,
        end: report.origin.end,
        success: sum(|policy| policy.success),
        failure: sum(|policy| policy.failure),
    }
}

fn servers(reports: &[TlsReceived]) -> Vec<ServerView> {
    let mut found: BTreeMap<_, ServerView> = BTreeMap::new();
    let trusted = reports.iter().filter(|report| report.origin.trusted);
    for failure in trusted.flat_map(|report| &report.policies).flat_map(|p| &p.failures) {
        let kind = failure_word(&failure.kind);
        let entry = found.entry((kind, failure.sending, failure.host.as_deref()));
        let server = entry.or_insert_with(|| ServerView {
            kind: kind.to_owned(),
            sending: failure.sending,
            host: failure.host.clone(),
            count: 0,
            reason: None,
        });
        server.count = server.count.saturating_add(failure.count);
        server.reason = server.reason.take().or_else(|| failure.reason.clone());
    }
    let mut servers: Vec<ServerView> = found.into_values().collect();
    servers.sort_by_key(|server| std::cmp::Reverse(server.count));
    servers.truncate(MAX_LISTED);
    servers
}

impl DmarcView {
    /// Puts reports together, the latest first.
    pub fn of(days: u32, reports: &[DmarcReceived]) -> Self {
        let mut view = Self {
            days,
            pass: 0,
            fail: 0,
            sources: Vec::new(),
            reporters: Vec::new(),
            unproven: Vec::new(),
        };
        for report in reports {
            let (pass, fail) = report.totals();
            let row = DmarcReporter {
                organization: report.origin.organization.clone(),
                submitter: report.origin.submitter.clone(),
                id: report.origin.id.clone(),
                begin: report.origin.begin,
                end: report.origin.end,
                pass,
                fail,
            };
            if report.origin.trusted {
                view.pass = view.pass.saturating_add(pass);
                view.fail = view.fail.saturating_add(fail);
                view.reporters.push(row);
            } else {
                view.unproven.push(row);
            }
        }
        view.sources = sources(reports);
        view
    }
}

fn sources(reports: &[DmarcReceived]) -> Vec<DmarcSource> {
    let mut found: BTreeMap<(Option<IpAddr>, &str), DmarcSource> = BTreeMap::new();
    let trusted = reports.iter().filter(|report| report.origin.trusted);
    for row in trusted.flat_map(|report| &report.rows) {
        let entry = found.entry((row.source, &row.header_from)).or_insert_with(|| DmarcSource {
            source: row.source,
            header_from: row.header_from.clone(),
            pass: 0,
            fail: 0,
            stopped: 0,
            signers: Vec::new(),
        });
        if row.passed() {
            entry.pass = entry.pass.saturating_add(row.count);
        } else {
            entry.fail = entry.fail.saturating_add(row.count);
            if row.disposition != "none" {
                entry.stopped = entry.stopped.saturating_add(row.count);
            }
        }
        for signer in &row.signers {
            if entry.signers.len() < 4 && !entry.signers.contains(signer) {
                entry.signers.push(signer.clone());
            }
        }
    }
    let mut sources: Vec<DmarcSource> = found.into_values().collect();
    sources.sort_by_key(|source| std::cmp::Reverse((source.fail, source.pass)));
    sources.truncate(MAX_LISTED);
    sources
}

/// What to do about a kind of failure that others report, in words.
pub fn advice(kind: &str) -> &'static str {
    match kind {
        "starttls-not-supported" => {
            "our server did not offer STARTTLS: a firewall or another server in the way strips it; \
             look at what answers on port 25 from outside"
        }
        "certificate-host-mismatch" => {
            "our certificate does not carry the name in the MX record: get one for that name, or \
             correct the MX record"
        }
        "certificate-expired" => "our certificate has expired: renew it and reload the server",
        "certificate-not-trusted" => {
            "our certificate does not come from a public authority, or its chain is incomplete: \
             give the server the full chain"
        }
        "validation-failure" => {
            "the TLS handshake failed in another way; the reporter's reason below says more"
        }
        "tlsa-invalid" => {
            "our TLSA records do not fit our certificate: compare them with `wardpost domain list`"
        }
        "dnssec-invalid" => {
            "the signatures of our DNS zone do not verify: ask whoever runs our DNS"
        }
        "dane-required" => {
            "the sender demands DANE and found no usable TLSA records: publish them, or leave it"
        }
        "sts-policy-fetch-error" => {
            "our MTA-STS policy could not be fetched: look whether https://mta-sts.DOMAIN is reachable"
        }
        "sts-policy-invalid" => {
            "our MTA-STS policy cannot be read, or does not fit its DNS record: compare them with \
             `wardpost domain list`"
        }
        "sts-webpki-invalid" => {
            "the certificate of our MTA-STS policy host is not valid for it: it must carry the name \
             mta-sts.DOMAIN"
        }
        _ => "a kind of failure that RFC 8460 does not name; the reporter's reason below says more",
    }
}
