#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod frozen;
mod golden;
mod incoming;
mod outgoing;

use crate::*;
use async_trait::async_trait;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};
use wardpost_dns::{Dnssec, FakeResolver};
use wardpost_mail::{Address, Domain};
use wardpost_store::{Batch, Committed, Store};
use wardpost_verdict::{Failure, FailureKind, PolicyType};

/// Noon of a day.
pub(super) const NOON: u64 = 20_000 * 86_400 + 43_200;

pub(super) fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

pub(super) fn failure(kind: FailureKind, policy: PolicyType) -> Failure {
    Failure { kind, policy, detail: "as it was".to_owned() }
}

/// A world: a store, a clock, a resolver, and somebody who takes reports.
pub(super) struct World {
    pub(super) store: Store,
    pub(super) clock: Arc<AtomicU64>,
    pub(super) dns: FakeResolver,
    pub(super) taker: Arc<Taker>,
}

/// Takes reports as the program does: a mail and what is done with it in one commit.
pub(super) struct Taker {
    store: Store,
    pub(super) mails: Mutex<Vec<Letter>>,
    pub(super) posts: Mutex<Vec<(String, String, Vec<u8>)>>,
    pub(super) refuses: Mutex<bool>,
}

#[async_trait]
impl Post for Taker {
    async fn mail(&self, letter: Letter, done: Batch) -> Result<Committed, PostError> {
        if *self.refuses.lock() {
            return Err(PostError("not now".to_owned()));
        }
        let committed = self.store.commit(done).await;
        let committed = committed.map_err(|error| PostError(error.to_string()))?;
        self.mails.lock().push(letter);
        Ok(committed)
    }

    async fn https(&self, url: &str, media_type: &str, body: &[u8]) -> Result<(), PostError> {
        if *self.refuses.lock() {
            return Err(PostError("not now".to_owned()));
        }
        self.posts.lock().push((url.to_owned(), media_type.to_owned(), body.to_vec()));
        Ok(())
    }
}

impl World {
    pub(super) fn new() -> Self {
        let store = Store::in_memory();
        let taker = Taker {
            store: store.clone(),
            mails: Mutex::default(),
            posts: Mutex::default(),
            refuses: Mutex::new(false),
        };
        Self {
            store,
            clock: Arc::new(AtomicU64::new(NOON)),
            dns: FakeResolver::new(),
            taker: Arc::new(taker),
        }
    }

    /// Opens reports, as a start of the program does.
    pub(super) fn open(&self) -> Reports {
        let clock = Arc::clone(&self.clock);
        let settings = Settings {
            domain: domain("clinic.test"),
            organization: "Clinic".to_owned(),
            contact: Address::parse("postmaster@clinic.test").unwrap(),
            clock: Arc::new(move || {
                UNIX_EPOCH + Duration::from_secs(clock.load(Ordering::Relaxed))
            }),
        };
        Reports::open(self.store.clone(), settings).unwrap()
    }

    pub(super) fn pass(&self, seconds: u64) {
        self.clock.fetch_add(seconds, Ordering::Relaxed);
    }

    pub(super) fn txt(&self, name: &str, text: &str) {
        self.dns.set_txt(&domain(name), &[text.as_bytes()], Dnssec::Insecure);
    }

    pub(super) async fn tick(&self, reports: &Reports) {
        let post: Arc<dyn Post> = self.taker.clone();
        reports.tick(&self.dns, &post).await.unwrap();
    }

    pub(super) async fn send_now(&self, reports: &Reports) -> SentNow {
        let post: Arc<dyn Post> = self.taker.clone();
        reports.send_now(&self.dns, &post).await.unwrap()
    }
}

/// A session that went well.
pub(super) fn went_well(reports: &Reports, name: &str) {
    let domain = domain(name);
    reports.record_tls(&TlsResult {
        domain: &domain,
        policy: PolicyFound::none(),
        host: None,
        receiving: None,
        sending: None,
        failures: Vec::new(),
    });
}

/// A message judged under a policy; that of news.X is X's.
pub(super) fn judged(author: &str, source: &str, pass: bool) -> DmarcResult {
    DmarcResult {
        policy_domain: domain(author.strip_prefix("news.").unwrap_or(author)),
        row: DmarcRow {
            header_from: domain(author),
            envelope_from: Some(domain("bounce.test")),
            source: source.parse().unwrap(),
            disposition: if pass { Disposition::Pass } else { Disposition::Reject },
            overridden: false,
            dkim_aligned: pass,
            spf_aligned: false,
            dkim: vec![DkimSeen {
                domain: author.to_owned(),
                selector: "s1".to_owned(),
                outcome: if pass { Outcome::Pass } else { Outcome::Fail },
            }],
            spf: SpfSeen {
                domain: "bounce.test".to_owned(),
                helo: false,
                outcome: Outcome::SoftFail,
            },
        },
        published: Published { p: Asked::Reject, sp: Asked::Quarantine, ..Published::default() },
    }
}

pub(super) fn gunzip(body: &[u8]) -> Vec<u8> {
    use std::io::Read;
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(body).read_to_end(&mut out).unwrap();
    out
}
