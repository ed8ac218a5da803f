//! The practice's web pages: where a message waits that could not be sent in encrypted form.

use prometheus::Registry;
use std::sync::Arc;
use wardpost_directory::Directory;
use wardpost_mail::Domain;
use wardpost_mailbox::Mailboxes;
use wardpost_net::{Accepted, ServerTls, Shutdown, TlsError};
use wardpost_parcel::Parcels;

/// What the pages say about the practice, and their limits.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the pages are reached: `https://mail.clinic.test`, without a final slash.
    pub url: String,
    /// The practice's name.
    pub practice: String,
    /// Its telephone number.
    pub phone: Option<String>,
    /// This machine's host name, for Received fields and Message-IDs.
    pub hostname: Domain,
    /// Most octets of one answer with its attachments.
    pub max_answer: usize,
}

/// The pages.
pub struct Portal {
    _settings: Settings,
}

impl Portal {
    /// Sets the pages up. `tls` gives the certificate; application protocols are chosen here.
    ///
    /// # Errors
    /// When the TLS library refuses the settings.
    pub fn new(
        settings: Settings,
        directory: Directory,
        mailboxes: Mailboxes,
        parcels: Parcels,
        tls: &ServerTls,
    ) -> Result<Arc<Self>, TlsError> {
        let _ = (directory, mailboxes, parcels, tls);
        Ok(Arc::new(Self { _settings: settings }))
    }

    /// Registers the pages' metrics.
    ///
    /// # Errors
    /// When a metric of that name is registered already.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        let _ = registry;
        unimplemented!()
    }

    /// Serves one connection to the HTTPS port, TLS handshake included, until it or `shutdown` ends.
    pub async fn serve_https(self: Arc<Self>, accepted: Accepted, shutdown: Shutdown) {
        let _ = (accepted, shutdown);
        unimplemented!()
    }

    /// Serves one connection to the HTTP port: redirects to HTTPS, and nothing else.
    pub async fn serve_http(self: Arc<Self>, accepted: Accepted, shutdown: Shutdown) {
        let _ = (accepted, shutdown);
        unimplemented!()
    }
}
