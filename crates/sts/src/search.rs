//! One search: what DNS says now, what is kept, and what is fetched (RFC 8461 §3 and §5.1).

use crate::policies::Inner;
use crate::record::{PolicyRecord, Trouble, length};
use crate::shelf::Kept;
use crate::troubles::Tried;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use wardpost_dns::DnsError;
use wardpost_mail::Domain;
use wardpost_net::{HttpsError, HttpsLimits, HttpsTarget};
use wardpost_verdict::{
    FailureKind, MAX_POLICY, StsError, StsFacts, StsMode, StsPolicy, StsProblem, sts_record_id,
};

/// The page that holds the policy (RFC 8461 §3.3).
const PATH: &str = "/.well-known/mta-sts.txt";
const DAY: Duration = Duration::from_secs(24 * 3600);
/// A policy's end is near when a quarter of its time is left, and no more than this.
const NEAR: Duration = Duration::from_secs(2 * 24 * 3600);

/// Why somebody looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Delivery,
    Refresh,
}

impl Purpose {
    /// Whether a policy should be fetched again though its id is the same.
    pub(crate) fn is_due(self, now: u64, fetched: u64, ends: u64) -> bool {
        let lasts = ends.saturating_sub(fetched);
        let near = ends.saturating_sub(now) <= length(NEAR).min(lasts / 4);
        let old = now.saturating_sub(fetched) >= length(DAY).min(lasts / 2);
        near || (self == Self::Refresh && old)
    }
}

/// What the record in DNS says.
enum Published {
    Id(String),
    Nothing,
    Malformed(StsError),
    /// It could not be learnt.
    Silence(StsProblem),
}

/// Fetches, counted by outcome.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    ok: AtomicU64,
    fetch: AtomicU64,
    certificate: AtomicU64,
    invalid: AtomicU64,
}

impl Outcomes {
    fn count(&self, result: &Result<StsPolicy, StsProblem>) {
        let counter = match result {
            Ok(_) => &self.ok,
            Err(StsProblem::Fetch(_)) => &self.fetch,
            Err(StsProblem::Certificate(_)) => &self.certificate,
            Err(StsProblem::Invalid(_)) => &self.invalid,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(crate) fn counts(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("ok", self.ok.load(Relaxed)),
            (FailureKind::StsPolicyFetchError.name(), self.fetch.load(Relaxed)),
            (FailureKind::StsWebpkiInvalid.name(), self.certificate.load(Relaxed)),
            (FailureKind::StsPolicyInvalid.name(), self.invalid.load(Relaxed)),
        ]
    }
}

impl Inner {
    /// Looks for news of a domain's policy and says what is known after that.
    pub(crate) async fn look(&self, domain: &Domain, purpose: Purpose) -> StsFacts {
        let kept = match self.shelf.read(domain) {
            Ok(kept) => kept,
            Err(error) => {
                tracing::error!(%error, "an MTA-STS policy is looked for anew");
                None
            }
        };
        let now = self.now();
        let kept = self.touch(kept, purpose, now).await.filter(|record| record.holds(now));
        let due = |record: &PolicyRecord| purpose.is_due(now, record.fetched, record.ends());
        let (id, unsure) = match (self.published(domain).await, &kept) {
            (Published::Id(id), _) => (id, None),
            (Published::Nothing, _) => return facts(kept, None, now),
            (Published::Malformed(error), _) => {
                return facts(kept, Some(StsProblem::Invalid(error)), now);
            }
            // The policy host speaks for itself. Whoever silences DNS does not end a policy so.
            (Published::Silence(problem), Some(record)) if due(record) => {
                (record.id.clone(), Some(problem))
            }
            (Published::Silence(problem), _) => return facts(kept, Some(problem), now),
        };
        if kept.as_ref().is_some_and(|record| record.id == id && !due(record)) {
            return facts(kept, unsure, now);
        }
        let tried = Tried::Policy(id.clone());
        if let Some(problem) = self.troubles.recent(domain, &tried, now) {
            return facts(kept, Some(problem), now);
        }
        let fetched = self.fetch(domain).await;
        self.outcomes.count(&fetched);
        match fetched {
            Ok(policy) => {
                facts(Some(self.keep(domain, id, policy, kept).await), unsure, self.now())
            }
            Err(problem) => {
                self.troubles.note(domain, tried, &problem, self.now());
                let kept = self.blame(kept, &problem, purpose).await;
                facts(kept, Some(problem), now)
            }
        }
    }

    /// Notes that a policy is of use, and brings one from the future back.
    async fn touch(
        &self,
        kept: Option<PolicyRecord>,
        purpose: Purpose,
        now: u64,
    ) -> Option<PolicyRecord> {
        let mut record = kept?;
        let from_the_future = record.fetched > now;
        let used = purpose == Purpose::Delivery
            && (now.saturating_sub(record.used) >= length(DAY) || record.used > now);
        if from_the_future {
            record.fetched = now;
        }
        if used {
            record.used = now;
        }
        if (from_the_future || used) && record.holds(now) {
            self.save(&record, now).await;
        }
        Some(record)
    }

    /// Asks DNS for the record (RFC 8461 §3.1).
    async fn published(&self, domain: &Domain) -> Published {
        // What is too long for DNS is not in DNS.
        let Ok(name) = Domain::parse(&format!("_mta-sts.{domain}")) else {
            return Published::Nothing;
        };
        if let Some(problem) = self.troubles.recent(domain, &Tried::Record, self.now()) {
            return Published::Silence(problem);
        }
        match self.resolver.txt(&name).await {
            Ok(answer) => match sts_record_id(&answer.value) {
                Ok(Some(id)) => Published::Id(id),
                Ok(None) => Published::Nothing,
                Err(error) => Published::Malformed(error),
            },
            Err(DnsError::NoSuchDomain) => Published::Nothing,
            Err(error) => {
                let problem = StsProblem::Fetch(format!("its record: {error}"));
                self.troubles.note(domain, Tried::Record, &problem, self.now());
                Published::Silence(problem)
            }
        }
    }

    /// Fetches the policy (RFC 8461 §3.3).
    async fn fetch(&self, domain: &Domain) -> Result<StsPolicy, StsProblem> {
        let fetching = async {
            // Never closed: without a place there is none to give back.
            let _place = self.places.acquire().await;
            self.page(domain).await
        };
        let late = || Err(StsProblem::Fetch("it took too long".into()));
        tokio::time::timeout(self.options.fetch, fetching).await.unwrap_or_else(|_| late())
    }

    async fn page(&self, domain: &Domain) -> Result<StsPolicy, StsProblem> {
        let host = Domain::parse(&format!("mta-sts.{domain}"))
            .map_err(|error| StsProblem::Fetch(error.to_string()))?;
        let found =
            self.resolver.addresses(&host).await.map_err(|error| {
                StsProblem::Fetch(format!("the policy host's address: {error}"))
            })?;
        let addresses: Vec<SocketAddr> =
            found.value.iter().map(|address| (*address, self.options.port).into()).collect();
        let target = HttpsTarget { host: &host, addresses: &addresses, path: PATH };
        let limits = HttpsLimits { body: MAX_POLICY, time: self.options.fetch };
        let response = self.https.get(target, limits).await.map_err(problem)?;
        if response.status != 200 {
            let status = response.status;
            return Err(StsProblem::Fetch(format!("the policy host answered with {status}")));
        }
        // A page that users of the host may fill is hardly ever served as plain text.
        if !response.is_of_type("text/plain") {
            return Err(StsProblem::Fetch("what was served is not text/plain".into()));
        }
        StsPolicy::parse(&response.body).map_err(StsProblem::Invalid)
    }

    /// Keeps what was fetched.
    async fn keep(
        &self,
        domain: &Domain,
        id: String,
        policy: StsPolicy,
        before: Option<PolicyRecord>,
    ) -> PolicyRecord {
        let now = self.now();
        let replaces = before.is_some();
        let used = before.map_or(now, |before| before.used);
        let domain = domain.clone();
        let record = PolicyRecord { domain, id, policy, fetched: now, used, trouble: None };
        self.troubles.forget(&record.domain);
        // One that is over at once still ends the one before it.
        if replaces || record.holds(now) {
            self.save(&record, now).await;
        }
        record
    }

    /// Notes with a kept policy that it could not be fetched again, and tells the administrator
    /// (RFC 8461 §3.3), for whom `wardpost sts list` has the name.
    async fn blame(
        &self,
        kept: Option<PolicyRecord>,
        problem: &StsProblem,
        purpose: Purpose,
    ) -> Option<PolicyRecord> {
        let mut record = kept?;
        let now = self.now();
        if purpose == Purpose::Refresh && record.policy.mode() != StsMode::None {
            let hours_left = record.ends().saturating_sub(now) / 3_600_000;
            tracing::warn!(hours_left, %problem, "a domain's MTA-STS policy could not be refreshed");
        }
        record.trouble = Some(Trouble { at: now, text: problem.to_string() });
        self.save(&record, now).await;
        Some(record)
    }

    async fn save(&self, record: &PolicyRecord, now: u64) {
        match self.shelf.keep(record, now).await {
            Ok(Kept::Yes) => {}
            Ok(Kept::NoRoom) => {
                tracing::warn!("there is no room to keep one more domain's MTA-STS policy");
            }
            Err(error) => tracing::warn!(%error, "a domain's MTA-STS policy could not be kept"),
        }
    }
}

fn facts(record: Option<PolicyRecord>, problem: Option<StsProblem>, now: u64) -> StsFacts {
    let policy = record.map(|record| (record.policy.clone(), record.age(now)));
    StsFacts { policy, problem }
}

fn problem(error: HttpsError) -> StsProblem {
    match error {
        HttpsError::Certificate(reason) => StsProblem::Certificate(reason),
        HttpsError::TooLarge => StsProblem::Invalid(StsError::TooLong),
        other => StsProblem::Fetch(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAYS: u64 = 24 * 3_600_000;

    #[test]
    fn what_is_due() {
        let due = |purpose: Purpose, now, lasts| purpose.is_due(now, 0, lasts);
        let (delivery, refresh) = (Purpose::Delivery, Purpose::Refresh);
        // A year: refreshed daily; a delivery looks again in the last two days.
        assert!(!due(refresh, DAYS - 1, 365 * DAYS) && due(refresh, DAYS, 365 * DAYS));
        assert!(!due(delivery, 363 * DAYS - 1, 365 * DAYS));
        assert!(due(delivery, 363 * DAYS, 365 * DAYS));
        // A day: half of it, and its last quarter.
        assert!(!due(refresh, DAYS / 2 - 1, DAYS) && due(refresh, DAYS / 2, DAYS));
        assert!(!due(delivery, DAYS / 4 * 3 - 1, DAYS) && due(delivery, DAYS / 4 * 3, DAYS));
        // The clock was set back: nothing is due because of that.
        assert!(!refresh.is_due(0, 10 * DAYS, 20 * DAYS));
    }
}
