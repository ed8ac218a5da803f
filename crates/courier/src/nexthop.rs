//! Where a domain's mail goes: mail exchangers and their addresses (RFC 5321 §5.1), what the domain
//! publishes about them, and what an administrator decided about the domain. Everything that has to be
//! known before a host is connected to.
//!
//! Where a rule sends a domain's mail by a smarthost, the domain's own DNS and policies are not looked
//! at: the smarthost is the one next hop. Its name comes from the administrator, so it is as good as
//! one from a secure MX record, and TLSA records of its own are asked for at its port (RFC 7672 §2.2.3).

use crate::approach::Target;
use crate::courier::Courier;
use rand::seq::SliceRandom;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use wardpost_dns::{Answer, DnsError, Dnssec, Mx, MxHost};
use wardpost_mail::{Domain, EnhancedStatus, Reply};
use wardpost_pins::{Pin, Smarthost};
use wardpost_verdict::{
    Deferral, LookupFailure, PathEvidence, PathFacts, Policy, StsFacts, TlsaAnswer, tlsa_bases,
};

/// Mail exchangers that are tried at most, best first.
const MAX_HOSTS: usize = 10;
/// Addresses of one exchanger that are tried at most.
const MAX_ADDRESSES: usize = 4;
/// The port that TLSA records are asked for (RFC 7672 §2.2.3), whatever port tests connect to.
const TLSA_PORT: u16 = 25;

/// The port whose connections begin with the handshake (RFC 8314 §3.3).
const SUBMISSIONS_PORT: u16 = 465;

/// Why there is nowhere to go: a reply that tells whether to try again.
pub(crate) type Nowhere = Reply;

/// What is known of a domain before any of its exchangers is looked at.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    /// The mail domain; of a way by a smarthost, the smarthost.
    pub(crate) domain: Domain,
    /// The rule that an administrator set, if one holds.
    pub(crate) pin: Option<Arc<Pin>>,
    /// Where its own aliases lead, if it has any.
    pub(crate) canonical: Option<Domain>,
    /// The truth of its MX set, or of the absence of one.
    pub(crate) mx: Dnssec,
    /// What is known of its MTA-STS policy.
    pub(crate) sts: StsFacts,
    /// Its exchangers in the order they are to be tried.
    pub(crate) hops: Vec<MxHost>,
}

impl Way {
    fn by_smarthost(pin: &Arc<Pin>, smarthost: &Smarthost) -> Self {
        let host = smarthost.host.clone();
        Self {
            domain: host.clone(),
            pin: Some(Arc::clone(pin)),
            canonical: None,
            // There is no MX record that could be forged.
            mx: Dnssec::Secure,
            sts: StsFacts::default(),
            hops: vec![MxHost { preference: 0, host }],
        }
    }

    /// The same for a notice. It says nothing, so what was pinned for messages does not hold it up;
    /// but where a smarthost is the only way, it is the only way for notices too.
    pub(crate) fn for_notice(mut self) -> Self {
        self.pin = self.pin.filter(|pin| pin.smarthost().is_some());
        self
    }

    /// The server that the mail is handed to, if it is not the domain's own.
    pub(crate) fn smarthost(&self) -> Option<&Smarthost> {
        self.pin.as_ref().and_then(|pin| pin.smarthost())
    }
}

/// One exchanger, looked at from here.
pub(crate) struct Exchanger {
    /// What DNS and MTA-STS say about it.
    pub(crate) facts: PathFacts,
    /// What it will be held to.
    pub(crate) policy: Policy,
    /// Places to connect to, at least one.
    pub(crate) targets: Vec<Target>,
    /// The rule that an administrator set, if one holds.
    pub(crate) pin: Option<Arc<Pin>>,
}

impl Exchanger {
    /// What it passes mail on as, if it is not one of the domain's own.
    pub(crate) fn smarthost(&self) -> Option<&Smarthost> {
        self.pin.as_ref().and_then(|pin| pin.smarthost())
    }
}

/// What became of looking at an exchanger.
pub(crate) enum Looked {
    /// It can be connected to.
    At(Box<Exchanger>),
    /// It is this server.
    Ourselves,
    /// It has no address, now or for good.
    None(Nowhere),
    /// It must not be used now: a fact that the judgement hangs on cannot be relied on.
    Deferred(Box<PathEvidence>, Deferral),
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

fn no_address() -> Reply {
    never(550, 4, 4, "the domain's mail exchanger has no address")
}

/// That mail for the domain would come back to this server (RFC 3463 §3.5).
pub(crate) fn in_a_circle() -> Reply {
    never(554, 4, 6, "the domain's mail is sent to this server, which does not know the domain")
}

impl Courier {
    /// The exchangers of a domain in the order they are to be tried: by preference, equal ones
    /// shuffled, ourselves and what comes after us taken out (RFC 5321 §5.1); and the domain's MTA-STS
    /// policy, which is looked for at the same time.
    pub(crate) async fn way_to(&self, domain: &Domain) -> Result<Way, Nowhere> {
        let pin = self.parts.pins.of(domain);
        if let Some(pin) = &pin
            && let Some(smarthost) = pin.smarthost()
        {
            return Ok(Way::by_smarthost(pin, smarthost));
        }
        let (answer, sts) =
            tokio::join!(self.parts.resolver.mx(domain), self.parts.sts.facts(domain));
        let answer = match answer {
            Ok(answer) => answer,
            Err(DnsError::NoSuchDomain) => {
                return Err(never(550, 1, 2, "the domain does not exist"));
            }
            Err(error) => return Err(not_now(&error)),
        };
        let hops = match answer.value {
            // RFC 7505 §4.
            Mx::Null => return Err(never(556, 1, 10, "the domain takes no mail (null MX)")),
            Mx::Implicit => vec![MxHost { preference: 0, host: domain.clone() }],
            Mx::Hosts(hosts) if hosts.is_empty() => {
                let text = "the domain's mail exchangers have no usable names";
                return Err(never(550, 4, 4, text));
            }
            Mx::Hosts(hosts) => hosts,
        };
        Ok(Way {
            domain: domain.clone(),
            pin,
            canonical: answer.alias.map(|alias| alias.canonical),
            mx: answer.dnssec,
            sts,
            hops: self.without_us(hops)?,
        })
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

    /// Looks at one exchanger: its addresses, then its TLSA records where they can count, and what it
    /// is to be held to (RFC 7672 §2.2).
    pub(crate) async fn look_at(&self, way: &Way, host: &Domain) -> Looked {
        let answer = self.parts.resolver.addresses(host).await;
        let address = match &answer {
            Ok(answer) => Ok(answer.chain(host)),
            Err(DnsError::NoSuchDomain) => return Looked::None(no_address()),
            Err(error) => Err(error.failure().unwrap_or(LookupFailure::Temporary)),
        };
        let tlsa = match &address {
            Ok(chain) => self.tlsa(way, &tlsa_bases(host, way.mx, chain)).await,
            Err(_) => Vec::new(),
        };
        let facts = PathFacts {
            next_hop: way.domain.clone(),
            next_hop_canonical: way.canonical.clone(),
            host: host.clone(),
            mx: Ok(way.mx),
            address,
            tlsa,
            sts: way.sts.clone(),
        };
        let policy = match Policy::of(&facts) {
            Ok(policy) => match &way.pin {
                Some(pin) => policy.with_trust(Arc::clone(pin.trust())),
                None => policy,
            },
            Err(deferral) => {
                return Looked::Deferred(Box::new(PathEvidence::of(&facts)), deferral);
            }
        };
        match self.targets(way, host, answer) {
            Ok(Some(targets)) => {
                let pin = way.pin.clone();
                Looked::At(Box::new(Exchanger { facts, policy, targets, pin }))
            }
            Ok(None) => Looked::Ourselves,
            Err(nowhere) => Looked::None(nowhere),
        }
    }

    /// The TLSA records below these names; no further than to the first that has secure ones.
    async fn tlsa(&self, way: &Way, bases: &[Domain]) -> Vec<TlsaAnswer> {
        let port = way.smarthost().map_or(TLSA_PORT, |smarthost| smarthost.port);
        let mut answers = Vec::with_capacity(bases.len());
        for base in bases {
            let answer = self.parts.resolver.tlsa_answer(base, port).await;
            let decides = match &answer.records {
                Ok((records, dnssec)) => dnssec.is_secure() && !records.is_empty(),
                Err(_) => true,
            };
            answers.push(answer);
            if decides {
                break;
            }
        }
        answers
    }

    /// Where to connect; `None` when it is this server.
    fn targets(
        &self,
        way: &Way,
        host: &Domain,
        answer: Result<Answer<Vec<IpAddr>>, DnsError>,
    ) -> Result<Option<Vec<Target>>, Nowhere> {
        let found = answer.map_err(|error| not_now(&error))?.value;
        let port = way.smarthost().map_or(self.settings.smtp_port, |smarthost| smarthost.port);
        let targets = found.into_iter().map(|ip| SocketAddr::new(ip, port));
        let (ours, others): (Vec<_>, Vec<_>) = targets.partition(|address| self.is_us(*address));
        if !ours.is_empty() {
            return Ok(None);
        }
        if others.is_empty() {
            return Err(no_address());
        }
        let login = way.pin.as_ref().filter(|pin| pin.smarthost().is_some());
        let login = login.and_then(|pin| pin.connection_key());
        let implicit_tls = way.smarthost().is_some() && port == SUBMISSIONS_PORT;
        let target = |address| Target { host: host.clone(), address, implicit_tls, login };
        Ok(Some(others.into_iter().take(MAX_ADDRESSES).map(target).collect()))
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
