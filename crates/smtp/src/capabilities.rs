//! What an EHLO reply announces (RFC 5321 §4.1.1.1).

/// A SASL mechanism that passwords can be checked with inside TLS (RFC 4954).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// PLAIN (RFC 4616).
    Plain,
    /// LOGIN, never standardised, still what some clients speak.
    Login,
}

/// The service extensions a server announced in its EHLO reply.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// CHUNKING (RFC 3030).
    pub chunking: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// ENHANCEDSTATUSCODES (RFC 2034).
    pub enhanced_status_codes: bool,
    /// REQUIRETLS (RFC 8689).
    pub require_tls: bool,
    /// SIZE was announced (RFC 1870).
    pub size: bool,
    /// The greatest message taken, in octets; `None` when no limit was announced (`SIZE 0` or bare).
    pub max_size: Option<u64>,
    /// RCPTMAX (RFC 9422 §4.2): recipients in one transaction.
    pub rcpt_max: Option<u32>,
    /// MAILMAX (RFC 9422 §4.1): transactions in one session.
    pub mail_max: Option<u32>,
}

impl Capabilities {
    /// Reads the lines of an EHLO reply, the first (greeting) line included. Unknown keywords are
    /// passed over (RFC 5321 §2.2.1).
    pub fn from_ehlo_lines(_lines: &[String]) -> Self {
        unimplemented!()
    }
}
