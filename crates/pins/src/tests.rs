//! Rules: made, refused, kept, found.

use super::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use wardpost_mail::{Secret, TlsGrade};
use wardpost_policy::PinFacts;
use wardpost_verdict::{Fingerprint, Floor, Published};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

fn draft(pattern: &str) -> Draft {
    Draft::new(pattern.parse().unwrap(), "root")
}

fn made(draft: Draft) -> Result<Pin, PinError> {
    Pin::new(draft, Floor::default(), SystemTime::now())
}

fn pickup(pattern: &str) -> Pin {
    made(Draft { pickup: true, ..draft(pattern) }).unwrap()
}

fn exception(pattern: &str, lasts: Duration) -> Draft {
    Draft {
        allow_unverified: true,
        reason: "fax only otherwise; asked their IT".to_owned(),
        expires: Some(SystemTime::now() + lasts),
        ..draft(pattern)
    }
}

fn relay(login: Option<Login>) -> Smarthost {
    Smarthost { host: domain("relay.isp.example"), port: 587, login, trusted_onward: false }
}

/// A certificate in PEM, and its DER.
fn certificate(ca: bool) -> (String, Vec<u8>) {
    let mut params = CertificateParams::new(vec!["mx.lab.example".to_owned()]).unwrap();
    if ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    (made.pem(), made.der().to_vec())
}

#[test]
fn patterns_are_read_and_written() {
    for text in ["*", "*.lab.example", "lab.example", "*.example"] {
        assert_eq!(text.parse::<Pattern>().unwrap().to_string(), text);
    }
    assert_eq!(
        "*.Bücher.Example".parse::<Pattern>().unwrap().to_string(),
        "*.xn--bcher-kva.example"
    );
    for text in ["", "*.", "**", "a*.example", "*.*.example", "dana@lab.example", ".example"] {
        assert_eq!(text.parse::<Pattern>(), Err(PinError::Pattern), "{text}");
    }
}

#[tokio::test]
async fn the_most_specific_rule_holds_whole() {
    let pins = Pins::open(Store::in_memory()).unwrap();
    assert!(pins.of(&domain("lab.example")).is_none());
    for pattern in ["*", "*.example", "*.lab.example", "lab.example"] {
        pins.set(pickup(pattern)).await.unwrap();
    }
    for (asked, pattern) in [
        ("lab.example", "lab.example"),
        ("mail.lab.example", "*.lab.example"),
        ("deep.mail.lab.example", "*.lab.example"),
        ("other.example", "*.example"),
        ("example", "*"),
        ("else.test", "*"),
        ("slab.example", "*.example"),
    ] {
        let found = pins.of(&domain(asked)).unwrap();
        assert_eq!(found.pattern().to_string(), pattern, "{asked}");
    }
    pins.remove(&"*.lab.example".parse().unwrap()).await.unwrap();
    assert_eq!(pins.of(&domain("mail.lab.example")).unwrap().pattern().to_string(), "*.example");
}

#[tokio::test]
async fn rules_outlive_the_program_and_name_nobody_on_the_disk() {
    let store = Store::in_memory();
    let pins = Pins::open(store.clone()).unwrap();
    let login = Login { user: "clinic".to_owned(), password: Secret::new("s3cret".to_owned()) };
    let smarthost = Draft { smarthost: Some(relay(Some(login))), ..draft("*") };
    pins.set(made(smarthost).unwrap()).await.unwrap();
    pins.set(made(exception("lab.example", 90 * DAY)).unwrap()).await.unwrap();
    let replaced = pins.set(pickup("lab.example")).await.unwrap().unwrap();
    assert!(replaced.is_exception());

    let again = Pins::open(store.clone()).unwrap();
    let patterns: Vec<String> = again.list().iter().map(|pin| pin.pattern().to_string()).collect();
    assert_eq!(patterns, ["*", "lab.example"]);
    let any = again.of(&domain("other.test")).unwrap();
    let login = any.smarthost().unwrap().login.as_ref().unwrap();
    assert_eq!((login.user.as_str(), login.password.expose().as_str()), ("clinic", "s3cret"));
    assert!(!format!("{any:?}").contains("s3cret"));

    for (key, _) in store.scan(Column::Trust, b"", None, 10).unwrap() {
        assert_eq!((key[0], key.len()), (b'p', 17));
        assert!(!key.windows(3).any(|part| part == b"lab"));
    }
    again.remove(&"lab.example".parse().unwrap()).await.unwrap();
    let missing = again.remove(&"lab.example".parse().unwrap()).await;
    assert!(matches!(missing, Err(PinsError::NotFound(_))));
    assert_eq!(Pins::open(store).unwrap().list().len(), 1);
}

#[tokio::test]
async fn what_has_ended_counts_for_nothing_and_is_listed_for_a_while() {
    let pins = Pins::open(Store::in_memory()).unwrap();
    pins.set(pickup("*.example")).await.unwrap();
    pins.set(made(exception("lab.example", 30 * DAY)).unwrap()).await.unwrap();
    let now = SystemTime::now();
    let holds = |at| pins.of_at(&domain("lab.example"), at).unwrap().pattern().to_string();
    assert_eq!(holds(now), "lab.example");
    assert_eq!(holds(now + 29 * DAY), "lab.example");
    assert_eq!(holds(now + 30 * DAY), "*.example");
    let ended = pins.get(&"lab.example".parse().unwrap()).unwrap();
    assert!(ended.has_ended(now + 30 * DAY) && !ended.has_ended(now));

    // One that ended longer ago than anybody asks for goes with the next change.
    let long_ago = now - 400 * DAY;
    let old = Draft {
        allow_unverified: true,
        reason: "old".to_owned(),
        expires: Some(long_ago + DAY),
        ..draft("old.example")
    };
    pins.set(Pin::new(old, Floor::default(), long_ago).unwrap()).await.unwrap();
    assert!(pins.of(&domain("old.example")).unwrap().pickup(), "the rule above holds");
    assert_eq!(pins.list().len(), 3);
    pins.set(pickup("third.example")).await.unwrap();
    assert!(pins.get(&"old.example".parse().unwrap()).is_none());
    assert_eq!(pins.list().len(), 3);
}

#[test]
fn what_a_rule_says_is_what_the_judges_get() {
    let facts = |draft| made(draft).unwrap().facts();
    let plain = PinFacts::default();
    let floor = Draft { floor: Some(TlsGrade::T4), ..draft("lab.example") };
    assert_eq!(facts(floor), PinFacts { floor: Some(TlsGrade::T4), ..plain });
    assert_eq!(pickup("lab.example").facts(), PinFacts { pickup: true, ..plain });
    let lowered = facts(exception("lab.example", DAY));
    assert_eq!(lowered, PinFacts { floor: Some(TlsGrade::T2), ..plain });
    assert!(lowered.is_exception());
    let key = vec![Fingerprint::from([1; 32])];
    let pinned = Draft { certificates: key.clone(), ..draft("lab.example") };
    assert_eq!(facts(pinned), PinFacts { certificates: true, ..plain });
    let smarthost = Draft { certificates: key, smarthost: Some(relay(None)), ..draft("*") };
    let smarthost = made(smarthost).unwrap();
    assert_eq!(
        smarthost.facts(),
        PinFacts { floor: Some(TlsGrade::T3), certificates: true, smarthost: true, ..plain }
    );
}

#[test]
fn rules_that_contradict_themselves_are_refused() {
    let lab = || draft("lab.example");
    let key = || vec![Fingerprint::from([1; 32])];
    let t3 = Some(TlsGrade::T3);
    let in_a_year_and_more = exception("lab.example", MAX_EXCEPTION + DAY);
    let ended = Draft { expires: Some(SystemTime::now() - DAY), ..exception("lab.example", DAY) };
    let bad_login = |user: &str, password: &str| Login {
        user: user.to_owned(),
        password: Secret::new(password.to_owned()),
    };
    for (draft, error) in [
        (lab(), PinError::Nothing),
        (Draft { pickup: true, floor: t3, ..lab() }, PinError::PickupAndMore),
        (Draft { pickup: true, ..exception("lab.example", DAY) }, PinError::PickupAndMore),
        (Draft { floor: Some(TlsGrade::T2), ..lab() }, PinError::FloorTooLow(TlsGrade::T2)),
        (Draft { floor: t3, ..exception("lab.example", DAY) }, PinError::FloorAndException),
        (Draft { certificates: key(), ..exception("a.example", DAY) }, PinError::TrustAndException),
        (exception("*", DAY), PinError::SweepingException),
        (exception("*.example", DAY), PinError::SweepingException),
        (Draft { certificates: key(), ..draft("*") }, PinError::SweepingTrust),
        (
            Draft { smarthost: Some(relay(None)), ..exception("lab.example", DAY) },
            PinError::UnverifiedSmarthost,
        ),
        (
            Draft { floor: Some(TlsGrade::T4), smarthost: Some(relay(None)), ..lab() },
            PinError::SmarthostFloor,
        ),
        (
            Draft { smarthost: Some(Smarthost { trusted_onward: true, ..relay(None) }), ..lab() },
            PinError::NoReason,
        ),
        (Draft { reason: " ".to_owned(), ..exception("lab.example", DAY) }, PinError::NoReason),
        (Draft { expires: None, ..exception("lab.example", DAY) }, PinError::NoEnd),
        (in_a_year_and_more, PinError::EndTooFar),
        (ended, PinError::Ended),
        (
            Draft {
                smarthost: Some(Smarthost { host: domain("192.0.2.1"), ..relay(None) }),
                ..lab()
            },
            PinError::SmarthostAddress,
        ),
        (
            Draft { smarthost: Some(relay(Some(bad_login("a\0b", "x")))), ..lab() },
            PinError::Login(LoginError::User),
        ),
        (
            Draft { smarthost: Some(relay(Some(bad_login("a", "")))), ..lab() },
            PinError::Login(LoginError::Password),
        ),
        (
            Draft { smarthost: Some(relay(Some(bad_login("a", "x\r\nQUIT")))), ..lab() },
            PinError::Login(LoginError::Password),
        ),
        (
            Draft { pickup: true, reason: "two\nlines".to_owned(), ..lab() },
            PinError::Text("the reason"),
        ),
        (
            Draft { pickup: true, set_by: String::new(), ..lab() },
            PinError::Text("the name of who sets the rule"),
        ),
        (
            Draft { certificates: vec![Fingerprint::from([1; 32]); 33], ..lab() },
            PinError::TooManyCertificates(32),
        ),
    ] {
        assert_eq!(made(draft).unwrap_err(), error);
    }
}

#[test]
fn what_is_lower_than_the_practice_s_floor_needs_a_reason() {
    let (t3, t4) = (Floor::default(), Floor::new(TlsGrade::T4));
    let now = SystemTime::now();
    let floor = || Draft { floor: Some(TlsGrade::T3), ..draft("lab.example") };
    let smarthost = || Draft { smarthost: Some(relay(None)), ..draft("*") };
    assert!(Pin::new(floor(), t3, now).is_ok());
    assert!(Pin::new(smarthost(), t3, now).is_ok());
    assert_eq!(Pin::new(floor(), t4, now).unwrap_err(), PinError::NoReason);
    assert_eq!(Pin::new(smarthost(), t4, now).unwrap_err(), PinError::NoReason);
    let reasoned = Draft { reason: "they have no DNSSEC".to_owned(), ..floor() };
    assert!(Pin::new(reasoned, t4, now).is_ok());
}

#[test]
fn files_of_partners_are_read() {
    let (ca_pem, ca) = certificate(true);
    let (own_pem, own) = certificate(false);
    assert_eq!(
        fingerprint_from_pem(own_pem.as_bytes()).unwrap(),
        Fingerprint::of_key(&own).unwrap()
    );
    assert_eq!(authorities_from_pem(ca_pem.as_bytes()).unwrap(), [ca]);
    let both = format!("{own_pem}{ca_pem}");
    assert_eq!(fingerprint_from_pem(both.as_bytes()), Err(PemError::Several));
    assert_eq!(authorities_from_pem(both.as_bytes()), Err(PemError::NoAuthority));
    assert_eq!(authorities_from_pem(own_pem.as_bytes()), Err(PemError::NoAuthority));
    assert_eq!(fingerprint_from_pem(b"hello"), Err(PemError::Empty));
    assert_eq!(fingerprint_from_pem(&vec![b'x'; 300_000]), Err(PemError::TooLong));
    let rubbish = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(fingerprint_from_pem(rubbish.as_bytes()), Err(PemError::Broken(_))));
    let by_file = Draft { authorities: vec![own], ..draft("lab.example") };
    assert!(matches!(made(by_file), Err(PinError::Authority(_))));
}

#[test]
fn floors_are_what_the_rule_says_and_the_message_may_ask_for_more() {
    let (t2, t3, t4) = (Floor::new(TlsGrade::T2), Floor::default(), Floor::new(TlsGrade::T4));
    let requiretls = Some(Floor::REQUIRETLS);
    let demand =
        |pin: Option<&Pin>, default, message| Pin::floors(pin, default, message).demand(None).0;
    let exception = made(exception("lab.example", DAY)).unwrap();
    let key = vec![Fingerprint::from([1; 32])];
    let pinned = made(Draft { certificates: key, ..draft("lab.example") }).unwrap();
    let smarthost = Draft { smarthost: Some(relay(None)), ..draft("*") };
    let smarthost = made(smarthost).unwrap();
    for (pin, default, message, floor) in [
        (None, t4, None, t4),
        (None, t3, requiretls, Floor::REQUIRETLS),
        (Some(&exception), t3, None, t2),
        (Some(&exception), t4, None, t2),
        (Some(&exception), t3, requiretls, Floor::REQUIRETLS),
        (Some(&pinned), t4, None, t4),
        (Some(&smarthost), t4, None, t3),
        (Some(&smarthost), t3, requiretls, t3),
    ] {
        assert_eq!(demand(pin, default, message), floor);
    }
    // What a domain publishes raises an exception again.
    let floors = Pin::floors(Some(&exception), t3, None);
    assert_eq!(floors.demand(Some(Published::MtaSts)).0, t4);
}

#[test]
fn connections_are_told_apart_by_what_made_them_special() {
    let key = |octet| vec![Fingerprint::from([octet; 32])];
    let pinned = |octet| Draft { certificates: key(octet), ..draft("lab.example") };
    let now = SystemTime::now();
    let keyed = |draft| Pin::new(draft, Floor::default(), now).unwrap().connection_key();
    assert_eq!(pickup("lab.example").connection_key(), None);
    assert_eq!(keyed(Draft { floor: Some(TlsGrade::T4), ..draft("lab.example") }), None);
    assert!(keyed(pinned(1)).is_some());
    assert_eq!(keyed(pinned(1)), keyed(pinned(1)));
    assert_ne!(keyed(pinned(1)), keyed(pinned(2)));
    let other = Draft { pattern: "other.example".parse().unwrap(), ..pinned(1) };
    assert_ne!(keyed(pinned(1)), keyed(other));
    assert!(keyed(Draft { smarthost: Some(relay(None)), ..draft("*") }).is_some());
}

proptest::proptest! {
    #[test]
    fn bytes_of_partners_do_no_harm(bytes in proptest::collection::vec(0u8.., 0..300), text in "\\PC{0,60}") {
        let _ = (fingerprint_from_pem(&bytes), authorities_from_pem(&bytes));
        if let Ok(pattern) = text.parse::<Pattern>() {
            proptest::prop_assert_eq!(pattern.to_string().parse::<Pattern>(), Ok(pattern));
        }
    }

    #[test]
    fn a_rule_reads_back_as_it_was(floor in 3..6_usize, reason in "[a-z é]{0,40}", days in 1..300_u32, octet: u8) {
        let pin = made(Draft {
            floor: Some(TlsGrade::ALL[floor]),
            certificates: vec![Fingerprint::from([octet; 32])],
            reason,
            expires: Some(SystemTime::now() + days * DAY),
            ..draft("*.lab.example")
        }).unwrap();
        let bytes = record::encode(&pin);
        let back = record::decode(&bytes).unwrap();
        proptest::prop_assert_eq!(record::encode(&back), bytes);
        proptest::prop_assert_eq!(back.facts(), pin.facts());
        proptest::prop_assert_eq!(back.expires(), pin.expires());
    }
}
