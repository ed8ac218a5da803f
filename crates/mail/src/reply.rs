//! SMTP replies and enhanced status codes.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// An enhanced mail system status code (RFC 3463): class, subject, detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EnhancedStatus {
    /// 2 success, 4 persistent transient failure, 5 permanent failure.
    pub class: u8,
    /// What part of the system the status speaks of (RFC 3463 §3).
    pub subject: u16,
    /// The detail within the subject.
    pub detail: u16,
}

impl EnhancedStatus {
    /// A status of its three numbers.
    pub const fn new(class: u8, subject: u16, detail: u16) -> Self {
        Self { class, subject, detail }
    }
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

impl FromStr for EnhancedStatus {
    type Err = ();

    fn from_str(s: &str) -> Result<Self, ()> {
        let mut parts = s.split('.');
        let mut next = || parts.next().filter(|p| p.len() <= 3).and_then(|p| p.parse::<u16>().ok());
        let (class, subject, detail) = (next().ok_or(())?, next().ok_or(())?, next().ok_or(())?);
        if !matches!(class, 2 | 4 | 5) || parts.next().is_some() {
            return Err(());
        }
        Ok(Self::new(class as u8, subject, detail))
    }
}

/// An SMTP reply (RFC 5321 §4.2): a code, an optional enhanced status and one or more lines of text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The three-digit reply code.
    pub code: u16,
    /// The enhanced status code, where one applies (RFC 2034).
    pub enhanced: Option<EnhancedStatus>,
    /// The text, a line each, without codes and line ends. Never empty.
    pub lines: Vec<String>,
}

impl Reply {
    /// A one-line reply with an enhanced status.
    pub fn new(code: u16, enhanced: EnhancedStatus, text: impl Into<String>) -> Self {
        Self { code, enhanced: Some(enhanced), lines: vec![text.into()] }
    }

    /// A one-line reply without an enhanced status (greeting, EHLO, 354).
    pub fn plain(code: u16, text: impl Into<String>) -> Self {
        Self { code, enhanced: None, lines: vec![text.into()] }
    }

    /// Whether the command was taken (2yz, 3yz).
    pub fn is_positive(&self) -> bool {
        (200..400).contains(&self.code)
    }

    /// Whether the failure may pass by itself (4yz).
    pub fn is_transient(&self) -> bool {
        (400..500).contains(&self.code)
    }

    /// Whether the failure is final (5yz).
    pub fn is_permanent(&self) -> bool {
        (500..600).contains(&self.code)
    }

    /// Appends the reply in wire form (RFC 5321 §4.2.1), CRLF included.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let last = self.lines.len().saturating_sub(1);
        for (i, line) in self.lines.iter().enumerate() {
            let separator = if i == last { ' ' } else { '-' };
            out.extend_from_slice(format!("{}{separator}", self.code).as_bytes());
            if let Some(enhanced) = self.enhanced {
                out.extend_from_slice(format!("{enhanced} ").as_bytes());
            }
            // A line end inside text would start a reply of its own.
            out.extend(line.bytes().map(|b| if b == b'\r' || b == b'\n' { b' ' } else { b }));
            out.extend_from_slice(b"\r\n");
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        write!(f, " {}", self.lines.join(" / "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiline_replies_repeat_the_status() {
        let reply = Reply {
            code: 550,
            enhanced: Some(EnhancedStatus::new(5, 1, 1)),
            lines: vec!["one".into(), "two\r\n250 forged".into()],
        };
        let mut wire = Vec::new();
        reply.write_to(&mut wire);
        assert_eq!(wire, b"550-5.1.1 one\r\n550 5.1.1 two  250 forged\r\n");
    }

    #[test]
    fn enhanced_status_parses_only_its_grammar() {
        assert_eq!("5.7.0".parse(), Ok(EnhancedStatus::new(5, 7, 0)));
        for bad in ["", "5", "5.7", "3.1.1", "5.7.0.1", "5.x.1", "5.1000.1"] {
            assert!(bad.parse::<EnhancedStatus>().is_err(), "{bad}");
        }
    }
}
