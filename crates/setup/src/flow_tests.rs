//! From the first answer to the last, and not without each of them.

use super::*;
use crate::paper::last_groups;
use proptest::prelude::*;
use std::time::{Duration, UNIX_EPOCH};
use wardpost_mail::Domain;

const PASSWORD: &str = "three blind mice on a bus";

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn practice(flow: &mut Flow, domain: &str) -> Result<(), Errors> {
    let form = PracticeForm { name: "Elm".into(), domain: domain.into(), hostname: String::new() };
    flow.check_practice(form).map(|practice| flow.set_practice(practice))
}

fn administrator(flow: &mut Flow, address: &str, a: &str, b: &str) -> Result<(), Errors> {
    let form = AdministratorForm { name: "Dana Lee".into(), address: address.into() };
    flow.answer_administrator(form, secret(a), &secret(b))
}

fn outgoing(flow: &mut Flow, way: &str) -> Result<(), Errors> {
    let form = OutgoingForm { way: way.into(), ..OutgoingForm::default() };
    flow.check_outgoing(form, secret("")).map(|outgoing| flow.set_outgoing(outgoing, None))
}

fn notices(flow: &mut Flow, phone: &str) -> Result<(), Errors> {
    let contact = "office@clinic.test".into();
    flow.answer_notices(NoticesForm { phone: phone.into(), contact })
}

fn prove(flow: &mut Flow) -> Result<(), Errors> {
    let code = second_factor::code(flow.factor(), now());
    flow.prove_factor(code.expose(), now())
}

/// At the sheet.
fn answered() -> Flow {
    let mut flow = Flow::new().unwrap();
    practice(&mut flow, "clinic.test").unwrap();
    administrator(&mut flow, "dana", PASSWORD, PASSWORD).unwrap();
    prove(&mut flow).unwrap();
    notices(&mut flow, "555 0100").unwrap();
    outgoing(&mut flow, "direct").unwrap();
    flow.answer_backups(BackupsForm::default()).unwrap();
    assert!(flow.review());
    flow.keep_kit(RecoveryKit::generate().unwrap());
    flow
}

fn last_group(flow: &Flow) -> String {
    last_groups(&flow.kit().unwrap().secret).1.to_owned()
}

#[test]
fn the_pages_follow_each_other() {
    let mut flow = Flow::new().unwrap();
    let mut seen = Vec::new();
    let mut step = |flow: &Flow| seen.push(flow.next());
    step(&flow);
    practice(&mut flow, "clinic.test").unwrap();
    step(&flow);
    administrator(&mut flow, "dana", PASSWORD, PASSWORD).unwrap();
    step(&flow);
    prove(&mut flow).unwrap();
    step(&flow);
    assert_eq!(flow.typed().notices.contact, "dana@clinic.test");
    notices(&mut flow, "555 0100").unwrap();
    step(&flow);
    outgoing(&mut flow, "direct").unwrap();
    step(&flow);
    flow.answer_backups(BackupsForm::default()).unwrap();
    step(&flow);
    assert!(flow.review());
    step(&flow);
    assert_eq!(seen, Step::ALL);
    assert!(Step::ALL.iter().all(|step| flow.may_see(*step)));
    assert_eq!(Step::Practice.before(), None);
    assert_eq!(Step::Sheet.before(), Some(Step::Review));
}

#[test]
fn enough_is_typed_from_the_sheet_and_not_too_much() {
    for (text, groups, end) in [
        ("abcd-efgh-ij", 2, "efgh-ij"),
        ("bcdefghi-jklnrtuv", 1, "jklnrtuv"),
        ("abcd-efgh", 2, "abcd-efgh"),
        ("a-b-c", 3, "a-b-c"),
        ("abc", 1, "abc"),
        ("", 1, ""),
    ] {
        assert_eq!(last_groups(&secret(text)), (groups, end), "{text}");
    }
    let kit = RecoveryKit::generate().unwrap().secret;
    assert_eq!((last_groups(&kit).0, last_groups(&kit).1.len()), (2, 7));
}

#[test]
fn the_sheet_is_confirmed_by_its_last_groups() {
    let flow = answered();
    let group = last_group(&flow);
    let disk = secret("bcdefghi-jklnrtuv-cbdefghi");
    for wrong in ["", "-", "zzzz", &group[..3]] {
        assert!(flow.finish(wrong, "", None).err().unwrap().of("kit").is_some(), "{wrong}");
    }
    let whole = flow.kit().unwrap().secret.expose().to_uppercase();
    for right in [group.clone(), group.to_uppercase(), format!(" {group} "), whole] {
        assert!(flow.finish(&right, "", None).is_ok(), "{right}");
    }
    for wrong in ["", "jklnrtuv", &group] {
        let errors = flow.finish(&group, wrong, Some(&disk)).err().unwrap();
        assert!(errors.of("disk").is_some() && errors.of("kit").is_none());
    }
    assert!(flow.finish(&group, "CBDEFGHI", Some(&disk)).is_ok());
}

#[test]
fn passwords_are_kept_and_never_typed_again_for_nothing() {
    let mut flow = Flow::new().unwrap();
    practice(&mut flow, "clinic.test").unwrap();
    let errors = administrator(&mut flow, "not an address", PASSWORD, PASSWORD).unwrap_err();
    assert!(errors.of("address").is_some() && errors.of("password").is_none());
    assert!(flow.has_password());
    administrator(&mut flow, "dana", "", "").unwrap();
    assert_eq!(flow.answers().map(drop), None);
    // A slip in a new one does not take the old one away, but is told.
    let errors = administrator(&mut flow, "dana", "another one of mine", "anoter").unwrap_err();
    assert!(errors.of("again").is_some() && errors.of("password").is_none());
    administrator(&mut flow, "dana", "", "").unwrap();
    assert_eq!(flow.administrator().unwrap().password.expose(), PASSWORD);
    assert!(!format!("{:?}", flow.typed()).contains("mice"));
    // A weak one is not kept.
    let mut flow = Flow::new().unwrap();
    practice(&mut flow, "clinic.test").unwrap();
    assert!(administrator(&mut flow, "dana", "short", "short").is_err());
    assert!(!flow.has_password());
}

#[test]
fn another_domain_takes_the_address_along() {
    let mut flow = answered();
    practice(&mut flow, "elm.test").unwrap();
    assert_eq!(flow.next(), Step::Review);
    assert_eq!(flow.administrator().unwrap().address.to_string(), "dana@elm.test");
    assert!(flow.finish(&last_group(&flow), "", None).is_err(), "it is looked at once more");
    // One in which the password is no good any more: it is little more than the domain.
    let mut flow = Flow::new().unwrap();
    practice(&mut flow, "clinic.test").unwrap();
    administrator(&mut flow, "dana", "threeblindmice.test", "threeblindmice.test").unwrap();
    practice(&mut flow, "threeblindmice.test").unwrap();
    assert_eq!(flow.next(), Step::Administrator);
}

#[test]
fn a_smarthost_s_password_goes_to_no_other() {
    let mut flow = answered();
    let form = |host: &str| OutgoingForm {
        way: "smarthost".into(),
        host: host.into(),
        user: "clinic".into(),
        ..OutgoingForm::default()
    };
    assert!(flow.check_outgoing(form("smtp.isp.test"), secret("")).is_err());
    assert!(flow.check_outgoing(form("smtp.isp.test"), secret("hunter2")).is_ok());
    assert!(flow.check_outgoing(form(" SMTP.isp.test"), secret("")).is_ok());
    assert!(flow.check_outgoing(form("smtp.evil.test"), secret("")).is_err());
    assert!(!flow.has_relay_password());
}

#[test]
fn a_wrong_clock_is_told() {
    let mut flow = Flow::new().unwrap();
    let said = |flow: &mut Flow, offset: i64| {
        let then = 1_800_000_000_i64 + offset;
        let then = UNIX_EPOCH + Duration::from_secs(then.cast_unsigned());
        let code = second_factor::code(flow.factor(), then);
        flow.prove_factor(code.expose(), now()).unwrap_err().of("code").unwrap().to_owned()
    };
    // Now and then a code from another time fits sooner by chance.
    let hits = |flow: &mut Flow, offset, words: &str| said(flow, offset).contains(words);
    let all = [
        hits(&mut flow, 3 * 3600, "about 3 hours slow"),
        hits(&mut flow, -3600, "about an hour fast"),
        hits(&mut flow, -180, "minutes fast"),
    ];
    assert!(all.iter().filter(|hit| **hit).count() >= 2, "{all:?}");
    let said = flow.prove_factor("12345", now()).unwrap_err();
    assert!(said.of("code").unwrap().contains("six digits"));
    assert!(!flow.factor_proven());
}

#[test]
fn taking_over_makes_another_kit_and_keeps_no_password_of_somebody_elses() {
    let mut flow = answered();
    let (group, factor) = (last_group(&flow), flow.factor().expose().clone());
    flow.hand_over();
    assert_eq!(flow.next(), Step::Administrator);
    assert!(!flow.has_password() && !flow.factor_proven());
    assert_ne!(flow.factor().expose(), &factor);
    assert!(flow.finish(&group, "", None).is_err());
    assert!(!flow.review(), "the password is missing");
    administrator(&mut flow, "dana", PASSWORD, PASSWORD).unwrap();
    prove(&mut flow).unwrap();
    assert!(flow.review());
    flow.keep_kit(RecoveryKit::generate().unwrap());
    assert!(flow.finish(&last_group(&flow), "", None).is_ok());
    if group != last_group(&flow) {
        assert!(flow.finish(&group, "", None).is_err());
    }
}

/// What somebody may do, in any order.
#[derive(Debug, Clone)]
enum Act {
    Practice(&'static str),
    Administrator(&'static str, &'static str, &'static str),
    Prove(bool),
    Notices(&'static str),
    Outgoing(&'static str),
    Backups(bool),
    Review,
    Kit,
    HandOver,
    Finish(bool),
}

fn act() -> impl Strategy<Value = Act> {
    let passwords = prop::sample::select(vec![PASSWORD, "", "short"]);
    prop_oneof![
        prop::sample::select(vec!["clinic.test", "elm.test", "nonsense", ""])
            .prop_map(Act::Practice),
        (prop::sample::select(vec!["dana", "dana@clinic.test", ""]), passwords.clone(), passwords)
            .prop_map(|(address, a, b)| Act::Administrator(address, a, b)),
        any::<bool>().prop_map(Act::Prove),
        prop::sample::select(vec!["555 0100", "no"]).prop_map(Act::Notices),
        prop::sample::select(vec!["direct", "smarthost", ""]).prop_map(Act::Outgoing),
        any::<bool>().prop_map(Act::Backups),
        Just(Act::Review),
        Just(Act::Kit),
        Just(Act::HandOver),
        any::<bool>().prop_map(Act::Finish),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// No sequence of requests reaches the end without every answer, the proof of the second factor, the
    /// review and the confirmation, each since the last change.
    #[test]
    fn nothing_leads_past_a_question(acts in prop::collection::vec(act(), 0..60)) {
        let mut flow = Flow::new().unwrap();
        // What must hold, kept apart from the flow.
        let (mut proven, mut phone, mut way, mut backups) = (false, false, false, false);
        let (mut domain, mut reviewed, mut kit) = (None, false, false);
        for act in acts {
            match act {
                Act::Practice(name) => {
                    if practice(&mut flow, name).is_ok() {
                        domain = Some(Domain::parse(name).unwrap());
                        reviewed = false;
                    }
                }
                Act::Administrator(address, a, b) => {
                    if administrator(&mut flow, address, a, b).is_ok() {
                        let made = flow.administrator().unwrap();
                        prop_assert_eq!(made.password.expose(), PASSWORD);
                        prop_assert_eq!(Some(made.address.domain()), domain.as_ref());
                        reviewed = false;
                    }
                }
                Act::Prove(true) => proven |= prove(&mut flow).is_ok(),
                Act::Prove(false) => proven |= flow.prove_factor("000 000", now()).is_ok(),
                Act::Notices(number) => {
                    phone = notices(&mut flow, number).is_ok();
                    reviewed = false;
                }
                Act::Outgoing(kind) => {
                    way = outgoing(&mut flow, kind).is_ok();
                    reviewed &= !way;
                }
                Act::Backups(fits) => {
                    let destination = if fits { String::new() } else { "x".repeat(999) };
                    backups = flow.answer_backups(BackupsForm { destination }).is_ok();
                    reviewed = false;
                }
                Act::Review => reviewed = flow.review(),
                Act::Kit => {
                    if flow.kit().is_none() {
                        flow.keep_kit(a_kit());
                        kit = true;
                    }
                }
                Act::HandOver => {
                    flow.hand_over();
                    (kit, reviewed, proven) = (false, false, false);
                }
                Act::Finish(right) => {
                    let typed = match flow.kit() {
                        Some(_) if right => last_group(&flow),
                        _ => "nope".to_owned(),
                    };
                    if let Ok((answers, _)) = flow.finish(&typed, "", None) {
                        prop_assert!(proven && phone && way && backups && reviewed && kit && right);
                        prop_assert_eq!(Some(&answers.practice.domain), domain.as_ref());
                        prop_assert_eq!(answers.administrator.password.expose(), PASSWORD);
                        prop_assert_eq!(answers.administrator.address.domain(), &answers.practice.domain);
                    }
                }
            }
            // A page can be seen only when all before it are answered.
            for pair in Step::ALL.windows(2) {
                prop_assert!(flow.may_see(pair[0]) || !flow.may_see(pair[1]));
            }
        }
    }
}

/// Making a key takes a while; the tests need only few different ones.
fn a_kit() -> RecoveryKit {
    RecoveryKit::generate().unwrap()
}
