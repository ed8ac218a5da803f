//! One path to a mail server, as shown: the facts, the demand, the judgement, in plain lines.

use super::unix_text;
use serde::{Deserialize, Serialize};
use std::fmt;
use wardpost_mail::TlsGrade;
use wardpost_verdict::{
    Dnssec, Failure, LookupFailure, PathEvidence, StsEvidence, TlsaEvidence, Verdict,
};

/// What was known of a path, what was demanded of it, and what was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathView {
    /// How far DNS can be believed on the way there.
    pub dnssec: DnssecView,
    /// The TLSA records that were found, by the name they were looked up for.
    pub tlsa: Vec<TlsaView>,
    /// The domain's MTA-STS policy.
    pub mta_sts: Option<StsView>,
    /// What went wrong when that policy was looked for.
    pub mta_sts_problem: Option<String>,
    /// Which of the two the server is held to: `dane` or `mta-sts`.
    pub published: Option<String>,
    /// TLS version and cipher suite.
    pub tls: Option<String>,
    /// The server's certificate.
    pub certificate: Option<PeerCertificateView>,
    /// How good the path is.
    pub grade: Option<TlsGrade>,
    /// The least grade that would do.
    pub floor: Option<TlsGrade>,
    /// Who set that floor, in words.
    pub floor_set_by: Option<String>,
    /// Why the grade is not better.
    pub failures: Vec<FailureView>,
    /// What was found wrong and cost nothing.
    pub remarks: Vec<FailureView>,
    /// Why the server must not be used now.
    pub deferral: Option<String>,
}

/// How far answers can be believed: `secure`, `insecure`, `indeterminate`, `bogus` or `no answer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnssecView {
    /// The domain's mail servers.
    pub mx: String,
    /// This server's addresses.
    pub address: String,
    /// Its TLSA records; absent when there was no use in asking.
    pub tlsa: Option<String>,
}

/// The TLSA records below one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsaView {
    /// The name, without `_25._tcp.`.
    pub name: String,
    /// The records in zone-file form.
    pub records: Vec<String>,
    /// How far they can be believed.
    pub dnssec: String,
}

/// An MTA-STS policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StsView {
    /// `enforce`, `testing` or `none`.
    pub mode: String,
    /// The servers it names.
    pub mx: Vec<String>,
    /// Whether it names this one.
    pub names_this_server: bool,
    /// Seconds since it was fetched.
    pub age: u64,
    /// Seconds that it goes on holding.
    pub holds_for: u64,
}

/// A mail server's certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerCertificateView {
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// Whose it is.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// From when it is valid, RFC 3339.
    pub not_before: String,
    /// Until when, RFC 3339.
    pub not_after: String,
}

/// Something wrong with a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureView {
    /// The result type of RFC 8460 §4.3.
    pub kind: String,
    /// What it failed against: `tlsa`, `sts` or `no-policy-found`.
    pub policy: String,
    /// What exactly.
    pub detail: String,
}

fn truth(dnssec: Result<Dnssec, LookupFailure>) -> String {
    match dnssec {
        Ok(dnssec) => dnssec.name(),
        Err(LookupFailure::Bogus) => "bogus",
        Err(LookupFailure::Temporary) => "no answer",
    }
    .to_owned()
}

impl From<PathEvidence> for PathView {
    fn from(path: PathEvidence) -> Self {
        let verdict = path.verdict.as_ref();
        let failures = |of: fn(&Verdict) -> &[Failure]| {
            verdict.map(|v| of(v).iter().map(FailureView::of).collect()).unwrap_or_default()
        };
        let tlsa: Vec<TlsaView> = path.tlsa.iter().map(TlsaView::of).collect();
        Self {
            dnssec: DnssecView {
                mx: truth(path.mx),
                address: truth(path.address),
                tlsa: tlsa.last().map(|answer| answer.dnssec.clone()),
            },
            mta_sts: path.sts.as_ref().map(StsView::of),
            published: verdict.and_then(Verdict::published).map(|p| match p {
                wardpost_verdict::Published::Dane => "dane".to_owned(),
                wardpost_verdict::Published::MtaSts => "mta-sts".to_owned(),
            }),
            tls: verdict.and_then(|v| Some(format!("{} {}", v.version()?, v.suite()?))),
            certificate: verdict.and_then(Verdict::certificate).map(|certificate| {
                PeerCertificateView {
                    sha256: certificate.sha256.clone(),
                    subject: certificate.subject.clone(),
                    issuer: certificate.issuer.clone(),
                    not_before: unix_text(certificate.not_before),
                    not_after: unix_text(certificate.not_after),
                }
            }),
            grade: verdict.map(Verdict::grade),
            floor: path.floor.map(|(floor, _)| floor.grade()),
            floor_set_by: path.floor.map(|(_, set_by)| set_by.explain().to_owned()),
            failures: failures(Verdict::failures),
            remarks: failures(Verdict::remarks),
            deferral: path.deferral.map(|deferral| deferral.to_string()),
            mta_sts_problem: path.sts_problem,
            tlsa,
        }
    }
}

impl TlsaView {
    fn of(answer: &TlsaEvidence) -> Self {
        let (records, dnssec) = match &answer.records {
            Ok((records, dnssec)) => (records.clone(), truth(Ok(*dnssec))),
            Err(failure) => (Vec::new(), truth(Err(*failure))),
        };
        Self { name: answer.base.to_string(), records, dnssec }
    }
}

impl StsView {
    fn of(sts: &StsEvidence) -> Self {
        Self {
            mode: sts.mode.name().to_owned(),
            mx: sts.mx.iter().map(ToString::to_string).collect(),
            names_this_server: sts.covers,
            age: sts.age,
            holds_for: sts.max_age.saturating_sub(sts.age),
        }
    }
}

impl FailureView {
    fn of(failure: &Failure) -> Self {
        Self {
            kind: failure.kind.to_string(),
            policy: failure.policy.to_string(),
            detail: failure.detail.clone(),
        }
    }
}

/// Whole days, hours or minutes, for people.
fn span(seconds: u64) -> String {
    let (number, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {unit}{plural}")
}

impl PathView {
    fn tlsa_line(&self) -> String {
        let found: Vec<String> = self
            .tlsa
            .iter()
            .filter(|answer| !answer.records.is_empty())
            .map(|answer| format!("{} (at _25._tcp.{})", answer.records.join("; "), answer.name))
            .collect();
        match (self.tlsa.last(), found.is_empty()) {
            (_, false) => found.join("; "),
            (None, _) => {
                "not asked for: it counts only where DNSSEC proves the way there".to_owned()
            }
            (Some(answer), _) => format!("none ({})", answer.dnssec),
        }
    }

    fn mta_sts_line(&self) -> String {
        let policy = self.mta_sts.as_ref().map(|sts| {
            let names = if sts.names_this_server { "names" } else { "does not name" };
            let (age, rest) = (span(sts.age), span(sts.holds_for));
            format!("{}, {names} this server, fetched {age} ago, holds {rest} more", sts.mode)
        });
        match (policy, &self.mta_sts_problem) {
            (Some(policy), Some(problem)) => format!("{policy} ({problem})"),
            (Some(policy), None) => policy,
            (None, Some(problem)) => format!("none that holds ({problem})"),
            (None, None) => "none".to_owned(),
        }
    }

    fn certificate_line(&self) -> String {
        match &self.certificate {
            Some(it) => format!(
                "{}, from {}, valid until {}, sha256:{}",
                or_nameless(&it.subject),
                or_nameless(&it.issuer),
                it.not_after,
                it.sha256
            ),
            None => "none was seen".to_owned(),
        }
    }

    /// The lines, each a label and what is to be said.
    pub(super) fn lines(&self) -> Vec<(&'static str, String)> {
        let DnssecView { mx, address, tlsa } = &self.dnssec;
        let tlsa = tlsa.as_deref().map(|tlsa| format!(", TLSA {tlsa}")).unwrap_or_default();
        let grade = match (self.grade, &self.deferral) {
            (Some(grade), _) => format!("{grade}: {}", grade.explain()),
            (None, Some(deferral)) => format!("not judged: {deferral}"),
            (None, None) => "not judged: the server could not be spoken to".to_owned(),
        };
        let mut lines = vec![
            ("DNSSEC", format!("MX {mx}, addresses {address}{tlsa}")),
            ("TLSA", self.tlsa_line()),
            ("MTA-STS", self.mta_sts_line()),
            ("encryption", self.tls.clone().unwrap_or_else(|| "none".to_owned())),
            ("certificate", self.certificate_line()),
            ("grade", grade),
        ];
        let because = |failure: &FailureView| ("because", failure.to_string());
        lines.extend(self.failures.iter().map(because));
        lines.extend(self.remarks.iter().map(|remark| ("remark", remark.to_string())));
        if let (Some(floor), Some(by)) = (self.floor, &self.floor_set_by) {
            lines.push(("demanded", format!("{floor} ({}), set by {by}", floor.explain())));
        }
        lines
    }
}

fn or_nameless(name: &str) -> &str {
    if name.is_empty() { "(no name)" } else { name }
}

impl fmt::Display for FailureView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.detail)
    }
}
