//! From fates to what is written down: outcomes, parcels, notices and reports, in one commit.

use crate::courier::Courier;
use crate::fate::{Fate, Word};
use crate::local::unix;
use std::time::{Duration, SystemTime};
use wardpost_directory::Resolution;
use wardpost_mail::{Address, EnhancedStatus, Envelope, QueueId, Reply, ReversePath, TlsGrade};
use wardpost_mailbox::Delivery;
use wardpost_message::dsn::{self, Action, RecipientStatus};
use wardpost_parcel::Created;
use wardpost_policy::Route;
use wardpost_queue::{Evidence, Kind, NewItem, Outcome, Record, Work, WorkRecipient};
use wardpost_verdict::Floor;

/// Octets of parcels made in one commit at most; each recipient's parcel holds the whole message.
const MAX_PARCEL_OCTETS: usize = 128 * 1024 * 1024;

/// How long mail waits for a mailbox here that could not be written.
const LOCAL_WAIT: Duration = Duration::from_secs(60);

/// What the sender is told of one recipient.
struct Told<'w> {
    action: Action,
    to: &'w WorkRecipient,
    reply: Reply,
    host: Option<String>,
    explanation: Option<&'static str>,
}

/// Collects what comes of one attempt.
struct Conclusion<'w> {
    work: &'w Work,
    message: &'w [u8],
    record: Record,
    told: Vec<Told<'w>>,
    /// Whom a parcel was made for, an envelope may name somebody twice; and the parcels, which must
    /// live until the record is committed.
    parcels: Vec<(&'w Address, Created)>,
    /// What is put into mailboxes here by the same commit.
    delivery: Option<Delivery>,
}

/// What came of an attempt, to be committed.
pub(crate) struct Concluded {
    pub(crate) record: Record,
    /// To be counted once the record is committed.
    pub(crate) tally: Vec<Entry>,
    /// They must live until the record is committed.
    pub(crate) parcels: Vec<Created>,
}

/// One recipient's attempt, for metrics and the log.
pub(crate) struct Entry {
    kind: Kind,
    /// The route of a delivery, where it was one.
    delivered_by: Option<&'static str>,
    route: &'static str,
    grade: Option<TlsGrade>,
    age: Duration,
    outcome: &'static str,
}

impl Entry {
    fn of(work: &Work, fate: &Fate) -> Self {
        let route = work.route.name();
        let (delivered_by, outcome) = match fate.word {
            Word::Done { .. } if work.kind == Kind::Notice => (Some("notice"), "delivered"),
            Word::Done { .. } => (Some(route), "delivered"),
            Word::Pickup => (Some("pickup"), "parcel"),
            Word::Later(_) if !work.expired => (None, "deferred"),
            Word::Later(_) | Word::Never(_) => (None, "failed"),
        };
        let age = SystemTime::now().duration_since(work.created).unwrap_or_default();
        Self { kind: work.kind, delivered_by, route, grade: fate.evidence.grade, age, outcome }
    }
}

impl Courier {
    /// Turns the fates of `work`'s recipients into a record for the queue, with the parcels that are
    /// made, and the local delivery that is done, by committing it.
    pub(crate) async fn conclude(
        &self,
        work: &Work,
        message: &[u8],
        fates: Vec<Fate>,
        delivery: Option<Delivery>,
    ) -> Concluded {
        let mut conclusion = Conclusion {
            work,
            message,
            record: Record::new(),
            told: Vec::new(),
            parcels: Vec::new(),
            delivery,
        };
        let mut tally = Vec::new();
        for (to, fate) in work.recipients.iter().zip(fates) {
            let Some(fate) = self.settle_pickup(&mut conclusion, to, fate).await else { continue };
            tally.push(Entry::of(work, &fate));
            conclusion.note(to, fate);
        }
        let Conclusion { mut record, told, parcels, delivery, .. } = conclusion;
        self.report(&mut record, work, message, &told);
        if let Some(delivery) = delivery {
            record
                .commit_by(move |batch| Box::pin(async move { Ok(delivery.commit(batch).await?) }));
        }
        let parcels = parcels.into_iter().map(|(_, created)| created).collect();
        Concluded { record, tally, parcels }
    }

    /// Makes the parcel where one is due; what cannot become a parcel fails or waits. `None` when there
    /// were enough of them for one commit: the recipient is tried again in a minute, its time up or not.
    async fn settle_pickup<'w>(
        &self,
        conclusion: &mut Conclusion<'w>,
        to: &'w WorkRecipient,
        fate: Fate,
    ) -> Option<Fate> {
        if !matches!(fate.word, Word::Pickup) {
            return Some(fate);
        }
        let work = conclusion.work;
        let sender = work.sender.and_then(|sender| self.parts.directory.account(sender));
        let (Kind::Mail, Some(sender)) = (work.kind, sender) else {
            // RFC 5248 X.7.10: encryption needed.
            let text = "no encrypted way to the recipient, and no practice member to answer for it";
            let reply = Reply::new(550, EnhancedStatus::new(5, 7, 10), text);
            return Some(Fate { word: Word::Never(reply), ..fate });
        };
        let recipient = &to.recipient.address;
        if conclusion.parcels.iter().any(|(made_for, _)| *made_for == recipient) {
            return Some(fate);
        }
        let octets = conclusion.message.len().saturating_mul(conclusion.parcels.len());
        if octets > MAX_PARCEL_OCTETS {
            return None;
        }
        let message = conclusion.message;
        Some(match self.make_parcel(&sender, recipient, message).await {
            Ok(made) => {
                conclusion.record.batch().append(made.batch);
                conclusion.record.follow_up(made.notice);
                conclusion.parcels.push((recipient, made.created));
                conclusion.delivery = match (conclusion.delivery.take(), made.code_mail) {
                    (Some(one), Some(other)) => Some(one.and(other)),
                    (one, other) => one.or(other),
                };
                fate
            }
            Err(error) => {
                tracing::warn!(queue_id = %work.id, %error, "no parcel");
                let text = "the pickup page is not available";
                let reply = Reply::new(451, EnhancedStatus::new(4, 3, 0), text);
                Fate { word: Word::Later(reply), ..fate }
            }
        })
    }

    /// Counts an attempt that was recorded.
    pub(crate) fn count(&self, id: QueueId, entry: &Entry) {
        let Entry { kind, delivered_by, route, grade, age, outcome } = *entry;
        if let Some(by) = delivered_by {
            self.metrics.delivered(by, grade, age);
        }
        self.metrics.attempt(outcome);
        let grade = grade.map_or("none", |grade| grade.name());
        tracing::info!(queue_id = %id, kind = kind.name(), route, grade, outcome, "attempt");
    }

    /// Queues the reports that the sender is due, one for each kind of news.
    fn report(&self, record: &mut Record, work: &Work, message: &[u8], told: &[Told<'_>]) {
        let Some(sender) = self.whom_to_tell(work) else { return };
        for action in [Action::Failed, Action::Delayed, Action::Delivered, Action::Relayed] {
            let recipients: Vec<RecipientStatus<'_>> = told
                .iter()
                .filter(|told| told.action == action)
                .map(|told| status(told, work))
                .collect();
            if recipients.is_empty() {
                continue;
            }
            let report = dsn::build(&dsn::Report {
                reporting_mta: &self.settings.hostname,
                from: &self.settings.postmaster,
                to: &sender,
                original: message,
                envelope_id: work.envelope.envid.as_deref(),
                arrived: unix(work.created),
                now: unix(SystemTime::now()),
                recipients: &recipients,
                action,
            });
            record.follow_up(self.report_item(work, &sender, report));
        }
    }

    /// Who learns of failures: the envelope's sender, for a notice the one whose message waits, and
    /// nobody for what has a null reverse-path or is itself a report (RFC 5321 §4.5.5).
    fn whom_to_tell(&self, work: &Work) -> Option<Address> {
        match work.kind {
            Kind::Mail => work.envelope.from.address().cloned(),
            Kind::Notice => Some(self.parts.directory.account(work.sender?)?.address),
            Kind::Report => None,
        }
    }

    /// A report about a message that asked for REQUIRETLS asks for it too: it tells who wrote to whom
    /// (RFC 8689 §5).
    fn report_item(&self, work: &Work, to: &Address, message: Vec<u8>) -> NewItem {
        let require_tls = work.envelope.require_tls;
        let floor = if require_tls { Floor::REQUIRETLS } else { Floor::default() };
        let route = match self.parts.directory.resolve(to) {
            Resolution::NotOurs => Route::Direct { floor: floor.grade() },
            Resolution::Accounts(_) | Resolution::Unknown => Route::Local,
        };
        let mut envelope = Envelope::new(ReversePath::Null, [to.clone()]);
        envelope.require_tls = require_tls;
        NewItem { sender: None, envelope, message, routes: vec![route], kind: Kind::Report }
    }
}

impl<'w> Conclusion<'w> {
    /// Notes a recipient's outcome, and what the sender is to be told of it.
    fn note(&mut self, to: &'w WorkRecipient, fate: Fate) {
        let Fate { word, evidence } = fate;
        let outcome = match word {
            Word::Done { dsn_passed_on } => {
                self.note_success(to, &evidence, dsn_passed_on);
                Outcome::Delivered { evidence }
            }
            Word::Pickup => {
                self.note_success(to, &evidence, false);
                Outcome::ToParcel { evidence }
            }
            Word::Never(reply) => self.fail(to, reply, evidence),
            Word::Later(_) if self.work.expired => {
                // RFC 3463 §3.5: delivery time expired.
                let last = evidence.reply.as_ref().map_or_else(
                    || evidence.summary.clone(),
                    |reply| format!("the receiving server said {reply}"),
                );
                let text = format!("the message could not be delivered in time; last: {last}");
                self.fail(to, Reply::new(554, EnhancedStatus::new(4, 4, 7), text), evidence)
            }
            Word::Later(reply) => self.defer(to, reply, evidence),
        };
        self.record.outcome(to.index, outcome);
    }

    fn note_success(&mut self, to: &'w WorkRecipient, evidence: &Evidence, dsn_passed_on: bool) {
        if !to.recipient.notify.success || dsn_passed_on {
            return;
        }
        let action = match (&self.work.route, evidence.reply.is_some()) {
            (Route::Direct { .. }, true) => Action::Relayed,
            _ => Action::Delivered,
        };
        let reply = Reply::new(250, EnhancedStatus::new(2, 0, 0), "delivered");
        self.tell(action, to, reply, evidence, None);
    }

    fn fail(&mut self, to: &'w WorkRecipient, reply: Reply, evidence: Evidence) -> Outcome {
        let is_notice = self.work.kind == Kind::Notice;
        if is_notice || to.recipient.notify.failure {
            let explanation = is_notice.then_some(
                "The recipient's mail service cannot receive encrypted mail, so the message waits \
                 on the pickup page; the notice that says so could not be delivered either. Please \
                 reach the recipient another way.",
            );
            self.tell(Action::Failed, to, reply.clone(), &evidence, explanation);
        }
        Outcome::Failed { evidence, reply }
    }

    fn defer(&mut self, to: &'w WorkRecipient, reply: Reply, evidence: Evidence) -> Outcome {
        let delay_reported = to.delay_report_due
            && to.recipient.notify.delay
            && self.work.kind != Kind::Report
            && self.work.envelope.from.address().is_some();
        if delay_reported {
            self.tell(Action::Delayed, to, reply, &evidence, None);
        }
        // What is to be delivered here stays together, so that an account that several recipients
        // reach gets one copy at any attempt.
        let until = matches!(self.work.route, Route::Local).then(|| SystemTime::now() + LOCAL_WAIT);
        Outcome::Deferred { evidence, until, delay_reported }
    }

    fn tell(
        &mut self,
        action: Action,
        to: &'w WorkRecipient,
        reply: Reply,
        evidence: &Evidence,
        explanation: Option<&'static str>,
    ) {
        let host = evidence.host.clone();
        self.told.push(Told { action, to, reply, host, explanation });
    }
}

fn status<'t>(told: &'t Told<'_>, work: &Work) -> RecipientStatus<'t> {
    let by_code = EnhancedStatus::new(u8::try_from(told.reply.code / 100).unwrap_or(5), 0, 0);
    RecipientStatus {
        address: &told.to.recipient.address,
        original: told.to.recipient.original.as_deref(),
        status: told.reply.enhanced.unwrap_or(by_code),
        remote_mta: told.host.as_deref(),
        diagnostic: Some(&told.reply),
        explanation: told.explanation,
        retry_until: (told.action == Action::Delayed).then(|| unix(work.expires)),
    }
}
