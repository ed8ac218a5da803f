//! Where a domain's mail goes: mail exchangers and their addresses (RFC 5321 §5.1).

use crate::approach::Target;
use crate::courier::Courier;
use rand::seq::SliceRandom;
use std::net::{IpAddr, SocketAddr};
use wardpost_dns::{DnsError, Mx, MxHost};
use wardpost_mail::{Domain, EnhancedStatus, Reply};

/// Mail exchangers that are tried at most, best first.
const MAX_HOSTS: usize = 10;
/// Addresses of one exchanger that are tried at most.
const MAX_ADDRESSES: usize = 4;

/// Why there is nowhere to go: a reply that tells whether to try again.
pub(crate) type Nowhere = Reply;

/// What is known of one exchanger's addresses.
pub(crate) enum Addresses {
    /// Places to connect to, at least one.
    Of(Vec<Target>),
    /// The exchanger is this server.
    Ourselves,
    /// There are none, now or for good.
    None(Nowhere),
}

fn never(code: u16, subject: u16, detail: u16, text: &str) -> Reply {
    Reply::new(code, EnhancedStatus::new(5, subject, detail), text)
}

fn not_now(error: &DnsError) -> Reply {
    let status = match error {
        // RFC 7505 §5 and RFC 3463 §3.5: a directory (DNS) server failure.
        DnsError::NoSuchDomain | DnsError::Temporary(_) => EnhancedStatus::new(4, 4, 3),
        DnsError::Bogus => EnhancedStatus::new(4, 7, 0),
    };
    Reply::new(451, status, error.to_string())
}

/// That mail for the domain would come back to this server (RFC 3463 §3.5).
pub(crate) fn in_a_circle() -> Reply {
    never(554, 4, 6, "the domain's mail is sent to this server, which does not know the domain")
}

impl Courier {
    /// The exchangers of a domain in the order they are to be tried: by preference, equal ones
    /// shuffled, ourselves and what comes after us taken out (RFC 5321 §5.1).
    pub(crate) async fn next_hops(&self, domain: &Domain) -> Result<Vec<MxHost>, Nowhere> {
        let answer = match self.parts.resolver.mx(domain).await {
            Ok(answer) => answer,
            Err(DnsError::NoSuchDomain) => {
                return Err(never(550, 1, 2, "the domain does not exist"));
            }
            Err(error) => return Err(not_now(&error)),
        };
        match answer.value {
            // RFC 7505 §4.
            Mx::Null => Err(never(556, 1, 10, "the domain takes no mail (null MX)")),
            Mx::Implicit => self.without_us(vec![MxHost { preference: 0, host: domain.clone() }]),
            Mx::Hosts(hosts) if hosts.is_empty() => {
                Err(never(550, 4, 4, "the domain's mail exchangers have no usable names"))
            }
            Mx::Hosts(hosts) => self.without_us(hosts),
        }
    }

    fn without_us(&self, mut hosts: Vec<MxHost>) -> Result<Vec<MxHost>, Nowhere> {
        hosts.shuffle(&mut rand::rng());
        hosts.sort_by_key(|mx| mx.preference);
        let us = hosts.iter().find(|mx| mx.host == self.settings.hostname);
        if let Some(ours) = us.map(|mx| mx.preference) {
            hosts.retain(|mx| mx.preference < ours);
        }
        if hosts.is_empty() {
            return Err(in_a_circle());
        }
        hosts.truncate(MAX_HOSTS);
        Ok(hosts)
    }

    /// The addresses of one exchanger.
    pub(crate) async fn addresses(&self, host: &Domain) -> Addresses {
        let found = match self.parts.resolver.addresses(host).await {
            Ok(answer) => answer.value,
            Err(DnsError::NoSuchDomain) => Vec::new(),
            Err(error) => return Addresses::None(not_now(&error)),
        };
        let port = self.settings.smtp_port;
        let targets = found.into_iter().map(|ip| SocketAddr::new(ip, port));
        let (ours, others): (Vec<_>, Vec<_>) = targets.partition(|address| self.is_us(*address));
        if !ours.is_empty() {
            return Addresses::Ourselves;
        }
        if others.is_empty() {
            let text = "the domain's mail exchanger has no address";
            return Addresses::None(never(550, 4, 4, text));
        }
        let target = |address| Target { host: host.clone(), address };
        Addresses::Of(others.into_iter().take(MAX_ADDRESSES).map(target).collect())
    }

    /// Whether connecting there would be talking to ourselves.
    fn is_us(&self, address: SocketAddr) -> bool {
        let here = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
        self.settings.own_addresses.iter().any(|own| {
            own.port() == address.port()
                && (own.ip() == address.ip() || own.ip().is_unspecified() && here(address.ip()))
        })
    }
}
