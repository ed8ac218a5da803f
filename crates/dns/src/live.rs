//! Look-ups over the network, by hickory.

use crate::answer::{absent, follow};
use crate::validate::{Found, Traced};
use crate::validation::{ValidatedBy, Validation};
use crate::{Alias, Answer, DnsError, Dnssec, Mx, MxHost, Resolver, Tlsa, TrustAnchor};
use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
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
const MAX_NEGATIVE_TTL: Duration = Duration::from_secs(60);
/// Records of one answer that are used; no set that mail needs is larger.
const MAX_RECORDS: usize = 64;

/// The resolver that asks real servers. Clones share connections and cache.
#[derive(Clone)]
pub struct HickoryResolver {
    plain: TokioResolver,
    validation: Option<Arc<Validation>>,
}

impl HickoryResolver {
    /// Asks these servers, or the system's (`/etc/resolv.conf`) when there are none given, and
    /// validates nothing: every answer is [`Dnssec::Indeterminate`].
    ///
    /// # Errors
    /// When the system's settings cannot be read, or name no server.
    pub fn new(servers: &[SocketAddr]) -> Result<Self, DnsError> {
        let servers: Vec<NameServerConfig> = servers.iter().map(server).collect();
        Ok(Self { plain: plain(&servers, CACHE_ENTRIES)?, validation: None })
    }

    /// Asks these servers, or the system's when there are none given, and validates every answer by
    /// this trust anchor and no other; without one, by the real root's keys where the servers pass
    /// signatures on (see the crate's documentation).
    ///
    /// # Errors
    /// When the system's settings cannot be read, or name no server.
    pub fn validating(
        servers: &[SocketAddr],
        anchor: Option<TrustAnchor>,
    ) -> Result<Self, DnsError> {
        let servers: Vec<NameServerConfig> = servers.iter().map(server).collect();
        let validation = Some(Arc::new(Validation::new(&servers, anchor)?));
        Ok(Self { plain: plain(&servers, CACHE_ENTRIES)?, validation })
    }

    /// Validates from the first question on, come what may: these servers are known to pass
    /// signatures on, from an earlier run that saw [`ValidatedBy::Root`].
    #[must_use]
    pub fn known_to_validate(self) -> Self {
        if let Some(validation) = &self.validation {
            validation.insist();
        }
        self
    }

    /// Finds out now whether the servers pass signatures on, instead of at the first question.
    pub async fn settle(&self) {
        if let Some(validation) = &self.validation {
            validation.validator().await;
        }
    }

    /// How answers are validated, and whenever that changes. [`ValidatedBy::Root`] is worth
    /// remembering: see [`Self::known_to_validate`].
    pub fn validated_by(&self) -> watch::Receiver<ValidatedBy> {
        match &self.validation {
            Some(validation) => validation.by(),
            None => watch::channel(ValidatedBy::Nothing).1,
        }
    }

    /// Hickory's resolver for the same servers, for libraries that bring their own look-ups. It does
    /// not validate; it leaves that to the servers (it asks without CD), so that where those validate,
    /// a bogus answer is a failure.
    pub fn hickory(&self) -> TokioResolver {
        self.plain.clone()
    }

    async fn trace(&self, name: &Name, kind: RecordType) -> Result<Traced, DnsError> {
        let looking = async {
            let validator = match &self.validation {
                Some(validation) if !is_special(name) => validation.validator().await,
                _ => None,
            };
            match validator {
                Some(validator) => validator.look(name, kind).await,
                None => look(&self.plain, name, kind).await,
            }
        };
        in_time(looking).await
    }

    /// The records of one type at `name`, aliases followed. The list may be empty: NODATA.
    async fn records(&self, name: Name, kind: RecordType) -> Result<Answer<Vec<Record>>, DnsError> {
        answer(self.trace(&name, kind).await?)
    }
}

/// Names that are never asked for (RFC 6761 §6.3, §6.4; RFC 7686): hickory answers them itself.
fn is_special(name: &Name) -> bool {
    let top = name.iter().next_back().unwrap_or_default();
    let special: [&[u8]; 3] = [b"localhost", b"invalid", b"onion"];
    special.iter().any(|special| top.eq_ignore_ascii_case(special))
}

/// An alias that leads to a name that mail cannot use leads nowhere.
fn answer(traced: Traced) -> Result<Answer<Vec<Record>>, DnsError> {
    let Found::Records(mut value) = traced.found else { return Err(DnsError::NoSuchDomain) };
    value.truncate(MAX_RECORDS);
    let alias = match traced.alias {
        Some((initial, end)) => {
            let canonical = host(&end).ok_or(DnsError::NoSuchDomain)?;
            Some(Alias { initial, canonical })
        }
        None => None,
    };
    Ok(Answer { value, dnssec: traced.dnssec, alias })
}

/// The records without the way to them, for whoever does not care which names an alias leads by: those
/// of a service may be any at all. `Err` has the empty answer for a name that does not exist.
fn only_records(traced: Traced) -> Result<Answer<Vec<Record>>, Answer<Vec<Record>>> {
    match traced.found {
        Found::Records(mut records) => {
            records.truncate(MAX_RECORDS);
            Ok(Answer::new(records, traced.dnssec))
        }
        Found::NoName => Err(Answer::new(Vec::new(), traced.dnssec)),
    }
}

pub(crate) async fn in_time<T>(
    looking: impl Future<Output = Result<T, DnsError>>,
) -> Result<T, DnsError> {
    let result = tokio::time::timeout(LOOKUP_TIMEOUT, looking).await;
    result.unwrap_or_else(|_| Err(DnsError::Temporary("it took too long".into())))
}

/// What hickory finds without validating.
pub(crate) async fn look(
    resolver: &TokioResolver,
    name: &Name,
    kind: RecordType,
) -> Result<Traced, DnsError> {
    match resolver.lookup(name.clone(), kind).await {
        Ok(lookup) => Ok(follow(name, kind, lookup.answers())),
        Err(error) => absent(&error),
    }
}

/// Servers to ask, those given or the system's, and how.
pub(crate) fn tuned(
    servers: &[NameServerConfig],
) -> Result<(Vec<NameServerConfig>, ResolverOpts), DnsError> {
    let (servers, mut options) = if servers.is_empty() {
        let (config, options) = read_system_conf().map_err(|error| {
            DnsError::Temporary(format!("the system's DNS settings cannot be read: {error}"))
        })?;
        (config.name_servers, options)
    } else {
        (servers.to_vec(), ResolverOpts::default())
    };
    tune(&mut options);
    Ok((servers, options))
}

/// A resolver that does not validate, and keeps so many answers.
pub(crate) fn plain(
    servers: &[NameServerConfig],
    cache_size: u64,
) -> Result<TokioResolver, DnsError> {
    let (servers, mut options) = tuned(servers)?;
    options.cache_size = cache_size;
    let config = ResolverConfig::from_parts(None, Vec::new(), servers);
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_options(options)
        .build()
        .map_err(|error| DnsError::Temporary(error.to_string()))
}

/// A server at that address, over UDP and TCP.
pub(crate) fn server(address: &SocketAddr) -> NameServerConfig {
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
    // So that it can be told what is an alias of what.
    options.preserve_intermediates = true;
}

/// `_port._tcp.host` (RFC 6698 §3).
pub(crate) fn service(host: &Domain, port: u16) -> Result<Name, DnsError> {
    let host = absolute(host)?;
    let labels = [format!("_{port}").into_bytes(), b"_tcp".to_vec()];
    Name::from_labels(labels)
        .and_then(|service| service.append_name(&host))
        .map_err(|_| DnsError::NoSuchDomain)
}

pub(crate) fn absolute(domain: &Domain) -> Result<Name, DnsError> {
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
        Ok(found.map(|records| mx_of(&records)))
    }

    async fn addresses(&self, host: &Domain) -> Result<Answer<Vec<IpAddr>>, DnsError> {
        let name = absolute(host)?;
        let (v4, v6) = tokio::join!(
            self.records(name.clone(), RecordType::A),
            self.records(name, RecordType::AAAA)
        );
        join_families(v4, v6)
    }

    async fn tlsa(&self, host: &Domain, port: u16) -> Result<Answer<Vec<Tlsa>>, DnsError> {
        let found = only_records(self.trace(&service(host, port)?, RecordType::TLSA).await?);
        Ok(found.unwrap_or_else(|none| none).map(|set| set.iter().filter_map(tlsa_of).collect()))
    }

    async fn txt(&self, name: &Domain) -> Result<Answer<Vec<Vec<u8>>>, DnsError> {
        let traced = self.trace(&absolute(name)?, RecordType::TXT).await?;
        let found = only_records(traced).map_err(|_| DnsError::NoSuchDomain)?;
        let text = |record: &Record| match &record.data {
            RData::TXT(txt) => Some(txt.txt_data.concat()),
            _ => None,
        };
        Ok(found.map(|records| records.iter().filter_map(text).collect()))
    }

    async fn reverse(&self, address: IpAddr) -> Result<Answer<Vec<Domain>>, DnsError> {
        let name = Name::from(address);
        let found = answer(in_time(look(&self.plain, &name, RecordType::PTR)).await?)?;
        let claim = |record: &Record| match &record.data {
            RData::PTR(ptr) => host(&ptr.0),
            _ => None,
        };
        Ok(found.map(|records| records.iter().filter_map(claim).collect()))
    }
}

pub(crate) fn tlsa_of(record: &Record) -> Option<Tlsa> {
    match &record.data {
        RData::TLSA(tlsa) => Some(Tlsa {
            usage: tlsa.cert_usage.into(),
            selector: tlsa.selector.into(),
            matching: tlsa.matching.into(),
            data: tlsa.cert_data.clone(),
        }),
        _ => None,
    }
}

type Looked = Result<Answer<Vec<Record>>, DnsError>;

/// One family's failure does not hide the other's addresses, whose truth is their own; with no
/// addresses at all, it counts.
fn join_families(v4: Looked, v6: Looked) -> Result<Answer<Vec<IpAddr>>, DnsError> {
    let mut joined = Answer::new(Vec::new(), Dnssec::Indeterminate);
    if let (Ok(v4), Ok(v6)) = (&v4, &v6) {
        joined.dnssec = v4.dnssec.and(v6.dnssec);
    }
    let mut failure = None;
    for family in [v4, v6] {
        match family {
            Ok(answer) if answer.value.is_empty() => {}
            Ok(answer) => {
                let first = joined.value.is_empty();
                joined.dnssec =
                    if first { answer.dnssec } else { joined.dnssec.and(answer.dnssec) };
                joined.alias = join_aliases(joined.alias, answer.alias);
                joined.value.extend(answer.value.iter().filter_map(address_of));
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
        Some(error) if joined.value.is_empty() => Err(error),
        _ => Ok(joined),
    }
}

fn join_aliases(first: Option<Alias>, second: Option<Alias>) -> Option<Alias> {
    match (first, second) {
        (Some(first), Some(second)) => {
            Some(Alias { initial: first.initial.and(second.initial), ..first })
        }
        (first, second) => first.or(second),
    }
}

fn address_of(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
        _ => None,
    }
}
