//! Reports between mail servers: TLS-RPT (RFC 8460) and DMARC aggregate reports (RFC 7489 §7.2, RFC 9990),
//! out and in.
//!
//! # Out
//! The courier tells of every TLS session it judged ([`Reports::record_tls`]), port 25 of every message
//! judged under a DMARC policy ([`Reports::record_dmarc`]). Counts are kept in memory and written to the
//! store once a minute and at the end ([`Reports::flush`]), so a crash loses the last minute's. When a UTC
//! day is over, at a moment within the next four hours that is each domain's own (RFC 8460 §4.1),
//! [`Reports::tick`] asks DNS whether and where the domain wants a report; only then is it made. Counts
//! of domains that want none are deleted at that time.
//!
//! Making a report and deleting its counts is one commit; putting its mail into the queue and deleting the
//! report is another, which the program carries out ([`Post::mail`]). So a mail is sent once, whatever
//! crashes. A POST that was answered while we crashed is repeated under the same report-id. What cannot
//! be sent is tried again for a day (RFC 8460 §5.5).
//!
//! # In
//! [`Reports::take_in`] opens a mail to one of the report addresses, within bounds, and keeps what
//! the report in it says about our domains for 90 days. Reports that are not proven to come from their
//! reporter are kept apart and counted nowhere.
//!
//! # Privacy
//! Neither kind holds anybody's address, a subject or an identifier of a message: domains, addresses of
//! servers, and counts. All of it lies sealed in the store; its layout is in `layout`.
//!
//! # Left out on purpose
//! Failure reports on single messages (`ruf`): they would carry patients' mail to strangers. The
//! `ri` of DMARC: reports are daily (RFC 9990 did away with it).

mod aggregate;
mod dmarc;
mod intake;
mod layout;
mod letter;
mod metrics;
mod received;
mod rua;
mod send;
mod show;
mod tally;
mod tls;
mod tlsrpt;

pub use dmarc::{
    Asked, Disposition, DkimSeen, DmarcResult, DmarcRow, MAX_SIGNATURES, Outcome, Published,
    SpfSeen,
};
pub use intake::{Arrived, IntakeError, KEPT_DAYS, examine};
pub use metrics::Metrics;
pub use received::{DmarcReceived, FailureSeen, Origin, PolicySeen, SourceSeen, TlsReceived};
pub use rua::{Destination, tls_record};
pub use send::{Letter, Post, PostError, SentNow};
pub use show::{
    DmarcReporter, DmarcSource, DmarcView, FailureView, ServerView, TlsReporter, TlsView, advice,
};
pub use tls::{PolicyFound, TlsResult};
pub use wardpost_message::report::{MAX_REPORT, ReportKind, TlsReport, UnpackError};

use intake::KeptCounts;
use layout::{DmarcDay, Meta, TlsDay};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tally::{Counted, Tally};
use thiserror::Error;
use tokio::sync::Semaphore;
use wardpost_mail::{Address, Domain};
use wardpost_store::record::RecordError;
use wardpost_store::{Batch, Column, CommitError, Store, StoreError};

/// Mails with reports that are opened at once.
const OPENINGS: usize = 2;

/// Who we are.
#[derive(Clone)]
pub struct Settings {
    /// Our domain: the submitter of reports, whose key signs them.
    pub domain: Domain,
    /// Our name in reports.
    pub organization: String,
    /// Whom reports come from, and whom to ask about them; no person's address.
    pub contact: Address,
    /// The clock.
    pub clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("domain", &self.domain).finish_non_exhaustive()
    }
}

/// Reports could not be opened or written.
#[derive(Debug, Error)]
pub enum ReportsError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store cannot write.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// A record is of another version, or damaged.
    #[error("reports: {0}")]
    Record(#[from] RecordError),
}

/// All that is counted for reports and told by reports. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Reports(Arc<Inner>);

struct Inner {
    store: Store,
    settings: Settings,
    metrics: Metrics,
    tally: Mutex<Tally>,
    /// Reports that are yet to be sent, and when each is due, Unix seconds.
    outgoing: Mutex<BTreeMap<[u8; 16], u64>>,
    /// Held while reports are made and sent, so that none is made or sent twice.
    making: tokio::sync::Mutex<()>,
    /// Held while a received report is written down.
    keeping: tokio::sync::Mutex<()>,
    opening: Semaphore,
    kept: KeptCounts,
}

impl Reports {
    /// Reads what lies in the store.
    ///
    /// # Errors
    /// When the store cannot be read, or a record is of another version.
    pub fn open(store: Store, settings: Settings) -> Result<Self, ReportsError> {
        let (tally, outgoing) = read(&store)?;
        let kept = KeptCounts::read(&store)?;
        Ok(Self(Arc::new(Inner {
            store,
            settings,
            metrics: Metrics::new(),
            tally: Mutex::new(tally),
            outgoing: Mutex::new(outgoing),
            making: tokio::sync::Mutex::new(()),
            keeping: tokio::sync::Mutex::new(()),
            opening: Semaphore::new(OPENINGS),
            kept,
        })))
    }

    /// What is counted; register it with [`Metrics::register`].
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Counts a TLS session with another domain's server. Never waits for the disk.
    ///
    /// Sessions that carry reports are not to be told of (RFC 8460 §3), or two servers would report to
    /// each other for ever.
    pub fn record_tls(&self, result: &TlsResult<'_>) {
        if self.0.tally.lock().tls(self.now(), result) == Counted::TooMany {
            self.0.metrics.uncounted.inc();
        }
    }

    /// Counts a message that was judged under a DMARC policy. Never waits for the disk.
    pub fn record_dmarc(&self, result: DmarcResult) {
        if self.0.tally.lock().dmarc(self.now(), result) == Counted::TooMany {
            self.0.metrics.uncounted.inc();
        }
    }

    /// Writes to the store what was counted since the last time.
    ///
    /// # Errors
    /// When the store cannot write; the counts are kept and written next time.
    pub async fn flush(&self) -> Result<(), CommitError> {
        let (ticket, keys) = {
            let mut tally = self.0.tally.lock();
            let keys =
                (std::mem::take(&mut tally.dirty_tls), std::mem::take(&mut tally.dirty_dmarc));
            if keys.0.is_empty() && keys.1.is_empty() {
                return Ok(());
            }
            // Submitted under the lock: whatever is taken out of memory later is deleted later.
            (self.0.store.submit(self.counts(&tally, &keys)), keys)
        };
        let outcome = ticket.await;
        if outcome.is_err() {
            let mut tally = self.0.tally.lock();
            let tally = &mut *tally;
            tally.dirty_tls.extend(keys.0.into_iter().filter(|key| tally.tls.contains_key(key)));
            let known = keys.1.into_iter().filter(|key| tally.dmarc.contains_key(key));
            tally.dirty_dmarc.extend(known);
        }
        outcome.map(|_| ())
    }

    fn counts(&self, tally: &Tally, keys: &Dirty) -> Batch {
        let store = &self.0.store;
        let mut batch = Batch::new();
        for key in &keys.0 {
            if let Some(counts) = tally.tls.get(key) {
                let place = layout::day_key(store, layout::TLS, key.0, &key.1);
                batch.put(Column::Report, place, layout::encode(counts));
            }
        }
        for key in &keys.1 {
            if let Some(counts) = tally.dmarc.get(key) {
                let place = layout::day_key(store, layout::DMARC, key.0, &key.1);
                batch.put(Column::Report, place, layout::encode(counts));
            }
        }
        batch
    }

    /// Unix seconds.
    fn now(&self) -> u64 {
        (self.0.settings.clock)().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    }
}

type Dirty = (std::collections::HashSet<tally::Key>, std::collections::HashSet<tally::Key>);

/// Counts and reports to be sent, as the store has them.
fn read(store: &Store) -> Result<(Tally, BTreeMap<[u8; 16], u64>), ReportsError> {
    let mut tally = Tally::default();
    let mut outgoing = BTreeMap::new();
    if let Some(bytes) = store.get(Column::Report, layout::META)? {
        tally.cut = layout::decode::<Meta>(&bytes)?.cut;
    }
    each(store, layout::TLS, |key, counts: TlsDay| {
        if let Some(day) = layout::day_of(key) {
            tally.put_tls(day, counts);
        }
    })?;
    each(store, layout::DMARC, |key, counts: DmarcDay| {
        if let Some(day) = layout::day_of(key) {
            tally.put_dmarc(day, counts);
        }
    })?;
    each(store, layout::OUTGOING, |key, report: layout::Outgoing| {
        if let Some(id) = key.last_chunk() {
            outgoing.insert(*id, report.due);
        }
    })?;
    Ok((tally, outgoing))
}

/// Reads every record of a prefix.
fn each<T: serde::de::DeserializeOwned>(
    store: &Store,
    prefix: &[u8],
    mut visit: impl FnMut(&[u8], T),
) -> Result<(), ReportsError> {
    let mut outcome = Ok(());
    store.for_each(Column::Report, prefix, &mut |key, value| match layout::decode(&value) {
        Ok(record) => {
            visit(key, record);
            std::ops::ControlFlow::Continue(())
        }
        Err(error) => {
            outcome = Err(error);
            std::ops::ControlFlow::Break(())
        }
    })?;
    Ok(outcome?)
}

#[cfg(test)]
mod tests;
