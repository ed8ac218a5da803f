//! What becomes of certificates that the authority has issued, with the authority out of reach.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use crate::attempt::Outcome;
use crate::records::{CertificateRecord, Records};
use crate::trouble::Kind;
use crate::worker::{Acme, now};
use crate::{Names, Parts, Settings, Way, Wish, open_tls};
use async_trait::async_trait;
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wardpost_dns::{FakeOwn, FakeResolver};
use wardpost_mail::Domain;
use wardpost_net::{CertificateFacts, Https, OwnKey, SetUpCertificate};
use wardpost_publish::KeyPlan;
use wardpost_store::Store;
use wardpost_verdict::Roots;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

type Answers = Vec<(Domain, Option<bool>)>;

/// What the DNS says of names besides the host's. Clones share it.
#[derive(Clone, Default)]
struct Listed(Arc<Mutex<Answers>>);

impl Listed {
    fn say(&self, answers: &[(&str, Option<bool>)]) {
        let answers = answers.iter().map(|(name, leads)| (Domain::parse(name).unwrap(), *leads));
        *self.0.lock() = answers.collect();
    }
}

#[async_trait]
impl Names for Listed {
    async fn others(&self) -> Answers {
        self.0.lock().clone()
    }
}

fn domains(names: &[&str]) -> Vec<Domain> {
    names.iter().map(|name| Domain::parse(name).unwrap()).collect()
}

async fn acme(store: &Store, dir: &Path) -> Acme {
    acme_with(store, dir, &Listed::default()).await
}

async fn acme_with(store: &Store, dir: &Path, names: &Listed) -> Acme {
    let host = Domain::parse("mail.clinic.test").unwrap();
    let keys = KeyPlan::open(store.clone()).unwrap();
    let tls = open_tls(store, &keys, dir, &host, SetUpCertificate::Ends).unwrap();
    keys.observe(&tls.certificate().public_key_info, SystemTime::now()).await.unwrap();
    let settings = Settings {
        host,
        directory: "https://127.0.0.1:1/dir".into(),
        contact: None,
        external: None,
        ways: vec![Way::Http],
    };
    let parts = Parts {
        store: store.clone(),
        tls,
        keys,
        own: Arc::new(FakeOwn::new()),
        resolver: Arc::new(FakeResolver::new()),
        https: Https::new(&Roots::new()).unwrap(),
        names: Arc::new(names.clone()),
    };
    Acme::open(settings, parts).unwrap()
}

fn moment(unix: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(unix.unsigned_abs())
}

/// A certificate for a key, valid between these moments, as an authority issues it.
fn issued(acme: &Acme, key: &OwnKey, begins: i64, ends: i64) -> Outcome {
    issued_for(acme, &[], key, begins, ends)
}

/// One for names besides the host's.
fn issued_for(acme: &Acme, others: &[&str], key: &OwnKey, begins: i64, ends: i64) -> Outcome {
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.distinguished_name.push(rcgen::DnType::CommonName, "An authority");
    let issuer = Issuer::new(root, KeyPair::generate().unwrap());
    let others = others.iter().map(|name| (*name).to_owned());
    let names: Vec<String> = [acme.0.settings.host.to_string()].into_iter().chain(others).collect();
    let mut leaf = CertificateParams::new(names).unwrap();
    (leaf.not_before, leaf.not_after) = (moment(begins).into(), moment(ends).into());
    let pair = KeyPair::try_from(key.pkcs8().expose().as_slice()).unwrap();
    let record = CertificateRecord {
        directory: acme.0.settings.directory.clone(),
        chain: leaf.signed_by(&pair, &issuer).unwrap().pem(),
        pkcs8: key.pkcs8().expose().clone(),
        since: now(),
    };
    Outcome { record, left_out: Vec::new(), way: Way::Http }
}

fn own_key(acme: &Acme) -> OwnKey {
    acme.0.parts.tls.own_key().unwrap()
}

fn shown(acme: &Acme) -> CertificateFacts {
    acme.0.parts.tls.certificate()
}

fn kept(store: &Store) -> Option<CertificateFacts> {
    let record = Records::of(store).certificate().unwrap()?;
    Some(CertificateFacts::of_chain(&record.chain).unwrap())
}

#[tokio::test]
async fn a_certificate_that_cannot_be_kept_is_used_and_kept_later() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Store::in_memory());
    let acme = acme(&store, dir.path()).await;
    let outcome = issued(&acme, &own_key(&acme), now() - HOUR, now() + 90 * DAY);
    let facts = CertificateFacts::of_chain(&outcome.record.chain).unwrap();
    acme.0.records.full.store(true, Ordering::SeqCst);
    acme.succeeded(outcome, false).await;
    assert_eq!(shown(&acme).fingerprint, facts.fingerprint, "it is in use");
    assert!(kept(&store).is_none());
    let status = acme.status();
    let failed = status.last_failure.unwrap();
    assert_eq!((failed.kind, status.failures), (Kind::Here, 1));
    assert!(failed.says.contains("could not be kept"), "{failed:?}");
    assert!((59..=91).contains(&(status.next_try.unwrap() - now())), "a pause");
    assert!(status.since.is_some());

    // Nobody orders another, neither by itself nor asked, while there is no room.
    assert!(!acme.may_be_due(now()) && !acme.may_be_due(now() + 80 * DAY));
    acme.tick().await.unwrap();
    acme.renew(Wish::default()).await;
    assert_eq!(acme.status().last_failure.unwrap().kind, Kind::Here);

    // There is room again: the same one is kept, and nothing is wrong any longer.
    acme.0.records.full.store(false, Ordering::SeqCst);
    acme.tick().await.unwrap();
    assert_eq!(kept(&store).unwrap().fingerprint, facts.fingerprint);
    let status = acme.status();
    assert_eq!((status.failures, status.last_failure, status.next_try), (0, None, None));
    acme.0.state.lock().got = None;
    assert!(acme.may_be_due(now() + 80 * DAY), "its end is in sight");
}

#[tokio::test]
async fn a_certificate_for_the_next_key_is_used_and_its_key_noted_once() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Store::in_memory());
    let acme = acme(&store, dir.path()).await;
    let keys = &acme.0.parts.keys;
    keys.make_next(false, SystemTime::now()).await.unwrap();
    let next = keys.next_key().unwrap().unwrap();
    acme.0.records.full.store(true, Ordering::SeqCst);
    acme.succeeded(issued(&acme, &next, now() - HOUR, now() + 90 * DAY), true).await;
    assert_eq!(shown(&acme).public_key_info, next.public_key_info());
    acme.0.records.full.store(false, Ordering::SeqCst);
    acme.tick().await.unwrap();
    assert_eq!(kept(&store).unwrap().public_key_info, next.public_key_info());
    assert!(keys.next_key().unwrap().is_none() && acme.status().last_failure.is_none());
}

#[tokio::test]
async fn nothing_is_ordered_that_could_not_be_kept() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Store::in_memory());
    let acme = acme(&store, dir.path()).await;
    // The account is there.
    acme.renew(Wish::default()).await;
    assert_eq!(acme.status().last_failure.unwrap().kind, Kind::Unreachable);
    acme.0.records.full.store(true, Ordering::SeqCst);
    acme.renew(Wish::default()).await;
    assert_eq!(acme.status().last_failure.unwrap().kind, Kind::Here);
}

#[tokio::test]
async fn a_certificate_of_today_is_not_renewed_unasked() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Store::in_memory());
    let acme = acme(&store, dir.path()).await;
    let get = async |acme: &Acme, begins: i64, ends: i64, asked: bool| {
        acme.succeeded(issued(acme, &own_key(acme), begins, ends), asked).await;
    };
    // By our clock, which is fast, there is less than a third left of it, or nothing.
    for (begins, ends) in [(-70 * DAY, 20 * DAY), (-100 * DAY, -10 * DAY)] {
        get(&acme, now() + begins, now() + ends, false).await;
        assert!(!acme.may_be_due(now()), "{begins}");
        assert!(!acme.may_be_due(now() + 23 * HOUR));
        // Our clock jumps; the one that nobody sets has not moved.
        assert!(!acme.may_be_due(now() + 3 * DAY) && !acme.may_be_due(now() - 9 * DAY));
        // After a restart only the clock on the wall is left.
        let again = self::acme(&store, dir.path()).await;
        assert!(!again.may_be_due(now() + 23 * HOUR) && again.may_be_due(now() + 25 * HOUR));
    }
    // The authority says "now", over and over.
    get(&acme, now(), now() + 90 * DAY, false).await;
    let past = crate::schedule::Window { start: 0, end: 1, chosen: 0 };
    acme.0.state.lock().progress.window = Some(past);
    assert!(!acme.may_be_due(now()));
    assert!(acme.status().renewal.unwrap() >= now() + DAY - 60);
    acme.0.state.lock().got = None;
    assert!(!acme.may_be_due(now() + 23 * HOUR) && acme.may_be_due(now() + 25 * HOUR));
    // Several lately: two days.
    get(&acme, now() - 70 * DAY, now() + 20 * DAY, false).await;
    acme.0.state.lock().got = None;
    assert!(!acme.may_be_due(now() + 47 * HOUR) && acme.may_be_due(now() + 49 * HOUR));
    // One that lasts for a day only is not left until it has ended.
    get(&acme, now(), now() + DAY, false).await;
    acme.0.state.lock().got = None;
    assert!(acme.may_be_due(now() + 17 * HOUR));
}

#[tokio::test]
async fn somebody_may_ask_for_five_a_day() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Store::in_memory());
    let acme = acme(&store, dir.path()).await;
    let ends = now() + 90 * DAY;
    acme.succeeded(issued(&acme, &own_key(&acme), now(), ends), false).await;
    for _ in 0..5 {
        // The authority is asked, and is not there.
        let status = acme.renew(Wish::default()).await;
        assert_eq!(status.last_failure.unwrap().kind, Kind::Unreachable);
        assert!(status.refused.is_none());
        acme.succeeded(issued(&acme, &own_key(&acme), now(), ends), true).await;
    }
    // A restart does not begin the count again.
    let acme = self::acme(&store, dir.path()).await;
    for wish in [Wish::default(), Wish { next_key: true, new_account: false }] {
        let status = acme.renew(wish).await;
        let refused = status.refused.unwrap();
        assert!(refused.contains("5 certificates") && refused.contains("UTC"), "{refused}");
        assert!(status.last_failure.is_none(), "nothing is wrong");
    }
    assert!(acme.status().refused.is_none());
}

#[tokio::test]
async fn another_key_is_asked_for_at_once_but_not_for_ever() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Store::in_memory());
    let acme = acme(&store, dir.path()).await;
    let ends = now() + 90 * DAY;
    acme.succeeded(issued(&acme, &own_key(&acme), now(), ends), false).await;
    assert!(!acme.may_be_due(now()));
    // One that is for a key that nobody knows.
    for n in 1..7 {
        let stranger = OwnKey::generate().unwrap();
        acme.succeeded(issued(&acme, &stranger, now(), ends), false).await;
        assert_eq!(acme.may_be_due(now()), n < 4, "{n}");
    }
}

#[tokio::test]
async fn when_the_dns_is_silent_no_name_is_given_up() {
    let (dir, store) = (tempfile::tempdir().unwrap(), Store::in_memory());
    let (policy, phones, other) =
        ("mta-sts.clinic.test", "autoconfig.clinic.test", "mta-sts.ward.test");
    let names = Listed::default();
    let acme = acme_with(&store, dir.path(), &names).await;
    let outcome =
        issued_for(&acme, &[policy, other], &own_key(&acme), now() - 70 * DAY, now() + 20 * DAY);
    acme.succeeded(outcome, false).await;

    // A restart, with a renewal due and half of the DNS dead: it would be for the names of the old one, and
    // for what is known of the others. A domain that is ours no longer is not asked about.
    let acme = acme_with(&store, dir.path(), &names).await;
    assert!(acme.may_be_due(now() + 25 * HOUR));
    names.say(&[(policy, None), (phones, None)]);
    acme.tick().await.unwrap();
    assert_eq!(acme.others(), domains(&[policy]));
    // Silence is not remembered: we look again at the next tick, and believe what is said then.
    names.say(&[(policy, None), (phones, Some(true))]);
    acme.tick().await.unwrap();
    assert_eq!(acme.others(), domains(&[policy, phones]));
    assert!(acme.may_be_due(now()), "it is not in the certificate");
    // Whoever insists on looking learns nothing from silence either. And for a name of which nothing is heard no
    // certificate is ordered that would lack it, too.
    names.say(&[(policy, None), (phones, None)]);
    acme.renew(Wish::default()).await;
    assert_eq!(acme.others(), domains(&[policy, phones]));
    assert!(!acme.may_be_due(now()));
    // An answer counts, also that it leads elsewhere.
    names.say(&[(policy, Some(false)), (phones, Some(false))]);
    acme.tick().await.unwrap();
    assert!(acme.others().is_empty());
    names.say(&[(policy, Some(true))]);
    acme.tick().await.unwrap();
    assert!(acme.others().is_empty(), "nobody is asked again within minutes");
}
