//! How things stand with certificates from an authority, as shown.

use serde::{Deserialize, Serialize};
use std::fmt;
use wardpost_mail::Domain;

/// Certificates from an authority (ACME).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcmeView {
    /// The authority's directory.
    pub directory: String,
    /// Since when its certificate is used, RFC 3339; absent as long as the self-signed one is.
    pub since: Option<String>,
    /// When it is renewed, RFC 3339.
    pub renewal: Option<String>,
    /// A certificate is being ordered now.
    pub working: bool,
    /// Failures since the last success.
    pub failures: u32,
    /// What failed last, if nothing has succeeded since.
    pub last_failure: Option<AcmeFailureView>,
    /// When it is tried again after a failure, RFC 3339.
    pub next_try: Option<String>,
    /// Names that are not in the certificate because they failed.
    pub left_out: Vec<AcmeLeftOutView>,
    /// Why the authority was not asked when somebody wanted it to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// What failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcmeFailureView {
    /// When, RFC 3339.
    pub when: String,
    /// What kind of thing, for programs.
    pub kind: String,
    /// What happened.
    pub says: String,
    /// What to do about it.
    pub to_do: String,
}

/// A name that is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcmeLeftOutView {
    /// Which.
    pub name: Domain,
    /// When it is tried again, RFC 3339.
    pub until: String,
    /// What happened.
    pub says: String,
    /// What to do about it.
    pub to_do: String,
}

impl fmt::Display for AcmeView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  authority    {}", self.directory)?;
        match &self.since {
            Some(since) => writeln!(f, "  issued       {since}")?,
            None => writeln!(f, "  issued       not yet")?,
        }
        if let Some(renewal) = &self.renewal {
            writeln!(f, "  renewal      {renewal}")?;
        }
        if self.working {
            writeln!(f, "  now          a certificate is being ordered")?;
        }
        if let Some(failed) = &self.last_failure {
            writeln!(f, "  failed       {} ({} in a row)", failed.when, self.failures)?;
            writeln!(f, "    {}", failed.says)?;
            writeln!(f, "    {}", failed.to_do)?;
            if let Some(next) = &self.next_try {
                writeln!(f, "  tried again  {next}")?;
            }
        }
        for left in &self.left_out {
            writeln!(f, "  left out     {} until {}", left.name, left.until)?;
            writeln!(f, "    {}", left.says)?;
            writeln!(f, "    {}", left.to_do)?;
        }
        Ok(())
    }
}
