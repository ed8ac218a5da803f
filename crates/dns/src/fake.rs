//! A resolver that answers from a table, for tests of whatever asks DNS.

use crate::{Alias, Answer, DnsError, Dnssec, Mx, MxHost, Resolver, Tlsa};
use async_trait::async_trait;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wardpost_mail::Domain;

/// A table of answers and failures, each with its own DNSSEC truth. Names that are not in it do not
/// exist. Clones share the table, and it may change while it is being asked.
#[derive(Debug, Clone, Default)]
pub struct FakeResolver {
    zone: Arc<Mutex<Zone>>,
}

type Looked<T> = Result<Answer<T>, DnsError>;

#[derive(Debug, Default)]
struct Zone {
    mx: HashMap<Domain, Looked<Mx>>,
    addresses: HashMap<Domain, Looked<Vec<IpAddr>>>,
    tlsa: HashMap<(Domain, u16), Looked<Vec<Tlsa>>>,
    txt: HashMap<Domain, Answer<Vec<Vec<u8>>>>,
    reverse: HashMap<IpAddr, Answer<Vec<Domain>>>,
}

impl FakeResolver {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    fn zone(&self) -> MutexGuard<'_, Zone> {
        // A panic elsewhere leaves a table that is still a table.
        self.zone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the mail exchangers of a domain.
    pub fn set_mx(&self, domain: &Domain, hosts: &[(u16, Domain)], dnssec: Dnssec) {
        let mut hosts: Vec<MxHost> = hosts
            .iter()
            .map(|(preference, host)| MxHost { preference: *preference, host: host.clone() })
            .collect();
        hosts.sort_by_key(|mx| mx.preference);
        let answer = Answer::new(Mx::Hosts(hosts), dnssec);
        self.zone().mx.insert(domain.clone(), Ok(answer));
    }

    /// Gives a domain a null MX (RFC 7505).
    pub fn set_null_mx(&self, domain: &Domain, dnssec: Dnssec) {
        self.zone().mx.insert(domain.clone(), Ok(Answer::new(Mx::Null, dnssec)));
    }

    /// Makes the MX look-up of a domain fail.
    pub fn fail_mx(&self, domain: &Domain, error: DnsError) {
        self.zone().mx.insert(domain.clone(), Err(error));
    }

    /// Sets the addresses of a host.
    pub fn set_addresses(&self, host: &Domain, addresses: &[IpAddr], dnssec: Dnssec) {
        let answer = Answer::new(addresses.to_vec(), dnssec);
        self.zone().addresses.insert(host.clone(), Ok(answer));
    }

    /// Makes a host an alias of another, whose addresses these are. `initial` is the truth of the
    /// alias, `whole` that of everything.
    pub fn set_alias(
        &self,
        host: &Domain,
        canonical: &Domain,
        addresses: &[IpAddr],
        initial: Dnssec,
        whole: Dnssec,
    ) {
        let alias = Some(Alias { initial, canonical: canonical.clone() });
        let answer = Answer { value: addresses.to_vec(), dnssec: whole, alias };
        self.zone().addresses.insert(host.clone(), Ok(answer));
    }

    /// Sets the TLSA records of a host's service.
    pub fn set_tlsa(&self, host: &Domain, port: u16, records: &[Tlsa], dnssec: Dnssec) {
        let answer = Answer::new(records.to_vec(), dnssec);
        self.zone().tlsa.insert((host.clone(), port), Ok(answer));
    }

    /// Makes the TLSA look-up of a host's service fail.
    pub fn fail_tlsa(&self, host: &Domain, port: u16, error: DnsError) {
        self.zone().tlsa.insert((host.clone(), port), Err(error));
    }

    /// Makes the address look-up of a host fail.
    pub fn fail_addresses(&self, host: &Domain, error: DnsError) {
        self.zone().addresses.insert(host.clone(), Err(error));
    }

    /// Sets the TXT records of a name.
    pub fn set_txt(&self, name: &Domain, texts: &[&[u8]], dnssec: Dnssec) {
        let value = texts.iter().map(|text| text.to_vec()).collect();
        self.zone().txt.insert(name.clone(), Answer::new(value, dnssec));
    }

    /// Sets the names of an address.
    pub fn set_reverse(&self, address: IpAddr, names: &[Domain], dnssec: Dnssec) {
        self.zone().reverse.insert(address, Answer::new(names.to_vec(), dnssec));
    }
}

impl Zone {
    fn knows(&self, name: &Domain) -> bool {
        self.mx.contains_key(name)
            || self.addresses.contains_key(name)
            || self.txt.contains_key(name)
    }

    /// NODATA for a name that has other records, NXDOMAIN for one that has none.
    fn absent<T: Default>(&self, name: &Domain) -> Result<Answer<T>, DnsError> {
        if self.knows(name) {
            Ok(Answer::new(T::default(), Dnssec::Indeterminate))
        } else {
            Err(DnsError::NoSuchDomain)
        }
    }
}

#[async_trait]
impl Resolver for FakeResolver {
    async fn mx(&self, domain: &Domain) -> Result<Answer<Mx>, DnsError> {
        let zone = self.zone();
        match zone.mx.get(domain) {
            Some(answer) => answer.clone(),
            None if zone.knows(domain) => Ok(Answer::new(Mx::Implicit, Dnssec::Indeterminate)),
            None => Err(DnsError::NoSuchDomain),
        }
    }

    async fn addresses(&self, host: &Domain) -> Result<Answer<Vec<IpAddr>>, DnsError> {
        let zone = self.zone();
        zone.addresses.get(host).cloned().unwrap_or_else(|| zone.absent(host))
    }

    async fn tlsa(&self, host: &Domain, port: u16) -> Result<Answer<Vec<Tlsa>>, DnsError> {
        let set = self.zone().tlsa.get(&(host.clone(), port)).cloned();
        set.unwrap_or_else(|| Ok(Answer::new(Vec::new(), Dnssec::Indeterminate)))
    }

    async fn txt(&self, name: &Domain) -> Result<Answer<Vec<Vec<u8>>>, DnsError> {
        let zone = self.zone();
        zone.txt.get(name).cloned().map_or_else(|| zone.absent(name), Ok)
    }

    async fn reverse(&self, address: IpAddr) -> Result<Answer<Vec<Domain>>, DnsError> {
        self.zone().reverse.get(&address).cloned().ok_or(DnsError::NoSuchDomain)
    }
}
