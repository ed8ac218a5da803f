//! The key of our certificate, as shown.

use super::{AcmeView, DnsRecordView};
use crate::secret_text;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use wardpost_mail::{Domain, Secret};

/// Our certificate and its keys: the one in use, the one that comes next, and old ones.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TlsView {
    /// Our mail host name.
    pub hostname: Domain,
    /// No authority vouches for the certificate.
    pub self_signed: bool,
    /// When it ends, RFC 3339.
    pub expires: String,
    /// The names it is for.
    pub names: Vec<String>,
    /// Names that it should be for and is not.
    pub missing_names: Vec<Domain>,
    /// Keys whose records are to be published: the current one first.
    pub keys: Vec<TlsKeyView>,
    /// Whether there were TLSA records in the DNS at the last look; absent before the first.
    pub dane_seen: Option<bool>,
    /// When the DNS was looked at last, RFC 3339.
    pub looked: Option<String>,
    /// The longest time to live that our records were seen with.
    pub ttl_seconds: Option<u64>,
    /// What to do, in words.
    pub next_steps: Vec<String>,
    /// Certificates from an authority, where one is configured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub acme: Option<Box<AcmeView>>,
    /// A certificate signing request for the next key, if one was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub csr: Option<String>,
    /// The next key, to be put into place; only in the answer to a roll-over.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_key: Option<NextKeyView>,
}

/// A key whose record is to be published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsKeyView {
    /// `current`, `next` or `old`.
    pub role: String,
    /// Its record.
    pub record: DnsRecordView,
    /// Since when it has this role, RFC 3339.
    pub since: String,
    /// Its record was published before it came into use, or was seen since.
    pub announced: bool,
    /// Whether its record was there at the last look.
    pub seen: Option<bool>,
    /// Of the next key: since when its record was there at every look.
    pub seen_since: Option<String>,
    /// Of an old key: how long its record is to stay.
    pub until: Option<String>,
}

/// The next key, given out so that it can be put into place with its certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NextKeyView {
    /// The key file that the configuration names.
    pub key_file: PathBuf,
    /// The private key in PEM.
    #[serde(with = "secret_text")]
    pub pem: Secret<String>,
}

impl fmt::Display for TlsView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = if self.self_signed { ", self-signed: not trusted by others" } else { "" };
        writeln!(f, "certificate of {}", self.hostname)?;
        writeln!(f, "  until        {}{own}", self.expires)?;
        writeln!(f, "  names        {}", self.names.join(", "))?;
        if !self.missing_names.is_empty() {
            let missing: Vec<_> = self.missing_names.iter().map(Domain::as_str).collect();
            writeln!(f, "  missing      {}", missing.join(", "))?;
        }
        self.acme.iter().try_for_each(|acme| acme.fmt(f))?;
        self.keys.iter().try_for_each(|key| key.fmt(f))?;
        match (&self.looked, self.dane_seen) {
            (Some(looked), Some(true)) => write!(f, "  DNS          looked at {looked}")?,
            (Some(looked), _) => write!(f, "  DNS          no TLSA records at {looked}")?,
            (None, _) => write!(f, "  DNS          not looked at yet")?,
        }
        match self.ttl_seconds {
            Some(ttl) => writeln!(f, ", records are kept for {ttl} s")?,
            None => writeln!(f)?,
        }
        writeln!(f, "what to do")?;
        self.next_steps.iter().try_for_each(|step| writeln!(f, "  {step}"))?;
        match &self.csr {
            Some(csr) => write!(f, "{csr}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for TlsKeyView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {:<12} since {}", format!("{} key", self.role), self.since)?;
        match (&self.until, &self.seen_since, self.seen) {
            (Some(until), ..) => write!(f, ", its record stays until {until}")?,
            (None, Some(since), _) => write!(f, ", its record seen since {since}")?,
            (None, None, Some(true)) => write!(f, ", its record was seen")?,
            (None, None, _) => write!(f, ", its record was not seen")?,
        }
        if !self.announced {
            write!(f, "; NOT ANNOUNCED before it was used")?;
        }
        writeln!(f, "\n    {}. {} {}", self.record.name, self.record.kind, self.record.value)
    }
}
