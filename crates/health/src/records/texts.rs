//! Records that are texts: SPF, DKIM, DMARC, TLS-RPT.

use super::{
    Check, Facts, Finding, Phase, RecordFacts, RecordKind, bad, enter, enter_all, good, joined,
    label, same_name, shown, tag, versions, warning,
};
use std::net::IpAddr;

/// Who may send (RFC 7208).
pub(super) fn spf(facts: &Facts, record: &RecordFacts) -> Finding {
    let (check, name) = (Check::DnsSpf, &record.name);
    let of_host = record.kind == RecordKind::HostSpf;
    let found = versions(record, "v=spf1");
    let text = match found.as_slice() {
        [] => {
            let says = format!(
                "The record \"{}\" (SPF) is missing: large providers distrust or refuse mail from {name}.",
                label(record)
            );
            // Only reports come from the host's own name.
            return match of_host {
                true => warning(check, says, enter(record)),
                false => bad(check, says, enter(record)),
            };
        }
        [text] => *text,
        several => {
            let says = format!(
                "There are {} SPF records at {name}: that counts as none, and large providers refuse mail.",
                several.len()
            );
            return bad(check, says, format!("Leave one of them. {}", enter(record)));
        }
    };
    if text.eq_ignore_ascii_case(&record.wanted) {
        return good(check, format!("This server, and no other, may send mail from {name}."));
    }
    let shown = shown(text);
    match reading(facts, name, text) {
        Spf::Everybody => warning(
            check,
            format!("The SPF record of {name} lets everybody send in its name: \"{shown}\"."),
            enter(record),
        ),
        Spf::UsToo => good(check, format!("This server may send mail from {name}, among others.")),
        Spf::SomebodyKnows => warning(
            check,
            format!(
                "The SPF record of {name}, \"{shown}\", does not name this server itself; whether a service that \
                 it includes does is not looked at."
            ),
            format!(
                "Put the word \"mx\" in behind \"v=spf1\", and leave the rest if those services still send mail \
                 in your name. Otherwise: {}",
                enter(record)
            ),
        ),
        Spf::NotUs => bad(
            check,
            format!(
                "The SPF record of {name}, \"{shown}\", does not name this server: its mail looks forged."
            ),
            enter(record),
        ),
    }
}

enum Spf {
    Everybody,
    UsToo,
    SomebodyKnows,
    NotUs,
}

/// As much of an SPF record as can be told without asking further.
fn reading(facts: &Facts, at: &str, text: &str) -> Spf {
    let host = facts.hostname.as_str();
    let addresses: &[IpAddr] = facts.host.as_ref().map_or(&[], |host| &host.public);
    let (mut us, mut others) = (false, false);
    for term in text.split_whitespace().skip(1) {
        let term = term.to_ascii_lowercase();
        let term = match term.strip_prefix(['-', '~', '?']) {
            // What is not allowed does not allow us.
            Some(_) => continue,
            None => term.strip_prefix('+').unwrap_or(&term),
        };
        let (mechanism, value) = term.split_once([':', '=']).unwrap_or((term, ""));
        let name = value.split('/').next().unwrap_or_default();
        match mechanism.split('/').next().unwrap_or_default() {
            "all" => return Spf::Everybody,
            // The domain's own; whether that is us is said by the finding about MX.
            "mx" if value.is_empty() => us = true,
            "a" if value.is_empty() => us |= same_name(at, host),
            "a" => us |= same_name(name, host),
            "ip4" | "ip6" => us |= addresses.iter().any(|address| covers(value, *address)),
            "include" | "redirect" | "mx" | "exists" | "ptr" => others = true,
            _ => {}
        }
    }
    match (us, others) {
        (true, _) => Spf::UsToo,
        (false, true) => Spf::SomebodyKnows,
        (false, false) => Spf::NotUs,
    }
}

/// Whether a network in SPF's form holds an address.
fn covers(network: &str, address: IpAddr) -> bool {
    let (first, prefix) = match network.split_once('/') {
        Some((first, prefix)) => (first, prefix.parse().ok()),
        None => (network, Some(128)),
    };
    let Some(prefix): Option<u32> = prefix else { return false };
    match (first.parse(), address) {
        (Ok(IpAddr::V4(first)), IpAddr::V4(address)) => {
            (first.to_bits() ^ address.to_bits()).leading_zeros() >= prefix.min(32)
        }
        (Ok(IpAddr::V6(first)), IpAddr::V6(address)) => {
            (first.to_bits() ^ address.to_bits()).leading_zeros() >= prefix.min(128)
        }
        _ => false,
    }
}

/// What others do with forged mail (RFC 9989).
pub(super) fn dmarc(record: &RecordFacts) -> Finding {
    let (check, domain) = (Check::DnsDmarc, &record.domain);
    let found = versions(record, "v=DMARC1");
    let [text] = found.as_slice() else {
        let says = match found.len() {
            0 => format!(
                "The record \"{}\" is missing: forged mail in the name of {domain} is not distrusted, and some \
                 large providers refuse mail without it.",
                label(record)
            ),
            n => format!("There are {n} DMARC records for {domain}: that counts as none."),
        };
        return warning(check, says, enter(record));
    };
    match tag(text, "p").map(str::to_ascii_lowercase).as_deref() {
        Some("quarantine" | "reject") => {
            good(check, format!("Forged mail in the name of {domain} is distrusted."))
        }
        Some("none") => warning(
            check,
            format!(
                "The DMARC record of {domain} only has others watch (\"p=none\"): forged mail is delivered all the \
                 same."
            ),
            enter(record),
        ),
        _ => warning(
            check,
            format!("The DMARC record of {domain} says nothing that others understand."),
            enter(record),
        ),
    }
}

/// The keys that sign (RFC 6376).
pub(super) fn dkim(group: &[&RecordFacts]) -> Finding {
    let check = Check::DnsDkim;
    let domain = group.first().map(|record| record.domain.to_string()).unwrap_or_default();
    let key = |text: &str| {
        tag(text, "p").map(|key| key.chars().filter(|c| !c.is_whitespace()).collect::<String>())
    };
    let there = |record: &&RecordFacts| {
        record.found.values().iter().any(|text| key(text) == key(&record.wanted))
    };
    let absent = |phase: Phase| -> Vec<&RecordFacts> {
        let of_phase = group.iter().copied().filter(|record| record.phase == phase);
        of_phase.filter(|record| !there(record)).collect()
    };
    let (now, coming, leaving) =
        (absent(Phase::Now), absent(Phase::Coming), absent(Phase::Leaving));
    if !now.is_empty() {
        let (wrong, missing): (Vec<&RecordFacts>, Vec<&RecordFacts>) =
            now.iter().partition(|record| !record.found.values().is_empty());
        let names = |records: &[&RecordFacts]| {
            joined(&records.iter().map(|record| record.name.as_str()).collect::<Vec<_>>())
        };
        let mut says = Vec::new();
        if !missing.is_empty() {
            says.push(format!("there is no key at {}", names(&missing)));
        }
        if !wrong.is_empty() {
            says.push(format!("there is another key at {}", names(&wrong)));
        }
        let says = format!(
            "The signatures on mail from {domain} cannot be checked: {}. Large providers distrust or refuse such \
             mail.",
            joined(&says)
        );
        return bad(check, says, enter_all(&now));
    }
    if !coming.is_empty() {
        let says = format!(
            "Signatures on mail from {domain} can be checked. The records of the next keys are not seen yet: the \
             keys wait for them."
        );
        return warning(check, says, enter_all(&coming));
    }
    if !leaving.is_empty() {
        let says = format!(
            "The record of a key that signed mail of {domain} until lately is gone: mail still under way cannot be \
             checked any more."
        );
        return warning(check, says, enter_all(&leaving));
    }
    good(check, format!("Signatures on mail from {domain} can be checked."))
}

/// Who hears of failures (RFC 8460).
pub(super) fn tls_rpt(record: &RecordFacts) -> Finding {
    let (check, domain) = (Check::DnsTlsRpt, &record.domain);
    let found = versions(record, "v=TLSRPTv1");
    match found.as_slice() {
        [text] if tag(text, "rua") == tag(&record.wanted, "rua") => good(
            check,
            format!("Others tell us when they cannot reach {domain} over good encryption."),
        ),
        [_] => warning(
            check,
            format!("Reports about encryption to {domain} go to somebody else than this server."),
            enter(record),
        ),
        _ => warning(
            check,
            format!(
                "The record \"{}\" is missing: nobody tells us when encryption to {domain} fails.",
                label(record)
            ),
            enter(record),
        ),
    }
}
