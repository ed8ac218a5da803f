//! What may be set.

use std::sync::Arc;
use wardpost_config::Config;
use wardpost_mail::Domain;
use wardpost_policy::OutboundRules;
use wardpost_smtp::Profile;
use wardpost_smtp_io::Timing;

/// What may be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our name in the greeting and in Received.
    pub hostname: Domain,
    /// The practice's first domain: where a bare `<Postmaster>` lives.
    pub domain: Domain,
    /// Greatest message in octets.
    pub max_size: usize,
    /// Most recipients of a message.
    pub max_recipients: usize,
    /// Octets of messages that all sessions together may hold.
    pub memory: usize,
    /// What the outbound policy goes by.
    pub rules: OutboundRules,
    /// How patient sessions are.
    pub timing: Timing,
}

impl Settings {
    /// From the configuration file.
    pub fn from_config(config: &Config) -> Self {
        let max_size = config.limits.message_bytes;
        let rules = OutboundRules {
            floor: config.transport.floor,
            max_size: max_size as u64,
            honour_tls_required_no: config.transport.honour_tls_required_no,
        };
        Self {
            hostname: config.hostname.clone(),
            domain: config.domain.clone(),
            max_size,
            max_recipients: config.limits.recipients,
            memory: (4 * max_size).max(256 << 20),
            rules,
            timing: Timing::default(),
        }
    }

    /// What a session announces.
    pub(crate) fn profile(&self) -> Arc<Profile> {
        let mut profile = Profile::new(self.hostname.clone(), self.domain.clone());
        profile.auth = true;
        // Kept by the courier: a next hop without it means pickup (RFC 8689 §4.2.1).
        profile.require_tls = true;
        profile.max_size = self.max_size;
        profile.max_recipients = self.max_recipients;
        Arc::new(profile)
    }
}
