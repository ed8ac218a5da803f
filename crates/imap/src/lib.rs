//! IMAP for mail programs.

mod metrics;

pub use metrics::Metrics;

use std::sync::Arc;
use wardpost_directory::Directory;
use wardpost_mailbox::Mailboxes;
use wardpost_net::{Accepted, ServerTls, Shutdown};

/// What may be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The greatest message that APPEND takes, in octets (APPENDLIMIT, RFC 7889).
    pub append_limit: u64,
    /// Octets of messages that all sessions together may be appending at a time.
    pub append_memory: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { append_limit: 50 * 1024 * 1024, append_memory: 256 * 1024 * 1024 }
    }
}

/// The IMAP service, implicit TLS only (RFC 8314 §3.2).
pub struct Imap {
    #[allow(dead_code)]
    settings: Settings,
    metrics: Metrics,
}

impl Imap {
    /// The service over the accounts and their mail.
    pub fn new(
        settings: Settings,
        _directory: Directory,
        _mailboxes: Mailboxes,
        _tls: ServerTls,
    ) -> Arc<Self> {
        Arc::new(Self { settings, metrics: Metrics::new() })
    }

    /// What is counted; register it with [`Metrics::register`].
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Serves one connection to its end. The handshake is the first step.
    pub async fn serve(self: Arc<Self>, _accepted: Accepted, _shutdown: Shutdown) {
        unimplemented!()
    }
}
