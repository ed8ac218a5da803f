//! Where reports are wanted: the records that say so, and whether a stranger is meant.
//!
//! ```text
//! _smtp._tls.DOMAIN              TXT  v=TLSRPTv1; rua=mailto:tls@example.com,https://example.com/tls
//! _dmarc.DOMAIN                  TXT  v=DMARC1; p=…; rua=mailto:dmarc@example.com!10m
//! DOMAIN._report._dmarc.OTHER    TXT  v=DMARC1          OTHER takes DOMAIN's reports
//! ```

use mail_auth::common::parse::TxtRecordParser;
use mail_auth::dmarc::Dmarc;
use wardpost_dns::{DnsError, Resolver};
use wardpost_mail::{Address, Domain};

/// Destinations of one report at most, so that a record cannot make us shower the world.
const MAX_DESTINATIONS: usize = 4;
/// Longest URI taken, in octets.
const MAX_URI: usize = 1000;

/// Where a report goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// By mail.
    Mail {
        /// To whom.
        to: Address,
        /// Octets the mail may have (RFC 7489 §6.2 `!10m`).
        limit: Option<u64>,
    },
    /// By HTTPS POST, to this URL.
    Https(String),
}

impl Destination {
    /// As it is kept with an outgoing report.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Mail { to, .. } => to.to_string(),
            Self::Https(url) => url.clone(),
        }
    }
}

/// Where a domain wants TLS reports; empty when it wants none.
///
/// # Errors
/// When DNS does not answer.
pub(crate) async fn tls(
    resolver: &dyn Resolver,
    domain: &Domain,
) -> Result<Vec<Destination>, DnsError> {
    let Ok(name) = Domain::parse(&format!("_smtp._tls.{domain}")) else { return Ok(Vec::new()) };
    let records = texts(resolver, &name).await?;
    Ok(tls_record(&records))
}

/// Reads TLS-RPT records (RFC 8460 §3). Several records are as good as none.
pub fn tls_record(records: &[Vec<u8>]) -> Vec<Destination> {
    let mut ours = records.iter().filter_map(|record| {
        let text = std::str::from_utf8(record).ok()?;
        let (version, rest) = text.split_once(';')?;
        (version.trim_end_matches([' ', '\t']) == "v=TLSRPTv1").then_some(rest)
    });
    match (ours.next(), ours.next()) {
        (Some(rest), None) => tls_uris(rest),
        _ => Vec::new(),
    }
}

/// ABNF: `*WSP "rua=" tlsrpt-uri *(*WSP "," *WSP tlsrpt-uri) *WSP *(";" …) `. Commas, exclamation marks
/// and semicolons inside a URI are percent-encoded.
fn tls_uris(fields: &str) -> Vec<Destination> {
    let white = [' ', '\t'];
    let field = fields.split(';').find_map(|field| field.trim_matches(white).strip_prefix("rua="));
    let uris = field.unwrap_or_default().split(',').map(|uri| uri.trim_matches(white));
    uris.filter_map(destination).take(MAX_DESTINATIONS).collect()
}

fn destination(uri: &str) -> Option<Destination> {
    if uri.len() > MAX_URI || uri.bytes().any(|b| !b.is_ascii_graphic()) {
        return None;
    }
    let (scheme, rest) = uri.split_once(':')?;
    if scheme.eq_ignore_ascii_case("mailto") {
        return Some(Destination::Mail { to: mailbox(rest)?, limit: None });
    }
    let host = rest.strip_prefix("//")?.split(['/', '?', '#']).next()?;
    let (host, port) = host.split_once(':').unwrap_or((host, "443"));
    let named = Domain::parse(host).is_ok_and(|host| host.as_str().contains('.'))
        && host.parse::<std::net::Ipv4Addr>().is_err();
    let sound = scheme.eq_ignore_ascii_case("https") && named && port.parse::<u16>().is_ok();
    sound.then(|| Destination::Https(format!("https:{rest}")))
}

/// The address of a `mailto:` URI (RFC 6068 §2); header fields it asks for are left out.
fn mailbox(text: &str) -> Option<Address> {
    let text = text.split('?').next()?;
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    Address::parse(std::str::from_utf8(&decoded).ok()?).ok()
}

/// Where a domain with a DMARC policy wants reports, strangers who did not agree left out; empty when it
/// wants none.
///
/// # Errors
/// When DNS does not answer.
pub(crate) async fn dmarc(
    resolver: &dyn Resolver,
    domain: &Domain,
) -> Result<Vec<Destination>, DnsError> {
    let Some(record) = dmarc_record(resolver, domain).await? else { return Ok(Vec::new()) };
    let mut destinations = Vec::new();
    for uri in record.rua.iter().take(MAX_DESTINATIONS) {
        let Some(to) = uri.uri().split('?').next().and_then(|text| Address::parse(text).ok())
        else {
            continue;
        };
        if takes(resolver, to.domain(), domain).await? {
            let limit = Some(uri.max_size() as u64).filter(|limit| *limit > 0);
            destinations.push(Destination::Mail { to, limit });
        }
    }
    Ok(destinations)
}

async fn dmarc_record(resolver: &dyn Resolver, name: &Domain) -> Result<Option<Dmarc>, DnsError> {
    let Ok(place) = Domain::parse(&format!("_dmarc.{name}")) else { return Ok(None) };
    let records = texts(resolver, &place).await?;
    let mut read = records.iter().filter_map(|record| Dmarc::parse(record).ok());
    // Several records are as good as none (RFC 7489 §6.6.3).
    Ok(read.next().filter(|_| read.next().is_none()))
}

/// Whether reports about `domain` may go to `host` (RFC 7489 §7.1): without its word they may not,
/// unless the two belong together, because one lies within the other.
async fn takes(resolver: &dyn Resolver, host: &Domain, domain: &Domain) -> Result<bool, DnsError> {
    let related = |a: &Domain, b: &Domain| a.is_within(b) && b.as_str().contains('.');
    if related(host, domain) || related(domain, host) {
        return Ok(true);
    }
    let Ok(name) = Domain::parse(&format!("{domain}._report._dmarc.{host}")) else {
        return Ok(false);
    };
    let records = texts(resolver, &name).await?;
    Ok(records.iter().any(|record| {
        let version = record.split(|b| *b == b';').next().unwrap_or_default();
        version.trim_ascii() == b"v=DMARC1"
    }))
}

/// TXT records; a name that does not exist has none.
async fn texts(resolver: &dyn Resolver, name: &Domain) -> Result<Vec<Vec<u8>>, DnsError> {
    match resolver.txt(name).await {
        Ok(answer) => Ok(answer.value),
        Err(DnsError::NoSuchDomain) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
