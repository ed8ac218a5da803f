//! What the courier is told, and whom it works with.

use async_trait::async_trait;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use wardpost_directory::Directory;
use wardpost_dns::Resolver;
use wardpost_mail::{Address, Domain};
use wardpost_mailbox::Mailboxes;
use wardpost_net::ClientTls;
use wardpost_parcel::Parcels;
use wardpost_pins::Pins;
use wardpost_queue::Queue;
use wardpost_reports::Reports;
use wardpost_signer::Signer;
use wardpost_verdict::{Roots, StsFacts};

/// What can be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our host name, for EHLO, reports and loop detection.
    pub hostname: Domain,
    /// Whom notices and reports come from: an address that is no person's.
    pub postmaster: Address,
    /// The port that other mail servers listen on; 25 but for tests.
    pub smtp_port: u16,
    /// The addresses that our own port 25 listens on, so that mail is never sent round in a circle.
    /// An unspecified address (`0.0.0.0`) stands for the loopback addresses too.
    pub own_addresses: Vec<SocketAddr>,
    /// The practice's name, for notices.
    pub practice: String,
    /// The practice's telephone number, for notices.
    pub phone: Option<String>,
    /// The portal's address, such as `https://mail.clinic.test`; parcels lie at `/p/` under it.
    pub portal_url: String,
    /// How many attempts run at once. A quarter of them are for domains that answered in good time last.
    pub workers: usize,
    /// How many attempts that wait for a slow server may be left waiting besides.
    pub dawdlers: usize,
    /// How long the other side may take.
    pub timeouts: Timeouts,
}

impl Settings {
    /// The defaults for a host and the practice's domain.
    pub fn new(hostname: &Domain, postmaster: Address) -> Self {
        Self {
            hostname: hostname.clone(),
            practice: postmaster.domain().to_string(),
            postmaster,
            smtp_port: 25,
            own_addresses: Vec::new(),
            phone: None,
            portal_url: format!("https://{hostname}"),
            workers: 64,
            dawdlers: 960,
            timeouts: Timeouts::default(),
        }
    }
}

/// How long the other side may take (RFC 5321 §4.5.3.2).
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// To take the connection.
    pub connect: Duration,
    /// To greet and to answer a command.
    pub command: Duration,
    /// To take each piece of a message.
    pub data: Duration,
    /// To take responsibility after the message's end.
    pub data_end: Duration,
    /// How long an idle connection is kept for the next message.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            command: Duration::from_secs(5 * 60),
            data: Duration::from_secs(3 * 60),
            data_end: Duration::from_secs(10 * 60),
            idle: Duration::from_secs(45),
        }
    }
}

/// Other domains' MTA-STS policies (RFC 8461).
#[async_trait]
pub trait StsPolicies: Send + Sync {
    /// What is known of a mail domain's policy. A policy that is known and holds is told whatever
    /// becomes of looking for a newer one.
    async fn facts(&self, domain: &Domain) -> StsFacts;
}

/// Whom the courier works with.
#[derive(Clone)]
pub struct Parts {
    /// Asks DNS.
    pub resolver: Arc<dyn Resolver>,
    /// Knows other domains' MTA-STS policies.
    pub sts: Arc<dyn StsPolicies>,
    /// Rules that an administrator set for single domains.
    pub pins: Pins,
    /// Shakes hands.
    pub tls: ClientTls,
    /// The certificate authorities that MX hosts' certificates must come from.
    pub roots: Arc<Roots>,
    /// Where the work comes from.
    pub queue: Queue,
    /// Where messages wait whose recipients cannot be reached safely.
    pub parcels: Parcels,
    /// Where local mail goes.
    pub mailboxes: Mailboxes,
    /// Who is who here.
    pub directory: Directory,
    /// Signs notices.
    pub signer: Arc<Signer>,
    /// Counts TLS sessions, for reports to the domains they were with.
    pub reports: Reports,
}
