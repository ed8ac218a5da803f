//! The way to us and from us: DNS servers, our addresses and their reverse names, port 25 in both
//! directions.

use crate::facts::{
    Call, DnsFacts, DnsValidation, Facts, Found, HostFacts, OwnAnswer, PortInFacts, PortOutFacts,
    ReverseFacts, Tls,
};
use crate::words::{bad, good, joined, mend_dnssec, moment, shown, time, unknown, warning};
use crate::{Check, Finding};
use std::net::IpAddr;
use wardpost_mail::Domain;

/// How long a visit from outside proves that others can reach us.
const PROVES: i64 = 24 * 3600;

pub(crate) fn dns_server(dns: &DnsFacts) -> Finding {
    let check = Check::DnsServer;
    if !dns.answers {
        return bad(
            check,
            "No DNS server answers: no other mail server is found, and no mail goes out.",
            "See whether the internet works on another computer of this network. If it does, tell \
             whoever looks after the router: \"please let our mail server ask DNS servers, port 53, UDP \
             and TCP\". If it does not, call the internet provider.",
        );
    }
    match dns.validation {
        DnsValidation::Validated => {
            good(check, "DNS servers answer, and what they say is checked (DNSSEC).")
        }
        DnsValidation::Undecided | DnsValidation::NotLooked => good(check, "DNS servers answer."),
        DnsValidation::Stripped => warning(
            check,
            "DNS servers answer, but pass no signatures on (DNSSEC): whoever forges their answers is not \
             noticed, and DANE is out of reach.",
            "Ask whoever looks after the network for \"DNS servers that pass DNSSEC signatures on\". Or ask \
             whoever looks after this server to take the line \"servers\" out of the section [dns] of the \
             configuration, so that the machine's own resolver is asked.",
        ),
    }
}

/// Whether the host's name leads to our addresses.
pub(crate) fn address(facts: &Facts, host: &HostFacts) -> Finding {
    let (check, name) = (Check::DnsAddress, &facts.hostname);
    let enter = enter_address(&host.domain, name, &host.public);
    let found: Vec<IpAddr> = match &host.found {
        Found::NoAnswer => {
            let says = format!("No DNS server answered the question where {name} is.");
            return unknown(check, says, "");
        }
        Found::Bogus => {
            let says = format!(
                "The signatures of the zone in which {name} lies are wrong (DNSSEC): others that check \
                 them cannot find this server."
            );
            return bad(check, says, mend_dnssec(&host.domain));
        }
        found => found.values().iter().filter_map(|value| value.parse().ok()).collect(),
    };
    if found.is_empty() {
        let says = format!("The name {name} leads nowhere: nobody finds this server.");
        return bad(check, says, enter);
    }
    let private: Vec<IpAddr> =
        found.iter().copied().filter(|it| host.private.contains(it)).collect();
    if !private.is_empty() {
        let says = format!(
            "The name {name} leads to {}, which only computers of your own network can reach.",
            joined(&private)
        );
        return bad(check, says, enter);
    }
    if host.public.is_empty() {
        return address_unproven(facts, &found);
    }
    let wrong: Vec<IpAddr> = found.iter().copied().filter(|it| !host.public.contains(it)).collect();
    if !wrong.is_empty() {
        let says = format!(
            "The name {name} leads to {}, but this server's public address is {}.",
            joined(&wrong),
            joined(&host.public)
        );
        return bad(check, says, enter);
    }
    let absent: Vec<IpAddr> =
        host.public.iter().copied().filter(|it| !found.contains(it)).collect();
    if !absent.is_empty() {
        let says = format!(
            "The name {name} leads to {}, but not to this server's other public address, {}.",
            joined(&found),
            joined(&absent)
        );
        let to_do = format!(
            "{} If you have just done it, wait an hour. If the server has not got that address any more, ask \
             whoever looks after it to take it out of the section [publish] of the configuration.",
            enter_only(&host.domain, name, &absent)
        );
        return warning(check, says, to_do);
    }
    good(check, format!("{name} leads to {}.", joined(&found)))
}

/// The name leads somewhere, and nobody said where it should.
fn address_unproven(facts: &Facts, found: &[IpAddr]) -> Finding {
    let (check, name) = (Check::DnsAddress, &facts.hostname);
    let ours = |address: &IpAddr| {
        let calls = facts.port_in.iter().flat_map(|port_in| &port_in.calls);
        calls.into_iter().any(|call| call.address == *address && call.answer == OwnAnswer::We)
    };
    if found.iter().all(ours) {
        return good(
            check,
            format!("{name} leads to {}, where this server answers.", joined(found)),
        );
    }
    unknown(
        check,
        format!(
            "{name} leads to {}; whether that is this server's public address is not known.",
            joined(found)
        ),
        "Compare it with the address that the internet provider gave you. If they are the same, all is \
         well. To have it watched, ask whoever looks after this server to set \"addresses\" in the section \
         [publish] of the configuration to it.",
    )
}

fn enter_address(domain: &Domain, name: &Domain, addresses: &[IpAddr]) -> String {
    format!(
        "{} Take other A and AAAA records of that name out. If you have just done it, wait an hour.",
        enter_only(domain, name, addresses)
    )
}

fn enter_only(domain: &Domain, name: &Domain, addresses: &[IpAddr]) -> String {
    let one = |address: &IpAddr| {
        let kind = if address.is_ipv4() { "A" } else { "AAAA" };
        format!("{kind} with the value {address}")
    };
    let what = match addresses {
        [] => "A with this server's public address, which the internet provider knows".to_owned(),
        some => joined(&some.iter().map(one).collect::<Vec<_>>()),
    };
    format!(
        "Open the DNS page of the company where the domain {domain} was bought, and enter for the name {name} a \
         record of type {what}."
    )
}

/// Whether reverse names name us.
pub(crate) fn reverse(hostname: &Domain, host: &HostFacts) -> Vec<Finding> {
    host.reverse.iter().map(|reverse| reverse_of(hostname, host, reverse)).collect()
}

fn reverse_of(hostname: &Domain, host: &HostFacts, reverse: &ReverseFacts) -> Finding {
    let (check, address) = (Check::ReverseDns, reverse.address);
    let ask = format!(
        "Call the internet provider, or the company that rents this machine to you, and say: \"please \
         set the reverse DNS (PTR) of our address {address} to {hostname}\". It cannot be done on the \
         domain's DNS page."
    );
    let names: Vec<&str> =
        reverse.found.values().iter().map(|name| name.trim_end_matches('.')).collect();
    if let Found::NoAnswer | Found::Bogus = reverse.found {
        let says =
            format!("No DNS server answered the question for the reverse name of {address}.");
        return unknown(check, says, "");
    }
    if names.is_empty() {
        let says = format!(
            "The address {address} has no reverse name: many mail servers take no mail from it."
        );
        return bad(check, says, ask);
    }
    if !names.iter().any(|name| name.eq_ignore_ascii_case(hostname.as_str())) {
        let names: Vec<String> = names.iter().map(|name| shown(name)).collect();
        let says = format!(
            "The reverse name of {address} is {}, not {hostname}: many mail servers distrust that.",
            joined(&names)
        );
        return bad(check, says, ask);
    }
    let leads_back = host.found.values().iter().any(|it| it.parse() == Ok(address));
    match host.found {
        Found::NoAnswer | Found::Bogus => {
            let says = format!(
                "The reverse name of {address} is {hostname}; whether that leads back is not known."
            );
            unknown(check, says, "")
        }
        _ if leads_back => good(check, format!("{address} is {hostname}, in both directions.")),
        _ => {
            let says = format!(
                "The reverse name of {address} is {hostname}, but that name does not lead back to the \
                 address: mail servers that compare the two distrust it."
            );
            bad(check, says, enter_address(&host.domain, hostname, &[address]))
        }
    }
}

/// Whether others can be reached.
pub(crate) fn port_out(out: &PortOutFacts) -> Vec<Finding> {
    let check = Check::Port25Out;
    if out.smarthost {
        return vec![good(
            check,
            "All mail to others goes by a smarthost, so port 25 is not needed.",
        )];
    }
    let calls: Vec<&Call> = out.calls.iter().filter(|call| **call != Call::NotFound).collect();
    if calls.is_empty() {
        let says = if out.calls.is_empty() {
            "No mail server is called (the setting \"probe_hosts\" is empty)."
        } else {
            "The mail servers to be called were not found in the DNS."
        };
        return vec![unknown(check, says, "")];
    }
    let greeted = calls.iter().filter(|call| matches!(call, Call::Greeted(_))).count();
    let turned_away = calls.iter().filter(|call| matches!(call, Call::TurnedAway)).count();
    let all = calls.len();
    let mut findings = vec![match (greeted, turned_away) {
        (0, 0) if calls.iter().any(|call| **call == Call::Odd) => bad(
            check,
            "Something answers in place of other mail servers, but not as a mail server does: no mail \
             goes out.",
            "Tell whoever looks after the firewall: \"please let our mail server connect to TCP port 25 \
             of other servers, without a proxy and without inspection\". If there is no such firewall, \
             call the internet provider and say the same.",
        ),
        (0, 0) => bad(
            check,
            format!(
                "None of {all} large mail servers can be reached on port 25: no mail goes out. Mostly \
                 that is the internet provider's doing."
            ),
            "Call the internet provider and say: \"please unblock outgoing connections to TCP port 25 \
             for our mail server\". If they will not, ask them for the name, user and password of a \
             smarthost, and give them to whoever looks after this server (`wardpost pin add '*' --smarthost \
             NAME --user USER`).",
        ),
        (0, _) => bad(
            check,
            "Other mail servers answer, but turn us away with their first words: the address of this \
             server is on a list of bad ones, or counts as a private customer's.",
            "Look the address up at https://check.spamhaus.org/ and ask there to have it taken off. If \
             that does not help, ask the internet provider for another static address \"for a mail \
             server\", or for a smarthost.",
        ),
        (_, 0) => good(check, format!("{greeted} of {all} large mail servers answered.")),
        (_, away) => warning(
            check,
            format!(
                "{greeted} of {all} large mail servers answered, but {away} turned us away with the \
                 first words: the address of this server may be on a list of bad ones."
            ),
            "Look the address up at https://check.spamhaus.org/ and ask there to have it taken off.",
        ),
    }];
    findings.push(starttls(&calls));
    findings
}

/// Whether somebody on the way takes TLS away.
fn starttls(calls: &[&Call]) -> Finding {
    let check = Check::StartTls;
    let of = |tls: Tls| calls.iter().filter(|call| ***call == Call::Greeted(tls)).count();
    let (offered, missing, overwritten) =
        (of(Tls::Offered), of(Tls::Missing), of(Tls::Overwritten));
    let call_off = "Tell whoever looks after the firewall: \"please switch off SMTP inspection (also called \
                    fixup, or mail scanning) for our mail server\". If there is no such firewall, call \
                    the internet provider and say the same. Until then messages wait to be picked up on \
                    the portal; nothing goes out in the clear.";
    match (offered, missing, overwritten) {
        (0, 0, 0) => unknown(check, "No mail server was reached that could be asked.", ""),
        (_, _, 1..) => bad(
            check,
            "A firewall on the way writes over what mail servers say (XXXXXXXA in place of STARTTLS), so \
             that no encrypted connection comes about.",
            call_off,
        ),
        (0, 2.., 0) => bad(
            check,
            format!(
                "None of {missing} large mail servers offers encryption, which all of them do: a firewall \
                 on the way takes it away (STARTTLS is removed)."
            ),
            call_off,
        ),
        (0, 1, 0) => warning(
            check,
            "The only mail server that was reached offers no encryption: a firewall on the way may have \
             taken it away (STARTTLS is removed).",
            call_off,
        ),
        (_, 0, 0) => {
            good(check, "Other mail servers offer encryption (STARTTLS), and it gets through.")
        }
        (_, _, 0) => good(
            check,
            format!("{offered} of {} mail servers offer encryption (STARTTLS).", offered + missing),
        ),
    }
}

/// Whether others can reach us.
pub(crate) fn port_in(facts: &Facts, port_in: &PortInFacts) -> Finding {
    let check = Check::Port25In;
    let forward = format!(
        "On the router, under \"port forwarding\" (or \"NAT\"), lead TCP port 25 to this server. If it is \
         there, call the internet provider and say: \"please unblock incoming connections to TCP port 25 \
         of our address\". Until then others' mail to {} waits at their end.",
        facts.hostname
    );
    if let Some(last) = port_in.last_visit.filter(|last| facts.when.saturating_sub(*last) < PROVES)
    {
        let ago = facts.when.saturating_sub(last).max(0).unsigned_abs();
        return good(check, format!("A mail server from outside was here {} ago.", time(ago)));
    }
    let calls = &port_in.calls;
    if let Some(call) = calls.iter().find(|call| call.answer == OwnAnswer::SomebodyElse) {
        let says = format!(
            "At {}, port 25, somebody else answers than this server: mail goes there.",
            call.address
        );
        return bad(check, says, forward);
    }
    let own = |own: bool, answer: OwnAnswer| {
        calls.iter().any(|call| call.own == own && call.answer == answer)
    };
    if own(true, OwnAnswer::Nobody) {
        let says =
            "This server does not answer on port 25 at its own public address: no mail comes in.";
        let to_do = "Restart the machine. If it stays, ask whoever looks after this server whether \"mx\" \
                     in the section [listen] of the configuration names this address or 0.0.0.0, and \
                     whether the machine's firewall allows TCP port 25.";
        return bad(check, says, to_do);
    }
    let last = match port_in.last_visit {
        Some(last) => format!("The last mail server from outside was here on {}.", moment(last)),
        None => "No mail server from outside was here since the start.".to_owned(),
    };
    if own(true, OwnAnswer::We) {
        let says =
            format!("{last} From this machine itself, port 25 answers at the public address.");
        return unknown(check, says, how_to_prove());
    }
    if own(false, OwnAnswer::We) {
        // The router leads back in; whether the provider lets anybody in from outside is not seen from here.
        let says = format!(
            "{last} From inside, port 25 answers at the public address, through the router."
        );
        return unknown(check, says, how_to_prove());
    }
    let says = match calls.is_empty() {
        true => format!("{last} The public address is not known, so it cannot be called."),
        false => format!(
            "{last} The public address cannot be called from inside; many routers do not allow that, so it \
             says nothing."
        ),
    };
    unknown(check, says, format!("{} If it does not arrive: {forward}", how_to_prove()))
}

fn how_to_prove() -> &'static str {
    "Send a mail from a private address at a large provider to one of yours: when it arrives, this turns \
     green."
}
