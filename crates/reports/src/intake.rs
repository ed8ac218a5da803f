//! Taking in reports about us: from a mail that was judged to a record.
//!
//! A mail to one of the report addresses is opened, its report unpacked and parsed within bounds
//! ([`crate::MAX_REPORT`]), cut to what is shown and kept for [`KEPT_DAYS`] days; the mail itself is not
//! kept. One that holds no readable report, or none about us, is refused: nothing of it would remain,
//! and the sending server tells its owner. Nobody is ever answered by mail.
//!
//! RFC 8460 §3 wants a TLS report signed by its reporter. What is not is kept, told apart and counted
//! nowhere else, since it may be anybody's invention.

use crate::layout::{self, DAY};
use crate::received::{DmarcReceived, Origin, TlsReceived, failure_word, text};
use crate::{Reports, aggregate, tally};
use serde::Serialize;
use std::sync::atomic::{AtomicUsize, Ordering};
use thiserror::Error;
use wardpost_mail::Domain;
use wardpost_message::headers;
use wardpost_message::report::{Mail, ReportKind, TlsReport, UnpackError};
use wardpost_store::{Batch, Column, CommitError, Committed, Store, StoreError};

/// Days that a report is kept after the end of its period.
pub const KEPT_DAYS: u32 = 90;
/// Reports of one reporter and day.
const PER_SUBMITTER: usize = 50;
/// Longest record of one report, in octets: they are bounded in number, and so in all.
const MAX_KEPT: usize = 128 * 1024;
/// Reports of one kind whose sender is proven; beyond, the oldest goes.
const MAX_TRUSTED: usize = 5_000;
/// The same for those whose sender is not.
const MAX_DOUBTFUL: usize = 1_000;

/// A mail to a report address.
#[derive(Debug, Clone, Copy)]
pub struct Arrived<'a> {
    /// Which kind of report it was addressed as.
    pub kind: ReportKind,
    /// The whole mail.
    pub message: &'a [u8],
    /// Domains whose DKIM signature on it verifies.
    pub signed_by: &'a [Domain],
    /// DMARC passed for its From.
    pub dmarc_passed: bool,
    /// The domains we serve.
    pub ours: &'a [Domain],
}

/// Why a report was not taken.
#[derive(Debug, Error)]
pub enum IntakeError {
    /// The mail holds no report that can be read.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// What it holds is no report.
    #[error("no report of the kind that is taken at this address")]
    Form,
    /// It is about domains that are not ours.
    #[error("the report is about none of our domains")]
    NotOurs,
    /// Its period is long past, or to come, or no period.
    #[error("the report is not for one of the last 90 days")]
    Period,
    /// There are many already.
    #[error("there are too many reports of that day from this reporter")]
    TooMany,
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store cannot write.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl IntakeError {
    /// Whether trying again later may help.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Commit(_))
    }

    fn outcome(&self) -> &'static str {
        match self {
            Self::Unpack(_) | Self::Form => "unreadable",
            Self::NotOurs | Self::Period => "not_ours",
            Self::TooMany => "too_many",
            Self::Store(_) | Self::Commit(_) => "failed",
        }
    }
}

/// A report, cut to what is kept.
enum Kept {
    Tls(TlsReceived),
    Dmarc(DmarcReceived),
}

/// How many reports are kept.
#[derive(Debug, Default)]
pub(crate) struct KeptCounts([AtomicUsize; 4]);

impl KeptCounts {
    pub(crate) fn read(store: &Store) -> Result<Self, StoreError> {
        let counts = Self::default();
        for kind in [ReportKind::Tls, ReportKind::Dmarc] {
            for trusted in [false, true] {
                let prefix = layout::received_prefix(kind, trusted);
                store.for_each(Column::Report, &prefix, &mut |_, _| {
                    counts.of(kind, trusted).fetch_add(1, Ordering::Relaxed);
                    std::ops::ControlFlow::Continue(())
                })?;
            }
        }
        Ok(counts)
    }

    fn of(&self, kind: ReportKind, trusted: bool) -> &AtomicUsize {
        &self.0[2 * (kind as usize) + usize::from(trusted)]
    }
}

impl Reports {
    /// Takes in a report. When this returns it is synced to disk, and 250 may be said.
    ///
    /// # Errors
    /// [`IntakeError`]; nothing was kept then.
    pub async fn take_in(&self, arrived: Arrived<'_>) -> Result<Committed, IntakeError> {
        let kind = arrived.kind;
        let taken = self.keep_report(arrived).await;
        if let Err(error) = &taken {
            self.0.metrics.came(kind, error.outcome());
        }
        taken
    }

    async fn keep_report(&self, arrived: Arrived<'_>) -> Result<Committed, IntakeError> {
        // Two mails at a time: opening one may take tens of megabytes.
        let _place = self.0.opening.acquire().await;
        let now = self.now();
        let kept = blocking(|| open(&arrived, now))?;
        match kept {
            Kept::Tls(report) => {
                let committed = self.keep(ReportKind::Tls, &report.origin, &report).await?;
                if committed.1 && report.origin.trusted {
                    self.count_tls(&report);
                }
                Ok(committed.0)
            }
            Kept::Dmarc(report) => {
                let committed = self.keep(ReportKind::Dmarc, &report.origin, &report).await?;
                if committed.1 && report.origin.trusted {
                    let (pass, fail) = report.totals();
                    self.0.metrics.messages.with_label_values(&["pass"]).inc_by(pass);
                    self.0.metrics.messages.with_label_values(&["fail"]).inc_by(fail);
                }
                Ok(committed.0)
            }
        }
    }

    /// Writes a report down; says whether it is new. One that was here before is written once more,
    /// which is as good a proof.
    async fn keep<T: Serialize>(
        &self,
        kind: ReportKind,
        origin: &Origin,
        report: &T,
    ) -> Result<(Committed, bool), IntakeError> {
        let value = layout::encode(report);
        if value.len() > MAX_KEPT {
            return Err(IntakeError::Unpack(UnpackError::TooLarge));
        }
        let store = &self.0.store;
        let day = tally::day(origin.end);
        let prefix = layout::submitter_prefix(store, kind, origin.trusted, day, &origin.submitter);
        let name = store.name_key(
            Column::Report,
            &[b"report", origin.id.as_bytes(), &origin.begin.to_be_bytes()],
        );
        let key = [prefix.as_slice(), &name[..8]].concat();
        // One after the other, so that what is counted is what is on the disk.
        let _turn = self.0.keeping.lock().await;
        let is_new = store.get(Column::Report, &key)?.is_none();
        let mut batch = Batch::new();
        if is_new {
            if store.scan(Column::Report, &prefix, None, PER_SUBMITTER)?.len() >= PER_SUBMITTER {
                return Err(IntakeError::TooMany);
            }
            self.make_room(kind, origin.trusted, &mut batch)?;
        }
        batch.put(Column::Report, key, value);
        let committed = store.commit(batch).await?;
        if is_new {
            self.0.kept.of(kind, origin.trusted).fetch_add(1, Ordering::Relaxed);
        }
        let outcome = match (is_new, origin.trusted) {
            (false, _) => "repeated",
            (true, true) => "taken",
            (true, false) => "unproven",
        };
        self.0.metrics.came(kind, outcome);
        Ok((committed, is_new))
    }

    /// Removes the oldest report when there are too many.
    fn make_room(
        &self,
        kind: ReportKind,
        trusted: bool,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let most = if trusted { MAX_TRUSTED } else { MAX_DOUBTFUL };
        if self.0.kept.of(kind, trusted).load(Ordering::Relaxed) < most {
            return Ok(());
        }
        let prefix = layout::received_prefix(kind, trusted);
        let oldest = self.0.store.scan(Column::Report, &prefix, None, 1)?;
        for (key, _) in oldest {
            batch.delete(Column::Report, key);
            self.0.kept.of(kind, trusted).fetch_sub(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn count_tls(&self, report: &TlsReceived) {
        let metrics = &self.0.metrics;
        for policy in &report.policies {
            metrics.sessions.with_label_values(&["success"]).inc_by(policy.success);
            metrics.sessions.with_label_values(&["failure"]).inc_by(policy.failure);
            for failure in &policy.failures {
                let kind = failure_word(&failure.kind);
                metrics.failures.with_label_values(&[kind]).inc_by(failure.count);
            }
        }
    }

    /// Removes reports whose time is over.
    pub(crate) async fn expire_received(&self) -> Result<(), IntakeError> {
        let _turn = self.0.keeping.lock().await;
        let oldest = tally::day(self.now()).saturating_sub(KEPT_DAYS);
        let mut batch = Batch::new();
        for kind in [ReportKind::Tls, ReportKind::Dmarc] {
            for trusted in [false, true] {
                let prefix = layout::received_prefix(kind, trusted);
                self.0.store.for_each(Column::Report, &prefix, &mut |key, _| {
                    if layout::received_day(key).is_some_and(|day| day >= oldest) {
                        return std::ops::ControlFlow::Break(());
                    }
                    batch.delete(Column::Report, key);
                    self.0.kept.of(kind, trusted).fetch_sub(1, Ordering::Relaxed);
                    std::ops::ControlFlow::Continue(())
                })?;
            }
        }
        if !batch.is_empty() {
            self.0.store.commit(batch).await?;
        }
        Ok(())
    }

    /// TLS reports whose period ended in the last `days` days, the latest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn tls_received(&self, days: u32) -> Result<Vec<TlsReceived>, StoreError> {
        let mut found: Vec<TlsReceived> = self.received(ReportKind::Tls, days)?;
        found.sort_by_key(|report| std::cmp::Reverse(report.origin.end));
        Ok(found)
    }

    /// DMARC reports whose period ended in the last `days` days, the latest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn dmarc_received(&self, days: u32) -> Result<Vec<DmarcReceived>, StoreError> {
        let mut found: Vec<DmarcReceived> = self.received(ReportKind::Dmarc, days)?;
        found.sort_by_key(|report| std::cmp::Reverse(report.origin.end));
        Ok(found)
    }

    fn received<T: serde::de::DeserializeOwned>(
        &self,
        kind: ReportKind,
        days: u32,
    ) -> Result<Vec<T>, StoreError> {
        let oldest = tally::day(self.now()).saturating_sub(days);
        let mut found = Vec::new();
        for trusted in [true, false] {
            let prefix = layout::received_prefix(kind, trusted);
            self.0.store.for_each(Column::Report, &prefix, &mut |key, value| {
                if layout::received_day(key).is_some_and(|day| day >= oldest) {
                    match layout::decode(&value) {
                        Ok(report) => found.push(report),
                        Err(error) => tracing::error!(%error, "a received report cannot be read"),
                    }
                }
                std::ops::ControlFlow::Continue(())
            })?;
        }
        Ok(found)
    }
}

/// From a mail to what is kept of the report in it. Pure: for fuzzing, too.
fn open(arrived: &Arrived<'_>, now: u64) -> Result<Kept, IntakeError> {
    let mail = Mail::parse(arrived.message)?;
    let mut problem = IntakeError::Unpack(UnpackError::None);
    for report in mail.reports(arrived.kind) {
        let opened = report.map_err(IntakeError::from).and_then(|report| match arrived.kind {
            ReportKind::Tls => tls(arrived, &report, now),
            ReportKind::Dmarc => dmarc(arrived, &report, now),
        });
        match opened {
            Ok(kept) => return Ok(kept),
            Err(error) => problem = error,
        }
    }
    Err(problem)
}

fn tls(arrived: &Arrived<'_>, json: &[u8], now: u64) -> Result<Kept, IntakeError> {
    let report = TlsReport::parse(json).map_err(|_| IntakeError::Form)?;
    let named = headers::get(arrived.message, "TLS-Report-Submitter");
    let submitter = named.and_then(|name| Domain::parse(name.trim()).ok());
    let submitter = submitter.or_else(|| author_domain(arrived.message));
    let trusted = submitter.as_ref().is_some_and(|domain| is_signed(arrived, domain));
    let seconds = |time: jiff::Timestamp| u64::try_from(time.as_second()).unwrap_or(0);
    let origin = Origin {
        received: now,
        organization: text(&report.organization_name),
        submitter: submitter.map(|domain| domain.to_string()).unwrap_or_default(),
        trusted,
        id: text(&report.report_id),
        begin: seconds(report.date_range.start_datetime),
        end: seconds(report.date_range.end_datetime),
    };
    check_period(&origin, now)?;
    let kept = TlsReceived::of(origin, report, arrived.ours).ok_or(IntakeError::NotOurs)?;
    Ok(Kept::Tls(kept))
}

fn dmarc(arrived: &Arrived<'_>, xml: &[u8], now: u64) -> Result<Kept, IntakeError> {
    let report = aggregate::parse(xml).map_err(|_| IntakeError::Form)?;
    let submitter = author_domain(arrived.message);
    let signed = submitter.as_ref().is_some_and(|domain| is_signed(arrived, domain));
    let origin = Origin {
        received: now,
        organization: text(report.org_name()),
        submitter: submitter.map(|domain| domain.to_string()).unwrap_or_default(),
        trusted: signed || arrived.dmarc_passed,
        id: text(report.report_id()),
        begin: report.date_range_begin(),
        end: report.date_range_end(),
    };
    check_period(&origin, now)?;
    let kept = DmarcReceived::of(origin, report, arrived.ours).ok_or(IntakeError::NotOurs)?;
    Ok(Kept::Dmarc(kept))
}

/// The domain of the one author a report has.
fn author_domain(message: &[u8]) -> Option<Domain> {
    match headers::authors(message).ok()?.as_slice() {
        [author] => Some(author.domain().clone()),
        _ => None,
    }
}

/// Whether a signature of the domain's, or of one above or below it, verifies.
fn is_signed(arrived: &Arrived<'_>, domain: &Domain) -> bool {
    arrived.signed_by.iter().any(|signer| {
        let above = domain.is_within(signer) && signer.as_str().contains('.');
        above || signer.is_within(domain) && domain.as_str().contains('.')
    })
}

/// A period that ended in the last days, or ends today, and is no longer than two weeks.
fn check_period(origin: &Origin, now: u64) -> Result<(), IntakeError> {
    let kept = u64::from(KEPT_DAYS) * DAY;
    let sound = origin.begin <= origin.end
        && origin.end - origin.begin <= 14 * DAY
        && origin.end <= now.saturating_add(DAY)
        && origin.end >= now.saturating_sub(kept);
    if sound { Ok(()) } else { Err(IntakeError::Period) }
}

/// Runs what takes a while in a way that lets other tasks of this thread move on.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    let movable = Handle::try_current()
        .is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    if movable { tokio::task::block_in_place(work) } else { work() }
}

/// Opens a mail as [`Reports::take_in`] does, without keeping anything: for fuzzing and tests.
///
/// # Errors
/// As there.
pub fn examine(arrived: &Arrived<'_>, now: u64) -> Result<(), IntakeError> {
    open(arrived, now).map(|_| ())
}
