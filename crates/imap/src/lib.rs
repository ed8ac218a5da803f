//! IMAP for mail programs: port 993, implicit TLS (RFC 8314 §3.2), IMAP4rev1 and IMAP4rev2.
//!
//! A connection is a [`session`] whose state is one of three types, each consumed by
//! the step that leaves it: a stranger, who can do nothing but log in; somebody who has logged in,
//! with the account's keys; and the same with a mailbox selected. A command that is out of place in a
//! state has no code there to run.
//!
//! The sequence numbers of a selected mailbox are this session's own affair ([`view`]): a list of
//! UIDs and the change number up to which the client has been told. What others change is asked of
//! the mailbox by change number and told at the points where the protocol allows it, so that a
//! number never means another message than the client thinks. Flags, sizes and dates stay in the
//! mailbox's one table; a session holds eight octets for each gap in its UIDs.
//!
//! Listing never opens a message: ENVELOPE, BODYSTRUCTURE and the header fields that mail programs
//! ask for come from the sealed summaries. Only sections do, once a message and command. Answers are
//! written as they are made and wait for the client to take them, whatever their number.
//!
//! Left out on purpose: STARTTLS and port 143 (RFC 8314 §4.1), SCRAM (the server must see the
//! password once to open the account's key), ACL (mail is sealed to one account).

mod append;
mod capability;
mod connection;
mod fetch;
mod flags;
mod idle;
mod list;
mod login;
mod manage;
mod metrics;
mod outcome;
mod search;
mod select;
mod selected;
mod session;
mod store;
mod transfer;
mod uids;
mod user;
mod view;

pub use metrics::Metrics;

use capability::Capabilities;
use connection::{Connection, End};
use session::Session;
use std::sync::Arc;
use tokio::sync::Semaphore;
use wardpost_directory::Directory;
use wardpost_mailbox::Mailboxes;
use wardpost_net::{Accepted, ServerTls, Shutdown, Stream};

/// What may be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The greatest message that APPEND takes, in octets (APPENDLIMIT, RFC 7889).
    pub append_limit: u64,
    /// Octets of messages that all sessions together may be appending at a time; at least
    /// `append_limit`. Who comes later waits, and so does the client.
    pub append_memory: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { append_limit: 50 * 1024 * 1024, append_memory: 256 * 1024 * 1024 }
    }
}

/// The IMAP service.
pub struct Imap {
    settings: Settings,
    directory: Directory,
    mailboxes: Mailboxes,
    tls: ServerTls,
    metrics: Metrics,
    /// Room for messages being appended, in KiB.
    room: Semaphore,
    capabilities: Capabilities,
}

impl Imap {
    /// The service over the accounts and their mail.
    pub fn new(
        settings: Settings,
        directory: Directory,
        mailboxes: Mailboxes,
        tls: ServerTls,
    ) -> Arc<Self> {
        let room = settings.append_memory.max(settings.append_limit).div_ceil(1024);
        Arc::new(Self {
            capabilities: Capabilities::new(settings.append_limit),
            room: Semaphore::new(usize::try_from(room).map_or(Semaphore::MAX_PERMITS, |n| n + 1)),
            metrics: Metrics::new(),
            settings,
            directory,
            mailboxes,
            tls,
        })
    }

    /// What is counted; register it with [`Metrics::register`].
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Serves one connection to its end. The handshake is the first step.
    pub async fn serve(self: Arc<Self>, accepted: Accepted, shutdown: Shutdown) {
        let peer = accepted.peer.ip();
        match accepted.stream.upgrade_server(&self.tls, &[]).await {
            Ok(stream) => self.talk(stream, peer, shutdown).await,
            Err(error) => tracing::debug!(%peer, %error, "no TLS"),
        }
    }

    /// Holds the conversation.
    async fn talk(self: Arc<Self>, stream: Stream, peer: std::net::IpAddr, shutdown: Shutdown) {
        self.metrics.sessions.inc();
        let connection = Connection::new(stream, shutdown);
        let end = Session::run(&self, connection, peer).await;
        self.metrics.sessions.dec();
        match end {
            End::Logout | End::Gone => tracing::debug!(%peer, %end, "session ended"),
            end => tracing::info!(%peer, %end, "session ended"),
        }
    }
}
