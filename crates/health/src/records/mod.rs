//! Records in the DNS: what should be there against what is.

mod mail;
mod texts;

use crate::facts::{Facts, Found, Phase, RecordFacts, RecordKind};
use crate::words::{bad, finding, good, joined, mend_dnssec, shown, unknown, warning};
use crate::{Check, Finding, State};

/// Which check a record belongs to.
fn check_of(kind: RecordKind) -> Check {
    match kind {
        RecordKind::Mx => Check::DnsMx,
        RecordKind::Spf | RecordKind::HostSpf => Check::DnsSpf,
        RecordKind::Dmarc => Check::DnsDmarc,
        RecordKind::Dkim => Check::DnsDkim,
        RecordKind::MtaSts | RecordKind::MtaStsHost => Check::DnsMtaSts,
        RecordKind::TlsRpt => Check::DnsTlsRpt,
        RecordKind::Tlsa => Check::DnsTlsa,
        RecordKind::Srv | RecordKind::Settings => Check::DnsClients,
        RecordKind::Caa => Check::DnsCaa,
    }
}

/// One finding for each check and domain; when no question at all was answered, one for all.
pub(crate) fn judge(facts: &Facts) -> Vec<Finding> {
    let records = &facts.records;
    if records.is_empty() {
        return Vec::new();
    }
    if records.iter().all(|record| record.found == Found::NoAnswer) {
        // The finding about DNS servers says the rest.
        return vec![unknown(
            Check::DnsMx,
            "No DNS server answered, so our records could not be looked at.",
            "",
        )];
    }
    let mut findings = Vec::new();
    let mut done = Vec::new();
    for record in records {
        let key = (check_of(record.kind), &record.domain);
        if done.contains(&key) {
            continue;
        }
        let same = |other: &&RecordFacts| (check_of(other.kind), &other.domain) == (key.0, key.1);
        let group: Vec<&RecordFacts> = records.iter().filter(same).collect();
        let about = record.domain.to_string();
        findings.push(Finding { about, ..of_group(facts, key.0, &group) });
        done.push(key);
    }
    findings
}

/// What is to be said of the records that one check is about: the worst.
fn of_group(facts: &Facts, check: Check, group: &[&RecordFacts]) -> Finding {
    if let Some(finding) = hindered(check, group) {
        return finding;
    }
    match check {
        Check::DnsMx => group.first().map(|record| mail::mx(facts, record)),
        Check::DnsSpf => worst(group.iter().map(|record| texts::spf(facts, record))),
        Check::DnsDmarc => group.first().map(|record| texts::dmarc(record)),
        Check::DnsDkim => Some(texts::dkim(group)),
        Check::DnsMtaSts => worst(group.iter().map(|record| mail::mta_sts(record))),
        Check::DnsTlsRpt => group.first().map(|record| texts::tls_rpt(record)),
        Check::DnsTlsa => Some(mail::tlsa(facts, group)),
        Check::DnsClients => Some(mail::clients(group)),
        _ => Some(mail::caa(group)),
    }
    // A group has at least one record.
    .unwrap_or_else(|| unknown(check, "Nothing is known of it.", ""))
}

/// Why nothing can be said of a group of records: no answer, or wrong signatures.
fn hindered(check: Check, group: &[&RecordFacts]) -> Option<Finding> {
    let with = |found: &Found| group.iter().find(|record| record.found == *found).copied();
    if let Some(record) = with(&Found::Bogus) {
        let says = format!(
            "The signatures of the record \"{}\" are wrong (DNSSEC): others that check them take it for \
             forged.",
            label(record)
        );
        return Some(bad(check, says, mend_dnssec(&record.domain)));
    }
    let record = with(&Found::NoAnswer)?;
    let says = format!("No DNS server answered the question for the record \"{}\".", label(record));
    Some(unknown(check, says, ""))
}

fn worst(findings: impl Iterator<Item = Finding>) -> Option<Finding> {
    // Of equals the first.
    findings.reduce(|worst, next| if next.state > worst.state { next } else { worst })
}

/// `mail.clinic.example A`.
fn label(record: &RecordFacts) -> String {
    format!("{} {}", record.name, record.type_name)
}

/// How to put a record in.
fn enter(record: &RecordFacts) -> String {
    format!(
        "Open the page \"DNS records\" of this server, copy the record \"{}\", and enter it on the DNS page \
         of the company where the domain {} was bought. If you have just done it, wait an hour.",
        label(record),
        record.domain
    )
}

/// How to put several in.
fn enter_all(records: &[&RecordFacts]) -> String {
    let labels: Vec<String> =
        records.iter().map(|record| format!("\"{}\"", label(record))).collect();
    let domain = records.first().map(|record| record.domain.to_string()).unwrap_or_default();
    let what = if labels.len() == 1 { "record" } else { "records" };
    format!(
        "Open the page \"DNS records\" of this server, copy the {what} {}, and enter them on the DNS page of \
         the company where the domain {domain} was bought. If you have just done it, wait an hour.",
        joined(&labels)
    )
    .replace(
        "enter them",
        if labels.len() == 1 { "enter it" } else { "enter them" },
    )
}

/// The texts that begin with a version, as `v=spf1` does.
fn versions<'a>(record: &'a RecordFacts, version: &str) -> Vec<&'a str> {
    let begins = |text: &&str| {
        let rest = text.get(..version.len()).filter(|start| start.eq_ignore_ascii_case(version));
        let next = text.get(version.len()..).and_then(|rest| rest.chars().next());
        rest.is_some() && next.is_none_or(|c| c == ' ' || c == ';')
    };
    record.found.values().iter().map(|text| text.trim()).filter(begins).collect()
}

/// The value of a tag in a record of tags (`p=none; rua=…`).
fn tag<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split(';').find_map(|tag| {
        let (key, value) = tag.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// Domain names are the same in any case, with or without a final dot.
fn same_name(a: &str, b: &str) -> bool {
    a.trim_end_matches('.').eq_ignore_ascii_case(b.trim_end_matches('.'))
}
