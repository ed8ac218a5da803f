//! How a message would go, as shown.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use wardpost_mail::{Address, TlsGrade};

/// How a message would go, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteView {
    /// The sender.
    pub from: Address,
    /// The recipient.
    pub to: Address,
    /// `local`, `direct`, `pickup`, `held` or `refused`: what the rules say.
    pub route: String,
    /// Which rule, in words.
    pub why: String,
    /// The least grade the path must reach.
    pub floor: Option<TlsGrade>,
    /// The servers that were looked at, best first.
    pub hops: Vec<HopView>,
    /// `local`, `direct`, `pickup`, `retry` or `refused`: what would come of it now.
    pub outcome: String,
    /// The same in a sentence.
    pub explanation: String,
}

/// A server that takes mail for the recipient's domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HopView {
    /// Its preference in the MX record.
    pub preference: u16,
    /// Its name.
    pub host: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// How good the path to it was just now.
    pub grade: Option<TlsGrade>,
    /// Why the grade is not better.
    pub reasons: Vec<String>,
    /// Why there was no path.
    pub error: Option<String>,
}

impl fmt::Display for RouteView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} to {}: {}", self.from, self.to, self.outcome)?;
        writeln!(f, "  {}", self.explanation)?;
        write!(f, "  rule: {}: {}", self.route, self.why)?;
        match self.floor {
            Some(floor) => writeln!(f, " (at least {floor}: {})", floor.explain())?,
            None => writeln!(f)?,
        }
        self.hops.iter().try_for_each(|hop| hop.fmt(f))
    }
}

impl fmt::Display for HopView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<_> = self.addresses.iter().map(IpAddr::to_string).collect();
        write!(f, "  {} {} [{}]", self.preference, self.host, addresses.join(", "))?;
        if let Some(grade) = self.grade {
            write!(f, " {grade}: {}", grade.explain())?;
        }
        if let Some(error) = &self.error {
            write!(f, " ({error})")?;
        }
        writeln!(f)?;
        self.reasons.iter().try_for_each(|reason| writeln!(f, "      {reason}"))
    }
}
