//! The handle: answers, shared searches, upkeep.

use crate::record::{self, length, millis};
use crate::search::{Outcomes, Purpose};
use crate::shelf::Shelf;
use crate::troubles::Troubles;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use thiserror::Error;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use wardpost_dns::Resolver;
use wardpost_mail::Domain;
use wardpost_net::Https;
use wardpost_store::record::RecordError;
use wardpost_store::{Store, StoreError};
use wardpost_verdict::{StsFacts, StsMode, StsPolicy, StsProblem};

/// Fetches at once; more wait their turn.
const FETCHES: usize = 128;
/// Policies that are refreshed at once.
const REFRESHES: usize = 8;
/// A policy that no delivery asked for in this time is not refreshed any more.
const UNUSED: Duration = Duration::from_secs(183 * 24 * 3600);

/// What can be set.
#[derive(Clone)]
pub struct Options {
    /// Policies that are kept; see the crate's documentation for what happens beyond.
    pub most: usize,
    /// How long a fetch may take (RFC 8461 §3.3 suggests a minute).
    pub fetch: Duration,
    /// How long [`Policies::facts`] waits for a search before it answers with what is kept.
    pub patience: Duration,
    /// The port of policy hosts: 443 (RFC 8461 §3.3), save in tests.
    pub port: u16,
    /// The clock.
    pub clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            most: 10_000,
            fetch: Duration::from_secs(60),
            patience: Duration::from_secs(15),
            port: 443,
            clock: Arc::new(SystemTime::now),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("most", &self.most)
            .field("fetch", &self.fetch)
            .field("patience", &self.patience)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// The kept policies cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PoliciesError {
    /// The store failed.
    #[error("the kept MTA-STS policies cannot be read: {0}")]
    Store(#[from] StoreError),
    /// A record is damaged, or of a newer version of the program.
    #[error("a kept MTA-STS policy cannot be read: {0}")]
    Record(#[from] RecordError),
}

/// A policy that is kept, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyView {
    /// Whose it is.
    pub domain: Domain,
    /// The `id` it was announced with.
    pub id: String,
    /// The policy.
    pub policy: StsPolicy,
    /// When it was fetched.
    pub fetched: SystemTime,
    /// When it is over unless it is fetched again.
    pub ends: SystemTime,
    /// When it could not be fetched again, and why; `None` after a fetch that went well.
    pub problem: Option<(SystemTime, String)>,
}

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StsStats {
    /// Policies that hold, by mode.
    pub kept: [(StsMode, u64); 3],
    /// Fetches by outcome: `ok`, or why not in the words of RFC 8460 §4.3.2.2.
    pub fetches: Vec<(&'static str, u64)>,
}

/// Other domains' policies. Clones are handles on the same ones.
#[derive(Clone)]
pub struct Policies {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) resolver: Arc<dyn Resolver>,
    pub(crate) https: Https,
    pub(crate) options: Options,
    pub(crate) shelf: Shelf,
    pub(crate) troubles: Troubles,
    pub(crate) outcomes: Outcomes,
    pub(crate) places: Semaphore,
    /// Searches under way.
    searches: Mutex<HashMap<Domain, watch::Receiver<Option<StsFacts>>>>,
}

impl Policies {
    /// Opens what is kept in `store`. Reads all of it: call this at the start.
    ///
    /// # Errors
    /// See [`PoliciesError`].
    pub fn open(
        store: Store,
        resolver: Arc<dyn Resolver>,
        https: Https,
    ) -> Result<Self, PoliciesError> {
        Self::open_with(store, resolver, https, Options::default())
    }

    /// [`Policies::open`] with options.
    ///
    /// # Errors
    /// See [`PoliciesError`].
    pub fn open_with(
        store: Store,
        resolver: Arc<dyn Resolver>,
        https: Https,
        options: Options,
    ) -> Result<Self, PoliciesError> {
        let shelf = Shelf::open(store, options.most)?;
        let inner = Inner {
            resolver,
            https,
            options,
            shelf,
            troubles: Troubles::default(),
            outcomes: Outcomes::default(),
            places: Semaphore::new(FETCHES),
            searches: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What is known of a mail domain's policy, after looking for news of it (RFC 8461 §3). Waits no
    /// longer than [`Options::patience`]; then a kept policy is the answer, with a problem.
    ///
    /// `domain` is the one in the recipient's address, whatever its MX records say.
    pub async fn facts(&self, domain: &Domain) -> StsFacts {
        let mut answer = self.search(domain, Purpose::Delivery);
        let answered = answer.wait_for(Option::is_some);
        match tokio::time::timeout(self.inner.options.patience, answered).await {
            Ok(Ok(found)) => found.clone().unwrap_or_default(),
            // Too late; or the search broke, which only a panic can do.
            _ => self.inner.meanwhile(domain),
        }
    }

    /// Deletes policies whose time is over and fetches again those that were not fetched for a day
    /// or are near their end, so that whoever blocks DNS or a policy host must do so for as long as
    /// a policy lasts (RFC 8461 §10.2). Call it every hour or so. Says how many were tried.
    pub async fn refresh(&self) -> usize {
        let now = self.inner.now();
        match self.inner.shelf.purge(now).await {
            Ok(0) => {}
            Ok(over) => tracing::info!(over, "MTA-STS policies ended and were deleted"),
            Err(error) => tracing::warn!(%error, "ended MTA-STS policies could not be deleted"),
        }
        let due = self.inner.shelf.select(|brief| {
            brief.mode != StsMode::None
                && Purpose::Refresh.is_due(now, brief.fetched, brief.ends)
                && now.saturating_sub(brief.used) < length(UNUSED)
        });
        let tried = due.len();
        let mut running = JoinSet::new();
        for key in due {
            if running.len() >= REFRESHES {
                // A search does not fail, and a panic in one is no reason to leave out the others.
                let _ = running.join_next().await;
            }
            match self.inner.shelf.read_key(&key) {
                Ok(Some(record)) => {
                    let mut answer = self.search(&record.domain, Purpose::Refresh);
                    running.spawn(async move { _ = answer.wait_for(Option::is_some).await });
                }
                Ok(None) => {}
                Err(error) => tracing::error!(%error, "a policy could not be refreshed"),
            }
        }
        while running.join_next().await.is_some() {}
        tried
    }

    /// All policies that are kept and hold, by domain. Reads the disk.
    ///
    /// # Errors
    /// See [`PoliciesError`].
    pub fn list(&self) -> Result<Vec<PolicyView>, PoliciesError> {
        let now = self.inner.now();
        let all = self.inner.shelf.all()?.into_iter();
        Ok(all.filter(|record| record.holds(now)).map(PolicyView::from).collect())
    }

    /// What is counted.
    pub fn stats(&self) -> StsStats {
        let now = self.inner.now();
        let modes = [StsMode::Enforce, StsMode::Testing, StsMode::None];
        StsStats {
            kept: modes.map(|mode| (mode, self.inner.shelf.count(mode, now))),
            fetches: self.inner.outcomes.counts(),
        }
    }

    /// Joins the search for a domain that is under way, or begins one, which then runs on its own.
    fn search(&self, domain: &Domain, purpose: Purpose) -> watch::Receiver<Option<StsFacts>> {
        let mut searches = self.inner.searches.lock();
        if let Some(answer) = searches.get(domain) {
            return answer.clone();
        }
        let (tell, answer) = watch::channel(None);
        searches.insert(domain.clone(), answer.clone());
        drop(searches);
        let (inner, domain) = (Arc::clone(&self.inner), domain.clone());
        tokio::spawn(async move {
            let under_way = UnderWay { inner: &inner, domain: &domain };
            let facts = inner.look(&domain, purpose).await;
            tell.send_replace(Some(facts));
            drop(under_way);
        });
        answer
    }
}

/// A search's place among those under way, given back however it ends.
struct UnderWay<'a> {
    inner: &'a Inner,
    domain: &'a Domain,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.inner.searches.lock().remove(self.domain);
    }
}

impl Inner {
    pub(crate) fn now(&self) -> u64 {
        millis((self.options.clock)())
    }

    /// The answer while a search takes its time.
    fn meanwhile(&self, domain: &Domain) -> StsFacts {
        let now = self.now();
        let kept = self.shelf.read(domain).ok().flatten().filter(|record| record.holds(now));
        let seconds = self.options.patience.as_secs();
        StsFacts {
            policy: kept.map(|record| (record.policy.clone(), record.age(now))),
            problem: Some(StsProblem::Fetch(format!("no answer within {seconds} seconds"))),
        }
    }
}

impl From<record::PolicyRecord> for PolicyView {
    fn from(record: record::PolicyRecord) -> Self {
        let problem = record.trouble.as_ref();
        Self {
            fetched: record::time(record.fetched),
            ends: record::time(record.ends()),
            problem: problem.map(|trouble| (record::time(trouble.at), trouble.text.clone())),
            domain: record.domain,
            id: record.id,
            policy: record.policy,
        }
    }
}
