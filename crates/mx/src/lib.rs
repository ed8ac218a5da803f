//! Mail from other servers, on port 25.
//!
//! A session must be in TLS before MAIL; who cannot do that is told the address of our web page for
//! writing securely. Exceptions are the practice's own, configured or made for a time; such mail is marked. Who
//! goes away without having sent anything is counted ([`wardpost_wall`]).
//! Clients are asked for a certificate and need none: what they show is noted in Received and decides nothing.
//! Recipients are looked up at RCPT: mail is taken for our own accounts and aliases and for nobody else,
//! so there is no relaying. When a message is in whole, [`SenderFacts`] tells what is known of its
//! sender, `policy::inbound` judges, our trace fields go on top, and the mailboxes seal and keep it:
//! one body for all recipients. 250 is made of the store's [`wardpost_store::Committed`] and of nothing
//! else.
//!
//! Two addresses of each domain take reports about us (`intake`): they are kept as numbers, not as mail.
//!
//! # Left out on purpose
//! Return-Path is added with the trace fields here, because this is final delivery for every recipient
//! (RFC 5321 §4.4). Who we know at an address is told at RCPT only, slower with every wrong guess.

mod facts;
mod intake;
mod metrics;
mod receive;
mod settings;
mod visit;

pub use facts::{Claim, Facts, SenderFacts};
pub use metrics::Metrics;
pub use settings::{Guessing, Settings};

use parking_lot::Mutex;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;
use wardpost_directory::Directory;
use wardpost_mail::{EnhancedStatus, Reply};
use wardpost_mailbox::Mailboxes;
use wardpost_net::{Accepted, ServerTls, Shutdown, TooMany, is_public};
use wardpost_reports::Reports;
use wardpost_smtp::Profile;
use wardpost_smtp_io::{Budget, Conversation, Service, Start};
use wardpost_wall::Wall;

/// The service on port 25.
pub struct Mx {
    settings: Settings,
    service: Service,
    strict: Arc<Profile>,
    lenient: Arc<Profile>,
    directory: Directory,
    mailboxes: Mailboxes,
    facts: Arc<dyn SenderFacts>,
    metrics: Metrics,
    wall: Wall,
    reports: Reports,
    visits: Mutex<Visits>,
}

/// When another mail server began a message last.
#[derive(Debug, Clone, Copy, Default)]
struct Visits {
    from_internet: Option<SystemTime>,
    from_anywhere: Option<SystemTime>,
}

impl Mx {
    /// The service over the accounts and their mailboxes. Give it a `tls` that asks clients for their
    /// certificates, if they are to be noted.
    pub fn new(
        settings: Settings,
        tls: ServerTls,
        directory: Directory,
        mailboxes: Mailboxes,
        facts: Arc<dyn SenderFacts>,
        wall: Wall,
        reports: Reports,
    ) -> Arc<Self> {
        let budget = Budget::new(settings.memory.max(2 * settings.max_size));
        Arc::new(Self {
            service: Service { tls, timing: settings.timing, budget },
            strict: settings.profile(false),
            lenient: settings.profile(true),
            settings,
            directory,
            mailboxes,
            facts,
            metrics: Metrics::new(),
            wall,
            reports,
            visits: Mutex::default(),
        })
    }

    /// When another mail server began a message last, since the start; with `from_internet` only those
    /// count whose address the internet sees. It shows that others can reach us.
    pub fn last_visit(&self, from_internet: bool) -> Option<SystemTime> {
        let visits = *self.visits.lock();
        if from_internet { visits.from_internet } else { visits.from_anywhere }
    }

    /// Takes note of a peer that was let in.
    fn visited(&self, peer: IpAddr) {
        let (mut visits, now) = (self.visits.lock(), Some(SystemTime::now()));
        visits.from_anywhere = now;
        if is_public(peer) {
            visits.from_internet = now;
        }
    }

    /// What is counted; register it with [`Metrics::register`].
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What a peer is told for whom there is no place (for [`wardpost_net::Listeners::run`]).
    pub fn turned_away(_why: TooMany) -> Vec<u8> {
        let mut words = Vec::new();
        Reply::new(421, EnhancedStatus::new(4, 7, 0), "Too many connections; try again later")
            .write_to(&mut words);
        words
    }

    /// Serves one connection to its end.
    pub async fn serve(self: Arc<Self>, accepted: Accepted, shutdown: Shutdown) {
        let profile = if self.may_hear_cleartext(&accepted) { &self.lenient } else { &self.strict };
        let service = self.service.clone();
        self.metrics.open.inc();
        let begun =
            Conversation::begin(accepted, Start::Plain, Arc::clone(profile), service, shutdown);
        let ended = match begun.await {
            Ok(conversation) => visit::run(&self, conversation).await,
            Err(ended) => ended,
        };
        self.metrics.open.dec();
        self.metrics.sessions.with_label_values(&[ended.name()]).inc();
        tracing::debug!(end = ended.name(), "session ended");
    }

    /// Whether a MAIL in clear from this peer could be taken at all, depending on its sender.
    fn may_hear_cleartext(&self, accepted: &Accepted) -> bool {
        use wardpost_config::CleartextException::Domain;
        let inbound = &self.settings.inbound;
        self.wall.may_admit(accepted.peer.ip())
            || inbound.accepts_cleartext(accepted.peer.ip(), None)
            || inbound.cleartext_exceptions.iter().any(|e| matches!(e, Domain(_)))
    }
}
