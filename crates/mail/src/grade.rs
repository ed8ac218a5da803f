//! How good a TLS path was seen to be.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// One scale for TLS paths, used by routing, metrics and evidence alike. A greater grade is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TlsGrade {
    /// No STARTTLS offered, or the handshake failed.
    T0,
    /// TLS below 1.2.
    T1,
    /// TLS 1.2 or later, certificate not verified.
    T2,
    /// TLS 1.2 or later, public CA, and the name matches the MX host (RFC 9525).
    T3,
    /// T3 under an enforced MTA-STS policy that lists the MX (RFC 8461), or a DANE TLSA match from
    /// validated DNSSEC (RFC 7672).
    T4,
    /// T4, and the next hop took REQUIRETLS (RFC 8689).
    T5,
}

impl TlsGrade {
    /// All grades, worst first.
    pub const ALL: [TlsGrade; 6] = [Self::T0, Self::T1, Self::T2, Self::T3, Self::T4, Self::T5];

    /// The short name, as in the configuration file and in metric labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::T0 => "T0",
            Self::T1 => "T1",
            Self::T2 => "T2",
            Self::T3 => "T3",
            Self::T4 => "T4",
            Self::T5 => "T5",
        }
    }

    /// What was seen, in words for a person.
    pub fn explain(self) -> &'static str {
        match self {
            Self::T0 => "no TLS",
            Self::T1 => "outdated TLS (below 1.2)",
            Self::T2 => "TLS, but the certificate proves nothing",
            Self::T3 => "TLS with a verified certificate for the mail server's name",
            Self::T4 => "verified TLS, demanded by the domain's own published policy",
            Self::T5 => "verified TLS, demanded on every further hop too",
        }
    }
}

impl fmt::Display for TlsGrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for TlsGrade {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|grade| grade.name().eq_ignore_ascii_case(s))
            .ok_or_else(|| format!("{s:?} is not a TLS grade; use T0, T1, T2, T3, T4 or T5"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grades_are_ordered_worst_first() {
        assert!(TlsGrade::ALL.windows(2).all(|w| w[0] < w[1]));
    }

    #[test]
    fn names_round_trip() {
        for grade in TlsGrade::ALL {
            assert_eq!(grade.name().parse::<TlsGrade>().unwrap(), grade);
        }
        assert!("T9".parse::<TlsGrade>().is_err());
    }
}
