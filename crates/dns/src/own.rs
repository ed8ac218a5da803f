//! How our own records look from outside, for whoever must know that they are published.
//!
//! Unlike a message's path, a roll-over wants to know *now*, and for how long others may go on using
//! what they have read before. So nothing is cached here, and each answer comes with its time to live.
//! The servers we ask may cache all the same, and then tell what is left of that time: the longest of
//! several looks is what to count with. Answers are not validated; whether to wait a little longer
//! hangs on them, never whether to trust somebody.

use crate::live::{absolute, in_time, look, plain, server, service, tlsa_of};
use crate::validate::Found;
use crate::{DnsError, Tlsa};
use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use wardpost_mail::Domain;

/// Records of one name and type as somebody outside sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen<T> {
    /// The records; empty when there are none, or the name does not exist.
    pub records: Vec<T>,
    /// How long others may keep them (RFC 1035 §3.2.1); zero when there are none.
    pub ttl: Duration,
}

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self { records: Vec::new(), ttl: Duration::ZERO }
    }
}

/// Looks at our own records.
#[async_trait]
pub trait OwnRecords: Send + Sync {
    /// The TLSA records of a host's service, at `_port._tcp.host`.
    ///
    /// # Errors
    /// When no server answers properly. That nothing is there is no error.
    async fn tlsa(&self, host: &Domain, port: u16) -> Result<Seen<Tlsa>, DnsError>;

    /// The TXT records of a name, each with its strings joined.
    ///
    /// # Errors
    /// When no server answers properly. That nothing is there is no error.
    async fn txt(&self, name: &Domain) -> Result<Seen<Vec<u8>>, DnsError>;

    /// The records of a name as zone files have them, aliases followed; of TXT records the text, its strings
    /// joined. `None` when the name does not exist.
    ///
    /// # Errors
    /// When no server answers properly.
    async fn published(
        &self,
        name: &Domain,
        kind: OwnKind,
    ) -> Result<Option<Vec<String>>, DnsError>;
}

/// The types of records that we publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OwnKind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Mail exchangers: `10 mail.clinic.example.`
    Mx,
    /// Texts.
    Txt,
    /// Services: `0 1 993 mail.clinic.example.`
    Srv,
    /// Certificate authorities: `0 issue "letsencrypt.org"`
    Caa,
    /// Keys: `3 1 1 ab12…`
    Tlsa,
    /// Names of addresses, at [`reverse_name`].
    Ptr,
}

/// The name that the reverse names of an address stand under (RFC 1035 §3.5, RFC 3596 §2.5).
pub fn reverse_name(address: IpAddr) -> Option<Domain> {
    Domain::parse(Name::from(address).to_ascii().trim_end_matches('.')).ok()
}

impl OwnKind {
    fn record_type(self) -> RecordType {
        match self {
            Self::A => RecordType::A,
            Self::Aaaa => RecordType::AAAA,
            Self::Mx => RecordType::MX,
            Self::Txt => RecordType::TXT,
            Self::Srv => RecordType::SRV,
            Self::Caa => RecordType::CAA,
            Self::Tlsa => RecordType::TLSA,
            Self::Ptr => RecordType::PTR,
        }
    }
}

/// A record's value as zone files have it.
fn value(record: &Record) -> Option<String> {
    Some(match &record.data {
        RData::A(a) => a.0.to_string(),
        RData::AAAA(aaaa) => aaaa.0.to_string(),
        RData::MX(mx) => format!("{} {}", mx.preference, mx.exchange.to_ascii().to_lowercase()),
        RData::TXT(txt) => String::from_utf8_lossy(&txt.txt_data.concat()).into_owned(),
        RData::SRV(srv) => {
            let target = srv.target.to_ascii().to_lowercase();
            format!("{} {} {} {target}", srv.priority, srv.weight, srv.port)
        }
        RData::CAA(caa) => {
            let flags = if caa.issuer_critical { 128 } else { 0 };
            format!("{flags} {} \"{}\"", caa.tag, String::from_utf8_lossy(&caa.value))
        }
        RData::PTR(ptr) => ptr.0.to_ascii().to_lowercase(),
        RData::TLSA(_) => tlsa_of(record)?.to_string(),
        _ => return None,
    })
}

/// Looks by asking real servers.
#[derive(Clone)]
pub struct OwnLook(TokioResolver);

impl OwnLook {
    /// Asks these servers, or the system's when there are none given.
    ///
    /// # Errors
    /// When the system's settings cannot be read, or name no server.
    pub fn new(servers: &[SocketAddr]) -> Result<Self, DnsError> {
        let servers: Vec<_> = servers.iter().map(server).collect();
        plain(&servers, 0).map(Self)
    }

    async fn look<T>(
        &self,
        name: Name,
        kind: RecordType,
        read: impl Fn(&Record) -> Option<T>,
    ) -> Result<Seen<T>, DnsError> {
        let Found::Records(found) = in_time(look(&self.0, &name, kind)).await?.found else {
            return Ok(Seen::default());
        };
        let ttl = found.iter().map(|record| record.ttl).max().unwrap_or(0);
        let records = found.iter().filter_map(read).collect();
        Ok(Seen { records, ttl: Duration::from_secs(ttl.into()) })
    }
}

#[async_trait]
impl OwnRecords for OwnLook {
    async fn tlsa(&self, host: &Domain, port: u16) -> Result<Seen<Tlsa>, DnsError> {
        self.look(service(host, port)?, RecordType::TLSA, tlsa_of).await
    }

    async fn txt(&self, name: &Domain) -> Result<Seen<Vec<u8>>, DnsError> {
        let text = |record: &Record| match &record.data {
            RData::TXT(txt) => Some(txt.txt_data.concat()),
            _ => None,
        };
        self.look(absolute(name)?, RecordType::TXT, text).await
    }

    async fn published(
        &self,
        name: &Domain,
        kind: OwnKind,
    ) -> Result<Option<Vec<String>>, DnsError> {
        let name = absolute(name)?;
        Ok(match in_time(look(&self.0, &name, kind.record_type())).await?.found {
            Found::Records(records) => Some(records.iter().filter_map(value).collect()),
            Found::NoName => None,
        })
    }
}

/// A zone for tests: what is put in is seen. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct FakeOwn(Arc<Mutex<FakeZone>>);

#[derive(Debug, Default)]
struct FakeZone {
    tlsa: HashMap<(Domain, u16), Seen<Tlsa>>,
    txt: HashMap<Domain, Seen<Vec<u8>>>,
    published: HashMap<(Domain, OwnKind), Vec<String>>,
    silent: bool,
}

impl FakeOwn {
    /// An empty zone.
    pub fn new() -> Self {
        Self::default()
    }

    /// Publishes TLSA records in place of those there were.
    pub fn set_tlsa(&self, host: &Domain, port: u16, records: &[Tlsa], ttl: Duration) {
        let seen = Seen { records: records.to_vec(), ttl };
        self.change(|zone| zone.tlsa.insert((host.clone(), port), seen));
    }

    /// Publishes a TXT record in place of those there were.
    pub fn set_txt(&self, name: &Domain, text: &str) {
        let seen = Seen { records: vec![text.as_bytes().to_vec()], ttl: Duration::from_secs(60) };
        self.change(|zone| zone.txt.insert(name.clone(), seen));
    }

    /// Takes the TXT records of a name out.
    pub fn remove_txt(&self, name: &Domain) {
        self.change(|zone| zone.txt.remove(name));
    }

    /// Publishes records for [`OwnRecords::published`] in place of those there were of this type.
    pub fn publish(&self, name: &Domain, kind: OwnKind, values: &[&str]) {
        let values = values.iter().map(|&value| value.to_owned()).collect();
        self.change(|zone| zone.published.insert((name.clone(), kind), values));
    }

    /// Whether the servers answer at all.
    pub fn set_silent(&self, silent: bool) {
        self.change(|zone| zone.silent = silent);
    }

    fn change<T>(&self, change: impl FnOnce(&mut FakeZone) -> T) -> T {
        // A panic elsewhere leaves a zone that is still a zone.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn look<T: Clone>(
        &self,
        find: impl FnOnce(&FakeZone) -> Option<Seen<T>>,
    ) -> Result<Seen<T>, DnsError> {
        self.change(|zone| {
            if zone.silent {
                return Err(DnsError::Temporary("no server answered in time".into()));
            }
            Ok(find(zone).unwrap_or_default())
        })
    }
}

#[async_trait]
impl OwnRecords for FakeOwn {
    async fn tlsa(&self, host: &Domain, port: u16) -> Result<Seen<Tlsa>, DnsError> {
        self.look(|zone| zone.tlsa.get(&(host.clone(), port)).cloned())
    }

    async fn txt(&self, name: &Domain) -> Result<Seen<Vec<u8>>, DnsError> {
        self.look(|zone| zone.txt.get(name).cloned())
    }
    async fn published(
        &self,
        name: &Domain,
        kind: OwnKind,
    ) -> Result<Option<Vec<String>>, DnsError> {
        self.change(|zone| {
            if zone.silent {
                return Err(DnsError::Temporary("no server answered in time".into()));
            }
            if let Some(values) = zone.published.get(&(name.clone(), kind)) {
                return Ok(Some(values.clone()));
            }
            let known = zone.published.keys().any(|(known, _)| known.is_within(name));
            Ok(known.then(Vec::new))
        })
    }
}
