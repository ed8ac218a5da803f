//! Reports about us, as they are kept.
//!
//! What others write is cut to what is shown: domains, addresses of servers, counts. Nothing of the
//! mail they came in is kept, and no mail address.

use mail_auth::report::{ActionDisposition, DmarcResult, Report};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use wardpost_mail::Domain;
use wardpost_message::report::TlsReport;
use wardpost_verdict::FailureKind;

/// Policies of one report that are kept.
const MAX_POLICIES: usize = 50;
/// Failures of one policy that are kept.
const MAX_FAILURES: usize = 200;
/// Rows of one DMARC report that are kept; the rest is summed up.
const MAX_ROWS: usize = 1_000;
/// Signing domains of one row that are kept.
const MAX_SIGNERS: usize = 4;
/// Characters of a text that are kept.
const MAX_TEXT: usize = 200;

/// Where a report comes from, and for when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// When it came, Unix seconds.
    pub received: u64,
    /// The reporter's name, in its own words.
    pub organization: String,
    /// The reporter's domain.
    pub submitter: String,
    /// The mail was proven to come from that domain.
    pub trusted: bool,
    /// The report's name.
    pub id: String,
    /// The period, Unix seconds.
    pub begin: u64,
    /// Its end.
    pub end: u64,
}

/// A TLS report about our servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsReceived {
    /// Where it comes from.
    pub origin: Origin,
    /// What was seen, for our domains only.
    pub policies: Vec<PolicySeen>,
}

/// What a reporter saw under one policy of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicySeen {
    /// `tlsa`, `sts` or `no-policy-found`.
    pub kind: String,
    /// Our domain.
    pub domain: String,
    /// Sessions without fault.
    pub success: u64,
    /// Sessions with one.
    pub failure: u64,
    /// What was wrong.
    pub failures: Vec<FailureSeen>,
}

/// Sessions that failed alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureSeen {
    /// The result type (RFC 8460 §4.3), or `other`.
    pub kind: String,
    /// How many.
    pub count: u64,
    /// The reporter's address.
    pub sending: Option<IpAddr>,
    /// Our server, as the reporter names it.
    pub host: Option<String>,
    /// What exactly, in the reporter's words.
    pub reason: Option<String>,
}

/// A DMARC aggregate report about mail in our name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DmarcReceived {
    /// Where it comes from.
    pub origin: Origin,
    /// Our domain.
    pub domain: String,
    /// Senders.
    pub rows: Vec<SourceSeen>,
    /// Messages that passed, of rows that are not kept.
    pub beyond_pass: u64,
    /// Those that failed.
    pub beyond_fail: u64,
}

/// Messages that came alike from one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSeen {
    /// The client.
    pub source: Option<IpAddr>,
    /// How many.
    pub count: u64,
    /// An aligned signature passed.
    pub dkim: bool,
    /// SPF passed, aligned.
    pub spf: bool,
    /// `none`, `quarantine` or `reject`: what the receiver did.
    pub disposition: String,
    /// The domain in From.
    pub header_from: String,
    /// Domains that signed, aligned or not.
    pub signers: Vec<String>,
}

impl SourceSeen {
    /// Whether DMARC passed.
    pub fn passed(&self) -> bool {
        self.dkim || self.spf
    }
}

/// Result types (RFC 8460 §4.3) that are told apart: ours, and one that we never say.
pub(crate) fn failure_word(word: &str) -> &'static str {
    let known = FailureKind::ALL.into_iter().map(FailureKind::name);
    known.chain(["dane-required"]).find(|known| *known == word).unwrap_or("other")
}

/// A stranger's text, one line, cut.
pub(crate) fn text(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_TEXT)
        .collect::<String>()
        .trim()
        .to_owned()
}

impl TlsReceived {
    /// What is kept of a report; `None` when it is about none of our domains.
    pub(crate) fn of(origin: Origin, report: TlsReport, ours: &[Domain]) -> Option<Self> {
        let policies: Vec<PolicySeen> = report
            .policies
            .into_iter()
            .filter_map(|policy| {
                let domain = Domain::parse(&policy.policy.policy_domain).ok()?;
                ours.contains(&domain).then_some((domain, policy))
            })
            .take(MAX_POLICIES)
            .map(|(domain, policy)| PolicySeen {
                kind: match policy.policy.policy_type.as_str() {
                    known @ ("tlsa" | "sts" | "no-policy-found") => known.to_owned(),
                    _ => "other".to_owned(),
                },
                domain: domain.to_string(),
                success: policy.summary.total_successful_session_count,
                failure: policy.summary.total_failure_session_count,
                failures: policy
                    .failure_details
                    .into_iter()
                    .take(MAX_FAILURES)
                    .map(|failure| FailureSeen {
                        kind: failure_word(&failure.result_type).to_owned(),
                        count: failure.failed_session_count,
                        sending: failure.sending_mta_ip,
                        host: failure.receiving_mx_hostname.as_deref().map(text),
                        reason: failure.failure_reason_code.as_deref().map(text),
                    })
                    .collect(),
            })
            .collect();
        (!policies.is_empty()).then_some(Self { origin, policies })
    }
}

impl DmarcReceived {
    /// What is kept of a report; `None` when it is about none of our domains.
    pub(crate) fn of(origin: Origin, report: Report, ours: &[Domain]) -> Option<Self> {
        let domain = Domain::parse(report.domain()).ok()?;
        if !ours.iter().any(|our| our.is_within(&domain) || domain.is_within(our)) {
            return None;
        }
        let (mut beyond_pass, mut beyond_fail) = (0u64, 0u64);
        let mut rows = Vec::new();
        for record in report.records() {
            let row = SourceSeen {
                source: record.source_ip(),
                count: record.count().into(),
                dkim: record.dmarc_dkim_result() == DmarcResult::Pass,
                spf: record.dmarc_spf_result() == DmarcResult::Pass,
                disposition: match record.action_disposition() {
                    ActionDisposition::Quarantine => "quarantine",
                    ActionDisposition::Reject => "reject",
                    _ => "none",
                }
                .to_owned(),
                header_from: text(record.header_from()),
                signers: record
                    .dkim_auth_result()
                    .iter()
                    .take(MAX_SIGNERS)
                    .map(|dkim| text(dkim.domain()))
                    .collect(),
            };
            match (rows.len() < MAX_ROWS, row.passed()) {
                (true, _) => rows.push(row),
                (false, true) => beyond_pass = beyond_pass.saturating_add(row.count),
                (false, false) => beyond_fail = beyond_fail.saturating_add(row.count),
            }
        }
        Some(Self { origin, domain: domain.to_string(), rows, beyond_pass, beyond_fail })
    }

    /// Messages that passed, and that failed.
    pub fn totals(&self) -> (u64, u64) {
        let sum = |passed| {
            let rows = self.rows.iter().filter(|row| row.passed() == passed);
            rows.fold(0u64, |sum, row| sum.saturating_add(row.count))
        };
        (sum(true).saturating_add(self.beyond_pass), sum(false).saturating_add(self.beyond_fail))
    }
}
