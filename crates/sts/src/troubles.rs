//! What went wrong lately, so that not every message costs a try (RFC 8461 §3.3).

use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;
use wardpost_mail::Domain;
use wardpost_verdict::StsProblem;

use crate::record::length;

/// A failed fetch is not repeated for so long, for the same id (RFC 8461 §3.3).
const FETCH_REST: Duration = Duration::from_secs(300);
/// A record that DNS did not tell is not asked for again for so long: some servers never answer
/// questions they do not know, and each message would wait for them.
const DNS_REST: Duration = Duration::from_secs(60);
/// Domains remembered.
const MOST: usize = 4096;

/// What was tried and failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tried {
    /// The record in DNS.
    Record,
    /// The policy that goes with this id.
    Policy(String),
}

impl Tried {
    fn rest(&self) -> u64 {
        length(match self {
            Self::Record => DNS_REST,
            Self::Policy(_) => FETCH_REST,
        })
    }
}

#[derive(Debug)]
struct Entry {
    tried: Tried,
    at: u64,
    problem: StsProblem,
}

impl Entry {
    /// A clock that was set back ends the rest.
    fn rests(&self, now: u64) -> bool {
        now.checked_sub(self.at).is_some_and(|past| past < self.tried.rest())
    }
}

/// The last failure of each domain, for a while.
#[derive(Debug, Default)]
pub(crate) struct Troubles(Mutex<HashMap<Domain, Entry>>);

impl Troubles {
    /// Notes a failure.
    pub(crate) fn note(&self, domain: &Domain, tried: Tried, problem: &StsProblem, now: u64) {
        let mut entries = self.0.lock();
        if entries.len() >= MOST && !entries.contains_key(domain) {
            entries.retain(|_, entry| entry.rests(now));
            if entries.len() >= MOST {
                let oldest = entries.iter().min_by_key(|(_, entry)| entry.at);
                if let Some(oldest) = oldest.map(|(domain, _)| domain.clone()) {
                    entries.remove(&oldest);
                }
            }
        }
        entries.insert(domain.clone(), Entry { tried, at: now, problem: problem.clone() });
    }

    /// What is known to fail, if it failed a short time ago.
    pub(crate) fn recent(&self, domain: &Domain, tried: &Tried, now: u64) -> Option<StsProblem> {
        let entries = self.0.lock();
        let entry = entries.get(domain)?;
        (entry.tried == *tried && entry.rests(now)).then(|| entry.problem.clone())
    }

    /// Forgets a domain's failures.
    pub(crate) fn forget(&self, domain: &Domain) {
        self.0.lock().remove(domain);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    fn domain(name: &str) -> Domain {
        Domain::parse(name).unwrap()
    }

    fn policy(id: &str) -> Tried {
        Tried::Policy(id.to_owned())
    }

    #[test]
    fn a_failure_is_remembered_for_its_id_and_its_time() {
        let (troubles, far) = (Troubles::default(), domain("far.test"));
        let problem = StsProblem::Fetch("no".into());
        troubles.note(&far, policy("1"), &problem, 1_000_000);
        assert_eq!(troubles.recent(&far, &policy("1"), 1_299_999), Some(problem.clone()));
        assert_eq!(troubles.recent(&far, &policy("2"), 1_000_001), None, "another version");
        assert_eq!(troubles.recent(&far, &Tried::Record, 1_000_001), None);
        assert_eq!(troubles.recent(&far, &policy("1"), 1_300_000), None, "five minutes are over");
        assert_eq!(troubles.recent(&far, &policy("1"), 999_999), None, "the clock was set back");
        troubles.note(&far, Tried::Record, &problem, 2_000_000);
        assert!(troubles.recent(&far, &Tried::Record, 2_059_999).is_some());
        assert!(troubles.recent(&far, &Tried::Record, 2_060_000).is_none());
        troubles.forget(&far);
        assert!(troubles.recent(&far, &Tried::Record, 2_000_001).is_none());
    }

    #[test]
    fn memory_is_bounded_and_the_newest_stay() {
        let (troubles, problem) = (Troubles::default(), StsProblem::Fetch("no".into()));
        for n in 0..MOST as u64 + 10 {
            troubles.note(&domain(&format!("d{n}.test")), policy("1"), &problem, n);
        }
        assert_eq!(troubles.0.lock().len(), MOST);
        let last = domain(&format!("d{}.test", MOST + 9));
        assert!(troubles.recent(&last, &policy("1"), MOST as u64 + 10).is_some());
        assert!(troubles.recent(&domain("d0.test"), &policy("1"), 20).is_none());
    }
}
