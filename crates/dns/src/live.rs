//! Look-ups over the network, by hickory.

use crate::{Answer, DnsError, Dnssec, Mx, MxHost, Resolver};
use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as WireError, NetError};
use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use wardpost_mail::Domain;

/// How long one try of one server may take.
const TRY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a look-up may take with all its tries.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(20);
/// Answers kept at most.
const CACHE_ENTRIES: u64 = 8192;
/// Longest that an answer is kept, whatever its TTL says.
const MAX_TTL: Duration = Duration::from_secs(24 * 3600);
/// Longest that the absence of an answer is kept: people mend their zones while we wait.
const MAX_NEGATIVE_TTL: Duration = Duration::from_secs(300);
/// Records of one answer that are looked at.
const MAX_RECORDS: usize = 64;

/// The resolver that asks real servers. Clones share connections and cache.
#[derive(Clone)]
pub struct HickoryResolver {
    inner: TokioResolver,
}

impl HickoryResolver {
    /// Asks these servers, or the system's (`/etc/resolv.conf`) when there are none given.
    ///
    /// # Errors
    /// When the system's settings cannot be read, or name no server.
    pub fn new(servers: &[SocketAddr]) -> Result<Self, DnsError> {
        let mut builder = if servers.is_empty() {
            TokioResolver::builder_tokio().map_err(|error| {
                DnsError::Temporary(format!("the system's DNS settings cannot be read: {error}"))
            })?
        } else {
            let servers = servers.iter().map(server).collect();
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        tune(builder.options_mut());
        let inner = builder.build().map_err(|error| DnsError::Temporary(error.to_string()))?;
        Ok(Self { inner })
    }

    /// The resolver beneath, for libraries that bring their own look-ups and should share its
    /// connections and cache.
    pub fn hickory(&self) -> TokioResolver {
        self.inner.clone()
    }

    /// The records of one type at `name`, aliases followed. `Ok` may be empty: NODATA.
    async fn records(&self, name: Name, kind: RecordType) -> Result<Answer<Vec<Record>>, DnsError> {
        let looking = self.inner.lookup(name, kind);
        match tokio::time::timeout(LOOKUP_TIMEOUT, looking).await {
            Ok(Ok(lookup)) => believe(&lookup, kind),
            Ok(Err(error)) => absent(&error),
            Err(_) => Err(DnsError::Temporary("it took too long".into())),
        }
    }
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let on_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let connections = vec![on_port(ConnectionConfig::udp()), on_port(ConnectionConfig::tcp())];
    NameServerConfig::new(address.ip(), true, connections)
}

fn tune(options: &mut ResolverOpts) {
    options.timeout = TRY_TIMEOUT;
    options.attempts = 2;
    options.edns0 = true;
    options.try_tcp_on_error = true;
    options.use_hosts_file = ResolveHosts::Never;
    options.cache_size = CACHE_ENTRIES;
    options.positive_max_ttl = Some(MAX_TTL);
    options.negative_max_ttl = Some(MAX_NEGATIVE_TTL);
}

/// Takes the wanted records of an answer, at the truth of its weakest record.
fn believe(lookup: &Lookup, kind: RecordType) -> Result<Answer<Vec<Record>>, DnsError> {
    let answers = || lookup.answers().iter().take(MAX_RECORDS);
    let dnssec = answers().map(|record| record.proof).try_fold(Dnssec::Secure, weaker)?;
    let value: Vec<Record> =
        answers().filter(|record| record.record_type() == kind).cloned().collect();
    let dnssec = if lookup.answers().is_empty() { Dnssec::Indeterminate } else { dnssec };
    Ok(Answer { value, dnssec })
}

fn weaker(so_far: Dnssec, proof: Proof) -> Result<Dnssec, DnsError> {
    match (so_far, proof) {
        (_, Proof::Bogus) => Err(DnsError::Bogus),
        (Dnssec::Indeterminate, _) | (_, Proof::Indeterminate) => Ok(Dnssec::Indeterminate),
        (Dnssec::Insecure, _) | (_, Proof::Insecure) => Ok(Dnssec::Insecure),
        (Dnssec::Secure, Proof::Secure) => Ok(Dnssec::Secure),
    }
}

/// Tells NODATA (an empty answer) from NXDOMAIN, bogus answers and failures.
fn absent(error: &NetError) -> Result<Answer<Vec<Record>>, DnsError> {
    let nothing = |dnssec| Ok(Answer { value: Vec::new(), dnssec });
    match error {
        NetError::Dns(WireError::NoRecordsFound(no)) => match no.response_code {
            ResponseCode::NoError => nothing(Dnssec::Indeterminate),
            ResponseCode::NXDomain => Err(DnsError::NoSuchDomain),
            code => Err(DnsError::Temporary(code.to_string())),
        },
        NetError::Dns(WireError::Nsec { response, proof, .. }) => {
            let dnssec = weaker(Dnssec::Secure, *proof)?;
            match response.response_code {
                ResponseCode::NoError => nothing(dnssec),
                ResponseCode::NXDomain => Err(DnsError::NoSuchDomain),
                code => Err(DnsError::Temporary(code.to_string())),
            }
        }
        NetError::Dns(WireError::DnssecBogus) => Err(DnsError::Bogus),
        NetError::Dns(WireError::ResponseCode(code)) => Err(DnsError::Temporary(code.to_string())),
        NetError::Timeout => Err(DnsError::Temporary("no server answered in time".into())),
        NetError::NoConnections => Err(DnsError::Temporary("no server could be reached".into())),
        NetError::Io(error) => Err(DnsError::Temporary(error.to_string())),
        // Other errors' texts may quote the name that was asked for.
        _ => Err(DnsError::Temporary("the answer could not be used".into())),
    }
}

fn absolute(domain: &Domain) -> Result<Name, DnsError> {
    let mut name = Name::from_ascii(domain.as_str()).map_err(|_| DnsError::NoSuchDomain)?;
    name.set_fqdn(true);
    Ok(name)
}

/// A host name as DNS gives it, unless it is one that mail cannot use.
fn host(name: &Name) -> Option<Domain> {
    Domain::parse(&name.to_ascii()).ok()
}

/// Reads an MX set (RFC 5321 §5.1, RFC 7505 §3).
fn mx_of(records: &[Record]) -> Mx {
    let exchanges: Vec<(u16, &Name)> = records
        .iter()
        .filter_map(|record| match &record.data {
            RData::MX(mx) => Some((mx.preference, &mx.exchange)),
            _ => None,
        })
        .collect();
    if exchanges.is_empty() {
        return Mx::Implicit;
    }
    if exchanges.iter().all(|(_, exchange)| exchange.is_root()) {
        return Mx::Null;
    }
    let mut hosts: Vec<MxHost> = exchanges
        .into_iter()
        .filter_map(|(preference, exchange)| Some(MxHost { preference, host: host(exchange)? }))
        .collect();
    hosts.sort_by_key(|mx| mx.preference);
    Mx::Hosts(hosts)
}

#[async_trait]
impl Resolver for HickoryResolver {
    async fn mx(&self, domain: &Domain) -> Result<Answer<Mx>, DnsError> {
        let found = self.records(absolute(domain)?, RecordType::MX).await?;
        Ok(Answer { value: mx_of(&found.value), dnssec: found.dnssec })
    }

    async fn addresses(&self, host: &Domain) -> Result<Answer<Vec<IpAddr>>, DnsError> {
        let name = absolute(host)?;
        let (v4, v6) = tokio::join!(
            self.records(name.clone(), RecordType::A),
            self.records(name, RecordType::AAAA)
        );
        join_families(v4, v6)
    }

    async fn txt(&self, name: &Domain) -> Result<Answer<Vec<Vec<u8>>>, DnsError> {
        let found = self.records(absolute(name)?, RecordType::TXT).await?;
        let texts = found.value.iter().filter_map(|record| match &record.data {
            RData::TXT(txt) => Some(txt.txt_data.concat()),
            _ => None,
        });
        Ok(Answer { value: texts.collect(), dnssec: found.dnssec })
    }

    async fn reverse(&self, address: IpAddr) -> Result<Answer<Vec<Domain>>, DnsError> {
        let found = self.records(Name::from(address), RecordType::PTR).await?;
        let names = found.value.iter().filter_map(|record| match &record.data {
            RData::PTR(ptr) => host(&ptr.0),
            _ => None,
        });
        Ok(Answer { value: names.collect(), dnssec: found.dnssec })
    }
}

type Looked = Result<Answer<Vec<Record>>, DnsError>;

/// One family's failure does not hide the other's addresses; with none at all, it counts.
fn join_families(v4: Looked, v6: Looked) -> Result<Answer<Vec<IpAddr>>, DnsError> {
    let mut addresses = Vec::new();
    let mut weakest = Dnssec::Secure;
    let mut failure = None;
    for family in [v4, v6] {
        match family {
            Ok(answer) => {
                if !answer.value.is_empty() {
                    weakest = weakest_of(weakest, answer.dnssec);
                }
                addresses.extend(answer.value.iter().filter_map(address_of));
            }
            Err(error) => {
                // A temporary failure outweighs a final one: it might hide addresses.
                if failure.as_ref().is_none_or(|earlier: &DnsError| !earlier.is_temporary()) {
                    failure = Some(error);
                }
            }
        }
    }
    match failure {
        Some(error) if addresses.is_empty() => Err(error),
        _ if addresses.is_empty() => Ok(Answer { value: addresses, dnssec: Dnssec::Indeterminate }),
        _ => Ok(Answer { value: addresses, dnssec: weakest }),
    }
}

fn weakest_of(a: Dnssec, b: Dnssec) -> Dnssec {
    match (a, b) {
        (Dnssec::Indeterminate, _) | (_, Dnssec::Indeterminate) => Dnssec::Indeterminate,
        (Dnssec::Insecure, _) | (_, Dnssec::Insecure) => Dnssec::Insecure,
        (Dnssec::Secure, Dnssec::Secure) => Dnssec::Secure,
    }
}

fn address_of(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
        _ => None,
    }
}
