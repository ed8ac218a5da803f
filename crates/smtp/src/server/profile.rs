//! What a server announces and allows, and the fixed replies it gives.

use crate::Mechanism;
use wardpost_mail::{Domain, EnhancedStatus, Reply};

/// What one kind of listener announces and allows. Shared by all its sessions.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Our name in the greeting and the EHLO reply.
    pub hostname: Domain,
    /// The domain that a bare `<Postmaster>` belongs to (RFC 5321 §4.5.1).
    pub domain: Domain,
    /// Whether STARTTLS is offered on a plain connection.
    pub starttls: bool,
    /// Whether nothing but EHLO, HELO, STARTTLS, NOOP, RSET and QUIT is taken before TLS.
    pub tls_required: bool,
    /// The reply to what is not taken before TLS.
    pub cleartext: Reply,
    /// Whether AUTH is offered (inside TLS only) and demanded before MAIL.
    pub auth: bool,
    /// Whether REQUIRETLS is announced inside TLS (RFC 8689 §2).
    pub require_tls: bool,
    /// Greatest message in octets (RFC 1870).
    pub max_size: usize,
    /// Longest line of message data in octets, CRLF not counted.
    pub max_line: usize,
    /// Most recipients in a transaction; at least 100 (RFC 5321 §4.5.3.1.8).
    pub max_recipients: usize,
    /// Most transactions in a session (RFC 9422 §4.1).
    pub max_transactions: u32,
    /// Most faulty commands in a session.
    pub max_errors: u32,
    /// Most commands that lead nowhere (NOOP, RSET, EHLO, MAIL…) without a message in between.
    pub max_fruitless: u32,
    /// Most failed log-ins in a session.
    pub max_auth_failures: u32,
}

impl Profile {
    /// A profile for `hostname` with common limits: TLS is demanded, AUTH is not offered.
    pub fn new(hostname: Domain, domain: Domain) -> Self {
        Self {
            hostname,
            domain,
            starttls: true,
            tls_required: true,
            cleartext: Reply::new(
                530,
                EnhancedStatus::new(5, 7, 0),
                "Must issue a STARTTLS command first",
            ),
            auth: false,
            require_tls: false,
            max_size: 50 * 1024 * 1024,
            max_line: 64 * 1024,
            max_recipients: 100,
            max_transactions: 100_000,
            max_errors: 20,
            max_fruitless: 200,
            max_auth_failures: 3,
        }
    }

    pub(super) fn greeting(&self) -> Reply {
        Reply::plain(220, format!("{} ESMTP Wardpost", self.hostname))
    }

    /// The EHLO reply (RFC 5321 §4.1.1.1).
    pub(super) fn ehlo(&self, tls: bool) -> Reply {
        let mut lines = vec![self.hostname.to_string()];
        if self.starttls && !tls {
            lines.push("STARTTLS".into());
        }
        let plain_words = ["PIPELINING", "8BITMIME", "CHUNKING", "SMTPUTF8", "DSN"];
        lines.extend(plain_words.map(String::from));
        lines.push("ENHANCEDSTATUSCODES".into());
        lines.push(format!("SIZE {}", self.max_size));
        lines.push(format!(
            "LIMITS RCPTMAX={} MAILMAX={}",
            self.max_recipients, self.max_transactions
        ));
        if self.auth && tls {
            lines.push(format!("AUTH {}", Mechanism::ALL.map(Mechanism::name).join(" ")));
        }
        if self.require_tls && tls {
            lines.push("REQUIRETLS".into());
        }
        Reply { code: 250, enhanced: None, lines }
    }
}

/// A fixed reply.
pub(super) fn reply(code: u16, (class, subject, detail): (u8, u16, u16), text: &str) -> Reply {
    Reply::new(code, EnhancedStatus::new(class, subject, detail), text)
}

pub(super) fn ok() -> Reply {
    reply(250, (2, 0, 0), "OK")
}

pub(super) fn bad_sequence(text: &str) -> Reply {
    reply(503, (5, 5, 1), text)
}
