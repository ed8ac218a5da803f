//! Good answers are taken, bad ones get a sentence at the right field.

use super::*;

const PASSWORD: &str = "three blind mice on a bus";

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn practice_form(name: &str, domain: &str, hostname: &str) -> PracticeForm {
    PracticeForm { name: name.into(), domain: domain.into(), hostname: hostname.into() }
}

fn domain() -> Domain {
    Domain::parse("clinic.test").unwrap()
}

#[test]
fn a_domain_is_taken_however_people_write_it() {
    for typed in [
        "clinic.test",
        " Clinic.TEST. ",
        "https://clinic.test/",
        "dana@clinic.test",
        "http://clinic.test",
    ] {
        let practice = practice(&practice_form(" Elm  Street\tClinic ", typed, "")).unwrap();
        assert_eq!(practice.name, "Elm Street Clinic");
        assert_eq!(practice.domain.as_str(), "clinic.test", "{typed}");
        assert_eq!(practice.hostname.as_str(), "mail.clinic.test");
    }
    let own = practice(&practice_form("Praxis", "praxis-müller.test", "post.praxis.test")).unwrap();
    assert_eq!(own.domain.as_str(), "xn--praxis-mller-klb.test");
    assert_eq!(own.hostname.as_str(), "post.praxis.test");
    assert_eq!(suggested_hostname("clinic.test"), "mail.clinic.test");
    assert_eq!(suggested_hostname("clinic"), "");
}

#[test]
fn what_is_no_domain_is_told_at_its_field() {
    for (domain, part) in [
        ("", "Please type the domain"),
        ("clinic", "is not a domain"),
        ("elm street clinic", "is not a domain"),
        ("192.168.1.10", "is not a domain"),
        ("clinic..test", "is not a domain"),
        ("-clinic.test", "is not a domain"),
        ("clinic.local", ".local exist only inside"),
        ("www.clinic.test", "Mail addresses end in clinic.test"),
    ] {
        let errors = practice(&practice_form("Elm", domain, "")).unwrap_err();
        assert!(errors.of("domain").unwrap().contains(part), "{domain}: {errors:?}");
        assert_eq!(errors.len(), 1);
    }
    let long = "x".repeat(500);
    let errors = practice(&practice_form(&long, &long, &long)).unwrap_err();
    assert_eq!(errors.len(), 3);
    assert!(errors.of("name").unwrap().contains("80 characters at most"));
    assert!(errors.of("domain").unwrap().len() < 250);
    for (host, part) in [
        ("mail", "is not a server name"),
        ("mta-sts.clinic.test", "is needed for something else"),
        ("mail.clinic.lan", ".lan exist only inside"),
    ] {
        let errors = practice(&practice_form("Elm", "clinic.test", host)).unwrap_err();
        assert!(errors.of("hostname").unwrap().contains(part), "{host}: {errors:?}");
    }
}

#[test]
fn the_administrator_s_address_is_in_the_domain() {
    let form = |name: &str, address: &str| AdministratorForm {
        name: name.into(),
        address: address.into(),
    };
    let good = secret(PASSWORD);
    for typed in ["dana.lee", "Dana.Lee@Clinic.test", " dana.lee@clinic.test "] {
        let made = administrator(&form("Dana Lee", typed), &domain(), Some(&good)).unwrap();
        assert_eq!(made.address.to_string(), "dana.lee@clinic.test", "{typed}");
    }
    for (address, part) in [
        ("", "such as dana.lee@clinic.test"),
        ("dana@elsewhere.test", "must end in @clinic.test"),
        ("dana lee", "is not a mail address"),
        ("dana+x", "without spaces, +"),
        ("@clinic.test", "is not a mail address"),
    ] {
        let errors = administrator(&form("D", address), &domain(), Some(&good)).unwrap_err();
        assert!(errors.of("address").unwrap().contains(part), "{address}: {errors:?}");
        assert_eq!(errors.of("password"), None);
    }
    for weak in ["short", "aaaaaaaaaaaaaaaaaaaa", "dana.lee@clinic.test"] {
        let errors =
            administrator(&form("D", "dana.lee"), &domain(), Some(&secret(weak))).unwrap_err();
        let said = errors.of("password").unwrap();
        assert!(said.starts_with("The password ") && said.contains("Four or five words"), "{said}");
    }
    let errors = administrator(&form("", ""), &domain(), None).unwrap_err();
    assert_eq!(errors.len(), 3);
}

#[test]
fn a_password_is_typed_twice() {
    let typed = |a: &str, b: &str| typed_twice(secret(a), &secret(b));
    assert!(typed("", "").unwrap().is_none());
    assert_eq!(typed("a", "a").unwrap().unwrap().expose(), "a");
    for (a, b) in [("a", ""), ("", "a"), ("a", "b")] {
        assert!(typed(a, b).unwrap_err().of("again").is_some());
    }
}

#[test]
fn numbers_and_contacts() {
    let form =
        |phone: &str, contact: &str| NoticesForm { phone: phone.into(), contact: contact.into() };
    for phone in ["+1 (555) 010-0200", "030/12345", "555 0100 ext 7"] {
        assert!(notices(&form(phone, "office@clinic.test")).is_ok(), "{phone}");
    }
    for phone in ["", "call us", "1234", "<b>55501000</b>"] {
        let errors = notices(&form(phone, "office@clinic.test")).unwrap_err();
        assert!(errors.of("phone").is_some() && errors.len() == 1, "{phone}");
    }
    for contact in ["", "office", "office@", "office@localhost"] {
        let errors = notices(&form("555 0100", contact)).unwrap_err();
        assert!(errors.of("contact").is_some() && errors.len() == 1, "{contact}");
    }
}

#[test]
fn a_smarthost_is_a_name_a_port_and_perhaps_a_login() {
    let form = OutgoingForm {
        way: "smarthost".into(),
        host: "smtp.isp.test".into(),
        onward: "yes".into(),
        ..OutgoingForm::default()
    };
    let Outgoing::Smarthost(relay) = outgoing(&form, None).unwrap() else { panic!() };
    assert_eq!((relay.port, relay.login.is_none(), relay.trusted_onward), (587, true, true));
    let with_user = OutgoingForm { user: "clinic".into(), port: "465".into(), ..form.clone() };
    let Outgoing::Smarthost(relay) = outgoing(&with_user, Some(&secret("x"))).unwrap() else {
        panic!()
    };
    assert_eq!((relay.port, relay.login.unwrap().user.as_str()), (465, "clinic"));
    assert!(outgoing(&with_user, None).unwrap_err().of("password").is_some());
    for (host, port, field) in [
        ("", "", "host"),
        ("192.0.2.1", "", "host"),
        ("isp", "", "host"),
        ("smtp.isp.test", "0", "port"),
        ("smtp.isp.test", "smtp", "port"),
        ("smtp.isp.test", "70000", "port"),
    ] {
        let form = OutgoingForm { host: host.into(), port: port.into(), ..form.clone() };
        assert!(outgoing(&form, None).unwrap_err().of(field).is_some(), "{host}:{port}");
    }
    assert!(outgoing(&OutgoingForm::default(), None).unwrap_err().of("way").is_some());
    let direct = OutgoingForm { way: "direct".into(), ..OutgoingForm::default() };
    assert!(matches!(outgoing(&direct, None), Ok(Outgoing::Direct)));
}

/// What no rule could be made of is told at its field, not at the very end.
#[test]
fn a_login_that_no_rule_takes_is_told_at_once() {
    let long = "x".repeat(256);
    for (user, password, field) in [
        ("cli\r\nnic", "x", "user"),
        ("cli\0nic", "x", "user"),
        (&*long, "x", "user"),
        ("clinic", "x\ny", "password"),
        ("clinic", "x\ry", "password"),
        ("clinic", &*long, "password"),
    ] {
        let form = OutgoingForm {
            way: "smarthost".into(),
            host: "smtp.isp.test".into(),
            user: user.into(),
            ..OutgoingForm::default()
        };
        let errors = outgoing(&form, Some(&secret(password))).unwrap_err();
        assert!(errors.of(field).is_some() && errors.len() == 1, "{user:?} {password:?}");
    }
}

#[test]
fn backups_may_be_decided_later() {
    let form = |text: &str| BackupsForm { destination: text.into() };
    assert_eq!(backups(&form("  ")).unwrap().destination, None);
    assert_eq!(backups(&form("the NAS")).unwrap().destination.as_deref(), Some("the NAS"));
    assert!(backups(&form(&"x".repeat(300))).is_err());
}

proptest::proptest! {
    #[test]
    fn no_text_harms(a in ".{0,100}", b in ".{0,100}", c in ".{0,300}") {
        let _ = practice(&practice_form(&a, &b, &c));
        let _ = administrator(
            &AdministratorForm { name: a.clone(), address: b.clone() }, &domain(), Some(&secret(&c)),
        );
        let _ = notices(&NoticesForm { phone: a.clone(), contact: b.clone() });
        let form = OutgoingForm {
            way: "smarthost".into(), host: a, port: b.clone(), user: b, onward: String::new(),
        };
        let _ = outgoing(&form, Some(&secret(&c)));
        let _ = backups(&BackupsForm { destination: c });
    }
}
