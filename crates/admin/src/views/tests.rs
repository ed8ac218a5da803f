//! What people and programs see.

use super::*;
use std::time::Duration;
use wardpost_mail::{Address, Domain, Secret};

#[test]
fn times_are_rfc_3339_and_never_panic() {
    assert_eq!(unix_text(0), "1970-01-01T00:00:00Z");
    assert_eq!(
        time_text(SystemTime::UNIX_EPOCH + Duration::from_secs(86_400)),
        "1970-01-02T00:00:00Z"
    );
    assert!(unix_text(i64::MAX).starts_with("9999-12-3"));
    assert!(unix_text(i64::MIN).starts_with("-00999"), "{}", unix_text(i64::MIN));
}

#[test]
fn sizes_for_people() {
    for (octets, text) in [
        (0, "0 B"),
        (1023, "1023 B"),
        (1025, "2 KiB"),
        (1 << 20, "1.0 MiB"),
        (1_572_864, "1.5 MiB"),
    ] {
        assert_eq!(size_text(octets), text);
    }
}

#[test]
fn tables_line_up() {
    let view = |id, address: &str| AccountView {
        id: wardpost_mail::AccountId(id),
        address: Address::parse(address).unwrap(),
        name: String::new(),
        created: unix_text(0),
        aliases: Vec::new(),
        app_passwords: 0,
        administrator: false,
        second_factor: false,
    };
    let answer = Answer::Accounts(vec![view(1, "a@clinic.test"), view(22, "bertha@clinic.test")]);
    let expected = "NUMBER  ADDRESS             NAME\n\
                    1       a@clinic.test\n\
                    22      bertha@clinic.test\n";
    assert_eq!(answer.to_string(), expected);
    let json: serde_json::Value = serde_json::from_str(&answer.json().unwrap()).unwrap();
    assert_eq!(json[1]["address"], "bertha@clinic.test");
}

#[test]
fn answers_survive_the_wire() {
    let domain = Domain::parse("clinic.test").unwrap();
    let answers = [
        Answer::Done,
        Answer::Domain(DomainView { domain, records: Vec::new(), notes: Vec::new() }),
        Answer::AppPassword(MadeSecret { secret: Secret::new("ab\"\ncd".to_owned()) }),
    ];
    for answer in answers {
        let text = serde_json::to_string(&answer).unwrap();
        assert!(!text.contains('\n'));
        let back: Answer = serde_json::from_str(&text).unwrap();
        assert_eq!(back.json().unwrap(), answer.json().unwrap());
        assert_eq!(back.to_string(), answer.to_string());
        assert!(!format!("{answer:?}").contains("cd"));
    }
}

#[test]
fn policies_show_their_time_and_trouble() {
    let view = StsPolicyView {
        domain: Domain::parse("far.test").unwrap(),
        mode: "enforce".to_owned(),
        mx: vec!["*.far.test".to_owned()],
        max_age: 86_400,
        id: "1".to_owned(),
        fetched: unix_text(0),
        ends: unix_text(86_400),
        failed: Some(unix_text(3600)),
        problem: Some("the host was gone".to_owned()),
    };
    let answer = Answer::StsPolicies(vec![view]);
    let text = answer.to_string();
    assert_eq!(
        text.lines().nth(1),
        Some(
            "far.test  enforce  1970-01-01T00:00:00Z  1970-01-02T00:00:00Z  \
             1970-01-01T01:00:00Z: the host was gone"
        )
    );
    let json: serde_json::Value = serde_json::from_str(&answer.json().unwrap()).unwrap();
    assert_eq!(json[0]["mx"][0], "*.far.test");
}
