//! Policies of a far domain: from DNS and a web server on loopback to facts, over restarts, failures
//! and time.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

#[path = "../../net/tests/pages/mod.rs"]
mod pages;

use async_trait::async_trait;
use pages::{Page, Pages, Shown, raw};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};
use tokio::task::JoinSet;
use wardpost_dns::{Answer, DnsError, Dnssec, FakeResolver, Mx, Resolver, Tlsa};
use wardpost_keys::SystemKey;
use wardpost_mail::Domain;
use wardpost_net::Https;
use wardpost_store::Store;
use wardpost_sts::{Options, Policies};
use wardpost_verdict::{StsError, StsFacts, StsMode, StsPolicy, StsProblem};

const HOST: &str = "mta-sts.far.test";
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// What `max_age` is in these tests, in days.
const LASTS: u64 = 10;

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

fn policy_text(mode: &str, mx: &str) -> String {
    format!("version: STSv1\r\nmode: {mode}\r\nmx: {mx}\r\nmax_age: {}\r\n", LASTS * 86_400)
}

fn policy_page(mode: &str, mx: &str) -> Page {
    Page::text(&policy_text(mode, mx))
}

/// DNS that can be made to fail, and counts questions for TXT.
#[derive(Default)]
struct Dns {
    zone: FakeResolver,
    failing: Mutex<Option<DnsError>>,
    questions: AtomicUsize,
}

#[async_trait]
impl Resolver for Dns {
    async fn mx(&self, domain: &Domain) -> Result<Answer<Mx>, DnsError> {
        self.zone.mx(domain).await
    }

    async fn addresses(&self, host: &Domain) -> Result<Answer<Vec<IpAddr>>, DnsError> {
        self.zone.addresses(host).await
    }

    async fn tlsa(&self, host: &Domain, port: u16) -> Result<Answer<Vec<Tlsa>>, DnsError> {
        self.zone.tlsa(host, port).await
    }

    async fn txt(&self, name: &Domain) -> Result<Answer<Vec<Vec<u8>>>, DnsError> {
        self.questions.fetch_add(1, SeqCst);
        let failing = self.failing.lock().unwrap().clone();
        match failing {
            Some(error) => Err(error),
            None => self.zone.txt(name).await,
        }
    }

    async fn reverse(&self, address: IpAddr) -> Result<Answer<Vec<Domain>>, DnsError> {
        self.zone.reverse(address).await
    }
}

/// A far domain with its policy host, and our end.
struct World {
    dns: Arc<Dns>,
    server: Pages,
    clock: Arc<AtomicU64>,
    store: Store,
    options: Options,
    policies: Policies,
    dir: tempfile::TempDir,
    key: SystemKey,
}

impl World {
    /// The domain publishes an enforced policy with id `1`.
    async fn new() -> Self {
        let server = Pages::start(HOST, policy_page("enforce", "mx.far.test")).await;
        let dns = Arc::new(Dns::default());
        let here = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
        dns.zone.set_addresses(&domain(HOST), &here, Dnssec::Indeterminate);
        let clock = Arc::new(AtomicU64::new(1_800_000_000_000));
        let ticking = Arc::clone(&clock);
        let options = Options {
            port: server.address.port(),
            clock: Arc::new(move || UNIX_EPOCH + Duration::from_millis(ticking.load(SeqCst))),
            ..Options::default()
        };
        let (dir, key) = (tempfile::tempdir().unwrap(), SystemKey::generate());
        let store = Store::open(&dir.path().join("data"), &key).unwrap();
        let policies = open(&store, &dns, &server, &options);
        let world = Self { dns, server, clock, store, options, policies, dir, key };
        world.announce("1");
        world
    }

    /// Stops and starts again on the same disk.
    fn restart(&mut self) {
        let nothing = Store::in_memory();
        self.policies = open(&nothing, &self.dns, &self.server, &self.options);
        std::mem::replace(&mut self.store, nothing).close();
        self.store = Store::open(&self.dir.path().join("data"), &self.key).unwrap();
        self.policies = open(&self.store, &self.dns, &self.server, &self.options);
    }

    fn announce(&self, id: &str) {
        self.record(&[format!("v=STSv1; id={id};").as_bytes()]);
    }

    fn record(&self, texts: &[&[u8]]) {
        self.dns.zone.set_txt(&domain("_mta-sts.far.test"), texts, Dnssec::Indeterminate);
    }

    fn dns_fails(&self, error: DnsError) {
        *self.dns.failing.lock().unwrap() = Some(error);
    }

    fn dns_works(&self) {
        *self.dns.failing.lock().unwrap() = None;
    }

    fn pass(&self, time: u64) {
        self.clock.fetch_add(time, SeqCst);
    }

    async fn facts(&self) -> StsFacts {
        self.policies.facts(&domain("far.test")).await
    }

    /// The policy and its problem, where the policy is wanted to hold.
    async fn held(&self) -> (StsPolicy, Duration, Option<StsProblem>) {
        let StsFacts { policy, problem } = self.facts().await;
        let (policy, age) = policy.expect("a policy");
        assert!(policy.holds(age));
        (policy, age, problem)
    }

    fn fetches(&self) -> usize {
        self.server.connections()
    }
}

fn open(store: &Store, dns: &Arc<Dns>, server: &Pages, options: &Options) -> Policies {
    let https = Https::new(&server.roots).unwrap();
    let dns: Arc<dyn Resolver> = Arc::<Dns>::clone(dns);
    Policies::open_with(store.clone(), dns, https, options.clone()).unwrap()
}

fn temporary() -> DnsError {
    DnsError::Temporary("SERVFAIL".into())
}

// Found, fetched, kept.

#[tokio::test]
async fn a_policy_is_fetched_once_and_kept() {
    let world = World::new().await;
    let (policy, age, problem) = world.held().await;
    assert_eq!((policy.mode(), age, problem), (StsMode::Enforce, Duration::ZERO, None));
    assert!(policy.covers(&domain("mx.far.test")) && !policy.covers(&domain("mx.other.test")));
    let lines = policy_text("enforce", "mx.far.test");
    assert_eq!(policy.lines(), lines.lines().collect::<Vec<_>>());
    world.pass(DAY);
    let (_, age, problem) = world.held().await;
    assert_eq!((age, problem), (Duration::from_millis(DAY), None));
    assert_eq!(world.fetches(), 1);
    let [request] = world.server.requests().try_into().unwrap();
    assert!(request.starts_with("GET /.well-known/mta-sts.txt HTTP/1.1\r\n"), "{request}");
}

#[tokio::test]
async fn who_takes_no_part_is_left_alone() {
    let world = World::new().await;
    world.record(&[b"something else"]);
    for name in ["far.test", "nobody.test", &["a".repeat(62).as_str(); 4].join(".")] {
        let facts = world.policies.facts(&domain(name)).await;
        assert!(facts.policy.is_none() && facts.problem.is_none(), "{name}: {facts:?}");
    }
    assert_eq!(world.fetches(), 0);
}

#[tokio::test]
async fn testing_and_none_are_told_as_they_are() {
    let world = World::new().await;
    world.server.answer(policy_page("testing", "mx.far.test"));
    assert_eq!(world.held().await.0.mode(), StsMode::Testing);
    let none = "version: STSv1\nmode: none\nmax_age: 86400\n";
    world.server.answer(Page::text(none));
    world.announce("2");
    assert_eq!(world.held().await.0.mode(), StsMode::None);
}

#[tokio::test]
async fn mode_none_ends_an_enforced_policy_for_good() {
    let mut world = World::new().await;
    assert_eq!(world.held().await.0.mode(), StsMode::Enforce);
    world.server.answer(Page::text("version: STSv1\nmode: none\nmax_age: 86400\n"));
    world.announce("2");
    assert_eq!(world.held().await.0.mode(), StsMode::None);
    world.record(&[]);
    world.restart();
    assert_eq!(world.held().await.0.mode(), StsMode::None);
    world.pass(DAY);
    let facts = world.facts().await;
    assert!(facts.policy.is_none() && facts.problem.is_none(), "{facts:?}");
}

#[tokio::test]
async fn a_new_id_brings_the_new_policy() {
    let world = World::new().await;
    world.held().await;
    world.server.answer(policy_page("enforce", "*.far.test"));
    assert!(!world.held().await.0.covers(&domain("other.far.test")), "the id is the old one");
    world.announce("2");
    assert!(world.held().await.0.covers(&domain("other.far.test")));
    assert_eq!(world.fetches(), 2);
}

// What cannot be fetched.

#[tokio::test]
async fn what_is_wrong_with_a_policy_is_told() {
    let world = World::new().await;
    let text = policy_text("enforce", "mx.far.test");
    let fetch = |words: &'static str| (words, None);
    let invalid = |error| ("", Some(error));
    let untyped = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    let pages = [
        (Page::of("404 Not Found", "text/plain", &text), fetch("answered with 404")),
        (Page::of("201 Created", "text/plain", &text), fetch("answered with 201")),
        (Page::of("302 Found", "text/plain", &text), fetch("answered with 302")),
        (Page::of("200 OK", "text/html", &text), fetch("not text/plain")),
        (Page::Raw(untyped.into_bytes()), fetch("not text/plain")),
        (Page::Raw(b"220 hello\r\n".to_vec()), fetch("not HTTP")),
        (Page::text(""), invalid(StsError::Line)),
        (Page::text(&text.replace("STSv1", "STSv2")), invalid(StsError::Version)),
        (Page::text(&"x".repeat(64 * 1024 + 1)), invalid(StsError::TooLong)),
    ];
    for (n, (page, (words, error))) in pages.into_iter().enumerate() {
        world.server.answer(page);
        world.announce(&format!("bad{n}"));
        let facts = world.facts().await;
        assert!(facts.policy.is_none(), "{n}");
        match (facts.problem.unwrap(), error) {
            (StsProblem::Fetch(told), None) => assert!(told.contains(words), "{n}: {told}"),
            (StsProblem::Invalid(told), Some(error)) => assert_eq!(told, error, "{n}"),
            (told, _) => panic!("{n}: {told:?}"),
        }
    }
    let typed = raw("200 OK", "Text/Plain;charset=utf-8", &text);
    world.server.answer(Page::Raw(typed));
    world.announce("good");
    assert_eq!(world.held().await.2, None);
}

#[tokio::test]
async fn a_certificate_that_does_not_verify_is_no_policy() {
    let world = World::new().await;
    for (n, (host, shown)) in [
        ("far.test", Shown::Good),
        (HOST, Shown::Expired),
        (HOST, Shown::SelfSigned),
        ("mx.far.test", Shown::Good),
    ]
    .into_iter()
    .enumerate()
    {
        world.server.show(host, shown);
        world.announce(&n.to_string());
        let facts = world.facts().await;
        assert!(facts.policy.is_none());
        assert!(matches!(facts.problem, Some(StsProblem::Certificate(_))), "{host} {shown:?}");
    }
    assert_eq!(world.server.requests().len(), 0);
}

#[tokio::test]
async fn a_host_without_an_address_is_a_problem() {
    let world = World::new().await;
    world.dns.zone.set_addresses(&domain(HOST), &[], Dnssec::Indeterminate);
    assert!(matches!(world.facts().await.problem, Some(StsProblem::Fetch(_))));
    world.dns.zone.fail_addresses(&domain(HOST), DnsError::Bogus);
    world.announce("2");
    let facts = world.facts().await;
    assert!(facts.policy.is_none() && matches!(facts.problem, Some(StsProblem::Fetch(_))));
}

#[tokio::test]
async fn a_failed_fetch_rests_for_five_minutes() {
    let world = World::new().await;
    world.server.answer(Page::of("500 Oops", "text/plain", ""));
    let first = world.facts().await;
    world.pass(5 * MINUTE - 1);
    assert_eq!(world.facts().await.problem, first.problem);
    assert_eq!(world.fetches(), 1);
    world.announce("2");
    world.facts().await;
    assert_eq!(world.fetches(), 2, "another version is tried at once");
    world.pass(5 * MINUTE);
    world.server.answer(policy_page("enforce", "mx.far.test"));
    assert_eq!(world.held().await.2, None);
    assert_eq!(world.fetches(), 3);
}

#[tokio::test]
async fn malformed_records_are_a_problem() {
    let world = World::new().await;
    for texts in [&[&b"v=STSv1; id=1;"[..], b"v=STSv1; id=2;"][..], &[b"v=STSv1; id=;"]] {
        world.record(texts);
        let facts = world.facts().await;
        assert_eq!(facts.problem, Some(StsProblem::Invalid(StsError::Record)));
        assert!(facts.policy.is_none());
    }
    assert_eq!(world.fetches(), 0);
}

// What is kept stays kept.

#[tokio::test]
async fn nothing_but_time_ends_a_policy() {
    let mut world = World::new().await;
    world.held().await;
    world.server.answer(Page::of("404 Not Found", "text/plain", ""));
    // The id changes and the fetch fails.
    world.announce("2");
    let (policy, _, problem) = world.held().await;
    assert!(policy.mode() == StsMode::Enforce && matches!(problem, Some(StsProblem::Fetch(_))));
    // The host is somebody else's.
    world.server.show(HOST, Shown::SelfSigned);
    world.announce("3");
    assert!(matches!(world.held().await.2, Some(StsProblem::Certificate(_))));
    // The record is malformed, or gone; the domain itself is.
    world.record(&[b"v=STSv1; id=1;", b"v=STSv1; id=2;"]);
    assert!(matches!(world.held().await.2, Some(StsProblem::Invalid(_))));
    world.record(&[]);
    assert_eq!(world.held().await.2, None);
    world.dns_fails(DnsError::NoSuchDomain);
    assert_eq!(world.held().await.2, None);
    // DNS fails, for each reason, over a restart each.
    for error in [temporary(), DnsError::Bogus] {
        world.dns_fails(error);
        world.restart();
        assert!(matches!(world.held().await.2, Some(StsProblem::Fetch(_))));
    }
    world.pass(LASTS * DAY - 1);
    world.restart();
    assert_eq!(world.held().await.0.mode(), StsMode::Enforce);
    world.pass(1);
    let facts = world.facts().await;
    assert!(facts.policy.is_none(), "its time is over");
    assert!(facts.problem.is_some(), "and nobody can say that there is none");
}

#[tokio::test]
async fn a_failing_dns_is_never_no_policy() {
    let world = World::new().await;
    for error in [temporary(), DnsError::Bogus] {
        world.dns_fails(error);
        world.pass(HOUR);
        let facts = world.facts().await;
        assert!(facts.policy.is_none());
        assert!(matches!(facts.problem, Some(StsProblem::Fetch(_))), "{facts:?}");
    }
    let asked = world.dns.questions.load(SeqCst);
    world.facts().await;
    assert_eq!(world.dns.questions.load(SeqCst), asked, "not each message asks again");
    world.dns_works();
    world.pass(MINUTE);
    assert_eq!(world.held().await.2, None);
}

#[tokio::test]
async fn near_its_end_a_policy_is_fetched_again_even_without_dns() {
    let world = World::new().await;
    world.held().await;
    world.dns_fails(temporary());
    world.pass((LASTS - 2) * DAY - 1);
    world.held().await;
    assert_eq!(world.fetches(), 1);
    world.pass(MINUTE);
    let (_, age, problem) = world.held().await;
    assert_eq!((world.fetches(), age), (2, Duration::ZERO));
    assert!(problem.is_some(), "the record is still not known");
    // A record that is truly gone is another thing: the domain takes no part any more.
    world.dns_works();
    world.record(&[]);
    world.pass((LASTS - 1) * DAY);
    world.held().await;
    assert_eq!(world.fetches(), 2);
    world.pass(DAY);
    assert!(world.facts().await.policy.is_none());
}

#[tokio::test]
async fn a_clock_set_back_neither_ends_a_policy_nor_makes_it_eternal() {
    let mut world = World::new().await;
    world.held().await;
    world.clock.fetch_sub(1000 * DAY, SeqCst);
    let (_, age, problem) = world.held().await;
    assert_eq!((age, problem), (Duration::ZERO, None));
    world.record(&[]);
    world.restart();
    world.pass(LASTS * DAY - 1);
    world.held().await;
    world.pass(1);
    assert!(world.facts().await.policy.is_none());
}

// In the background.

#[tokio::test]
async fn policies_are_refreshed_daily_and_deleted_at_their_end() {
    let mut world = World::new().await;
    world.held().await;
    assert_eq!(world.policies.refresh().await, 0, "it is fresh");
    world.pass(DAY);
    world.restart();
    assert_eq!((world.policies.refresh().await, world.fetches()), (1, 2));
    world.pass(HOUR);
    assert_eq!((world.policies.refresh().await, world.fetches()), (0, 2));
    assert_eq!(world.held().await.1, Duration::from_millis(HOUR));
    // A refresh that fails is noted and changes nothing.
    world.server.answer(Page::of("500 Oops", "text/plain", ""));
    world.pass(DAY);
    assert_eq!(world.policies.refresh().await, 1);
    let [view] = world.policies.list().unwrap().try_into().unwrap();
    let (_, words) = view.problem.unwrap();
    assert!(words.contains("answered with 500"), "{words}");
    assert_eq!(world.held().await.0.mode(), StsMode::Enforce);
    world.record(&[]);
    world.pass(LASTS * DAY);
    assert_eq!(world.policies.refresh().await, 0);
    assert_eq!(world.policies.list().unwrap(), []);
    let kept = world.store.scan(wardpost_store::Column::Trust, b"s", None, 9).unwrap();
    assert_eq!(kept, [], "it is gone from the disk");
}

#[tokio::test]
async fn what_nobody_uses_is_not_refreshed_for_ever() {
    let world = World::new().await;
    world.held().await;
    let mut days = 0;
    loop {
        world.pass(DAY);
        if world.policies.refresh().await == 0 {
            break;
        }
        days += 1;
    }
    assert_eq!(days, 182);
    world.held().await;
    world.pass(DAY);
    assert_eq!(world.policies.refresh().await, 1, "it is used again");
}

#[tokio::test]
async fn a_policy_of_mode_none_is_not_refreshed() {
    let world = World::new().await;
    world.server.answer(Page::text("version: STSv1\nmode: none\nmax_age: 864000\n"));
    world.held().await;
    world.pass(2 * DAY);
    assert_eq!((world.policies.refresh().await, world.fetches()), (0, 1));
}

// Many at once, and slow ones.

#[tokio::test]
async fn questions_at_one_time_share_one_search() {
    let world = World::new().await;
    let text = policy_text("enforce", "mx.far.test");
    let let_it = Arc::new(tokio::sync::Notify::new());
    world.server.answer(Page::Later(raw("200 OK", "text/plain", &text), Arc::clone(&let_it)));
    let mut asking = JoinSet::new();
    for _ in 0..50 {
        let policies = world.policies.clone();
        asking.spawn(async move { policies.facts(&domain("far.test")).await });
    }
    while world.server.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    let_it.notify_one();
    while let Some(facts) = asking.join_next().await {
        assert!(facts.unwrap().policy.is_some());
    }
    assert_eq!((world.fetches(), world.dns.questions.load(SeqCst)), (1, 1));
}

#[tokio::test]
async fn a_slow_host_does_not_hold_up_deliveries() {
    let mut world = World::new().await;
    world.held().await;
    let text = policy_text("enforce", "*.far.test");
    let let_it = Arc::new(tokio::sync::Notify::new());
    world.server.answer(Page::Later(raw("200 OK", "text/plain", &text), Arc::clone(&let_it)));
    world.options.patience = Duration::from_millis(20);
    world.restart();
    world.announce("2");
    let (policy, _, problem) = world.held().await;
    assert!(!policy.covers(&domain("new.far.test")), "the kept one");
    assert!(matches!(problem, Some(StsProblem::Fetch(_))), "{problem:?}");
    // The search goes on and its fruit is there for the next one.
    let_it.notify_one();
    while !world.held().await.0.covers(&domain("new.far.test")) {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.fetches(), 2);
}

#[tokio::test]
async fn a_host_that_never_answers_is_given_up() {
    let mut world = World::new().await;
    world.options.fetch = Duration::from_millis(50);
    world.restart();
    world.server.answer(Page::Silence);
    let facts = world.facts().await;
    assert!(facts.policy.is_none());
    assert!(matches!(facts.problem, Some(StsProblem::Fetch(_))), "{facts:?}");
}

// For people and machines.

#[tokio::test]
async fn lists_and_numbers() {
    let world = World::new().await;
    assert_eq!(world.policies.list().unwrap(), []);
    let (policy, ..) = world.held().await;
    world.pass(HOUR);
    let [view] = world.policies.list().unwrap().try_into().unwrap();
    assert_eq!((view.domain.as_str(), view.id.as_str()), ("far.test", "1"));
    assert_eq!((view.policy, view.problem), (policy, None));
    let lasts = view.ends.duration_since(view.fetched).unwrap();
    assert_eq!(lasts, Duration::from_millis(LASTS * DAY));
    world.server.show("far.test", Shown::Good);
    world.announce("2");
    world.held().await;
    let stats = world.policies.stats();
    assert_eq!(stats.kept, [(StsMode::Enforce, 1), (StsMode::Testing, 0), (StsMode::None, 0)]);
    let [ok, fetch, certificate, invalid] = stats.fetches.try_into().unwrap();
    assert_eq!(
        [ok, fetch, certificate, invalid],
        [
            ("ok", 1),
            ("sts-policy-fetch-error", 0),
            ("sts-webpki-invalid", 1),
            ("sts-policy-invalid", 0)
        ]
    );
    world.pass(LASTS * DAY);
    assert_eq!(world.policies.list().unwrap(), [], "over is over");
    assert_eq!(world.policies.stats().kept[0].1, 0);
}

#[tokio::test]
async fn a_full_shelf_keeps_what_it_has_and_serves_the_rest() {
    let mut world = World::new().await;
    world.options.most = 0;
    world.restart();
    assert_eq!(world.held().await.0.mode(), StsMode::Enforce);
    assert_eq!(world.policies.list().unwrap(), []);
}
