//! What is told to other domains about TLS with their servers (TLS-RPT, RFC 8460): every handshake that was
//! judged, good or bad, and what kept us from one.
//!
//! Sessions that carry reports are left out (RFC 8460 §3): else two servers would tell each other
//! of nothing but each other's reports, for ever. A message that goes over an open connection is no new
//! session.

use crate::approach::{Approached, Target};
use crate::courier::Courier;
use crate::nexthop::{Exchanger, Way};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use wardpost_mail::Domain;
use wardpost_queue::{Kind, Work};
use wardpost_reports::{PolicyFound, TlsResult};
use wardpost_verdict::{Deferral, PathFacts, Published, StsMode};

/// Whether what happens to this work is told of. A smarthost is none of the domain's servers.
pub(crate) fn is_told(way: &Way, work: &Work) -> bool {
    work.kind != Kind::Report && way.smarthost().is_none()
}

impl Courier {
    /// Tells of a handshake, or of a server that would not have one.
    pub(crate) fn tell(&self, target: &Target, exchanger: &Exchanger, approached: &Approached) {
        let verdict = match approached {
            Approached::Tls(_, verdict, _)
            | Approached::Clear(_, verdict)
            | Approached::Broken(verdict) => verdict,
        };
        let facts = &exchanger.facts;
        let policy = found(facts, exchanger.policy.published());
        let receiving = target.address.ip();
        let mut result = TlsResult::judged(&facts.next_hop, policy, verdict, receiving);
        if !result.failures.is_empty() {
            result = result.from_address(source(target.address));
        }
        self.parts.reports.record_tls(&result);
    }

    /// Tells that a server must not be used, because DNS does not tell the truth about it.
    pub(crate) fn tell_deferred(&self, domain: &Domain, host: &Domain, deferral: &Deferral) {
        let result = TlsResult::no_session(domain, Some(host), deferral.failure());
        self.parts.reports.record_tls(&result);
    }
}

/// The policy that counts, as a report shows it. One in testing mode is told of too (RFC 8461 §5).
fn found(facts: &PathFacts, published: Option<Published>) -> PolicyFound {
    if published == Some(Published::Dane) {
        let secure = facts.tlsa.iter().filter_map(|answer| answer.records.as_ref().ok());
        let mut secure =
            secure.filter(|(records, dnssec)| dnssec.is_secure() && !records.is_empty());
        return secure
            .next()
            .map_or_else(PolicyFound::none, |(records, _)| PolicyFound::tlsa(records));
    }
    match &facts.sts.policy {
        Some((policy, age)) if policy.holds(*age) && policy.mode() != StsMode::None => {
            PolicyFound::sts(policy)
        }
        _ => PolicyFound::none(),
    }
}

/// The address this machine uses towards another. Connecting a datagram socket sends nothing.
fn source(to: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(to).ok()?;
    Some(socket.local_addr().ok()?.ip())
}
