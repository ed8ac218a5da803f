//! Work: what the courier is handed, and what it hands back.

use crate::queue::Shared;
use crate::{Evidence, Kind, NewItem};
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use wardpost_mail::{AccountId, Domain, Envelope, QueueId, Recipient, Reply};
use wardpost_policy::Route;
use wardpost_store::{Batch, Committed};

/// Recipients of one message that share a domain and a route, leased for one attempt.
///
/// Dropping it without [`crate::Queue::record`] gives the lease back: the recipients are due again
/// after a minute.
#[derive(Debug)]
pub struct Work {
    /// The item.
    pub id: QueueId,
    /// What it is.
    pub kind: Kind,
    /// The account to be told.
    pub sender: Option<AccountId>,
    /// The whole envelope, all recipients included.
    pub envelope: Arc<Envelope>,
    /// When the item was taken.
    pub created: SystemTime,
    /// When its lifetime ends (Will-Retry-Until: RFC 3464 §2.3.9).
    pub expires: SystemTime,
    /// The domain all recipients of this work share.
    pub domain: Domain,
    /// The route all recipients of this work share.
    pub route: Route,
    /// Those to be tried now.
    pub recipients: Vec<WorkRecipient>,
    /// The item's lifetime is over: this attempt is the last. What still fails for now is to be
    /// recorded as [`Outcome::Failed`] and reported (RFC 3463 §3.5, 4.4.7).
    pub expired: bool,
    pub(crate) lease: Lease,
}

/// Gives the lease back when dropped, unless it was recorded.
pub(crate) struct Lease {
    /// `None` once recorded.
    pub(crate) shared: Option<Arc<Shared>>,
    pub(crate) id: QueueId,
    pub(crate) group: usize,
    /// How long the recipients wait after it was given back.
    pub(crate) wait: Duration,
}

impl Lease {
    /// The outcome is recorded; there is nothing to give back.
    pub(crate) fn done(mut self) {
        self.shared = None;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.give_back(self.id, self.group, self.wait);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({}, {})", self.id, self.group)
    }
}

/// One recipient of a [`Work`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkRecipient {
    /// Its place in `envelope.to`.
    pub index: usize,
    /// Who.
    pub recipient: Recipient,
    /// Attempts made before this one.
    pub attempts: u32,
    /// The sender has not yet been told that this one is late, and it is time to (if this attempt
    /// fails for now, and if the recipient's NOTIFY wants it: RFC 3461 §4.1). Say so with
    /// [`Outcome::Deferred`]'s `delay_reported`.
    pub delay_report_due: bool,
}

/// What came of an attempt, for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Handed over. The recipient's end.
    Delivered {
        /// What was seen.
        evidence: Evidence,
    },
    /// Not now.
    Deferred {
        /// What was seen.
        evidence: Evidence,
        /// When to try again; `None` leaves it to the retry schedule.
        until: Option<SystemTime>,
        /// A delay report to the sender is among the follow-ups.
        delay_reported: bool,
    },
    /// Never. The recipient's end; the report is among the follow-ups.
    Failed {
        /// What was seen.
        evidence: Evidence,
        /// What the sender is told.
        reply: Reply,
    },
    /// A parcel was made of it. The recipient's end; the notice is among the follow-ups.
    ToParcel {
        /// What was seen of the path that was not good enough, if one was tried.
        evidence: Evidence,
    },
}

/// All that came of a [`Work`]: outcomes, and what they bring about. One atomic commit.
///
/// Recipients without an outcome are due again after a minute.
#[derive(Default)]
pub struct Record {
    pub(crate) outcomes: Vec<(usize, Outcome)>,
    pub(crate) follow_ups: Vec<NewItem>,
    pub(crate) batch: Batch,
    pub(crate) joined: Option<Join>,
}

/// Commits a batch along with writes of its own; see [`Record::commit_by`].
pub(crate) type Join = Box<dyn FnOnce(Batch) -> Joined + Send>;
/// Such a commit under way.
pub type Joined = Pin<Box<dyn Future<Output = Result<Committed, JoinError>> + Send>>;
/// Why such a commit failed.
pub type JoinError = Box<dyn Error + Send + Sync>;

impl Record {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes the outcome of the recipient at `index` ([`WorkRecipient::index`]); the last one counts.
    pub fn outcome(&mut self, index: usize, outcome: Outcome) -> &mut Self {
        self.outcomes.push((index, outcome));
        self
    }

    /// Adds a new item (a notice, a report) that is queued in the same commit.
    pub fn follow_up(&mut self, item: NewItem) -> &mut Self {
        self.follow_ups.push(item);
        self
    }

    /// Writes of another kind (a parcel's records) that belong into the same commit. If one of their
    /// preconditions fails nothing is written and [`crate::Queue::record`] says so.
    pub fn batch(&mut self) -> &mut Batch {
        &mut self.batch
    }

    /// Has the commit made by `commit`, which is given all that the queue wants written and adds what
    /// can only be numbered at that moment (a delivery to a mailbox). It must write all of it in one
    /// batch, or nothing and say why. The last one given counts.
    pub fn commit_by(
        &mut self,
        commit: impl FnOnce(Batch) -> Joined + Send + 'static,
    ) -> &mut Self {
        self.joined = Some(Box::new(commit));
        self
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("outcomes", &self.outcomes)
            .field("follow_ups", &self.follow_ups.len())
            .field("joined", &self.joined.is_some())
            .finish_non_exhaustive()
    }
}
