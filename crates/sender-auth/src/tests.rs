//! The checks against a DNS server that answers from a table.

#[path = "../tests/support/dns.rs"]
mod dns;

use super::{Claim, Domain, Duration, MAX_SIGNATURES, ReversePath, SenderAuth, Settings};
use mail_auth::common::crypto::Ed25519Key;
use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::DkimSigner;
use wardpost_mail::Address;
use wardpost_policy::DmarcPolicy::{Quarantine, Reject};
use wardpost_policy::DmarcResult::{Fail, Pass, TempError};
use wardpost_policy::{DkimResult, IprevResult, SpfResult};

async fn checker(zone: &str, time_limit: Duration) -> SenderAuth {
    let hostname = Domain::parse("mail.clinic.test").unwrap();
    let zone = format!("silent.test SILENT\n{zone}");
    let resolver = wardpost_dns::HickoryResolver::new(&[dns::serve(&zone).await]).unwrap();
    let settings = Settings { hostname, time_limit, trusted_sealers: Vec::new() };
    SenderAuth::new(resolver.hickory(), settings)
}

fn sender(text: &str) -> ReversePath {
    ReversePath::Address(Address::parse(text).unwrap())
}

const LIMIT: Duration = Duration::from_secs(10);
const PLAIN: &[u8] = b"From: Lab <results@lab.test>\r\nSubject: x\r\n\r\nhello\r\n";

const LAB: &str = "
    lab.test TXT v=spf1 ip4:192.0.2.7 -all
    _dmarc.lab.test TXT v=DMARC1; p=reject
    7.2.0.192.in-addr.arpa PTR mx.lab.test
    mx.lab.test A 192.0.2.7
";

/// The lab's zone and more.
fn lab_and(more: &str) -> String {
    format!("{LAB}\n{more}")
}

fn claim<'a>(peer: &str, sender: &'a ReversePath, message: &'a [u8]) -> Claim<'a> {
    Claim { peer: peer.parse().unwrap(), helo: "mx.lab.test", sender, message }
}

#[tokio::test]
async fn a_sender_who_may_passes_spf_dmarc_and_iprev() {
    let checker = checker(LAB, LIMIT).await;
    let from = sender("results@lab.test");
    let facts = checker.facts(claim("192.0.2.7", &from, PLAIN)).await;
    assert_eq!(facts.inbound.spf, SpfResult::Pass);
    assert_eq!(facts.inbound.dkim, DkimResult::None);
    assert_eq!(facts.inbound.dmarc, Pass);
    assert_eq!(facts.inbound.iprev, IprevResult::Pass);
    let text = facts.authentication_results;
    assert!(text.starts_with("mail.clinic.test;\r\n\tdkim=none;\r\n\tspf=none"), "{text}");
    assert!(text.contains("spf=pass") && text.contains("smtp.mailfrom=results@lab.test"), "{text}");
    assert!(text.contains("dmarc=pass") && text.contains("header.from=lab.test"), "{text}");
    assert!(text.contains("iprev=pass"), "{text}");
    for line in text.split("\r\n").skip(1) {
        assert!(line.starts_with('\t') && !line.contains(['\r', '\n']), "{text:?}");
    }
}

#[tokio::test]
async fn a_sender_who_may_not_fails_spf_and_dmarc() {
    let checker = checker(LAB, LIMIT).await;
    let from = sender("results@lab.test");
    let facts = checker.facts(claim("198.51.100.9", &from, PLAIN)).await;
    assert_eq!(facts.inbound.spf, SpfResult::Fail);
    assert_eq!(facts.inbound.dmarc, Fail);
    assert_eq!(facts.inbound.dmarc_policy, Reject);
    assert_eq!(facts.inbound.iprev, IprevResult::Fail);
}

/// Signs `message` for `domain` and returns it with the key's record.
fn signed(domain: &str, message: &[u8]) -> (Vec<u8>, String) {
    let pkcs8 = Ed25519Key::generate_pkcs8().unwrap();
    let key = Ed25519Key::from_pkcs8_maybe_unchecked_der(&pkcs8).unwrap();
    let public = data_encoding::BASE64.encode(&key.public_key());
    let signer =
        DkimSigner::from_key(key).domain(domain).selector("s").headers(["From", "Subject"]);
    let mut raw = signer.sign(message).unwrap().to_header().into_bytes();
    raw.extend_from_slice(message);
    (raw, format!("v=DKIM1; k=ed25519; p={public}"))
}

#[tokio::test]
async fn an_aligned_signature_is_enough_even_from_elsewhere_and_a_changed_body_is_seen() {
    let (raw, key) = signed("lab.test", PLAIN);
    let checker = checker(&lab_and(&format!("s._domainkey.lab.test TXT {key}")), LIMIT).await;
    let from = sender("list@elsewhere.test");
    let facts = checker.facts(claim("198.51.100.9", &from, &raw)).await;
    assert_eq!(facts.inbound.dkim, DkimResult::Pass, "{}", facts.authentication_results);
    assert_eq!(facts.inbound.dmarc, Pass);

    let changed = [&raw[..], b"more\r\n"].concat();
    let facts = checker.facts(claim("198.51.100.9", &from, &changed)).await;
    assert_eq!(facts.inbound.dkim, DkimResult::Fail);
    assert_eq!(facts.inbound.dmarc, Fail);
    assert!(facts.authentication_results.contains("body hash did not verify"));
}

#[tokio::test]
async fn a_bounce_is_judged_by_its_helo_name() {
    let checker = checker(&lab_and("mx.lab.test TXT v=spf1 a -all"), LIMIT).await;
    let facts = checker.facts(claim("192.0.2.7", &ReversePath::Null, PLAIN)).await;
    assert_eq!(facts.inbound.spf, SpfResult::Pass);
    assert_eq!(facts.inbound.dmarc, Pass);
}

#[tokio::test]
async fn only_so_many_signatures_are_checked() {
    let (one, _) = signed("nowhere.test", PLAIN);
    let header = &one[..one.len() - PLAIN.len()];
    let raw = [header.repeat(60), PLAIN.to_vec()].concat();
    let checker = checker(LAB, LIMIT).await;
    let from = sender("results@lab.test");
    let facts = checker.facts(claim("192.0.2.7", &from, &raw)).await;
    let checked = facts.authentication_results.matches("dkim=").count();
    assert_eq!(checked, MAX_SIGNATURES);
}

#[tokio::test]
async fn silence_ends_in_temporary_errors_within_the_time_limit() {
    let checker = checker(LAB, Duration::from_millis(300)).await;
    let from = sender("a@b.silent.test");
    let raw = b"From: a@b.silent.test\r\n\r\nx\r\n";
    let started = std::time::Instant::now();
    let facts = checker.facts(claim("192.0.2.7", &from, raw)).await;
    assert!(started.elapsed() < Duration::from_secs(3));
    assert_eq!(facts.inbound.spf, SpfResult::TempError);
    assert_eq!(facts.inbound.dmarc, TempError);
    let text = facts.authentication_results;
    assert!(
        text.contains("dmarc=temperror") && text.contains("header.from=b.silent.test"),
        "{text}"
    );
}

#[tokio::test]
async fn a_forger_with_silent_dns_does_not_get_round_the_policy_of_the_domain_he_claims() {
    let checker = checker(LAB, Duration::from_millis(800)).await;
    let forger = sender("x@forger.silent.test");
    let facts = checker.facts(claim("198.51.100.9", &forger, PLAIN)).await;
    assert_eq!((facts.inbound.dmarc, facts.inbound.dmarc_policy), (Fail, Reject));

    // Nor does a signature of his that cannot be checked: it could prove nothing for the lab.
    let (raw, _) = signed("forger.silent.test", PLAIN);
    let facts = checker.facts(claim("198.51.100.9", &forger, &raw)).await;
    assert_eq!((facts.inbound.dmarc, facts.inbound.dmarc_policy), (Fail, Reject));
}

#[tokio::test]
async fn a_dead_domains_signature_does_not_hide_a_good_one() {
    let (inner, key) = signed("lab.test", PLAIN);
    let (raw, _) = signed("dead.silent.test", &inner);
    let zone = lab_and(&format!("s._domainkey.lab.test TXT {key}"));
    let checker = checker(&zone, Duration::from_millis(800)).await;
    let from = sender("list@elsewhere.test");
    let facts = checker.facts(claim("198.51.100.9", &from, &raw)).await;
    assert_eq!(facts.inbound.dmarc, Pass, "{}", facts.authentication_results);
    assert!(facts.authentication_results.contains("dkim=temperror"));
}

#[tokio::test]
async fn a_second_author_does_not_free_the_first_from_his_policy() {
    let checker = checker(&lab_and("other.test TXT v=spf1 ip4:192.0.2.7 -all"), LIMIT).await;
    let other = sender("x@other.test");
    let many: String = (0..9).map(|n| format!(", a@d{n}.test")).collect();
    for (from, expected) in [
        ("From: a@other.test, results@lab.test\r\n".to_owned(), (Fail, Reject)),
        ("From: results@lab.test\r\nFrom: a@other.test\r\n".to_owned(), (Fail, Reject)),
        (format!("From: a@other.test{many}\r\n"), (Fail, Quarantine)),
    ] {
        let raw = format!("{from}Subject: x\r\n\r\nhello\r\n");
        let found = checker.facts(claim("192.0.2.7", &other, raw.as_bytes())).await.inbound;
        assert_eq!((found.dmarc, found.dmarc_policy), expected, "{from}");
    }
}

#[tokio::test]
async fn nothing_a_peer_says_breaks_the_header() {
    let checker = checker(LAB, LIMIT).await;
    let from = sender("\"a;b (c) =\\\" dmarc=pass\"@lab.test");
    for raw in
        [&b""[..], b"no header at all", b"From: a@\r\nFrom: b@x.test, c@y.test\r\n\r\n", b"\0\0\0"]
    {
        let mut claim = claim("2001:db8::7", &from, raw);
        claim.helo = "evil\r\nX-Injected: 1;dmarc=pass";
        let text = checker.facts(claim).await.authentication_results;
        assert!(!text.contains("\nX-Injected") && !text.contains('\0'), "{text:?}");
        // Only inside quotes or a comment may the peer's words stand.
        assert!(!text.contains(";dmarc=pass"), "{text:?}");
    }
}
