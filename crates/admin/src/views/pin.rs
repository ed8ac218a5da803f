//! Rules for domains, as shown.

use super::{table, time_text};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::SystemTime;
use wardpost_mail::{Domain, TlsGrade};
use wardpost_pins::{Pin, Smarthost};
use wardpost_verdict::{Fingerprint, Floor};

/// A rule for a domain or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinView {
    /// For which domains.
    pub pattern: String,
    /// How good TLS to the next hop must be, where the rule says so.
    pub floor: Option<TlsGrade>,
    /// Whether it is an exception: unverified TLS will do.
    pub exception: bool,
    /// Whether mail is always picked up.
    pub pickup: bool,
    /// SHA-256 of the certificates and keys that are trusted, in hexadecimal.
    pub certificates: Vec<String>,
    /// SHA-256 of the CA certificates that are trusted, in hexadecimal.
    pub authorities: Vec<String>,
    /// The server that passes mail on.
    pub smarthost: Option<SmarthostView>,
    /// Why it was set.
    pub reason: String,
    /// Who set it.
    pub set_by: String,
    /// When it was set, RFC 3339.
    pub set: String,
    /// When it ends, RFC 3339.
    pub expires: Option<String>,
    /// Whether it has ended, and counts for nothing any more.
    pub expired: bool,
    /// What it comes to, and what to think of, in sentences.
    pub notes: Vec<String>,
}

/// A server that passes mail on, without the password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmarthostView {
    /// Its name.
    pub host: Domain,
    /// Its port.
    pub port: u16,
    /// Whom we log in as.
    pub user: Option<String>,
    /// Whether its owner answers for TLS on the way onward.
    pub trusted_onward: bool,
}

impl From<&Smarthost> for SmarthostView {
    fn from(smarthost: &Smarthost) -> Self {
        Self {
            host: smarthost.host.clone(),
            port: smarthost.port,
            user: smarthost.login.as_ref().map(|login| login.user.clone()),
            trusted_onward: smarthost.trusted_onward,
        }
    }
}

impl PinView {
    pub(crate) fn new(pin: &Pin, notes: Vec<String>) -> Self {
        let digest = |der: &Vec<u8>| Fingerprint::of_certificate(der).to_string();
        Self {
            pattern: pin.pattern().to_string(),
            floor: pin.floor().map(Floor::grade),
            exception: pin.is_exception(),
            pickup: pin.pickup(),
            certificates: pin.certificates().iter().map(Fingerprint::to_string).collect(),
            authorities: pin.authorities().iter().map(digest).collect(),
            smarthost: pin.smarthost().map(SmarthostView::from),
            reason: pin.reason().to_owned(),
            set_by: pin.set_by().to_owned(),
            set: time_text(pin.set_at()),
            expires: pin.expires().map(time_text),
            expired: pin.has_ended(SystemTime::now()),
            notes,
        }
    }

    /// What it says, in a few words.
    fn rule(&self) -> String {
        let mut words = Vec::new();
        if self.pickup {
            words.push("always pickup".to_owned());
        }
        if let Some(smarthost) = &self.smarthost {
            words.push(format!("by {}:{}", smarthost.host, smarthost.port));
            if smarthost.trusted_onward {
                words.push("trusted onward".to_owned());
            }
        } else if self.exception {
            words.push("unverified TLS (T2)".to_owned());
        } else if let Some(floor) = self.floor {
            words.push(format!("at least {floor}"));
        }
        match self.certificates.len() + self.authorities.len() {
            0 => {}
            1 => words.push("pinned certificate".to_owned()),
            _ => words.push("pinned certificates".to_owned()),
        }
        words.join(", ")
    }

    fn end(&self) -> String {
        match &self.expires {
            Some(time) if self.expired => format!("EXPIRED {time}"),
            Some(time) => time.clone(),
            None => String::new(),
        }
    }
}

pub(super) fn pins(pins: &[PinView], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let row = |one: &PinView| {
        [one.pattern.clone(), one.rule(), one.end(), one.set_by.clone(), one.reason.clone()]
    };
    let rows: Vec<_> = pins.iter().map(row).collect();
    table::write(f, ["FOR", "RULE", "ENDS", "SET BY", "REASON"], &rows)
}

impl fmt::Display for PinView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.pattern, self.rule())?;
        for certificate in &self.certificates {
            writeln!(f, "  certificate  {certificate}")?;
        }
        for authority in &self.authorities {
            writeln!(f, "  authority    {authority}")?;
        }
        if let Some(user) = self.smarthost.as_ref().and_then(|smarthost| smarthost.user.as_ref()) {
            writeln!(f, "  logs in as   {user}")?;
        }
        writeln!(f, "  set          {} by {}", self.set, self.set_by)?;
        if self.expires.is_some() {
            writeln!(f, "  ends         {}", self.end())?;
        }
        if !self.reason.is_empty() {
            writeln!(f, "  reason       {}", self.reason)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "- {note}"))
    }
}
