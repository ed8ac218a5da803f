//! Reports between mail servers, as strangers send them: found in a mail, unpacked, and read, within bounds.
//!
//! What is in them is shown to whoever runs the server, so they are worth forging and worth breaking
//! things with. Whether one is to be believed is not decided here.

mod tls;
mod unpack;

pub use tls::{DateRange, FailureDetails, JsonError, Policy, PolicyDetails, Summary, TlsReport};
pub use unpack::{MAX_REPORT, Mail, UnpackError};

use serde::{Deserialize, Serialize};

/// Which of the two families of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReportKind {
    /// TLS-RPT (RFC 8460).
    Tls,
    /// DMARC aggregate (RFC 7489 §7.2, RFC 9990).
    Dmarc,
}

impl ReportKind {
    /// A word for metric labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Dmarc => "dmarc",
        }
    }
}
