//! What may be set.

use std::sync::Arc;
use std::time::Duration;
use wardpost_config::{Config, Inbound};
use wardpost_mail::{Domain, EnhancedStatus, Reply};
use wardpost_smtp::Profile;
use wardpost_smtp_io::Timing;
use wardpost_verdict::Roots;

/// What is done about clients that guess addresses.
#[derive(Debug, Clone, Copy)]
pub struct Guessing {
    /// Wrong recipients in a session that are answered at once.
    pub free: u32,
    /// Wrong recipients in a session after which it ends.
    pub most: u32,
    /// How long those in between wait for their answer.
    pub delay: Duration,
}

impl Default for Guessing {
    fn default() -> Self {
        Self { free: 3, most: 20, delay: Duration::from_secs(2) }
    }
}

/// What may be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our name in the greeting, in Received and in Authentication-Results.
    pub hostname: Domain,
    /// The practice's first domain: where a bare `<Postmaster>` lives.
    pub domain: Domain,
    /// Our web page for writing securely, named to those whose server has no TLS.
    pub write_page: String,
    /// Greatest message in octets.
    pub max_size: usize,
    /// Most recipients of a message.
    pub max_recipients: usize,
    /// Octets of messages that all sessions together may hold.
    pub memory: usize,
    /// What happens to mail that comes in clear.
    pub inbound: Inbound,
    /// The authorities that clients' certificates are compared with.
    pub roots: Arc<Roots>,
    /// What is done about clients that guess addresses.
    pub guessing: Guessing,
    /// How patient sessions are.
    pub timing: Timing,
}

impl Settings {
    /// From the configuration file; without authorities.
    pub fn from_config(config: &Config) -> Self {
        let max_size = config.limits.message_bytes;
        Self {
            hostname: config.hostname.clone(),
            domain: config.domain.clone(),
            write_page: format!("{}/write", config.portal.url),
            max_size,
            max_recipients: config.limits.recipients,
            memory: (4 * max_size).max(256 << 20),
            inbound: config.inbound.clone(),
            roots: Arc::default(),
            guessing: Guessing::default(),
            timing: Timing::default(),
        }
    }

    /// What is said to those who would send in clear (RFC 3207 §4).
    pub(crate) fn cleartext_refusal(&self) -> Reply {
        Reply {
            code: 530,
            enhanced: Some(EnhancedStatus::new(5, 7, 0)),
            lines: vec![
                "Must issue a STARTTLS command first: no mail is taken here without encryption."
                    .into(),
                format!("Write to us securely from any browser: {}", self.write_page),
            ],
        }
    }

    /// What a session announces. With `lenient`, MAIL reaches us before TLS and is judged there.
    pub(crate) fn profile(&self, lenient: bool) -> Arc<Profile> {
        let mut profile = Profile::new(self.hostname.clone(), self.domain.clone());
        profile.tls_required = !lenient;
        // Delivery is here or not at all, so the promise is easily kept (RFC 8689 §4.2).
        profile.require_tls = true;
        profile.cleartext = self.cleartext_refusal();
        profile.max_size = self.max_size;
        profile.max_recipients = self.max_recipients;
        Arc::new(profile)
    }
}
