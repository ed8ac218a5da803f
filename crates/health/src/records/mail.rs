//! MX, MTA-STS, TLSA, what mail programs look for, CAA.

use super::{
    Check, Facts, Finding, Found, Phase, RecordFacts, RecordKind, State, bad, enter, enter_all,
    finding, good, joined, label, same_name, shown, unknown, versions, warning,
};

/// Where mail of the domain goes.
pub(super) fn mx(facts: &Facts, record: &RecordFacts) -> Finding {
    let (check, domain, host) = (Check::DnsMx, &record.domain, &facts.hostname);
    if record.found == Found::NoSuchName {
        let says = format!("The domain {domain} is not in the DNS: nobody can write to it.");
        let to_do = format!(
            "See whether the domain {domain} is paid for and spelled as it was bought. If it is new, wait a \
             day; after that call the company where it was bought, and say: \"our domain does not resolve\"."
        );
        return bad(check, says, to_do);
    }
    let hosts: Vec<(u16, &str)> =
        record.found.values().iter().filter_map(|mx| read_mx(mx)).collect();
    if hosts.is_empty() {
        let says = format!("The domain {domain} has no MX record: mail for it does not come here.");
        return bad(check, says, enter(record));
    }
    let ours =
        hosts.iter().filter(|(_, name)| same_name(name, host.as_str())).map(|(n, _)| *n).min();
    let others: Vec<String> = hosts
        .iter()
        .filter(|(_, name)| !same_name(name, host.as_str()))
        .map(|(_, name)| shown(name.trim_end_matches('.')))
        .collect();
    if others == [""] && ours.is_none() {
        let says = format!("The MX record of {domain} says that the domain takes no mail at all.");
        return bad(check, says, format!("Take that record out. {}", enter(record)));
    }
    let Some(ours) = ours else {
        let says = format!("Mail for {domain} goes to {}, not to this server.", joined(&others));
        let to_do = format!(
            "As long as mail is to go there, this is right. When it is to come here, put the record \"{}\" \
             from the page \"DNS records\" in the place of the others, on the DNS page of the company where \
             the domain was bought. If you have just done it, wait an hour.",
            label(record)
        );
        return bad(check, says, to_do);
    };
    if others.is_empty() {
        return good(check, format!("Mail for {domain} comes to this server."));
    }
    let first = hosts.iter().all(|(preference, _)| *preference >= ours);
    let says = match first {
        true => format!(
            "Mail for {domain} comes to this server, but {} is named besides: what goes there does not come \
             here.",
            joined(&others)
        ),
        false => format!(
            "Mail for {domain} goes to {} first, and to this server only when that does not answer.",
            joined(&others)
        ),
    };
    let to_do = format!(
        "On the DNS page of the company where the domain {domain} was bought, take the MX records out that \
         name {}. If you have just done it, wait an hour.",
        joined(&others)
    );
    if first { warning(check, says, to_do) } else { bad(check, says, to_do) }
}

fn read_mx(value: &str) -> Option<(u16, &str)> {
    let (preference, host) = value.trim().split_once(char::is_whitespace)?;
    Some((preference.parse().ok()?, host.trim()))
}

/// The announcement of our policy, or the host it is fetched from.
pub(super) fn mta_sts(record: &RecordFacts) -> Finding {
    let (check, domain) = (Check::DnsMtaSts, &record.domain);
    if record.kind == RecordKind::MtaStsHost {
        return match alias(record) {
            Alias::Here => good(check, format!("The MTA-STS policy of {domain} is found here.")),
            Alias::Missing => {
                let says = format!(
                    "The name {} leads nowhere, so others do not find our MTA-STS policy, and nothing keeps \
                     their mail from being read on the way.",
                    record.name
                );
                warning(check, says, enter(record))
            }
            Alias::Elsewhere(where_to) => {
                let says = format!(
                    "The name {} leads to {where_to}, not to this server: others do not find our MTA-STS \
                     policy.",
                    record.name
                );
                warning(check, says, enter(record))
            }
        };
    }
    let found = versions(record, "v=STSv1");
    if found.is_empty() {
        let says = format!(
            "The record \"{}\" is missing: others do not know that they must use verified encryption to \
             {domain}.",
            label(record)
        );
        return warning(check, says, enter(record));
    }
    if found.len() > 1 {
        let says = format!(
            "There are {} records \"{}\": others take none of them.",
            found.len(),
            label(record)
        );
        return warning(check, says, format!("Leave one of them. {}", enter(record)));
    }
    let id = |text: &str| super::tag(text, "id").map(str::to_owned);
    if id(found[0]) != id(&record.wanted) {
        let says = format!(
            "The record \"{}\" has another \"id\" than our policy: others that have read an earlier policy keep \
             to that one.",
            label(record)
        );
        return warning(check, says, enter(record));
    }
    good(check, format!("Others are told to use verified encryption to {domain} (MTA-STS)."))
}

enum Alias {
    Here,
    Missing,
    Elsewhere(String),
}

/// Whether a name leads to the addresses that the host's leads to.
fn alias(record: &RecordFacts) -> Alias {
    let found = record.found.values();
    if found.is_empty() {
        return Alias::Missing;
    }
    let wanted: Vec<&str> = record.wanted.split_whitespace().collect();
    let elsewhere: Vec<String> =
        found.iter().filter(|it| !wanted.contains(&it.as_str())).map(|it| shown(it)).collect();
    if elsewhere.is_empty() { Alias::Here } else { Alias::Elsewhere(joined(&elsewhere)) }
}

/// The keys of our certificate.
pub(super) fn tlsa(facts: &Facts, group: &[&RecordFacts]) -> Finding {
    let check = Check::DnsTlsa;
    let signed = facts.host.as_ref().and_then(|host| host.signed);
    let of = |phase: Phase| group.iter().copied().filter(move |record| record.phase == phase);
    let there = |record: &RecordFacts| {
        let same = |value: &String| {
            value.replace(' ', "").eq_ignore_ascii_case(&record.wanted.replace(' ', ""))
        };
        record.found.values().iter().any(same)
    };
    let any = group.iter().any(|record| !record.found.values().is_empty());
    let absent: Vec<&RecordFacts> = of(Phase::Now).filter(|record| !there(record)).collect();
    let Some(first) = group.first() else {
        return unknown(check, "There is no key to publish yet.", "");
    };
    if !any {
        return match signed {
            Some(true) => warning(
                check,
                format!(
                    "The record \"{}\" is missing: others cannot make sure by it that they talk to this \
                     server (DANE).",
                    label(first)
                ),
                enter_all(&absent),
            ),
            _ => unknown(
                check,
                "There is no TLSA record. It would count only in a zone that is signed (DNSSEC).",
                "",
            ),
        };
    }
    if !absent.is_empty() {
        let says =
            format!("The record \"{}\" names another key than this server has", label(first));
        return match signed {
            Some(true) => bad(
                check,
                format!("{says}: servers that use DANE bring no mail."),
                format!(
                    "{} Take those records \"{}\" out that the page does not list.",
                    enter_all(&absent),
                    label(first)
                ),
            ),
            _ => warning(
                check,
                format!("{says}. It does no harm as long as the zone is not signed (DNSSEC)."),
                enter_all(&absent),
            ),
        };
    }
    if let Some(next) = of(Phase::Coming).find(|record| !there(record)) {
        let says = "The key of this server is in the DNS (DANE). The next key's record is not seen yet: the key \
                    waits for it.";
        return warning(check, says, enter(next));
    }
    match signed {
        Some(false) => good(
            check,
            "The key of this server is in the DNS. It counts once the zone is signed (DNSSEC).",
        ),
        _ => good(
            check,
            "The key of this server is in the DNS, so that nobody can pose as it (DANE).",
        ),
    }
}

/// What mail programs look for.
pub(super) fn clients(group: &[&RecordFacts]) -> Finding {
    let check = Check::DnsClients;
    let right = |record: &&&RecordFacts| match record.kind {
        RecordKind::Settings => matches!(alias(record), Alias::Here),
        _ => record.found.values().iter().any(|found| same_service(found, &record.wanted)),
    };
    let (good_ones, absent): (Vec<&&RecordFacts>, Vec<&&RecordFacts>) =
        group.iter().partition(right);
    let absent: Vec<&RecordFacts> = absent.into_iter().copied().collect();
    let domain = group.first().map(|record| record.domain.to_string()).unwrap_or_default();
    if absent.is_empty() {
        return good(check, format!("Mail programs of people at {domain} find their settings."));
    }
    let names: Vec<&str> = absent.iter().map(|record| record.name.as_str()).collect();
    let how = if good_ones.is_empty() { "do not" } else { "may not" };
    let says = format!(
        "Mail programs of people at {domain} {how} find their settings: the records at {} are missing or lead \
         elsewhere.",
        joined(&names)
    );
    warning(check, says, enter_all(&absent))
}

/// Whether two SRV records name the same host and port; priority and weight are a matter of taste.
fn same_service(a: &str, b: &str) -> bool {
    let read = |text: &str| {
        let fields: Vec<&str> = text.split_whitespace().collect();
        match fields.as_slice() {
            [_, _, port, host] => {
                Some(((*port).to_owned(), host.trim_end_matches('.').to_ascii_lowercase()))
            }
            _ => None,
        }
    };
    read(a).is_some() && read(a) == read(b)
}

/// Who may issue.
pub(super) fn caa(group: &[&RecordFacts]) -> Finding {
    let check = Check::DnsCaa;
    let Some(first) = group.first() else {
        return unknown(check, "The authority of our certificates is not known.", "");
    };
    let issuers = |record: &RecordFacts| -> Vec<String> {
        record.found.values().iter().filter_map(|value| issuer(value)).collect()
    };
    let found = issuers(first);
    if found.is_empty() {
        let says = format!(
            "The record \"{}\" is missing: any authority may issue a certificate for this server.",
            label(first)
        );
        return warning(check, says, enter(first));
    }
    let allowed = |record: &&RecordFacts| {
        issuer(&record.wanted).is_some_and(|wanted| found.contains(&wanted))
    };
    if group.iter().copied().any(|record| allowed(&record)) {
        return good(
            check,
            "The authority of our certificates is named in the DNS, and may issue them.",
        );
    }
    let named: Vec<String> = found.iter().map(|name| shown(name)).collect();
    let whom = match named.iter().all(String::is_empty) {
        true => "lets nobody issue certificates".to_owned(),
        false => format!("lets {} issue certificates, but not our authority", joined(&named)),
    };
    let says =
        format!("The record \"{}\" {whom}: the certificate will not be renewed.", label(first));
    finding(check, State::Bad, says, enter(first))
}

/// The authority in a CAA record that is about issuing (RFC 8659 §4.2); empty when it is nobody.
fn issuer(value: &str) -> Option<String> {
    let mut fields = value.splitn(3, char::is_whitespace);
    let (_flags, tag, value) = (fields.next()?, fields.next()?, fields.next()?);
    let name = value.trim().trim_matches('"').split(';').next()?.trim();
    tag.eq_ignore_ascii_case("issue").then(|| name.to_ascii_lowercase())
}
