//! What the queue promises, tried against a store that outlives it: opening the queue again on the same
//! store is what a restart after kill -9 looks like, since leases live in memory only.

#![allow(clippy::unwrap_used)] // how a test fails

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wardpost_mail::{
    AccountId, Address, EnhancedStatus, Envelope, QueueId, Reply, ReversePath, TlsGrade,
};
use wardpost_policy::Route;
use wardpost_queue::{
    Evidence, Kind, NewItem, Options, Outcome, Queue, QueueError, RecipientState, Record, Work,
};
use wardpost_store::{Batch, Column, CommitError, Store};

const DIRECT: Route = Route::Direct { floor: TlsGrade::T3 };
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A clock that only tests move.
#[derive(Clone)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_700_000_000_000)))
    }

    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn pass(&self, time: Duration) {
        self.0.fetch_add(time.as_millis() as u64, Ordering::SeqCst);
    }

    fn options(&self) -> Options {
        let clock = self.clone();
        Options { clock: Arc::new(move || clock.now()), ..Options::default() }
    }
}

struct Bench {
    store: Store,
    clock: Clock,
    queue: Queue,
}

impl Bench {
    async fn new() -> Self {
        let (store, clock) = (Store::in_memory(), Clock::new());
        let queue = Queue::open(store.clone(), clock.options()).await.unwrap();
        Self { store, clock, queue }
    }

    /// kill -9, and a new start.
    async fn crash(&mut self) {
        self.queue = Queue::open(self.store.clone(), self.clock.options()).await.unwrap();
    }

    fn evidence(&self, summary: &str) -> Evidence {
        Evidence::new(self.clock.now(), summary)
    }

    async fn enqueue(&self, to: &[&str]) -> QueueId {
        self.queue.enqueue(item(to, DIRECT)).await.unwrap().0
    }

    async fn defer(&self, work: Work) {
        let mut record = Record::new();
        for recipient in &work.recipients {
            let evidence = self.evidence("busy");
            let outcome = Outcome::Deferred { evidence, until: None, delay_reported: false };
            record.outcome(recipient.index, outcome);
        }
        self.queue.record(work, record).await.unwrap();
    }

    async fn deliver(&self, work: Work) {
        let mut record = Record::new();
        for recipient in &work.recipients {
            let evidence = self.evidence("done");
            record.outcome(recipient.index, Outcome::Delivered { evidence });
        }
        self.queue.record(work, record).await.unwrap();
    }

    /// Everything the store holds of what waits: all but the counter of identifiers and histories.
    fn records(&self) -> usize {
        let all = self.store.scan(Column::Queue, b"", None, usize::MAX).unwrap();
        all.iter().filter(|(key, _)| key != b"n" && !key.starts_with(b"h")).count()
    }

    /// Histories in the store.
    fn histories(&self) -> usize {
        self.store.scan(Column::Queue, b"h", None, usize::MAX).unwrap().len()
    }
}

fn item(to: &[&str], route: Route) -> NewItem {
    let from = ReversePath::Address(Address::parse("dana@clinic.test").unwrap());
    NewItem {
        sender: Some(AccountId(1)),
        envelope: Envelope::new(from, to.iter().map(|to| Address::parse(to).unwrap())),
        message: b"Subject: x\r\n\r\nbody\r\n".to_vec(),
        routes: vec![route; to.len()],
        kind: Kind::Mail,
    }
}

fn report() -> NewItem {
    NewItem { kind: Kind::Report, ..item(&["dana@clinic.test"], Route::Local) }
}

fn refused() -> Reply {
    Reply::new(550, EnhancedStatus::new(5, 1, 1), "nobody")
}

#[tokio::test]
async fn a_message_goes_out_once_and_leaves_nothing_behind() {
    let bench = Bench::new().await;
    let id = bench.enqueue(&["p@x.test", "q@x.test"]).await;
    assert_eq!(bench.queue.message(id).unwrap(), b"Subject: x\r\n\r\nbody\r\n");
    let work = bench.queue.next_due().await;
    assert_eq!((work.id, work.domain.as_str(), work.recipients.len()), (id, "x.test", 2));
    assert_eq!((work.route.clone(), work.expired), (DIRECT, false));
    assert_eq!(bench.queue.show(id).unwrap().recipients[0].state, RecipientState::InProgress);
    bench.deliver(work).await;
    assert_eq!(bench.records(), 0);
    assert_eq!(bench.queue.depth(), 0);
    assert!(bench.queue.try_next().is_none());
    assert!(matches!(bench.queue.message(id), Err(QueueError::NotFound(_))));
}

#[tokio::test]
async fn what_was_seen_outlives_the_message_for_its_time() {
    let mut bench = Bench::new().await;
    let id = bench.enqueue(&["lee@there.test", "kim@else.test"]).await;
    let work = bench.queue.try_next().unwrap();
    bench.defer(work).await;
    let work = bench.queue.try_next().unwrap();
    bench.deliver(work).await;
    assert_eq!(bench.histories(), 0, "one recipient is still open");
    bench.clock.pass(2 * HOUR);
    let work = bench.queue.try_next().unwrap();
    bench.deliver(work).await;
    assert_eq!((bench.records(), bench.histories()), (0, 1));
    bench.crash().await;
    let view = bench.queue.show(id).unwrap();
    assert_eq!(view.ended, Some(bench.clock.now()));
    let summaries = |at: usize| -> Vec<String> {
        view.recipients[at].history.iter().map(|seen| seen.summary.clone()).collect()
    };
    assert_eq!((summaries(0).len() + summaries(1).len()), 3);
    assert!(view.recipients.iter().all(|to| to.state == RecipientState::Delivered));
    assert_eq!(bench.queue.list_ended(None, 10).unwrap(), [view]);
    assert!(bench.queue.list(None, 10).unwrap().is_empty());
    assert!(bench.queue.message(id).is_err(), "the message is gone");
    bench.clock.pass(24 * HOUR * 29);
    assert_eq!(bench.queue.purge_history().await.unwrap(), 0);
    bench.clock.pass(24 * HOUR);
    assert_eq!(bench.queue.purge_history().await.unwrap(), 1);
    assert_eq!(bench.histories(), 0);
    assert!(bench.queue.show(id).is_err());
}

#[tokio::test]
async fn one_recipient_never_holds_another() {
    let mut bench = Bench::new().await;
    let id = bench.enqueue(&["p@x.test", "q@y.test", "r@x.test"]).await;
    let works: Vec<Work> = std::iter::from_fn(|| bench.queue.try_next()).collect();
    assert_eq!(works.len(), 2);
    for work in works {
        if work.domain.as_str() == "y.test" {
            bench.deliver(work).await;
            continue;
        }
        let mut record = Record::new();
        let failed = Outcome::Failed { evidence: bench.evidence("no"), reply: refused() };
        record.outcome(0, failed);
        let until = Some(bench.clock.now() + 3 * MINUTE);
        let evidence = bench.evidence("busy");
        record.outcome(2, Outcome::Deferred { evidence, until, delay_reported: false });
        bench.queue.record(work, record).await.unwrap();
    }
    bench.crash().await;
    let view = bench.queue.show(id).unwrap();
    let states: Vec<_> = view.recipients.iter().map(|recipient| recipient.state.clone()).collect();
    let next_due = bench.clock.now() + 3 * MINUTE;
    assert_eq!(
        states,
        [RecipientState::Failed, RecipientState::Delivered, RecipientState::Waiting { next_due }]
    );
    assert_eq!(view.recipients[0].history[0].reply, Some(refused()));
    assert!(bench.queue.try_next().is_none());
    bench.clock.pass(3 * MINUTE);
    let work = bench.queue.try_next().unwrap();
    assert_eq!(work.recipients.len(), 1);
    assert_eq!((work.recipients[0].index, work.recipients[0].attempts), (2, 1));
    bench.deliver(work).await;
    assert_eq!(bench.records(), 0);
}

#[tokio::test]
async fn what_was_leased_when_it_crashed_is_due_again() {
    let mut bench = Bench::new().await;
    let id = bench.enqueue(&["p@x.test"]).await;
    let lost = bench.queue.try_next().unwrap();
    bench.crash().await;
    let work = bench.queue.try_next().unwrap();
    assert_eq!((work.id, work.recipients[0].attempts), (id, 0));
    drop(lost); // a lease of the dead process touches nothing here
    assert!(bench.queue.try_next().is_none());
    bench.deliver(work).await;
    assert_eq!(bench.records(), 0);
}

#[tokio::test]
async fn a_dropped_lease_is_due_again_after_a_minute() {
    let bench = Bench::new().await;
    bench.enqueue(&["p@x.test"]).await;
    drop(bench.queue.try_next().unwrap());
    assert!(bench.queue.try_next().is_none());
    bench.clock.pass(MINUTE);
    assert!(bench.queue.try_next().is_some());
}

#[tokio::test]
async fn recipients_without_an_outcome_are_due_again_after_a_minute() {
    let bench = Bench::new().await;
    let id = bench.enqueue(&["p@x.test", "q@x.test"]).await;
    let work = bench.queue.try_next().unwrap();
    let mut record = Record::new();
    record.outcome(1, Outcome::Delivered { evidence: bench.evidence("done") });
    bench.queue.record(work, record).await.unwrap();
    assert!(bench.queue.try_next().is_none());
    bench.clock.pass(MINUTE);
    let work = bench.queue.try_next().unwrap();
    assert_eq!((work.id, work.recipients.len(), work.recipients[0].index), (id, 1, 0));
}

#[tokio::test]
async fn retries_follow_the_schedule_until_the_lifetime_ends() {
    let bench = Bench::new().await;
    bench.enqueue(&["p@x.test"]).await;
    let start = bench.clock.now();
    let mut attempts = 0;
    let mut delay_due_since = None;
    loop {
        let Some(work) = bench.queue.try_next() else {
            bench.clock.pass(MINUTE / 4);
            continue;
        };
        attempts += 1;
        let age = bench.clock.now().duration_since(start).unwrap();
        if work.recipients[0].delay_report_due {
            delay_due_since.get_or_insert(age);
        }
        if work.expired {
            let lifetime = Options::default().lifetime;
            assert!(age >= lifetime && age < lifetime + MINUTE, "the last one is at the end");
            assert_eq!(work.expires, start + lifetime);
            break;
        }
        bench.defer(work).await;
    }
    assert!((110..140).contains(&attempts), "{attempts}");
    let delay_due_since = delay_due_since.unwrap();
    assert!(delay_due_since >= 4 * HOUR && delay_due_since < 6 * HOUR, "{delay_due_since:?}");
}

#[tokio::test]
async fn a_delay_is_reported_once() {
    let mut bench = Bench::new().await;
    bench.enqueue(&["p@x.test"]).await;
    bench.clock.pass(4 * HOUR);
    let work = bench.queue.try_next().unwrap();
    assert!(work.recipients[0].delay_report_due);
    let mut record = Record::new();
    let evidence = bench.evidence("busy");
    record.outcome(0, Outcome::Deferred { evidence, until: None, delay_reported: true });
    record.follow_up(report());
    bench.queue.record(work, record).await.unwrap();
    bench.crash().await;
    bench.clock.pass(HOUR);
    let mut mail = 0;
    while let Some(work) = bench.queue.try_next() {
        if work.kind == Kind::Mail {
            mail += 1;
            assert!(!work.recipients[0].delay_report_due);
        }
    }
    assert_eq!(mail, 1);
}

#[tokio::test]
async fn outcome_follow_up_and_parcel_are_one_commit() {
    let mut bench = Bench::new().await;
    bench.enqueue(&["p@x.test"]).await;
    let work = bench.queue.try_next().unwrap();
    let mut record = Record::new();
    record.batch().put(Column::Parcel, b"parcel".as_slice(), b"sealed");
    record.batch().put(Column::Parcel, b"note".as_slice(), b"sealed");
    record.outcome(0, Outcome::ToParcel { evidence: bench.evidence("no TLS") });
    record.follow_up(report());
    bench.queue.record(work, record).await.unwrap();
    bench.crash().await;
    assert!(bench.store.get(Column::Parcel, b"parcel").unwrap().is_some());
    assert!(bench.store.get(Column::Parcel, b"note").unwrap().is_some());
    let work = bench.queue.try_next().unwrap();
    assert_eq!((work.kind, work.route.clone()), (Kind::Report, Route::Local));
    bench.deliver(work).await;
    assert_eq!(bench.records(), 0);
}

#[tokio::test]
async fn a_message_is_taken_with_the_callers_changes_or_not_at_all() {
    let mut bench = Bench::new().await;
    let also = || {
        let mut also = Batch::new();
        also.require_absent(Column::Report, b"sent".as_slice());
        also.put(Column::Report, b"sent".as_slice(), b"");
        also
    };
    bench.queue.enqueue_with(report(), also()).await.unwrap();
    let second = bench.queue.enqueue_with(report(), also()).await;
    assert!(matches!(second, Err(QueueError::Commit(CommitError::Conflict))));
    assert_eq!(bench.queue.depth(), 1);
    bench.crash().await;
    assert_eq!(bench.queue.depth(), 1);
}

#[tokio::test]
async fn a_conflict_writes_nothing_and_tries_again() {
    let bench = Bench::new().await;
    bench.enqueue(&["p@x.test"]).await;
    let before = bench.records();
    let work = bench.queue.try_next().unwrap();
    let mut record = Record::new();
    record.batch().require_value(Column::Parcel, b"key".as_slice(), b"other");
    record.batch().put(Column::Parcel, b"parcel".as_slice(), b"sealed");
    record.outcome(0, Outcome::ToParcel { evidence: bench.evidence("no TLS") });
    record.follow_up(report());
    let outcome = bench.queue.record(work, record).await;
    assert!(matches!(outcome, Err(QueueError::Commit(CommitError::Conflict))));
    assert_eq!(bench.records(), before);
    assert!(bench.store.get(Column::Parcel, b"parcel").unwrap().is_none());
    bench.clock.pass(MINUTE);
    assert_eq!(bench.queue.try_next().unwrap().kind, Kind::Mail);
}

#[tokio::test]
async fn a_commit_of_the_callers_holds_everything_or_nothing() {
    let mut bench = Bench::new().await;
    bench.enqueue(&["lee@a.test"]).await;
    let record = |bench: &Bench| {
        let mut record = Record::new();
        let evidence = bench.evidence("done");
        record.outcome(0, Outcome::Delivered { evidence }).follow_up(report());
        record
    };
    let work = bench.queue.try_next().unwrap();
    let mut failing = record(&bench);
    failing.commit_by(|_| Box::pin(async { Err("the mailbox is gone".into()) }));
    let refused = bench.queue.record(work, failing).await;
    assert!(matches!(refused, Err(QueueError::Joined(_))));
    bench.crash().await;
    assert_eq!(bench.queue.stats().items, 1, "no report of what did not happen");

    let work = bench.queue.try_next().unwrap();
    let (mut joined, store) = (record(&bench), bench.store.clone());
    joined.commit_by(move |mut batch| {
        batch.put(Column::Mailbox, b"delivered".as_slice(), b"x");
        Box::pin(async move { Ok(store.commit(batch).await?) })
    });
    bench.queue.record(work, joined).await.unwrap();
    bench.crash().await;
    assert!(bench.store.get(Column::Mailbox, b"delivered").unwrap().is_some());
    let report = bench.queue.try_next().unwrap();
    assert_eq!(report.kind, Kind::Report, "the message itself has ended");
}

#[tokio::test]
async fn a_dropped_item_stays_dropped() {
    let bench = Bench::new().await;
    let id = bench.enqueue(&["p@x.test"]).await;
    let work = bench.queue.try_next().unwrap();
    bench.queue.drop_item(id).await.unwrap();
    let mut record = Record::new();
    record.outcome(0, Outcome::ToParcel { evidence: bench.evidence("no TLS") });
    record.follow_up(report());
    let outcome = bench.queue.record(work, record).await;
    assert!(matches!(outcome, Err(QueueError::NotFound(_))), "and no report goes out");
    assert_eq!(bench.records(), 0);
    assert!(matches!(bench.queue.drop_item(id).await, Err(QueueError::NotFound(_))));
    assert!(matches!(bench.queue.retry(id), Err(QueueError::NotFound(_))));
}

#[tokio::test]
async fn retry_makes_a_deferred_message_due_now() {
    let bench = Bench::new().await;
    let id = bench.enqueue(&["p@x.test"]).await;
    bench.defer(bench.queue.try_next().unwrap()).await;
    assert!(bench.queue.try_next().is_none());
    bench.queue.retry(id).unwrap();
    assert_eq!(bench.queue.try_next().unwrap().id, id);
}

#[tokio::test]
async fn what_cannot_be_queued_is_refused_and_leaves_nothing() {
    let bench = Bench::new().await;
    let mut short = item(&["p@x.test", "q@x.test"], DIRECT);
    short.routes.pop();
    let refusal = item(&["p@x.test"], Route::Refused { reply: refused() });
    assert!(matches!(bench.queue.enqueue(short).await, Err(QueueError::Routes)));
    assert!(matches!(bench.queue.enqueue(item(&[], DIRECT)).await, Err(QueueError::Routes)));
    assert!(matches!(bench.queue.enqueue(refusal.clone()).await, Err(QueueError::Refused)));
    assert_eq!(bench.records(), 0);
    bench.enqueue(&["p@x.test"]).await;
    let work = bench.queue.try_next().unwrap();
    let mut record = Record::new();
    record.outcome(0, Outcome::Delivered { evidence: bench.evidence("done") });
    record.follow_up(refusal);
    assert!(matches!(bench.queue.record(work, record).await, Err(QueueError::Refused)));
    assert_eq!(bench.queue.depth(), 1);
}

#[tokio::test]
async fn held_recipients_wait_through_restarts() {
    let mut bench = Bench::new().await;
    let mut held = item(&["p@x.test", "q@x.test"], DIRECT);
    held.routes[0] = Route::Held;
    let (id, _) = bench.queue.enqueue(held).await.unwrap();
    bench.deliver(bench.queue.try_next().unwrap()).await;
    bench.crash().await;
    bench.clock.pass(10 * 24 * HOUR);
    assert!(bench.queue.try_next().is_none());
    let view = bench.queue.show(id).unwrap();
    assert_eq!(view.recipients[0].state, RecipientState::Held);
    let stats = bench.queue.stats();
    assert_eq!((stats.items, stats.recipients, stats.held), (1, 1, 1));
    assert_eq!(stats.oldest_age, Some(10 * 24 * HOUR));
}

#[tokio::test]
async fn lists_go_oldest_first_in_pages() {
    let mut bench = Bench::new().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(bench.enqueue(&["p@x.test"]).await);
        bench.crash().await;
    }
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "ascending through restarts: {ids:?}");
    let first = bench.queue.list(None, 3).unwrap();
    let rest = bench.queue.list(Some(first[2].id), 10).unwrap();
    let listed: Vec<_> = first.iter().chain(&rest).map(|view| view.id).collect();
    assert_eq!(listed, ids);
    assert_eq!(first[0].size, 20);
}

#[tokio::test]
async fn a_waiter_wakes_for_new_work_and_for_each_of_many() {
    let bench = Bench::new().await;
    let queue = bench.queue.clone();
    let waiters: Vec<_> = (0..4)
        .map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.next_due().await })
        })
        .collect();
    tokio::task::yield_now().await;
    for domain in 0..4 {
        bench.enqueue(&[&format!("p@d{domain}.test")]).await;
    }
    let mut domains = BTreeSet::new();
    for waiter in waiters {
        let work = tokio::time::timeout(Duration::from_secs(5), waiter).await.unwrap().unwrap();
        domains.insert(work.domain.clone());
    }
    assert_eq!(domains.len(), 4);
}

#[tokio::test]
async fn a_caller_that_goes_away_breaks_nothing() {
    let bench = Bench::new().await;
    for _ in 0..20 {
        let enqueue = bench.queue.enqueue(item(&["p@x.test"], DIRECT));
        let _ = tokio::time::timeout(Duration::ZERO, enqueue).await;
    }
    // What was committed is scheduled, and what is scheduled was committed.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let listed = bench.queue.list(None, 100).unwrap().len();
    assert_eq!(bench.queue.depth(), listed);
    while let Some(work) = bench.queue.try_next() {
        let mut record = Record::new();
        record.outcome(0, Outcome::Delivered { evidence: bench.evidence("done") });
        let _ = tokio::time::timeout(Duration::ZERO, bench.queue.record(work, record)).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bench.clock.pass(MINUTE);
    while let Some(work) = bench.queue.try_next() {
        bench.deliver(work).await;
    }
    assert_eq!((bench.queue.depth(), bench.records()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_couriers_at_once_end_every_recipient_once() {
    let bench = Bench::new().await;
    let to: Vec<String> = (0..40).map(|n| format!("p{n}@d{}.test", n % 13)).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    for _ in 0..10 {
        bench.enqueue(&to).await;
    }
    let ended = Arc::new(Mutex::new(BTreeMap::<(QueueId, usize), u32>::new()));
    let couriers: Vec<_> = (0..8)
        .map(|_| {
            let (queue, ended, now) = (bench.queue.clone(), ended.clone(), bench.clock.now());
            tokio::spawn(async move {
                while let Some(work) = queue.try_next() {
                    let mut record = Record::new();
                    for recipient in &work.recipients {
                        let key = (work.id, recipient.index);
                        *ended.lock().unwrap().entry(key).or_default() += 1;
                        let evidence = Evidence::new(now, "done");
                        record.outcome(recipient.index, Outcome::Delivered { evidence });
                    }
                    queue.record(work, record).await.unwrap();
                }
            })
        })
        .collect();
    for courier in couriers {
        courier.await.unwrap();
    }
    let ended = ended.lock().unwrap();
    assert_eq!(ended.len(), 400);
    assert!(ended.values().all(|&times| times == 1));
    assert_eq!((bench.queue.depth(), bench.records()), (0, 0));
}

/// What a random history does.
#[derive(Debug, Clone)]
enum Step {
    Enqueue {
        domains: Vec<u8>,
    },
    Lease,
    /// Records a lease: an outcome for each recipient, by number.
    Record {
        which: usize,
        outcomes: Vec<u8>,
    },
    DropLease {
        which: usize,
    },
    Crash,
    Pass(u32),
    Retry {
        which: usize,
    },
    DropItem {
        which: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop::collection::vec(0u8..3, 1..5).prop_map(|domains| Step::Enqueue { domains }),
        6 => Just(Step::Lease),
        6 => (0usize..4, prop::collection::vec(0u8..5, 5))
            .prop_map(|(which, outcomes)| Step::Record { which, outcomes }),
        1 => (0usize..4).prop_map(|which| Step::DropLease { which }),
        2 => Just(Step::Crash),
        3 => (0u32..7200).prop_map(Step::Pass),
        1 => (0usize..4).prop_map(|which| Step::Retry { which }),
        1 => (0usize..8).prop_map(|which| Step::DropItem { which }),
    ]
}

/// What must be true of a history: who is open, and how often everybody ended.
#[derive(Default)]
struct Model {
    open: BTreeMap<QueueId, BTreeSet<usize>>,
    ended: BTreeMap<(QueueId, usize), u32>,
    reports: usize,
}

async fn record_step(bench: &Bench, model: &mut Model, work: Work, outcomes: &[u8]) {
    let id = work.id;
    let mut record = Record::new();
    let mut ends = Vec::new();
    let mut reports = 0;
    for (recipient, outcome) in work.recipients.iter().zip(outcomes.iter().cycle()) {
        let evidence = bench.evidence("");
        let outcome = match outcome {
            0 => Outcome::Delivered { evidence },
            1 => Outcome::Failed { evidence, reply: refused() },
            2 => Outcome::ToParcel { evidence },
            3 => Outcome::Deferred { evidence, until: None, delay_reported: false },
            _ => continue,
        };
        if matches!(outcome, Outcome::Failed { .. }) {
            record.follow_up(report());
            reports += 1;
        }
        if !matches!(outcome, Outcome::Deferred { .. }) {
            ends.push(recipient.index);
        }
        record.outcome(recipient.index, outcome);
    }
    match bench.queue.record(work, record).await {
        Ok(_) => {
            model.reports += reports;
            for index in ends {
                model.open.get_mut(&id).unwrap().remove(&index);
                *model.ended.entry((id, index)).or_default() += 1;
            }
        }
        Err(error) => assert!(
            matches!(error, QueueError::NotFound(_)) && !model.open.contains_key(&id),
            "{error:?}"
        ),
    }
    model.open.retain(|_, open| !open.is_empty());
}

async fn run(steps: Vec<Step>) {
    let mut bench = Bench::new().await;
    let mut model = Model::default();
    let mut leases: Vec<Work> = Vec::new();
    for step in steps {
        match step {
            Step::Enqueue { domains } => {
                let to: Vec<String> =
                    (0..).zip(&domains).map(|(n, d)| format!("p{n}@d{d}.test")).collect();
                let to: Vec<&str> = to.iter().map(String::as_str).collect();
                let id = bench.enqueue(&to).await;
                assert!(model.open.insert(id, (0..to.len()).collect()).is_none(), "ids are new");
            }
            Step::Lease => leases.extend(bench.queue.try_next()),
            Step::Record { which, outcomes } if which < leases.len() => {
                let work = leases.swap_remove(which);
                if work.kind == Kind::Mail {
                    record_step(&bench, &mut model, work, &outcomes).await;
                }
            }
            Step::Record { .. } => {}
            Step::DropLease { which } if which < leases.len() => drop(leases.swap_remove(which)),
            Step::DropLease { .. } => {}
            Step::Crash => {
                leases.clear();
                bench.crash().await;
            }
            Step::Pass(seconds) => bench.clock.pass(Duration::from_secs(seconds.into())),
            Step::Retry { which } => {
                if let Some(&id) = model.open.keys().nth(which) {
                    bench.queue.retry(id).unwrap();
                }
            }
            Step::DropItem { which } => {
                if let Some(&id) = model.open.keys().nth(which) {
                    bench.queue.drop_item(id).await.unwrap();
                    model.open.remove(&id);
                }
            }
        }
        check(&bench, &model);
    }
    finish(bench, model, leases).await;
}

/// Disk and memory agree with the model.
fn check(bench: &Bench, model: &Model) {
    let open: BTreeMap<QueueId, BTreeSet<usize>> = bench
        .queue
        .list(None, usize::MAX)
        .unwrap()
        .into_iter()
        .filter(|view| view.kind == Kind::Mail)
        .map(|view| {
            let open = view.recipients.iter().enumerate().filter(|(_, recipient)| {
                matches!(
                    recipient.state,
                    RecipientState::Waiting { .. } | RecipientState::InProgress
                )
            });
            (view.id, open.map(|(index, _)| index).collect())
        })
        .collect();
    assert_eq!(open, model.open);
    for id in open.keys() {
        assert!(
            bench.queue.message(*id).is_ok(),
            "the message is there as long as anybody is open"
        );
    }
    let open: usize = model.open.values().map(BTreeSet::len).sum();
    let reports = bench.queue.list(None, usize::MAX).unwrap().len() - model.open.len();
    assert_eq!(reports, model.reports, "each failure is reported once");
    assert_eq!(bench.queue.stats().recipients, open + reports);
}

/// Works everything off: each recipient that is still open ends, and nothing stays behind.
async fn finish(mut bench: Bench, mut model: Model, leases: Vec<Work>) {
    drop(leases);
    bench.crash().await;
    bench.clock.pass(2 * HOUR);
    while let Some(work) = bench.queue.try_next() {
        if work.kind == Kind::Mail {
            record_step(&bench, &mut model, work, &[0]).await;
        } else {
            bench.deliver(work).await;
        }
    }
    assert!(model.open.is_empty());
    assert!(model.ended.values().all(|&times| times == 1), "everybody ends exactly once");
    assert_eq!((bench.queue.depth(), bench.records()), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_recipient_ends_exactly_once(steps in prop::collection::vec(step(), 0..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}
