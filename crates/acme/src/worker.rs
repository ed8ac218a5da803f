//! The task that looks after the certificate.

use crate::AcmeError;
use crate::authority::{Authority, unix};
use crate::kept::Kept;
use crate::metrics::Metrics;
use crate::order::Proofs;
use crate::parts::{Parts, Settings, Wish};
use crate::records::{CertificateRecord, Progress, Records};
use crate::schedule;
use crate::status::Status;
use crate::trouble::Kind;
use axum::Router;
use parking_lot::Mutex;
use prometheus::Registry;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use wardpost_dns::DnsError;
use wardpost_mail::{Domain, Secret};
use wardpost_net::{Challenges, OwnKey};
use wardpost_publish::Readiness;

/// How often we look whether there is something to do.
const TICK: Duration = Duration::from_secs(60);
/// How often we look which names lead to us.
const LOOK_AT_NAMES: i64 = 600;
/// Most names in a certificate: what public authorities allow.
const MAX_NAMES: usize = 100;

pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) parts: Parts,
    pub(crate) records: Records,
    pub(crate) authority: Authority,
    pub(crate) proofs: Proofs,
    pub(crate) metrics: Metrics,
    /// Held by whoever talks to the authority.
    pub(crate) attempting: tokio::sync::Mutex<()>,
    pub(crate) state: Mutex<State>,
}

/// What is known, as it is in the store.
pub(crate) struct State {
    pub(crate) progress: Progress,
    pub(crate) kept: Option<Kept>,
    /// That certificate, if it could not be written to the store yet.
    pub(crate) unkept: Option<CertificateRecord>,
    /// When this process got it.
    pub(crate) got: Option<Instant>,
    /// When certificates were issued lately that somebody had asked for.
    pub(crate) asked: Vec<i64>,
    pub(crate) working: bool,
    /// Names besides the host's that lead to us as far as is known (those in the certificate until we looked), and
    /// whether the DNS said so when we looked last. Only those are worth an order of their own: of the others
    /// the authority, too, would hear nothing.
    others: Vec<(Domain, bool)>,
    looked: i64,
}

/// Looks after the certificate. Clones share everything.
#[derive(Clone)]
pub struct Acme(pub(crate) Arc<Inner>);

impl fmt::Debug for Acme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Acme(..)")
    }
}

impl Acme {
    /// Takes up what is kept.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn open(settings: Settings, parts: Parts) -> Result<Self, AcmeError> {
        let records = Records::of(&parts.store);
        let kept = records.certificate()?.as_ref().and_then(Kept::of);
        let others = kept.as_ref().map(|kept| kept.others(&settings.host)).unwrap_or_default();
        let state = State {
            progress: records.progress()?,
            kept,
            unkept: None,
            got: None,
            asked: records.asked()?,
            working: false,
            others: others.into_iter().map(|name| (name, false)).collect(),
            looked: i64::MIN,
        };
        let authority = Authority::new(parts.https.clone(), Arc::clone(&parts.resolver));
        Ok(Self(Arc::new(Inner {
            settings,
            parts,
            records,
            authority,
            proofs: Proofs::default(),
            metrics: Metrics::new()?,
            attempting: tokio::sync::Mutex::new(()),
            state: Mutex::new(state),
        })))
    }

    /// The pages that the authority asks for on port 80.
    pub fn http_router(&self) -> Router {
        self.0.proofs.http.router()
    }

    /// What the authority asks in handshakes on port 443: for [`wardpost_net::ServerTls::answering`].
    pub fn challenges(&self) -> &Challenges {
        &self.0.proofs.tls
    }

    /// Registers the counters.
    ///
    /// # Errors
    /// When a metric of that name is registered already.
    pub fn register(&self, registry: &Registry) -> Result<(), AcmeError> {
        self.0.metrics.register(registry)
    }

    /// How things stand.
    pub fn status(&self) -> Status {
        let (settings, now) = (&self.0.settings, now());
        let state = self.0.state.lock();
        // One that is kept and not shown yet is none for those who ask.
        let shown = self.0.parts.tls.certificate();
        let is_used = |kept: &&Kept| kept.facts == shown && kept.is_good(&settings.host, now);
        let kept = state.kept.as_ref().filter(is_used);
        Status {
            directory: settings.directory.clone(),
            since: kept.map(|kept| kept.since),
            ends: kept.map(|kept| kept.facts.not_after),
            renewal: kept.map(|kept| {
                let renewal = renewal(kept, &state.progress);
                if state.is_fresh(kept, now) {
                    renewal.max(state.fresh_until(kept, now))
                } else {
                    renewal
                }
            }),
            working: state.working,
            failures: state.progress.failures,
            last_failure: state.progress.last_failure.clone(),
            next_try: state.progress.next_try,
            left_out: state.progress.left_out.clone(),
            refused: None,
        }
    }

    /// Looks after the certificate, until it is aborted. The ports on which names are proven must be
    /// served by then.
    pub async fn run(self) {
        loop {
            if let Err(error) = self.tick().await {
                tracing::error!(%error, "acme: certificates could not be looked after");
            }
            tokio::time::sleep(self.until_next_tick()).await;
        }
    }

    /// A certificate that has ended is not shown for another minute.
    fn until_next_tick(&self) -> Duration {
        let ends = self.status().ends.map_or(i64::MAX, |ends| ends.saturating_sub(now()));
        TICK.min(Duration::from_secs(u64::try_from(ends).unwrap_or(0).max(1)))
    }

    /// Orders a certificate now, whether or not it is time. An authority that has asked us to wait is not
    /// asked before that is over, and none more than a few times a day.
    pub async fn renew(&self, wish: Wish) -> Status {
        let this = self.clone();
        // Goes on to its end even if whoever asked goes away.
        let attempt = tokio::spawn(async move {
            if this.progress().waits_for(Kind::RateLimited, now()) {
                return None;
            }
            this.0.state.lock().looked = i64::MIN;
            this.look_at_names().await;
            this.attempt(Some(wish)).await
        });
        let refused = attempt.await.unwrap_or_else(|_| {
            tracing::error!("acme: an attempt ended before its time");
            None
        });
        Status { refused, ..self.status() }
    }

    pub(crate) async fn tick(&self) -> Result<(), AcmeError> {
        self.keep_again().await;
        self.show_what_is_good().await?;
        self.look_at_names().await;
        let now = now();
        // What the authority says now may make it due.
        self.ask_window(now).await;
        if self.may_be_due(now)
            && (schedule::may_try(self.progress().next_try, now) || self.leads_here_now().await)
        {
            self.attempt(None).await;
        }
        self.standing();
        Ok(())
    }

    /// Whether the host's name leads somewhere that led nowhere when it failed: somebody has made the record.
    async fn leads_here_now(&self) -> bool {
        let (progress, host) = (self.progress(), &self.0.settings.host);
        progress.leads_nowhere && !self.leads_nowhere(host).await
    }

    /// Whether the DNS is sure that a name has no address.
    pub(crate) async fn leads_nowhere(&self, name: &Domain) -> bool {
        match self.0.parts.resolver.addresses(name).await {
            Ok(found) => found.value.is_empty(),
            Err(DnsError::NoSuchDomain) => true,
            // Silence proves nothing.
            Err(_) => false,
        }
    }

    /// The kept certificate while it is good, and else the self-signed one.
    async fn show_what_is_good(&self) -> Result<(), AcmeError> {
        let (tls, host) = (&self.0.parts.tls, &self.0.settings.host);
        let good = self.kept().filter(|kept| kept.is_good(host, now()));
        match good {
            Some(kept) if tls.certificate() == kept.facts => Ok(()),
            // It was tried just now.
            Some(_) if self.0.state.lock().unkept.is_some() => Ok(()),
            Some(_) => {
                let records = self.0.records.clone();
                match blocking(move || records.certificate()).await? {
                    Some(record) => self.install(record).await,
                    None => Ok(()),
                }
            }
            None if tls.is_self_signed() => Ok(()),
            None => {
                tracing::error!("acme: the certificate has ended; what we show now is self-signed");
                let tls = tls.clone();
                blocking(move || Ok(tls.fall_back()?)).await
            }
        }
    }

    /// Uses a certificate, and notes its key.
    pub(crate) async fn install(&self, record: CertificateRecord) -> Result<(), AcmeError> {
        let key = OwnKey::from_pkcs8(&Secret::new(record.pkcs8.clone()))?;
        let public_key = key.public_key_info();
        // One that is neither in use nor comes next is from before somebody used another key.
        if !self.0.parts.keys.is_current_or_next(&public_key) {
            return Ok(());
        }
        let tls = self.0.parts.tls.clone();
        blocking(move || Ok(tls.install(&record.chain, &key)?)).await?;
        self.0.parts.keys.observe(&public_key, SystemTime::now()).await?;
        Ok(())
    }

    pub(crate) async fn look_at_names(&self) {
        let now = now();
        let looked = self.0.state.lock().looked;
        if (looked..looked.saturating_add(LOOK_AT_NAMES)).contains(&now) {
            return;
        }
        let mut found = self.0.parts.names.others().await;
        found.retain(|(name, _)| *name != self.0.settings.host);
        let mut state = self.0.state.lock();
        // Silence proves nothing: a name that was known stays, and we look again at the next tick.
        if found.iter().all(|(_, leads)| leads.is_some()) {
            state.looked = now;
        }
        let is_known = |name: &Domain| state.others.iter().any(|(known, _)| known == name);
        found.retain(|(name, leads)| leads.unwrap_or_else(|| is_known(name)));
        found.truncate(MAX_NAMES - 1);
        state.others = found.into_iter().map(|(name, leads)| (name, leads.is_some())).collect();
    }

    /// Whether there is a reason to ask for a certificate.
    pub(crate) fn may_be_due(&self, now: i64) -> bool {
        let (host, state) = (&self.0.settings.host, self.0.state.lock());
        let Some(kept) = &state.kept else { return true };
        // It is in use, though it could not be written down yet: another would fare no better.
        if state.unkept.is_some() && kept.is_good(host, now) {
            return false;
        }
        if kept.directory != self.0.settings.directory
            || !kept.facts.covers(host)
            || self.wants_another_key(kept)
        {
            return schedule::may_order(&state.progress.issued, now);
        }
        let old = !kept.is_good(host, now)
            || self.0.parts.tls.is_self_signed()
            || renewal(kept, &state.progress) <= now;
        (old && !state.is_fresh(kept, now))
            || (schedule::may_add(&state.progress.issued, now)
                && state.others.iter().any(|(name, leads)| {
                    *leads && !kept.facts.covers(name) && !state.progress.leaves_out(name, now)
                }))
    }

    /// Whether the certificate is for a key that has gone, or the next one may be used.
    fn wants_another_key(&self, kept: &Kept) -> bool {
        let (keys, own) = (&self.0.parts.keys, &kept.facts.public_key_info);
        let is_other = |next: OwnKey| next.public_key_info() != *own;
        !keys.is_current_or_next(own)
            || (keys.readiness(SystemTime::now()) == Readiness::Ready
                && keys.next_key().ok().flatten().is_some_and(is_other))
    }

    pub(crate) fn progress(&self) -> Progress {
        self.0.state.lock().progress.clone()
    }

    pub(crate) fn kept(&self) -> Option<Kept> {
        self.0.state.lock().kept.clone()
    }

    pub(crate) fn others(&self) -> Vec<Domain> {
        self.0.state.lock().others.iter().map(|(name, _)| name.clone()).collect()
    }

    pub(crate) fn set(&self, progress: &Progress, kept: Option<Kept>) {
        let mut state = self.0.state.lock();
        state.progress = progress.clone();
        if kept.is_some() {
            state.kept = kept;
        }
    }

    pub(crate) fn standing(&self) {
        let status = self.status();
        let next = [status.next_try, status.renewal].into_iter().flatten().min();
        self.0.metrics.standing(next.unwrap_or_default(), status.left_out.len());
    }
}

impl State {
    /// Until when the certificate is not renewed unasked.
    fn fresh_until(&self, kept: &Kept, now: i64) -> i64 {
        kept.since.saturating_add(self.fresh_for(kept, now))
    }

    fn fresh_for(&self, kept: &Kept, now: i64) -> i64 {
        let life = kept.facts.not_after.saturating_sub(kept.facts.not_before).max(0);
        schedule::fresh_for(life, &self.progress.issued, now)
    }

    /// Whether we have only just got the certificate: by the clock, and by one that nobody sets.
    fn is_fresh(&self, kept: &Kept, now: i64) -> bool {
        let fresh_for = self.fresh_for(kept, now);
        let span = Duration::from_secs(u64::try_from(fresh_for).unwrap_or(0));
        (kept.since..self.fresh_until(kept, now)).contains(&now)
            || self.got.is_some_and(|got| got.elapsed() < span)
    }
}

fn renewal(kept: &Kept, progress: &Progress) -> i64 {
    schedule::renewal(kept.facts.not_before, kept.facts.not_after, progress.window)
}

pub(crate) fn now() -> i64 {
    unix(SystemTime::now())
}

/// Runs what touches the disk off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AcmeError> + Send + 'static,
) -> Result<T, AcmeError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
