//! How a message would go, as shown.

use super::path::PathView;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use wardpost_mail::{Address, TlsGrade};
use wardpost_verdict::PathEvidence;

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
    /// Who set that, in words.
    pub floor_set_by: Option<String>,
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
    /// The whole story.
    pub path: Option<PathView>,
}

impl HopView {
    /// What was seen of a server.
    pub fn new(
        preference: u16,
        host: String,
        addresses: Vec<IpAddr>,
        path: Option<PathEvidence>,
        error: Option<String>,
    ) -> Self {
        let path = path.map(PathView::from);
        let failures = path.iter().flat_map(|path| path.failures.iter());
        let reasons = failures.map(ToString::to_string).collect();
        let grade = path.as_ref().and_then(|path| path.grade);
        Self { preference, host, addresses, grade, reasons, error, path }
    }

    fn suffices(&self) -> bool {
        self.path.as_ref().is_some_and(|path| path.grade.is_some() && path.grade >= path.floor)
    }

    fn place(&self) -> String {
        let addresses: Vec<_> = self.addresses.iter().map(IpAddr::to_string).collect();
        let error = self.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        format!("{} [{}], preference {}{error}", self.host, addresses.join(", "), self.preference)
    }
}

impl RouteView {
    /// Takes over what is demanded of the server that decided.
    #[must_use]
    pub fn with_floor_of_the_deciding_hop(mut self) -> Self {
        let path = self.deciding().and_then(|hop| hop.path.as_ref());
        if let Some((floor, set_by)) =
            path.and_then(|path| path.floor.zip(path.floor_set_by.clone()))
        {
            self.floor = Some(floor);
            self.floor_set_by = Some(set_by);
        }
        self
    }

    /// The server that decided: the first that would do, else the best that was seen.
    fn deciding(&self) -> Option<&HopView> {
        let first = self.hops.iter().find(|hop| hop.suffices());
        // Of equals the first: `max_by_key` takes the last.
        first.or_else(|| self.hops.iter().rev().max_by_key(|hop| hop.grade))
    }
}

fn line(f: &mut fmt::Formatter<'_>, label: &str, text: &str) -> fmt::Result {
    writeln!(f, "  {label:<12} {text}")
}

impl fmt::Display for RouteView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} to {}: {}", self.from, self.to, self.outcome)?;
        line(f, "result", &self.explanation)?;
        line(f, "rule", &format!("{}: {}", self.route, self.why))?;
        let deciding = self.deciding();
        if let Some(hop) = deciding {
            line(f, "mail server", &hop.place())?;
            let lines = hop.path.as_ref().map(PathView::lines).unwrap_or_default();
            lines.iter().try_for_each(|(label, text)| line(f, label, text))?;
        }
        for hop in self.hops.iter().filter(|hop| !deciding.is_some_and(|it| std::ptr::eq(it, *hop)))
        {
            let grade = hop.grade.map(|grade| format!(", {grade}: {}", grade.explain()));
            line(f, "also", &format!("{}{}", hop.place(), grade.unwrap_or_default()))?;
            hop.reasons.iter().try_for_each(|reason| line(f, "", reason))?;
        }
        Ok(())
    }
}
