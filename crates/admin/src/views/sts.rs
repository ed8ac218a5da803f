//! Other domains' MTA-STS policies, as shown.

use super::{table, time_text};
use serde::{Deserialize, Serialize};
use std::fmt;
use wardpost_mail::Domain;
use wardpost_sts::PolicyView;

/// A policy that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StsPolicyView {
    /// Whose it is.
    pub domain: Domain,
    /// `enforce`, `testing` or `none`.
    pub mode: String,
    /// The mail servers it names; `*.` stands for one label.
    pub mx: Vec<String>,
    /// How long it lasts from when it was fetched, in seconds.
    pub max_age: u64,
    /// The `id` it was announced with.
    pub id: String,
    /// When it was fetched, RFC 3339.
    pub fetched: String,
    /// When it is over unless it is fetched again, RFC 3339.
    pub ends: String,
    /// When it could not be fetched again, RFC 3339; absent when the last fetch went well.
    pub failed: Option<String>,
    /// Why it could not.
    pub problem: Option<String>,
}

impl From<PolicyView> for StsPolicyView {
    fn from(view: PolicyView) -> Self {
        let (failed, problem) = view.problem.unzip();
        Self {
            domain: view.domain,
            mode: view.policy.mode().name().to_owned(),
            mx: view.policy.mx().iter().map(ToString::to_string).collect(),
            max_age: view.policy.max_age().as_secs(),
            id: view.id,
            fetched: time_text(view.fetched),
            ends: time_text(view.ends),
            failed: failed.map(time_text),
            problem,
        }
    }
}

pub(super) fn policies(policies: &[StsPolicyView], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let row = |one: &StsPolicyView| {
        let problem = one.failed.as_ref().zip(one.problem.as_ref());
        [
            one.domain.to_string(),
            one.mode.clone(),
            one.fetched.clone(),
            one.ends.clone(),
            problem.map_or_else(String::new, |(at, why)| format!("{at}: {why}")),
        ]
    };
    let rows: Vec<_> = policies.iter().map(row).collect();
    table::write(f, ["DOMAIN", "MODE", "FETCHED", "ENDS", "PROBLEM"], &rows)
}
