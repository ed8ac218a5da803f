//! How the daemon is, as shown.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;
use wardpost_mail::Domain;

/// How the daemon is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusView {
    /// The program's version.
    pub version: String,
    /// Our mail host name.
    pub hostname: Domain,
    /// When the daemon started, RFC 3339.
    pub started: String,
    /// Where it listens.
    pub listeners: Vec<ListenerView>,
    /// Its certificate.
    pub certificate: CertificateView,
    /// How DNS answers are validated.
    pub dns: String,
    /// What our MTA-STS policy asks of others: `enforce`, `testing` or `none`; absent without one.
    pub mta_sts: Option<String>,
    /// What is not as it should be, in words.
    pub warnings: Vec<String>,
    /// Domains served, the main one first.
    pub domains: Vec<Domain>,
    /// Accounts.
    pub accounts: usize,
    /// Accounts whose keys are in memory.
    pub unlocked: usize,
    /// Messages that wait to go out.
    pub queue_messages: usize,
    /// How long the oldest of them has waited, in seconds.
    pub queue_oldest_seconds: Option<u64>,
    /// Parcels nobody has opened yet.
    pub parcels_waiting: usize,
    /// Parcels that were opened and are still there.
    pub parcels_opened: usize,
    /// Parcels locked after too many wrong codes.
    pub parcels_locked: usize,
}

/// Where a service listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerView {
    /// Its key under `[listen]`.
    pub service: String,
    /// Its addresses.
    pub addresses: Vec<SocketAddr>,
}

/// Our certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateView {
    /// When it ends, RFC 3339.
    pub expires: String,
    /// It is one we made for ourselves: other servers and mail programs will not trust it.
    pub self_signed: bool,
}

impl fmt::Display for StatusView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Wardpost {} on {}, up since {}", self.version, self.hostname, self.started)?;
        for listener in &self.listeners {
            let addresses: Vec<_> = listener.addresses.iter().map(SocketAddr::to_string).collect();
            writeln!(f, "  {:<12} {}", listener.service, addresses.join(", "))?;
        }
        let own =
            if self.certificate.self_signed { ", self-signed: not trusted by others" } else { "" };
        writeln!(f, "  certificate  until {}{own}", self.certificate.expires)?;
        writeln!(f, "  dns          {}", self.dns)?;
        writeln!(f, "  mta-sts      {}", self.mta_sts.as_deref().unwrap_or("off"))?;
        let domains: Vec<_> = self.domains.iter().map(Domain::as_str).collect();
        writeln!(f, "  domains      {}", domains.join(", "))?;
        writeln!(f, "  accounts     {}, {} unlocked", self.accounts, self.unlocked)?;
        write!(f, "  queue        {} messages", self.queue_messages)?;
        if let Some(age) = self.queue_oldest_seconds {
            write!(f, ", the oldest for {age} s")?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "  parcels      {} waiting, {} opened, {} locked",
            self.parcels_waiting, self.parcels_opened, self.parcels_locked
        )?;
        self.warnings.iter().try_for_each(|warning| writeln!(f, "  warning      {warning}"))
    }
}
