//! The two sides: Wardpost, and Postfix with Dovecot. Both take mail over STARTTLS and serve IMAP over TLS.

use std::net::SocketAddr;
use std::time::Duration;
use wardpost_tests::destinations::{Place, Tls};
use wardpost_tests::dovecot::Dovecot;
use wardpost_tests::imap::Imap;
use wardpost_tests::postfix::Postfix;
use wardpost_tests::practice::exists;
use wardpost_tests::smtp::Smtp;
use wardpost_tests::wardpost::{HOSTNAME, PASSWORD, Wardpost};
use wardpost_tests::{Lab, Result, wait_for};

/// The one account that is measured.
pub(crate) const USER: &str = "dana@clinic.test";
/// The peer's Postfix takes mail for the same domain as Wardpost.
const PEER: Place = Place { domain: "clinic.test", host: 20, tls: Tls::Verified };

/// A running mail server under measurement. Servers come first: they end before their world does.
pub(crate) struct Peer {
    servers: Servers,
    lab: Lab,
}

enum Servers {
    Wardpost(Box<Wardpost>),
    PostfixAndDovecot(Postfix, Dovecot),
}

impl Peer {
    pub(crate) fn wardpost() -> Result<Self> {
        let lab = Lab::start()?;
        let limits = "[limits]\nconnections = 4000\nconnections_per_address = 4000\nmx_connections_per_address = 4000";
        let wardpost = Wardpost::start_with(&lab, limits)?;
        wardpost.add_account("dana", "Dana")?;
        Ok(Self { servers: Servers::Wardpost(Box::new(wardpost)), lab })
    }

    pub(crate) fn postfix_and_dovecot() -> Result<Self> {
        let lab = Lab::start()?;
        let dovecot = Dovecot::start(&lab, "mx.clinic.test", 20, &[USER])?;
        let transport = dovecot.transport();
        let postfix = PEER.start_with(
            &lab,
            &[
                &transport,
                "smtpd_client_connection_count_limit = 2000",
                "default_process_limit = 200",
                "smtpd_tls_loglevel = 0",
                "lmtp_destination_concurrency_limit = 20",
            ],
        )?;
        Ok(Self { servers: Servers::PostfixAndDovecot(postfix, dovecot), lab })
    }

    /// A connection that is ready for MAIL.
    pub(crate) fn smtp(&self) -> Result<Smtp> {
        let (address, name): (SocketAddr, &str) = match &self.servers {
            Servers::Wardpost(wardpost) => (wardpost.mx(), HOSTNAME),
            Servers::PostfixAndDovecot(postfix, _) => (postfix.address, "mx.clinic.test"),
        };
        let mut smtp = Smtp::connect(address)?;
        smtp.starttls(&self.lab.ca, name)?;
        Ok(smtp)
    }

    /// A session that is logged in.
    pub(crate) fn imap(&self) -> Result<Imap> {
        let (address, name) = match &self.servers {
            Servers::Wardpost(wardpost) => (wardpost.imaps(), HOSTNAME),
            Servers::PostfixAndDovecot(_, dovecot) => (dovecot.imaps, "mx.clinic.test"),
        };
        Imap::login(address, &self.lab.ca, name, USER, PASSWORD)
    }

    /// Returns when `count` messages are in the mailbox. Wardpost's 250 already says so, and a look would
    /// spoil the measurement of the first log-in; the peer acknowledges before it delivers.
    pub(crate) fn wait_until_delivered(&self, count: usize) -> Result<()> {
        if matches!(self.servers, Servers::Wardpost(_)) {
            return Ok(());
        }
        let mut imap = self.imap()?;
        wait_for("the mailbox to fill", Duration::from_secs(900), || {
            let seen = exists(&imap.must("SELECT INBOX").ok()?)?;
            (seen as usize >= count).then_some(())
        })?;
        imap.must("LOGOUT").map(|_| ())
    }

    /// How the command line of each of this side's processes begins, for counting memory.
    pub(crate) fn programs(&self) -> &'static [&'static str] {
        match self.servers {
            Servers::Wardpost(_) => &["wardpost"],
            Servers::PostfixAndDovecot(..) => &[
                "/usr/sbin/dovecot",
                "dovecot/",
                "imap-login",
                "imap",
                "lmtp",
                "auth",
                "/usr/lib/postfix",
                "smtpd",
                "qmgr",
                "cleanup",
                "tlsmgr",
                "anvil",
                "trivial-rewrite",
                "pickup",
                "postlogd",
                "proxymap",
                "stats",
                "config",
                "log",
            ],
        }
    }
}
