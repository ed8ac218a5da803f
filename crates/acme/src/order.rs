//! One order (RFC 8555 §7.4): ask, prove the names, hand in the request, fetch the certificate.

use crate::answers::Answers;
use crate::authority::{Authority, NoAnswer};
use crate::trouble::{Kind, Step, Trouble, is_bad_nonce};
use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeStatus, ChallengeType, Error,
    Identifier, NewOrder, Order, OrderStatus, Problem, RetryPolicy,
};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
use wardpost_mail::Domain;
use wardpost_net::{Challenges, OwnKey};

/// How long the authority may take to look at our proofs, and to issue.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often we ask meanwhile: at first, and at most.
const ASK_FIRST: Duration = Duration::from_millis(500);
const ASK_EVERY: Duration = Duration::from_secs(10);

/// How a name is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Way {
    /// A page on port 80 (HTTP-01).
    Http,
    /// A handshake on port 443 (TLS-ALPN-01).
    TlsAlpn,
}

impl Way {
    fn challenge(self) -> ChallengeType {
        match self {
            Self::Http => ChallengeType::Http01,
            Self::TlsAlpn => ChallengeType::TlsAlpn01,
        }
    }
}

/// A name to be proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) name: Domain,
    pub(crate) way: Way,
}

/// Why there is no certificate.
#[derive(Debug)]
pub(crate) enum OrderError {
    /// These names failed; there is at least one.
    Names(Vec<(Domain, Trouble)>),
    /// Everything failed.
    All(Trouble),
    /// Everything failed by chance: another order may do.
    Chance(Trouble),
}

/// Where the proofs are shown.
#[derive(Clone, Default)]
pub(crate) struct Proofs {
    pub(crate) http: Answers,
    pub(crate) tls: Challenges,
}

impl Proofs {
    fn clear(&self) {
        self.http.clear();
        self.tls.clear();
    }
}

/// Takes the proofs away when the order is over, however it ends.
struct Showing<'a>(&'a Proofs);

impl Drop for Showing<'_> {
    fn drop(&mut self) {
        self.0.clear();
    }
}

/// An order with an authority.
pub(crate) struct Ordering<'a> {
    pub(crate) authority: &'a Authority,
    pub(crate) account: &'a Account,
    pub(crate) proofs: &'a Proofs,
    pub(crate) key: &'a OwnKey,
    /// The certificate that this one takes the place of (RFC 9773 §5).
    pub(crate) replaces: Option<CertificateIdentifier<'static>>,
}

impl Ordering<'_> {
    /// Orders a certificate for these names, the host's first; its chain in PEM.
    pub(crate) async fn place(&self, wanted: &[Wanted]) -> Result<String, OrderError> {
        let names: Vec<Domain> = wanted.iter().map(|wanted| wanted.name.clone()).collect();
        let host = names.first().ok_or_else(|| here("there is no name"))?;
        let whole = |error: &Error, step| self.whole(error, step, host, &names);
        let mut order = self.begin(&names).await.map_err(|e| whole(&e, Step::Order))?;
        let _showing = Showing(self.proofs);
        self.show(&mut order, wanted, host).await?;
        self.wait_for_proofs(&mut order, wanted, host).await?;
        let policy = RetryPolicy::new().initial_delay(ASK_FIRST).backoff(1.5).timeout(PATIENCE);
        match order.poll_ready(&policy).await.map_err(|e| whole(&e, Step::Order))? {
            OrderStatus::Ready => {}
            _ => return Err(self.invalid(&mut order, host)),
        }
        let request =
            self.key.signing_request_der(&names).map_err(|error| here(&error.to_string()))?;
        order.finalize_csr(&request).await.map_err(|e| whole(&e, Step::Order))?;
        order.poll_certificate(&policy).await.map_err(|e| whole(&e, Step::Order))
    }

    /// Begins the order. An authority that knows nothing of the certificate to be replaced, or has replaced
    /// it already, gets an order that does not speak of it.
    async fn begin(&self, names: &[Domain]) -> Result<Order, Error> {
        let names: Vec<Identifier> =
            names.iter().map(|name| Identifier::Dns(name.as_str().to_owned())).collect();
        if let Some(replaces) = self.replaces.clone() {
            match self.account.new_order(&NewOrder::new(&names).replaces(replaces)).await {
                Ok(order) => return Ok(order),
                Err(error) if is_final(&error) => return Err(error),
                Err(error) => tracing::debug!(%error, "acme: an order cannot replace the last one"),
            }
        }
        self.account.new_order(&NewOrder::new(&names)).await
    }

    /// Shows the proofs that are asked for, and says so.
    async fn show(
        &self,
        order: &mut Order,
        wanted: &[Wanted],
        host: &Domain,
    ) -> Result<(), OrderError> {
        let whole = |error: Error| self.whole(&error, Step::Order, host, &[]);
        let mut proofs = order.authorizations();
        while let Some(proof) = proofs.next().await {
            let mut proof = proof.map_err(whole)?;
            if proof.status != AuthorizationStatus::Pending {
                continue;
            }
            let Some(wanted) = find(wanted, &proof.identifier().to_string()).cloned() else {
                return Err(here("the authority asks about a name that we did not"));
            };
            let Some(mut challenge) = proof.challenge(wanted.way.challenge()) else {
                let says = format!(
                    "The authority does not offer to prove {} in the way that is open here.",
                    wanted.name
                );
                return Err(OrderError::Names(vec![(wanted.name, no_such_way(says))]));
            };
            let answer = challenge.key_authorization();
            let shown = match wanted.way {
                Way::Http => self.proofs.http.give(&challenge.token, answer.as_str()),
                Way::TlsAlpn => {
                    self.proofs.tls.answer(&wanted.name, answer.digest().as_ref()).is_ok()
                }
            };
            if !shown {
                return Err(here("the proof could not be shown"));
            }
            let ready = challenge.set_ready().await;
            ready.map_err(|error| self.unready(error, &wanted))?;
        }
        Ok(())
    }

    fn unready(&self, error: Error, wanted: &Wanted) -> OrderError {
        match &error {
            Error::Api(problem) if !is_bad_nonce(problem) => {
                let trouble = Trouble::of(problem, Step::Proof(wanted.way), &wanted.name);
                OrderError::Names(vec![(wanted.name.clone(), trouble)])
            }
            _ => self.whole(&error, Step::Order, &wanted.name, &[]),
        }
    }

    /// Waits until the authority has looked at every proof, so that all that is wrong is known at once.
    async fn wait_for_proofs(
        &self,
        order: &mut Order,
        wanted: &[Wanted],
        host: &Domain,
    ) -> Result<(), OrderError> {
        let whole = |error: Error| self.whole(&error, Step::Order, host, &[]);
        let deadline = Instant::now() + PATIENCE;
        let mut failed = Vec::new();
        let mut proofs = order.authorizations();
        while let Some(proof) = proofs.next().await {
            let mut proof = proof.map_err(whole)?;
            let mut pause = ASK_FIRST;
            while proof.status == AuthorizationStatus::Pending && Instant::now() < deadline {
                let asked = self.authority.retry_after().unwrap_or_default();
                tokio::time::sleep(pause.max(asked.min(ASK_EVERY))).await;
                pause = (pause * 2).min(ASK_EVERY);
                proof.refresh().await.map_err(whole)?;
            }
            if proof.status == AuthorizationStatus::Valid {
                continue;
            }
            let Some(wanted) = find(wanted, &proof.identifier().to_string()) else { continue };
            let problem = proof
                .challenges
                .iter()
                .filter(|challenge| challenge.status == ChallengeStatus::Invalid)
                .find_map(|challenge| challenge.error.as_ref());
            let trouble = match problem {
                Some(problem) => Trouble::of(problem, Step::Proof(wanted.way), &wanted.name),
                None => Trouble::new(
                    Kind::Authority,
                    format!(
                        "The certificate authority did not say whether {} is ours.",
                        wanted.name
                    ),
                ),
            };
            failed.push((wanted.name.clone(), trouble));
        }
        if failed.is_empty() { Ok(()) } else { Err(OrderError::Names(failed)) }
    }

    /// What a failed request means: for the names that it speaks of, or for the whole order.
    fn whole(&self, error: &Error, step: Step, host: &Domain, names: &[Domain]) -> OrderError {
        let Error::Api(problem) = error else { return OrderError::All(trouble(error)) };
        let about = |name: &Domain| {
            problem.subproblems.iter().find(|sub| {
                matches!(&sub.identifier, Some(Identifier::Dns(known)) if known == name.as_str())
            })
        };
        let failed: Vec<_> = names
            .iter()
            .filter_map(|name| {
                let sub = about(name)?;
                let own = Problem {
                    r#type: sub.r#type.clone(),
                    detail: sub.detail.clone(),
                    status: problem.status,
                    subproblems: Vec::new(),
                };
                let wait = self.authority.retry_after();
                Some((name.clone(), Trouble { wait, ..Trouble::of(&own, step, name) }))
            })
            .collect();
        if !failed.is_empty() {
            return OrderError::Names(failed);
        }
        let mut trouble = Trouble::of(problem, step, host);
        trouble.wait = self.authority.retry_after();
        if is_bad_nonce(problem) {
            return OrderError::Chance(trouble);
        }
        // Not every authority says which name it is about (RFC 8555 §6.7.1 is optional).
        if matches!(trouble.kind, Kind::Refused | Kind::Caa | Kind::Dns) {
            let blamed = blamed(names, problem.detail.as_deref().unwrap_or_default());
            if !blamed.is_empty() {
                let about = |name: &Domain| (name.clone(), Trouble::of(problem, step, name));
                return OrderError::Names(blamed.into_iter().map(about).collect());
            }
        }
        OrderError::All(trouble)
    }

    fn invalid(&self, order: &mut Order, host: &Domain) -> OrderError {
        match &order.state().error {
            Some(problem) => OrderError::All(Trouble::of(problem, Step::Order, host)),
            None => OrderError::All(Trouble::new(
                Kind::Authority,
                "The certificate authority gave the order up without a reason.",
            )),
        }
    }
}

/// The names that a problem is about which names none in a way that programs understand: those besides the
/// host's that its words contain, or else all besides the host's.
fn blamed<'a>(names: &'a [Domain], detail: &str) -> Vec<&'a Domain> {
    let others = names.get(1..).unwrap_or_default();
    let named: Vec<&Domain> = others.iter().filter(|name| detail.contains(name.as_str())).collect();
    if named.is_empty() { others.iter().collect() } else { named }
}

fn find<'a>(wanted: &'a [Wanted], name: &str) -> Option<&'a Wanted> {
    wanted.iter().find(|wanted| wanted.name.as_str().eq_ignore_ascii_case(name))
}

/// Whether an order fails for another reason than the certificate that it is to replace.
fn is_final(error: &Error) -> bool {
    match error {
        Error::Api(problem) => {
            let kind = problem.r#type.as_deref().unwrap_or_default();
            ["rateLimited", "unauthorized", "accountDoesNotExist", "rejectedIdentifier", "caa"]
                .iter()
                .any(|name| kind.ends_with(name))
        }
        Error::Unsupported(_) | Error::Str(_) => false,
        Error::Other(inner) => inner.downcast_ref::<NoAnswer>().is_some(),
        _ => true,
    }
}

/// What an error means that is hardly ever a problem document.
pub(crate) fn trouble(error: &Error) -> Trouble {
    match error {
        Error::Other(inner) => match inner.downcast_ref::<NoAnswer>() {
            Some(no_answer) => no_answer.trouble(),
            None => Trouble::new(Kind::Authority, format!("The authority's answer: {inner}.")),
        },
        Error::Timeout(until) => {
            let mut trouble = Trouble::new(
                Kind::Authority,
                "The certificate authority took too long to decide about the certificate.",
            );
            trouble.wait = until.map(|until| until.saturating_duration_since(Instant::now()));
            trouble
        }
        Error::Api(problem) => {
            let detail = crate::words::detail(problem).unwrap_or_default();
            Trouble::new(Kind::Authority, format!("The certificate authority says: {detail}"))
        }
        other => Trouble::new(
            Kind::Authority,
            format!("The certificate authority's answer could not be used: {other}."),
        ),
    }
}

fn no_such_way(says: String) -> Trouble {
    // The other way may be offered.
    Trouble { kind: Kind::NotReachable, ..Trouble::new(Kind::NoWay, says) }
}

fn here(what: &str) -> OrderError {
    OrderError::All(Trouble::new(Kind::Here, format!("On this machine: {what}.")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn whoever_is_named_is_blamed_and_never_the_host() {
        let names: Vec<Domain> =
            ["clinic.test", "a.clinic.test", "b.test"].map(|n| Domain::parse(n).unwrap()).into();
        assert_eq!(blamed(&names, "not for \"a.clinic.test\""), [&names[1]]);
        assert_eq!(blamed(&names, "not for somebody"), [&names[1], &names[2]]);
        assert!(blamed(&names[..1], "not for clinic.test").is_empty());
    }
}
