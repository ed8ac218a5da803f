//! The DNS records that each of our domains needs: from facts to records. Pure. What they are for is told
//! at length in docs/dns.md.

mod authority;
mod list;
mod zone;

pub use authority::authority_of;
pub use list::{dkim_record, records, tlsa_record};

use crate::{OwnPolicy, PlannedKey};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use wardpost_mail::Domain;
use zone::zone_text;

/// What the records are made from.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The name of our mail host.
    pub hostname: Domain,
    /// Its public addresses; empty when they are not known.
    pub addresses: Vec<IpAddr>,
    /// All domains that we serve, the main one first.
    pub domains: Vec<Domain>,
    /// Where we serve mail programs and pages.
    pub services: Services,
    /// Our MTA-STS policy as it is served now, if there is to be one.
    pub policy: Option<OwnPolicy>,
    /// The keys of our certificate.
    pub keys: Vec<PlannedKey>,
    /// The names in CAA records of the authority that our certificates come from (RFC 8659 §4.2).
    pub authorities: Vec<String>,
}

/// The ports of services; `None` is off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Services {
    /// Mailboxes.
    pub imaps: Option<u16>,
    /// Submission in TLS from the first byte.
    pub submissions: Option<u16>,
    /// Submission with STARTTLS.
    pub submission: Option<u16>,
    /// Pages.
    pub https: Option<u16>,
}

/// A DKIM key of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DkimKeyFacts {
    /// The name that its record stands under.
    pub name: String,
    /// The record's text.
    pub record: String,
    /// Where the key stands.
    pub stage: DkimKeyStage,
}

/// Where a DKIM key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DkimKeyStage {
    /// Will sign once its record is seen.
    Waiting,
    /// Signs.
    Signing,
    /// Signed mail that is still under way.
    Leaving,
    /// Signed nothing that is still under way.
    Revoked,
}

/// Which record it is, by a name that stays the same whatever the record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordId {
    /// Where mail goes (RFC 5321 §5.1).
    Mx,
    /// Our host's addresses.
    Address,
    /// Who may send the domain's mail (RFC 7208).
    Spf,
    /// Our host's own name as a sender (RFC 7208 §2.3).
    HostSpf,
    /// What to do with forged mail (RFC 9989).
    Dmarc,
    /// A key that signs mail (RFC 6376 §3.6).
    Dkim,
    /// That there is an MTA-STS policy (RFC 8461 §3.1).
    MtaSts,
    /// The host that the policy is fetched from (RFC 8461 §3.3).
    MtaStsHost,
    /// Who hears of failing TLS (RFC 8460 §3).
    TlsRpt,
    /// A key of our certificate (RFC 7672).
    Tlsa,
    /// Where mail is read (RFC 6186 §3).
    SrvImaps,
    /// Where mail is sent, in TLS from the first byte (RFC 8314 §5.1).
    SrvSubmissions,
    /// Where mail is sent, with STARTTLS (RFC 6186 §3).
    SrvSubmission,
    /// Where Outlook finds settings.
    SrvAutodiscover,
    /// Where Thunderbird finds settings.
    Autoconfig,
    /// Where Outlook finds settings, its first guess.
    Autodiscover,
    /// Who may issue certificates for our host (RFC 8659).
    Caa,
}

/// A DNS record to publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Which it is.
    pub id: RecordId,
    /// The name it stands under, without a final dot.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// Its value; of TXT records the text without quotes. Words in pointed brackets when we do not know
    /// it: see [`Record::is_known`].
    pub value: String,
    /// What it is for.
    pub purpose: String,
    /// Whether it is needed now.
    #[serde(default)]
    pub phase: RecordPhase,
}

/// Whether a record is needed now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordPhase {
    /// It is.
    #[default]
    Now,
    /// It will be: something waits for it.
    Coming,
    /// It was, and is to stay for some days.
    Leaving,
    /// It was, and may go.
    Over,
}

impl Record {
    /// Whether the value can be published as it is. Otherwise it says what to put in its place.
    pub fn is_known(&self) -> bool {
        !self.value.starts_with('<')
    }
}

/// For people: the value whole, as a provider's form wants it.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.purpose)?;
        writeln!(f, "    {}  {}  {}", self.name, self.kind, self.value)
    }
}

/// A domain, with what to publish for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The domain.
    pub domain: Domain,
    /// DNS records to publish.
    pub records: Vec<Record>,
    /// What else there is to know or to do, in words.
    #[serde(default)]
    pub notes: Vec<String>,
}

impl Listing {
    /// The records as a zone file (RFC 1035 §5.1), for the zone of this domain. What does not belong into it, or
    /// is not known, is there as a comment; so are the notes.
    pub fn zone(&self) -> String {
        zone_text(&self.domain, &self.records, &self.notes)
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: publish these records in the DNS (--zone prints a zone file)",
            self.domain
        )?;
        self.records.iter().try_for_each(|record| record.fmt(f))?;
        self.notes.iter().try_for_each(|note| writeln!(f, "Note: {note}"))
    }
}

/// Whoever knows what is to be published now.
pub trait Source: Send + Sync {
    /// The domains that we serve, the main one first.
    fn domains(&self) -> Vec<Domain>;
    /// What to publish for one of them; `None` when it is none of ours.
    fn listing(&self, domain: &Domain) -> Option<Listing>;
}

/// The domain whose list holds the records of our mail host: the one it lies in, or else the main one.
pub fn home_of_host<'a>(hostname: &Domain, domains: &'a [Domain]) -> Option<&'a Domain> {
    let homes = domains.iter().filter(|domain| hostname.is_within(domain));
    homes.max_by_key(|domain| domain.as_str().len()).or_else(|| domains.first())
}
