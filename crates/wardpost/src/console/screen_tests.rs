//! What somebody before the machine reads.

use super::*;
use wardpost_health::{Finding, Report, State};
use wardpost_mail::{Domain, Secret};

fn view(stage: Stage) -> ConsoleView {
    ConsoleView {
        version: "0.1.0".into(),
        https: vec!["0.0.0.0:443".parse().unwrap()],
        fingerprint: "A1B2 ".repeat(16).trim().to_owned(),
        stage,
    }
}

fn setting_up() -> SetUpView {
    SetUpView {
        code: Secret::new("KM7X-4PTR".into()),
        pause_seconds: 0,
        begun: false,
        unlock: Some("tpm".into()),
    }
}

fn serving(findings: usize) -> ServingView {
    let finding = |n| Finding {
        check: format!("check-{n}"),
        title: "A check".into(),
        state: if n == 0 { State::Bad } else { State::Warning },
        says: format!(
            "Number {n} \u{2013} the server\u{2019}s name is not in the DNS, so that nobody finds it, or so it seems from here."
        ),
        to_do: "Do it.".into(),
        about: Default::default(),
    };
    ServingView {
        hostname: Domain::parse("mail.clinic.test").unwrap(),
        self_signed: true,
        queue_messages: 3,
        queue_oldest_seconds: Some(7300),
        health: Some(Report { when: 1, findings: (0..findings).map(finding).collect() }),
    }
}

fn screen(stage: Stage, addresses: &[&str]) -> String {
    let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
    let lines = draw(&Seen { view: Some(view(stage)), addresses: Some(addresses) });
    assert!(lines.len() < HEIGHT, "{} lines:\n{}", lines.len(), lines.join("\n"));
    for line in &lines {
        assert!(line.len() < WIDTH && line.is_ascii(), "{line}");
    }
    lines.join("\n")
}

#[test]
fn set_up_shows_where_and_with_what() {
    let text = screen(Stage::SetUp(setting_up()), &["192.168.1.20", "10.0.0.5", "2001:db8::1"]);
    for part in ["https://192.168.1.20/", "https://10.0.0.5/", "KM7X-4PTR", "security chip"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(text.contains(&"A1B2 ".repeat(8).trim().to_owned()));
    assert!(!text.contains("2001:"), "nothing listens there");
    let paused = SetUpView { pause_seconds: 42, unlock: Some("passphrase".into()), ..setting_up() };
    let text = screen(Stage::SetUp(paused), &["192.168.1.20", "10.0.0.5", "10.1.1.1", "10.2.2.2"]);
    assert!(text.contains("In 42 seconds") && text.contains("at each start"), "{text}");
    let begun = SetUpView { begun: true, ..setting_up() };
    assert!(screen(Stage::SetUp(begun), &["192.168.1.20"]).contains("takes it over"));
}

#[test]
fn without_a_network_it_says_what_to_do() {
    for stage in [Stage::SetUp(setting_up()), Stage::Serving(serving(0))] {
        let text = screen(stage, &[]);
        assert!(text.contains("has no network") && text.contains("plugged in"), "{text}");
    }
}

#[test]
fn health_is_in_words_and_fits_however_much_is_wrong() {
    let text = screen(Stage::Serving(serving(0)), &["192.168.1.20"]);
    assert!(text.contains("All is well.") && text.contains("https://mail.clinic.test/staff"));
    assert!(text.contains("3 messages wait to go out, the oldest for 2 hours."), "{text}");
    for findings in 1..30 {
        let text = screen(Stage::Serving(serving(findings)), &["192.168.1.20", "10.0.0.5"]);
        assert!(text.contains("Number 0 - the server's name"), "{text}");
        assert!(text.contains("https://mail.clinic.test/staff"), "{text}");
        assert_eq!(text.matches("A1B2").count(), 16, "the fingerprint is whole: {text}");
        let told = text.matches("Number ").count();
        let more = format!("and {} more", findings - told);
        assert_eq!(told < findings, text.contains(&more), "{text}");
    }
    let unknown = ServingView { health: None, self_signed: false, ..serving(0) };
    let text = screen(Stage::Serving(unknown), &["192.168.1.20"]);
    assert!(text.contains("not looked at itself yet") && !text.contains("A1B2"));
}

#[test]
fn a_server_that_does_not_run_is_told() {
    let lines = draw(&Seen { view: None, addresses: None });
    assert!(lines.join("\n").contains("does not run"));
    assert!(Seen { view: None, addresses: None }.urls().is_empty());
}

#[test]
fn addresses_are_those_that_are_listened_on() {
    let seen = |https: &[&str]| {
        let https = https.iter().map(|text| text.parse().unwrap()).collect();
        let view = ConsoleView { https, ..view(Stage::SetUp(setting_up())) };
        let addresses = ["192.168.1.20", "2001:db8::7"].map(|text| text.parse().unwrap());
        Seen { view: Some(view), addresses: Some(addresses.to_vec()) }.urls()
    };
    assert_eq!(
        seen(&["0.0.0.0:443", "[::]:443"]),
        ["https://192.168.1.20/", "https://[2001:db8::7]/"]
    );
    assert_eq!(seen(&["127.0.0.1:8443"]), ["https://127.0.0.1:8443/"]);
    assert_eq!(seen(&["0.0.0.0:8443"]), ["https://192.168.1.20:8443/"]);
}

proptest::proptest! {
    #[test]
    fn lines_are_never_too_long_unless_a_word_is(text in "[a-z ]{0,300}", width in 10usize..80) {
        for line in wrap(&text, width) {
            proptest::prop_assert!(line.len() <= width || !line.contains(' '));
        }
    }
}
