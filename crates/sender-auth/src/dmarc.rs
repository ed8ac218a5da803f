//! DMARC (RFC 9989): whose policy applies to a message, and whether what is proven meets it.
//!
//! This is done here and not by mail-auth 0.13.3, whose tree walk it follows, for four reasons: of several
//! records at one name none counts (RFC 9989 §4.10), a tag that cannot be read does not void the record
//! (§4.7), a name above the author's own record that DNS does not answer for must not hide that record, and
//! a second author must not free the first.
//!
//! A From field may name several authors (RFC 5322 §3.6.2), and a message that breaks the rules may have
//! several From fields; the reader's mail program shows whom it likes. Each domain is asked, and the
//! strictest answer counts (RFC 9989 §11.5 leaves it to us).
//!
//! All look-ups of a walk go out at once: at most eight (§4.10), whatever the name.

use crate::lookup::{self, Unavailable};
use crate::record::{Asked, Psd, Record};
use hickory_resolver::TokioResolver;
use mail_auth::common::to_a_label;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use wardpost_policy::{DmarcEvidence, DmarcPolicy, DmarcResult};

/// Domains of one message that are asked; honest mail has one. More are not, and fail.
const MAX_DOMAINS: usize = 4;
/// Look-ups of one walk (RFC 9989 §4.10).
const MAX_LOOKUPS: usize = 8;

/// What was found walking from a name to the top of the tree, longest name first.
#[derive(Debug, Clone)]
struct Walk {
    start: String,
    found: Vec<(String, Record)>,
    /// Whether every name on the way answered.
    complete: bool,
}

impl Walk {
    async fn from(dns: &TokioResolver, domain: &str, limit: Duration) -> Self {
        let names = names(domain);
        let asking = names.iter().map(|name| {
            let name = format!("_dmarc.{name}");
            async move { timeout(limit, lookup::txt(dns, &name)).await.unwrap_or(Err(Unavailable)) }
        });
        let answers = futures_util::future::join_all(asking).await;
        let mut walk = Self { start: domain.to_owned(), found: Vec::new(), complete: true };
        for (name, answer) in names.into_iter().zip(answers) {
            match answer {
                Ok(records) => {
                    let Some(record) = Record::among(&records) else { continue };
                    let last = record.psd != Psd::Unsaid;
                    walk.found.push((name, record));
                    if last {
                        break;
                    }
                }
                Err(Unavailable) => walk.complete = false,
            }
        }
        walk
    }

    /// The Organizational Domain (RFC 9989 §4.10.2).
    fn organizational(&self) -> String {
        for (name, record) in &self.found {
            match record.psd {
                Psd::No => return name.clone(),
                Psd::Yes if *name != self.start => return one_below(name, &self.start),
                _ => {}
            }
        }
        self.found.last().map_or(&self.start, |(name, _)| name).clone()
    }

    /// The record that applies: the start's own, the Organizational Domain's, or the public suffix's
    /// (RFC 9989 §4.10.1).
    fn applicable(&self) -> Option<&(String, Record)> {
        let at = |name: &str| self.found.iter().find(|(known, _)| known == name);
        at(&self.start).or_else(|| at(&self.organizational())).or(self.found.last())
    }
}

/// The names that are asked: the name itself, then of at most seven labels, ever shorter.
fn names(domain: &str) -> Vec<String> {
    let labels: Vec<&str> = domain.split('.').filter(|label| !label.is_empty()).collect();
    if labels.len() < 2 {
        return Vec::new();
    }
    let shorter = (1..labels.len()).filter(|skip| labels.len() - skip < MAX_LOOKUPS);
    std::iter::once(0).chain(shorter).map(|skip| labels[skip..].join(".")).collect()
}

/// The name one label below `suffix` on the way to `name`.
fn one_below(suffix: &str, name: &str) -> String {
    let labels: Vec<&str> = name.split('.').collect();
    let keep = suffix.split('.').count() + 1;
    labels[labels.len().saturating_sub(keep)..].join(".")
}

/// What speaks for a message.
pub(crate) struct Proofs<'a> {
    /// The domain SPF was checked for.
    pub(crate) spf_domain: &'a str,
    /// Its outcome.
    pub(crate) spf: Proof,
    /// The signatures' domains, and their outcomes.
    pub(crate) dkim: Vec<(&'a str, Proof)>,
}

/// What a check proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// That the domain stands behind the message.
    Given,
    /// Nothing, yet.
    Unknown,
    /// Nothing.
    Missing,
}

/// The author domains of a message and the policies found for them.
pub(crate) struct Authors {
    walks: Vec<(Walk, Option<bool>)>,
    too_many: bool,
}

impl Authors {
    /// Looks up the policies of everybody named in From. Nobody else's DNS has a part in it.
    pub(crate) async fn look_up(dns: &TokioResolver, froms: &[String], limit: Duration) -> Self {
        let domains = domains(froms);
        let asked = domains.iter().take(MAX_DOMAINS);
        let walking = asked.map(|domain| async move {
            let walk = Walk::from(dns, domain, limit / 2).await;
            let exists = match needs_existence(&walk) {
                true => timeout(limit / 2, lookup::exists(dns, domain)).await,
                false => Ok(Ok(true)),
            };
            (walk, exists.ok().and_then(Result::ok))
        });
        let walks = futures_util::future::join_all(walking).await;
        Self { walks, too_many: domains.len() > MAX_DOMAINS }
    }

    /// The one author's domain and its Organizational Domain; `None` when there are several or none.
    pub(crate) fn only(&self) -> Option<(&str, String)> {
        match self.walks.as_slice() {
            [(walk, _)] if !self.too_many => Some((&walk.start, walk.organizational())),
            _ => None,
        }
    }

    /// The strictest outcome, once it is known what speaks for the message.
    pub(crate) async fn judge(
        &self,
        dns: &TokioResolver,
        proofs: &Proofs<'_>,
        limit: Duration,
    ) -> DmarcEvidence {
        let mut organizations =
            Organizations { dns, until: Instant::now() + limit, known: Vec::new() };
        let mut strictest: Option<DmarcEvidence> = None;
        for (walk, exists) in &self.walks {
            let outcome = one(walk, *exists, proofs, &mut organizations).await;
            if strictest.as_ref().is_none_or(|known| severity(&outcome) > severity(known)) {
                strictest = Some(outcome);
            }
        }
        let mut outcome = strictest.unwrap_or_else(|| nothing(""));
        if self.too_many && outcome.asked != DmarcPolicy::Reject {
            (outcome.result, outcome.asked) = (DmarcResult::Fail, DmarcPolicy::Quarantine);
        }
        outcome
    }
}

fn domains(froms: &[String]) -> Vec<String> {
    let mut domains: Vec<String> = Vec::new();
    for (_, domain) in froms.iter().filter_map(|from| from.rsplit_once('@')) {
        // White space around the name is obsolete syntax (RFC 5322 §4.4) that readers read over.
        let domain: String = domain.chars().filter(|c| !c.is_whitespace()).collect();
        let domain = to_a_label(domain.trim_end_matches('.')).into_owned();
        if !domain.is_empty() && !domains.contains(&domain) && domains.len() <= MAX_DOMAINS {
            domains.push(domain);
        }
    }
    domains
}

/// Whether it matters if the author's domain exists.
fn needs_existence(walk: &Walk) -> bool {
    walk.applicable().is_some_and(|(at, record)| {
        *at != walk.start && record.asked.is_some_and(|asked| asked.np != asked.sp)
    })
}

/// What is asked for mail of the walk's start. Where it cannot be told whether that name exists, the
/// stricter.
fn asked(walk: &Walk, at: &str, asked: Asked, testing: bool, exists: Option<bool>) -> DmarcPolicy {
    let policy = match exists {
        _ if at == walk.start => asked.p,
        Some(true) => asked.sp,
        Some(false) => asked.np,
        None if weight(asked.np) > weight(asked.sp) => asked.np,
        None => asked.sp,
    };
    // One step down while it is tried out (RFC 9989 §4.7).
    match policy {
        DmarcPolicy::Reject if testing => DmarcPolicy::Quarantine,
        DmarcPolicy::Quarantine if testing => DmarcPolicy::None,
        policy => policy,
    }
}

fn nothing(from: &str) -> DmarcEvidence {
    DmarcEvidence {
        from: from.to_owned(),
        found_at: None,
        p: DmarcPolicy::None,
        sp: DmarcPolicy::None,
        np: DmarcPolicy::None,
        strict_dkim: false,
        strict_spf: false,
        testing: false,
        asked: DmarcPolicy::None,
        dkim_aligned: false,
        spf_aligned: false,
        result: DmarcResult::None,
    }
}

/// One author: first the policy, then whether the proofs meet it.
async fn one(
    walk: &Walk,
    exists: Option<bool>,
    proofs: &Proofs<'_>,
    organizations: &mut Organizations<'_>,
) -> DmarcEvidence {
    let mut outcome = nothing(&walk.start);
    match walk.applicable() {
        Some((at, record)) => {
            // What asks for nothing has no outcome either.
            let Some(asks) = record.asked else { return outcome };
            outcome.found_at = Some(at.clone());
            (outcome.strict_dkim, outcome.strict_spf) = (record.strict_dkim, record.strict_spf);
            outcome.testing = record.testing;
            (outcome.p, outcome.sp, outcome.np) = (asks.p, asks.sp, asks.np);
            outcome.asked = asked(walk, at, asks, record.testing, exists);
        }
        None if walk.complete => return outcome,
        // Strict alignment holds under any policy.
        None => (outcome.strict_dkim, outcome.strict_spf) = (true, true),
    }
    let mut unknown = false;
    for (domain, proof) in &proofs.dkim {
        match organizations.meets(walk, domain, *proof, outcome.strict_dkim).await {
            Proof::Given => outcome.dkim_aligned = true,
            Proof::Unknown => unknown = true,
            Proof::Missing => {}
        }
    }
    match organizations.meets(walk, proofs.spf_domain, proofs.spf, outcome.strict_spf).await {
        Proof::Given => outcome.spf_aligned = true,
        Proof::Unknown => unknown = true,
        Proof::Missing => {}
    }
    // A proof that may still come matters only to a policy that asks for one: mail of a domain that
    // asks for nothing is taken either way.
    let awaited = unknown && outcome.asked != DmarcPolicy::None;
    let policy_known = walk.complete || settles(walk);
    outcome.result = if outcome.dkim_aligned || outcome.spf_aligned {
        DmarcResult::Pass
    } else if awaited || !policy_known {
        DmarcResult::TempError
    } else {
        DmarcResult::Fail
    };
    outcome
}

/// Whether what a walk found counts although some name on the way did not answer: the author's own record
/// does, whatever stands above.
fn settles(walk: &Walk) -> bool {
    walk.applicable().is_some_and(|(at, _)| *at == walk.start)
}

/// Organizational Domains found for this message.
struct Organizations<'a> {
    dns: &'a TokioResolver,
    /// When all walks together must be done.
    until: Instant,
    known: Vec<Walk>,
}

impl Organizations<'_> {
    /// Whether a proof is one for the author (RFC 9989 §4.10.2).
    async fn meets(&mut self, author: &Walk, domain: &str, proof: Proof, strict: bool) -> Proof {
        let domain = to_a_label(domain.trim_end_matches('.')).into_owned();
        if proof == Proof::Missing || domain.is_empty() {
            return Proof::Missing;
        }
        if domain == author.start {
            return proof;
        }
        if strict {
            return Proof::Missing;
        }
        let organization = author.organizational();
        let is_below = |name: &str, top: &str| {
            name.strip_suffix(top).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        if !author.complete {
            // Names that share no top cannot share an organization; of others it cannot be told.
            let top = author.start.rsplit('.').next().unwrap_or_default();
            return if is_below(&domain, top) { Proof::Unknown } else { Proof::Missing };
        }
        // Cheap first: who is not below the organization is not of it, and walks cost look-ups.
        if !is_below(&domain, &organization) {
            return Proof::Missing;
        }
        let walk = self.walk(&domain).await;
        match (walk.complete, walk.organizational() == organization) {
            (false, _) => Proof::Unknown,
            (true, true) => proof,
            (true, false) => Proof::Missing,
        }
    }

    async fn walk(&mut self, domain: &str) -> &Walk {
        let at = match self.known.iter().position(|walk| walk.start == domain) {
            Some(at) => at,
            None => {
                let left = self.until.saturating_duration_since(Instant::now());
                self.known.push(Walk::from(self.dns, domain, left).await);
                self.known.len() - 1
            }
        };
        &self.known[at]
    }
}

fn weight(policy: DmarcPolicy) -> u8 {
    match policy {
        DmarcPolicy::None => 0,
        DmarcPolicy::Quarantine => 1,
        DmarcPolicy::Reject => 2,
    }
}

/// How much an outcome asks for.
fn severity(outcome: &DmarcEvidence) -> u8 {
    match (outcome.result, outcome.asked) {
        (DmarcResult::Fail, DmarcPolicy::Reject) => 6,
        (DmarcResult::TempError, DmarcPolicy::Reject | DmarcPolicy::Quarantine) => 5,
        (DmarcResult::TempError, DmarcPolicy::None) => 4,
        (DmarcResult::Fail, DmarcPolicy::Quarantine) => 3,
        (DmarcResult::Fail, DmarcPolicy::None) => 2,
        (DmarcResult::Pass, _) => 0,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(start: &str, found: &[(&str, &str)]) -> Walk {
        let found = found.iter().map(|(name, record)| {
            (name.to_string(), Record::parse(format!("v=DMARC1; {record}").as_bytes()).unwrap())
        });
        Walk { start: start.to_owned(), found: found.collect(), complete: true }
    }

    #[test]
    fn a_walk_asks_for_at_most_eight_names() {
        assert_eq!(names("lab.test"), ["lab.test", "test"]);
        assert_eq!(names("test"), Vec::<String>::new());
        // RFC 9989 §4.10, the example of a long name.
        assert_eq!(
            names("a.b.c.d.e.f.g.h.i.j.mail.example.com"),
            [
                "a.b.c.d.e.f.g.h.i.j.mail.example.com",
                "g.h.i.j.mail.example.com",
                "h.i.j.mail.example.com",
                "i.j.mail.example.com",
                "j.mail.example.com",
                "mail.example.com",
                "example.com",
                "com",
            ]
        );
        assert_eq!(names("1.2.3.4.5.6.7.8").len(), 8);
    }

    #[test]
    fn organizations_are_found_as_the_standard_does() {
        for (start, found, expected) in [
            ("a.lab.test", &[("lab.test", "p=none")][..], "lab.test"),
            ("a.lab.test", &[("a.lab.test", "p=none"), ("lab.test", "p=none")], "lab.test"),
            ("a.lab.test", &[("a.lab.test", "p=none; psd=n")], "a.lab.test"),
            ("a.giant.bank.example", &[("bank.example", "p=reject; psd=y")], "giant.bank.example"),
            ("bank.example", &[("bank.example", "p=reject; psd=y")], "bank.example"),
            ("a.lab.test", &[], "a.lab.test"),
        ] {
            assert_eq!(walk(start, found).organizational(), expected, "{start} {found:?}");
        }
    }

    #[test]
    fn the_nearest_record_applies_and_testing_steps_down() {
        use DmarcPolicy::{None as Nothing, Quarantine, Reject};
        let policy = |start: &str, found: &[(&str, &str)], exists| {
            let walk = walk(start, found);
            let (at, record) = walk.applicable().unwrap();
            asked(&walk, at, record.asked.unwrap(), record.testing, exists)
        };
        let top = |record| [("lab.test", record)];
        for (start, found, exists, expected) in [
            ("lab.test", top("p=reject; sp=none"), Some(true), Reject),
            ("x.lab.test", top("p=reject; sp=none"), Some(true), Nothing),
            ("x.lab.test", top("p=none; sp=none; np=reject"), Some(false), Reject),
            ("x.lab.test", top("p=none; sp=quarantine; np=reject"), None, Reject),
            ("x.lab.test", top("p=none; sp=quarantine; np=none"), None, Quarantine),
            ("lab.test", top("p=reject; t=y"), Some(true), Quarantine),
            ("lab.test", top("p=quarantine; t=y"), Some(true), Nothing),
        ] {
            assert_eq!(policy(start, &found, exists), expected, "{start} {found:?}");
        }
        let below = [("x.lab.test", "p=quarantine"), ("lab.test", "p=reject")];
        assert_eq!(policy("x.lab.test", &below, Some(true)), Quarantine);
        let suffix = [("bank.example", "p=reject; sp=quarantine; psd=y")];
        assert_eq!(policy("giant.bank.example", &suffix, Some(true)), Quarantine);
    }
}
