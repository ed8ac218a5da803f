//! What an EHLO reply announces (RFC 5321 §4.1.1.1).

/// A SASL mechanism that passwords can be checked with inside TLS (RFC 4954).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// PLAIN (RFC 4616).
    Plain,
    /// LOGIN, never standardised, still what some clients speak.
    Login,
}

impl Mechanism {
    /// All that we take.
    pub const ALL: [Mechanism; 2] = [Self::Plain, Self::Login];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }
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
    /// AUTH with the mechanism PLAIN (RFC 4954, RFC 4616).
    pub auth_plain: bool,
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
    pub fn from_ehlo_lines(lines: &[String]) -> Self {
        let mut found = Self::default();
        for line in lines.iter().skip(1) {
            let mut words = line.split_ascii_whitespace();
            let Some(keyword) = words.next() else { continue };
            match keyword.to_ascii_uppercase().as_str() {
                "STARTTLS" => found.starttls = true,
                "PIPELINING" => found.pipelining = true,
                "8BITMIME" => found.eight_bit_mime = true,
                "CHUNKING" => found.chunking = true,
                "SMTPUTF8" => found.smtputf8 = true,
                "DSN" => found.dsn = true,
                "ENHANCEDSTATUSCODES" => found.enhanced_status_codes = true,
                "REQUIRETLS" => found.require_tls = true,
                "AUTH" => found.auth_plain |= words.any(|word| word.eq_ignore_ascii_case("PLAIN")),
                "SIZE" => {
                    found.size = true;
                    // Zero says that there is no fixed limit (RFC 1870 §4).
                    found.max_size =
                        words.next().and_then(|n| n.parse().ok()).filter(|max| *max > 0);
                }
                "LIMITS" => words.for_each(|word| found.read_limit(word)),
                _ => {}
            }
        }
        found
    }

    /// `name=value` (RFC 9422 §3); limits that are not known or not numbers are passed over.
    fn read_limit(&mut self, word: &str) {
        let Some((name, value)) = word.split_once('=') else { return };
        let value = value.parse().ok().filter(|n| *n > 0);
        match name.to_ascii_uppercase().as_str() {
            "RCPTMAX" => self.rcpt_max = value,
            "MAILMAX" => self.mail_max = value,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Capabilities {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        Capabilities::from_ehlo_lines(&lines)
    }

    #[test]
    fn reads_what_is_announced_in_any_case() {
        let found = read(&[
            "mx.example STARTTLS",
            "Pipelining",
            "SIZE 1000",
            "8bitmime",
            "CHUNKING",
            "LIMITS RCPTMAX=50 MAILMAX=0 X=y",
            "AUTH LOGIN plain",
            "",
        ]);
        assert!(!found.starttls, "the first line is a name");
        assert!(found.auth_plain && !read(&["x", "AUTH LOGIN", "AUTH=PLAIN"]).auth_plain);
        assert!(found.pipelining && found.size && found.eight_bit_mime && found.chunking);
        assert_eq!((found.max_size, found.rcpt_max, found.mail_max), (Some(1000), Some(50), None));
        assert_eq!(read(&["x", "SIZE"]).max_size, None);
        assert_eq!(read(&["x", "SIZE 0"]).max_size, None);
        assert_eq!(read(&[]), Capabilities::default());
    }
}
