//! What can be asked about rules for domains.

use crate::secret_text;
use serde::{Deserialize, Serialize};
use wardpost_mail::{Domain, Secret, TlsGrade};

/// About rules for domains.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum PinRequest {
    /// Set one, in place of the one with the same pattern.
    Add(Box<PinSpec>),
    /// All of them, those that ended lately too.
    List,
    /// One of them.
    Show {
        /// Its pattern: `lab.example`, `*.lab.example` or `*`.
        pattern: String,
    },
    /// Remove one.
    Remove {
        /// Its pattern.
        pattern: String,
    },
}

/// What a rule is to say.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PinSpec {
    /// For which domains: `lab.example`, `*.lab.example` or `*`.
    pub pattern: String,
    /// How good TLS must be: T3, T4 or T5.
    pub floor: Option<TlsGrade>,
    /// Mail is always picked up.
    pub pickup: bool,
    /// SHA-256 fingerprints of certificates or of their keys.
    pub certificates: Vec<String>,
    /// CA certificates, in PEM.
    pub authorities: Vec<String>,
    /// Mail goes through this server.
    pub smarthost: Option<SmarthostSpec>,
    /// An exception: unverified TLS will do.
    pub allow_unverified: bool,
    /// Why.
    pub reason: String,
    /// When it ends: a date (the whole of that day counts, UTC) or a number of days such as `30d`.
    pub expires: Option<String>,
    /// Who sets it.
    pub set_by: String,
}

/// A server that passes mail on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SmarthostSpec {
    /// Its name.
    pub host: Domain,
    /// Its port.
    pub port: u16,
    /// How to log in there.
    #[serde(default)]
    pub login: Option<LoginSpec>,
    /// Its owner answers for TLS on the way onward.
    #[serde(default)]
    pub trusted_onward: bool,
}

/// A name and a password.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LoginSpec {
    /// The user name.
    pub user: String,
    /// The password.
    #[serde(with = "secret_text")]
    pub password: Secret<String>,
}
