use super::*;
use openssl::x509::store::X509StoreBuilder;
use wardpost_mail::Domain;
use wardpost_net::ServerTls;

fn settings() -> Settings {
    Settings {
        hostname: Domain::parse("mail.clinic.test").unwrap(),
        domain: Domain::parse("clinic.test").unwrap(),
        practice: "Elm & Oak".to_owned(),
        imaps: Some(993),
        submissions: Some(465),
        submission: None,
    }
}

fn person<'a>(address: &'a Address, password: Option<&'a Secret<String>>) -> Person<'a> {
    Person { address, name: "Dana <Reyes>\u{7}", app_password: password }
}

#[test]
fn the_signature_is_the_servers_and_the_profile_is_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let tls = ServerTls::self_signed(directory.path(), &settings().hostname).unwrap();
    let address = Address::parse("dana@clinic.test").unwrap();
    let password = Secret::new("fern-otter-4711".to_owned());
    let clear = write(&settings(), &person(&address, Some(&password))).unwrap();
    let (chain, key) = tls.signing_identity().unwrap();
    assert_eq!(chain[0], tls.certificate_der());
    let signed = signed(&clear, &chain, &key).unwrap();

    let mut cms = CmsContentInfo::from_der(signed.expose()).unwrap();
    let mut store = X509StoreBuilder::new().unwrap();
    store.add_cert(X509::from_der(&chain[0]).unwrap()).unwrap();
    let mut content = Vec::new();
    // Its purpose is a server's; who signed is what counts here.
    let options = CMSOptions::NO_SIGNER_CERT_VERIFY;
    cms.verify(None, Some(&store.build()), None, Some(&mut content), options).unwrap();
    assert_eq!(content, clear.expose().as_bytes());
    let text = String::from_utf8(content).unwrap();
    assert!(text.contains("<string>fern-otter-4711</string>"));
    assert!(text.contains("Dana &#60;Reyes&#62;</string>") && text.contains("Elm &#38; Oak"));

    let mut forged = signed.expose().clone();
    let at = forged.windows(4).position(|word| word == b"fern").unwrap();
    forged[at] = b'F';
    let mut cms = CmsContentInfo::from_der(&forged).unwrap();
    let store = X509StoreBuilder::new().unwrap().build();
    assert!(cms.verify(None, Some(&store), None, None, options).is_err());
}

#[test]
fn a_new_profile_takes_the_old_ones_place() {
    let dana = Address::parse("dana@clinic.test").unwrap();
    let lee = Address::parse("lee@clinic.test").unwrap();
    let names = |address, password: Option<&Secret<String>>| {
        let text = write(&settings(), &person(address, password)).unwrap();
        let after = |key: &str| -> Vec<String> {
            let key = format!("<key>{key}</key>");
            let parts = text.expose().split(&key).skip(1);
            parts
                .map(|part| part.trim().split("</").next().unwrap_or_default().to_owned())
                .collect()
        };
        [after("PayloadUUID"), after("PayloadIdentifier")].concat()
    };
    let password = Secret::new("another".to_owned());
    assert_eq!(names(&dana, None), names(&dana, Some(&password)));
    let (hers, his) = (names(&dana, None), names(&lee, None));
    assert_eq!(hers.len(), 4);
    assert!(hers.iter().zip(&his).all(|(one, other)| one != other), "{hers:?} {his:?}");
    assert!(hers[2].starts_with("<string>test.clinic.mail.mail."), "{hers:?}");
}

#[test]
fn there_is_no_profile_for_half_a_mail_server() {
    let address = Address::parse("dana@clinic.test").unwrap();
    for settings in [
        Settings { imaps: None, ..settings() },
        Settings { submissions: None, submission: None, ..settings() },
    ] {
        let failure = write(&settings, &person(&address, None)).err().unwrap();
        assert!(matches!(failure, ProfileError::Off));
    }
}
