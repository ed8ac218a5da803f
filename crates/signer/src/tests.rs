use super::*;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use data_encoding::BASE64;
use mail_auth::common::cache::NoCache;
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::DomainKey;
use mail_auth::{
    AuthenticatedMessage, DkimResult, MX, MessageAuthenticator, Parameters, RecordSet,
    ResolverCache, Txt,
};
use std::borrow::Borrow;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

const MESSAGE: &str = "From: Dana <dana@clinic.test>\r\nTo: lab@lab.test\r\nSubject: results\r\n\
                       Date: Mon, 1 Jan 2024 00:00:00 +0000\r\n\r\nhello\r\n";

fn clinic() -> Domain {
    Domain::parse("clinic.test").unwrap()
}

/// The two keys of a domain and what its DNS says of them.
fn keys() -> (Vec<SigningKey>, Dns) {
    let rsa = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
    let ed25519 = Ed25519KeyPair::generate().unwrap();
    let rsa_public = rsa.public_key().as_der().unwrap();
    let rsa_private = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&rsa).unwrap();
    let ed25519_private = ed25519.to_pkcs8().unwrap();
    let key = |selector: &str, algorithm, private: &[u8]| SigningKey {
        domain: clinic(),
        selector: selector.to_owned(),
        algorithm,
        private_pkcs8: Secret::new(private.to_vec()),
    };
    let keys = vec![
        key("e1", Algorithm::Ed25519, ed25519_private.as_ref()),
        key("r1", Algorithm::Rsa2048, rsa_private.as_ref()),
    ];
    let records = [
        ("e1._domainkey.clinic.test.", record("ed25519", ed25519.public_key().as_ref())),
        ("r1._domainkey.clinic.test.", record("rsa", rsa_public.as_ref())),
    ];
    (keys, Dns(records.map(|(name, record)| (name.to_owned(), record)).into()))
}

fn record(kind: &str, public: &[u8]) -> String {
    format!("v=DKIM1; k={kind}; p={}", BASE64.encode(public))
}

/// A DNS that knows these TXT records.
struct Dns(HashMap<String, String>);

impl ResolverCache<Box<str>, Txt> for Dns {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let found = self.0.iter().find(|(known, _)| {
            let known: Box<str> = known.as_str().into();
            known.borrow() == name
        });
        found.map(|(_, text)| DomainKey::parse(text.as_bytes()).unwrap().into())
    }

    fn remove<Q>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: Txt, _: Instant) {}
}

/// How many signatures of a message verify, and how many there are.
async fn verified(message: &[u8], dns: &Dns) -> (usize, usize) {
    let message = AuthenticatedMessage::parse(message).unwrap();
    let authenticator = MessageAuthenticator::new_cloudflare().unwrap();
    type Empty<K, V> = Option<&'static NoCache<K, V>>;
    let parameters = Parameters {
        params: &message,
        cache_txt: Some(dns),
        cache_mx: Empty::<Box<str>, RecordSet<MX>>::None,
        cache_ipv4: Empty::<Box<str>, RecordSet<Ipv4Addr>>::None,
        cache_ipv6: Empty::<Box<str>, RecordSet<Ipv6Addr>>::None,
        cache_ptr: Empty::<IpAddr, RecordSet<Box<str>>>::None,
    };
    let results = authenticator.verify_dkim(parameters).await;
    let passed = results.iter().filter(|found| found.result() == &DkimResult::Pass).count();
    (passed, results.len())
}

#[tokio::test]
async fn both_signatures_verify_and_the_message_is_untouched() {
    let (keys, dns) = keys();
    let signer = Signer::new(&keys).unwrap();
    let signed = signer.sign(&clinic(), MESSAGE.as_bytes().to_vec()).unwrap();
    assert!(signed.ends_with(MESSAGE.as_bytes()));
    assert_eq!(verified(&signed, &dns).await, (2, 2));
}

#[tokio::test]
async fn nothing_a_reader_trusts_can_be_changed_or_added() {
    let (keys, dns) = keys();
    let signed = Signer::new(&keys).unwrap().sign(&clinic(), MESSAGE.as_bytes().to_vec()).unwrap();
    let signed = String::from_utf8(signed).unwrap();
    for forged in [
        signed.replace("hello", "hullo"),
        signed.replace("Subject: results", "Subject: other"),
        format!("From: evil@x.test\r\n{signed}"),
        format!("Subject: second\r\n{signed}"),
        format!("Reply-To: evil@x.test\r\n{signed}"),
        format!("Content-Type: text/html\r\n{signed}"),
        format!("{signed}more\r\n"),
    ] {
        assert_eq!(verified(forged.as_bytes(), &dns).await.0, 0, "{forged}");
    }
    let harmless = format!("Received: from x by y\r\n{signed}");
    assert_eq!(verified(harmless.as_bytes(), &dns).await, (2, 2));
}

#[test]
fn other_domains_are_left_alone() {
    let signer = Signer::new(&keys().0).unwrap();
    let other = Domain::parse("other.test").unwrap();
    let message = MESSAGE.as_bytes().to_vec();
    assert_eq!(signer.sign(&other, message.clone()).unwrap(), message);
}

#[test]
fn keys_are_read_once_and_followed_when_they_change() {
    let (first, _) = keys();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let signer = Signer::from_source(move |_| {
        // One key at first, both from the third time on.
        let n = if count.fetch_add(1, Ordering::Relaxed) < 2 { 1 } else { 2 };
        first[..n].to_vec()
    });
    let signatures =
        |message: Vec<u8>| String::from_utf8(message).unwrap().matches("DKIM-Signature:").count();
    let sign = || signatures(signer.sign(&clinic(), MESSAGE.into()).unwrap());
    assert_eq!([sign(), sign(), sign()], [1, 1, 2]);
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

#[test]
fn wrong_keys_are_told_without_showing_them() {
    let mut key = keys().0.remove(0);
    key.algorithm = Algorithm::Rsa2048;
    let error = Signer::new(&[key]).unwrap_err();
    assert!(error.to_string().starts_with("the DKIM key e1 of clinic.test cannot be used"));
}
