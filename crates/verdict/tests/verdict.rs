//! Verdicts over certificate chains made for the occasion.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use std::time::{Duration, SystemTime};
use wardpost_mail::Domain;
use wardpost_verdict::{
    Bound, ChannelBinding, FailureKind, Floor, HandshakeFacts, Observation, Roots, TlsGrade,
    TlsVersion, Verdict, grade,
};

const DAY: Duration = Duration::from_secs(24 * 3600);
const BINDING: ChannelBinding = ChannelBinding([7; 32]);

/// An authority of our own, and the roots that trust it.
struct World {
    ca: CertifiedIssuer<'static, KeyPair>,
    roots: Roots,
}

fn world() -> World {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, "Test CA");
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut roots = Roots::new();
    roots.add(ca.der()).unwrap();
    World { ca, roots }
}

fn names(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    CertificateParams::new(names).unwrap()
}

impl World {
    fn issue(&self, params: &CertificateParams) -> Vec<u8> {
        params.signed_by(&KeyPair::generate().unwrap(), &self.ca).unwrap().der().to_vec()
    }
}

fn host() -> Domain {
    Domain::parse("mx.clinic.test").unwrap()
}

fn shown(chain: Vec<Vec<u8>>) -> Observation {
    Observation::Completed(HandshakeFacts {
        version: TlsVersion::Tls13,
        suite: "TLS_AES_256_GCM_SHA384".into(),
        chain,
        binding: BINDING,
    })
}

fn judge(chain: Vec<Vec<u8>>, roots: &Roots) -> Verdict {
    grade(&host(), &shown(chain), roots, SystemTime::now())
}

fn kinds(verdict: &Verdict) -> Vec<FailureKind> {
    verdict.failures().iter().map(|failure| failure.kind).collect()
}

#[test]
fn a_certificate_for_the_host_from_a_known_authority_is_t3() {
    let world = world();
    let verdict = judge(vec![world.issue(&names(&["mx.clinic.test"]))], &world.roots);
    assert_eq!(verdict.grade(), TlsGrade::T3);
    assert_eq!(kinds(&verdict), []);
    assert_eq!(verdict.version(), Some(TlsVersion::Tls13));
    assert_eq!(verdict.certificate().unwrap().sha256.len(), 64);
}

#[test]
fn a_wildcard_covers_one_label() {
    let world = world();
    let covered = judge(vec![world.issue(&names(&["*.clinic.test"]))], &world.roots);
    assert_eq!(covered.grade(), TlsGrade::T3);
    let not_covered = judge(vec![world.issue(&names(&["*.test"]))], &world.roots);
    assert_eq!(kinds(&not_covered), [FailureKind::CertificateHostMismatch]);
}

#[test]
fn the_wrong_name_is_a_host_mismatch() {
    let world = world();
    let verdict = judge(vec![world.issue(&names(&["mx.other.test"]))], &world.roots);
    assert_eq!(verdict.grade(), TlsGrade::T2);
    assert_eq!(kinds(&verdict), [FailureKind::CertificateHostMismatch]);
    assert!(verdict.explain().contains("mx.other.test"), "{}", verdict.explain());
}

#[test]
fn a_common_name_is_no_name() {
    let world = world();
    let mut params = names(&[]);
    params.distinguished_name.push(DnType::CommonName, "mx.clinic.test");
    let verdict = judge(vec![world.issue(&params)], &world.roots);
    assert_eq!(kinds(&verdict), [FailureKind::CertificateHostMismatch]);
}

#[test]
fn an_expired_certificate_says_so() {
    let world = world();
    let mut params = names(&["mx.clinic.test"]);
    params.not_before = (SystemTime::now() - 20 * DAY).into();
    params.not_after = (SystemTime::now() - 10 * DAY).into();
    let verdict = judge(vec![world.issue(&params)], &world.roots);
    assert_eq!(verdict.grade(), TlsGrade::T2);
    assert_eq!(kinds(&verdict), [FailureKind::CertificateExpired]);
}

#[test]
fn a_certificate_of_the_future_is_not_valid() {
    let world = world();
    let mut params = names(&["mx.clinic.test"]);
    params.not_before = (SystemTime::now() + 10 * DAY).into();
    params.not_after = (SystemTime::now() + 20 * DAY).into();
    let verdict = judge(vec![world.issue(&params)], &world.roots);
    assert_eq!(kinds(&verdict), [FailureKind::ValidationFailure]);
    assert!(verdict.explain().contains("not valid yet"));
}

#[test]
fn self_signed_proves_nothing() {
    let world = world();
    let own = names(&["mx.clinic.test"]).self_signed(&KeyPair::generate().unwrap()).unwrap();
    let verdict = judge(vec![own.der().to_vec()], &world.roots);
    assert_eq!(verdict.grade(), TlsGrade::T2);
    assert_eq!(kinds(&verdict), [FailureKind::CertificateNotTrusted]);
    assert!(verdict.explain().contains("self-signed"));
}

#[test]
fn self_signed_and_marked_as_an_authority_proves_nothing_either() {
    let world = world();
    let mut params = names(&["mx.clinic.test"]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let verdict = judge(vec![own.der().to_vec()], &world.roots);
    assert_eq!(kinds(&verdict), [FailureKind::CertificateNotTrusted]);
}

#[test]
fn an_unknown_authority_is_not_trusted() {
    let (ours, theirs) = (world(), world());
    let chain = vec![theirs.issue(&names(&["mx.clinic.test"])), theirs.ca.der().to_vec()];
    let verdict = judge(chain, &ours.roots);
    assert_eq!(kinds(&verdict), [FailureKind::CertificateNotTrusted]);
}

#[test]
fn everything_that_is_wrong_is_said() {
    let (ours, theirs) = (world(), world());
    let mut params = names(&["mx.other.test"]);
    params.not_before = (SystemTime::now() - 20 * DAY).into();
    params.not_after = (SystemTime::now() - 10 * DAY).into();
    let verdict = judge(vec![theirs.issue(&params)], &ours.roots);
    assert_eq!(
        kinds(&verdict),
        [
            FailureKind::CertificateExpired,
            FailureKind::CertificateNotTrusted,
            FailureKind::CertificateHostMismatch
        ]
    );
}

#[test]
fn an_intermediate_must_be_shown() {
    let world = world();
    let mut params = names(&[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.distinguished_name.push(DnType::CommonName, "Intermediate");
    let between =
        CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &world.ca).unwrap();
    let own = names(&["mx.clinic.test"]).signed_by(&KeyPair::generate().unwrap(), &between);
    let own = own.unwrap().der().to_vec();
    let whole = judge(vec![own.clone(), between.der().to_vec()], &world.roots);
    assert_eq!(whole.grade(), TlsGrade::T3);
    assert_eq!(kinds(&judge(vec![own], &world.roots)), [FailureKind::CertificateNotTrusted]);
}

#[test]
fn a_client_certificate_is_no_server_certificate() {
    let world = world();
    let mut params = names(&["mx.clinic.test"]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let verdict = judge(vec![world.issue(&params)], &world.roots);
    assert_eq!(kinds(&verdict), [FailureKind::ValidationFailure]);
}

#[test]
fn rubbish_and_nothing_are_validation_failures() {
    let world = world();
    for chain in [vec![], vec![b"rubbish".to_vec()], vec![Vec::new()]] {
        let verdict = judge(chain, &world.roots);
        assert_eq!(verdict.grade(), TlsGrade::T2);
        assert_eq!(kinds(&verdict), [FailureKind::ValidationFailure]);
    }
}

#[test]
fn without_a_handshake_there_is_no_grade_worth_having() {
    let roots = Roots::new();
    let now = SystemTime::now();
    for (seen, worth, kind) in [
        (Observation::NotOffered, TlsGrade::T0, FailureKind::StarttlsNotSupported),
        (Observation::Refused(454), TlsGrade::T0, FailureKind::StarttlsNotSupported),
        (Observation::OldTls, TlsGrade::T1, FailureKind::ValidationFailure),
        (
            Observation::HandshakeFailed("reset".into()),
            TlsGrade::T0,
            FailureKind::ValidationFailure,
        ),
    ] {
        let verdict = grade(&host(), &seen, &roots, now);
        assert_eq!((verdict.grade(), kinds(&verdict)), (worth, vec![kind]));
        assert_eq!(verdict.version(), None);
    }
}

/// A connection that says it is the one with this binding.
#[derive(Debug)]
struct Connection(Option<ChannelBinding>);

impl Bound for Connection {
    fn channel_binding(&self) -> Option<ChannelBinding> {
        self.0
    }
}

#[test]
fn a_channel_is_admitted_at_the_floor_and_above_only() {
    let world = world();
    let good = judge(vec![world.issue(&names(&["mx.clinic.test"]))], &world.roots);
    for (floor, admitted) in
        [(TlsGrade::T0, true), (TlsGrade::T3, true), (TlsGrade::T4, false), (TlsGrade::T5, false)]
    {
        let result = good.clone().admit(Connection(Some(BINDING)), Floor::new(floor));
        assert_eq!(result.is_ok(), admitted, "{floor}");
    }
    let bad = judge(vec![world.issue(&names(&["mx.other.test"]))], &world.roots);
    let below = bad.admit(Connection(Some(BINDING)), Floor::default()).unwrap_err();
    assert_eq!((below.verdict.grade(), below.floor.grade()), (TlsGrade::T2, TlsGrade::T3));
}

#[test]
fn no_floor_lets_cleartext_through() {
    assert_eq!(Floor::new(TlsGrade::T0).grade(), TlsGrade::T2);
    let verdict = grade(&host(), &Observation::NotOffered, &Roots::new(), SystemTime::now());
    assert!(verdict.clone().admit(Connection(None), Floor::new(TlsGrade::T0)).is_err());
    assert!(verdict.admit(Connection(Some(BINDING)), Floor::new(TlsGrade::T0)).is_err());
}

#[test]
fn a_verdict_admits_only_the_connection_it_was_made_from() {
    let world = world();
    let verdict = judge(vec![world.issue(&names(&["mx.clinic.test"]))], &world.roots);
    let floor = Floor::default();
    assert!(verdict.clone().admit(Connection(Some(ChannelBinding([8; 32]))), floor).is_err());
    assert!(verdict.clone().admit(Connection(None), floor).is_err());
    let stored = postcard::to_stdvec(&verdict).unwrap();
    let read: Verdict = postcard::from_bytes(&stored).unwrap();
    assert_eq!((read.grade(), read.failures()), (TlsGrade::T3, verdict.failures()));
    assert!(read.admit(Connection(Some(BINDING)), floor).is_err(), "evidence is no ticket");
}

#[test]
fn failure_words_are_those_of_rfc_8460() {
    let words = FailureKind::ALL.map(FailureKind::name);
    assert_eq!(
        words,
        [
            "starttls-not-supported",
            "certificate-host-mismatch",
            "certificate-expired",
            "certificate-not-trusted",
            "validation-failure",
            "tlsa-invalid",
            "dnssec-invalid",
            "sts-policy-fetch-error",
            "sts-policy-invalid",
            "sts-webpki-invalid",
        ]
    );
}

#[test]
fn a_host_that_is_no_dns_name_matches_nothing() {
    let world = world();
    let number = Domain::parse("127.0.0.1").unwrap();
    let chain = vec![world.issue(&names(&["127.0.0.1"]))];
    let verdict = grade(&number, &shown(chain), &world.roots, SystemTime::now());
    assert_eq!(kinds(&verdict), [FailureKind::CertificateHostMismatch]);
}

proptest::proptest! {
    #[test]
    fn bytes_of_strangers_do_no_harm(chain in proptest::collection::vec(proptest::collection::vec(0u8.., 0..400), 0..4)) {
        let verdict = judge(chain, &Roots::new());
        proptest::prop_assert!(verdict.grade() < TlsGrade::T3);
        proptest::prop_assert!(!verdict.explain().is_empty());
    }
}
