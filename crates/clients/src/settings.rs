//! What mail programs have to know.

use std::net::SocketAddr;
use wardpost_config::Config;
use wardpost_mail::Domain;

/// Where a mail program finds what.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The server's name, which its certificate is for.
    pub hostname: Domain,
    /// The practice's first domain.
    pub domain: Domain,
    /// The practice's name, shown to people.
    pub practice: String,
    /// The port of IMAP in TLS from the first byte, if that is on.
    pub imaps: Option<u16>,
    /// The port of submission in TLS from the first byte, if that is on.
    pub submissions: Option<u16>,
    /// The port of submission with STARTTLS, if that is on.
    pub submission: Option<u16>,
}

/// One way to hand in mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// Its port.
    pub(crate) port: u16,
    /// Whether TLS comes with the first byte; with STARTTLS otherwise.
    pub(crate) tls_at_once: bool,
}

impl Settings {
    /// As configured.
    pub fn from_config(config: &Config) -> Self {
        let port = |addresses: &[SocketAddr]| addresses.first().map(SocketAddr::port);
        Self {
            hostname: config.hostname.clone(),
            domain: config.domain.clone(),
            practice: config.practice.name.clone(),
            imaps: port(&config.listen.imaps),
            submissions: port(&config.listen.submissions),
            submission: port(&config.listen.submission),
        }
    }

    /// The ways to hand in mail, best first (RFC 8314 §3: TLS at once).
    pub(crate) fn outgoing(&self) -> impl Iterator<Item = Outgoing> + use<> {
        let at_once = self.submissions.map(|port| Outgoing { port, tls_at_once: true });
        let later = self.submission.map(|port| Outgoing { port, tls_at_once: false });
        at_once.into_iter().chain(later)
    }
}
