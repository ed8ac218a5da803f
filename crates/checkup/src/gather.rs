//! One examination: everything at once.

use crate::calls::{call, call_ourselves};
use crate::lookups::{self, Lookups};
use crate::{Parts, Settings, machine, sntp, unix};
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;
use wardpost_dns::{DnsError, Dnssec, ValidatedBy};
use wardpost_health::facts::{
    BackupFacts, CertificateFacts, DnsFacts, DnsValidation, Facts, Found, HostFacts, OwnCall,
    PortInFacts, PortOutFacts, RecordFacts, RecordKind, ReverseFacts,
};
use wardpost_mail::Domain;
use wardpost_net::is_public;
use wardpost_publish::records::{Listing, home_of_host};

/// How long all questions to the DNS may take together.
const DNS_TIME: Duration = Duration::from_secs(20);
/// How long the calls to other servers may take.
const CALL_TIME: Duration = Duration::from_secs(25);
/// Addresses of ours that are called and looked up.
const MAX_ADDRESSES: usize = 8;
/// Domains whose mail servers are called.
const MAX_PROBES: usize = 8;

/// Finds out everything.
pub(crate) async fn facts(settings: &Settings, parts: &Parts) -> Facts {
    let mut facts = Facts::new(unix(SystemTime::now()), settings.hostname.clone());
    let lookups = Lookups::new(parts, Instant::now() + DNS_TIME);
    let (dns, port_out, clock, machine) = tokio::join!(
        dns(settings, parts, &lookups),
        port_out(settings, parts),
        sntp::clock(&settings.time_servers, &*parts.resolver),
        machine::look(settings),
    );
    facts.port_out = port_out;
    facts.clock = Some(clock);
    (facts.disk, facts.opening, facts.system_key) = machine;
    facts.dns = Some(DnsFacts { answers: lookups.answered(), validation: validation(parts) });
    facts.port_in = dns.port_in;
    facts.host = Some(dns.host);
    facts.records = dns.records;
    facts.certificate = certificate(settings, parts, &facts.records);
    facts.backups = Some(BackupFacts { destination: settings.backup_destination });
    match &parts.daemon {
        Some(daemon) => {
            let late = settings.late.as_secs();
            facts.queue = Some(wardpost_health::facts::QueueFacts { late, ..daemon.queue() });
        }
        None => facts.daemon = Some(false),
    }
    facts
}

/// What hangs on our names and addresses.
struct Named {
    host: HostFacts,
    records: Vec<RecordFacts>,
    port_in: Option<PortInFacts>,
}

async fn dns(settings: &Settings, parts: &Parts, lookups: &Lookups<'_>) -> Named {
    let source = parts.daemon.as_ref().and_then(|daemon| daemon.source());
    let listings: Vec<Listing> = source
        .iter()
        .flat_map(|source| source.domains().into_iter().map(|domain| source.listing(&domain)))
        .flatten()
        .collect();
    let domains: Vec<Domain> = match listings.as_slice() {
        [] => vec![settings.domain.clone()],
        some => some.iter().map(|listing| listing.domain.clone()).collect(),
    };
    let home = home_of_host(&settings.hostname, &domains).unwrap_or(&settings.domain).clone();
    let ((host, port_in), mut records) =
        tokio::join!(host(settings, parts, lookups, home), lookups::records(lookups, &listings));
    lookups::lead_to(&host.found, &mut records);
    Named { host, records, port_in }
}

async fn host(
    settings: &Settings,
    parts: &Parts,
    lookups: &Lookups<'_>,
    domain: Domain,
) -> (HostFacts, Option<PortInFacts>) {
    let hostname = &settings.hostname;
    let public = match settings.addresses.as_slice() {
        [] => local_public_addresses(),
        some => some.to_vec(),
    };
    let (mut found, validated) =
        tokio::join!(lookups.addresses(hostname), lookups.validated(hostname));
    if validated == Err(DnsError::Bogus) {
        found = Found::Bogus;
    }
    let mut addresses = public.clone();
    if addresses.is_empty() {
        addresses = found.values().iter().filter_map(|value| value.parse().ok()).collect();
    }
    addresses.truncate(MAX_ADDRESSES);
    // In a network of its own nobody asks for reverse names.
    let seen: Vec<IpAddr> = addresses.iter().copied().filter(|it| is_public(*it)).collect();
    let (reverse, port_in) =
        tokio::join!(reverse(lookups, &seen), port_in(settings, parts, &addresses));
    let signed = match validated {
        Ok(Dnssec::Secure) => Some(true),
        Ok(Dnssec::Insecure) => Some(false),
        _ => None,
    };
    let private = found.values().iter().filter_map(|value| value.parse::<IpAddr>().ok());
    let private = private.filter(|it| !is_public(*it) && !public.contains(it)).collect();
    (HostFacts { domain, public, found, private, reverse, signed }, port_in)
}

async fn reverse(lookups: &Lookups<'_>, addresses: &[IpAddr]) -> Vec<ReverseFacts> {
    let one = |address: IpAddr| async move {
        ReverseFacts { address, found: lookups.reverse(address).await }
    };
    futures_util::future::join_all(addresses.iter().copied().map(one)).await
}

async fn port_in(settings: &Settings, parts: &Parts, addresses: &[IpAddr]) -> Option<PortInFacts> {
    if !settings.takes_mail {
        return None;
    }
    let daemon = parts.daemon.as_ref()?;
    // In a network of its own nothing is public; then everybody counts.
    let from_internet = addresses.iter().copied().any(is_public);
    let one = |address: IpAddr| async move {
        let answer = call_ourselves((address, settings.smtp_port).into(), &settings.hostname).await;
        OwnCall { address, own: is_own(address), answer }
    };
    let calls = futures_util::future::join_all(addresses.iter().copied().map(one)).await;
    Some(PortInFacts { last_visit: daemon.last_visit(from_internet).map(unix), calls })
}

async fn port_out(settings: &Settings, parts: &Parts) -> Option<PortOutFacts> {
    if parts.daemon.as_ref().is_some_and(|daemon| daemon.smarthost()) {
        return Some(PortOutFacts { smarthost: true, calls: Vec::new() });
    }
    let deadline = Instant::now() + CALL_TIME;
    let one = |domain| call(domain, settings, &*parts.resolver, deadline);
    let calls = settings.probe_hosts.iter().take(MAX_PROBES).map(one);
    let calls = futures_util::future::join_all(calls).await;
    Some(PortOutFacts { smarthost: false, calls })
}

fn validation(parts: &Parts) -> DnsValidation {
    let Some(daemon) = &parts.daemon else { return DnsValidation::NotLooked };
    match daemon.validated_by() {
        ValidatedBy::Anchor | ValidatedBy::Root => DnsValidation::Validated,
        ValidatedBy::Undecided => DnsValidation::Undecided,
        ValidatedBy::Stripped | ValidatedBy::Nothing => DnsValidation::Stripped,
    }
}

fn certificate(
    settings: &Settings,
    parts: &Parts,
    records: &[RecordFacts],
) -> Option<CertificateFacts> {
    let certificate = (parts.certificate)()?;
    // Names that do not lead here yet are told as records.
    let leads_here = |record: &&RecordFacts| {
        let wanted: Vec<&str> = record.wanted.split_whitespace().collect();
        let found = record.found.values();
        matches!(record.kind, RecordKind::MtaStsHost | RecordKind::Settings)
            && !found.is_empty()
            && found.iter().all(|address| wanted.contains(&address.as_str()))
    };
    let names = records.iter().filter(leads_here).map(|record| record.name.clone());
    let missing = |name: &String| Domain::parse(name).is_ok_and(|name| !certificate.covers(&name));
    Some(CertificateFacts {
        self_signed: certificate.self_issued,
        not_before: certificate.not_before,
        not_after: certificate.not_after,
        names_host: certificate.covers(&settings.hostname),
        missing: names.filter(missing).collect(),
        authority: parts.daemon.as_ref().and_then(|daemon| daemon.authority()),
    })
}

/// The addresses that this machine would speak from, if they are public. Nothing is sent.
fn local_public_addresses() -> Vec<IpAddr> {
    // Addresses for documentation: nobody is there, and no packet is sent for a connected UDP socket.
    let ways = [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")];
    let address = |(from, to): (&str, &str)| {
        let socket = UdpSocket::bind(from).ok()?;
        socket.connect(to).ok()?;
        socket.local_addr().ok().map(|local| local.ip()).filter(|ip| is_public(*ip))
    };
    ways.into_iter().filter_map(address).collect()
}

/// Whether an address is one of this machine's.
fn is_own(address: IpAddr) -> bool {
    TcpListener::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn this_machines_own_addresses_are_known() {
        assert!(is_own("127.0.0.1".parse().unwrap()));
        assert!(!is_own("192.0.2.1".parse().unwrap()));
    }
}
