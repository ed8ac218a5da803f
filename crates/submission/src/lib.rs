//! Mail from our own people: ports 465 (TLS from the first byte, RFC 8314) and 587 (STARTTLS,
//! RFC 6409).
//!
//! Nothing happens before TLS, and nothing but logging in before the log-in. MAIL FROM and the From
//! field must be addresses of the account. A message is then made ready: Bcc goes, Date and Message-ID
//! come where they are missing, a Received field that tells nothing of where the sender sits goes on
//! top, and the domain's keys sign the whole. `policy::outbound` gives each recipient a route, and the
//! queue takes message and routes in one synced write. 250 is made of the queue's
//! [`wardpost_store::Committed`] and of nothing else: a message is queued in full or not at all.

mod compose;
mod login;
mod metrics;
mod settings;
mod submit;
mod visit;

pub use metrics::Metrics;
pub use settings::Settings;

use std::sync::Arc;
use wardpost_directory::Directory;
use wardpost_net::{Accepted, ServerTls, Shutdown};
use wardpost_pins::Pins;
use wardpost_queue::Queue;
use wardpost_signer::Signer;
use wardpost_smtp::Profile;
use wardpost_smtp_io::{Budget, Conversation, Service, Start};

/// The submission service.
pub struct Submission {
    settings: Settings,
    service: Service,
    profile: Arc<Profile>,
    directory: Directory,
    queue: Queue,
    signer: Arc<Signer>,
    pins: Pins,
    metrics: Metrics,
}

impl Submission {
    /// The service over the accounts, the queue and the rules for single domains.
    pub fn new(
        settings: Settings,
        tls: ServerTls,
        directory: Directory,
        queue: Queue,
        signer: Arc<Signer>,
        pins: Pins,
    ) -> Arc<Self> {
        let budget = Budget::new(settings.memory.max(2 * settings.max_size));
        Arc::new(Self {
            service: Service { tls, timing: settings.timing, budget },
            profile: settings.profile(),
            settings,
            directory,
            queue,
            signer,
            pins,
            metrics: Metrics::new(),
        })
    }

    /// What is counted; register it with [`Metrics::register`].
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Serves one connection that begins in clear (587, RFC 6409) to its end.
    pub async fn serve_starttls(self: Arc<Self>, accepted: Accepted, shutdown: Shutdown) {
        self.serve(accepted, Start::Plain, shutdown).await;
    }

    /// Serves one connection that begins with the handshake (465, RFC 8314) to its end.
    pub async fn serve_tls(self: Arc<Self>, accepted: Accepted, shutdown: Shutdown) {
        self.serve(accepted, Start::ImplicitTls, shutdown).await;
    }

    async fn serve(&self, accepted: Accepted, start: Start, shutdown: Shutdown) {
        self.metrics.open.inc();
        let profile = Arc::clone(&self.profile);
        let begun =
            Conversation::begin(accepted, start, profile, self.service.clone(), shutdown).await;
        let ended = match begun {
            Ok(conversation) => visit::run(self, conversation).await,
            Err(ended) => ended,
        };
        self.metrics.open.dec();
        self.metrics.sessions.with_label_values(&[ended.name()]).inc();
        tracing::debug!(end = ended.name(), "session ended");
    }
}
