//! DNSSEC validation against zones that a real Knot signs and serves, from a private root down.
//!
//! Needs `knotd` and `keymgr` (Debian package `knot`). Each test has a server of its own on an
//! address in 127.0.0.0/8.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod lab;

use lab::Lab;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use wardpost_dns::{
    DnsError, Dnssec, HickoryResolver, Mx, Resolver, Tlsa, TrustAnchor, ValidatedBy,
};
use wardpost_mail::Domain;

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

fn resolver(lab: &Lab, anchor: &str) -> HickoryResolver {
    let anchor: TrustAnchor = anchor.parse().unwrap();
    HickoryResolver::validating(&[lab.address], Some(anchor)).unwrap()
}

/// Signed zones of all algorithms and kinds of denial; opt-out is a case of its own.
const SIGNED: [&str; 7] = [
    "secure.test",
    "nsec3.test",
    "rsa.test",
    "rsa512.test",
    "p384.test",
    "signed.secure.test",
    "signed.optout.test",
];

/// How many records an answer has, and their truth.
fn count<T>(answer: &wardpost_dns::Answer<Vec<T>>) -> (usize, Dnssec) {
    (answer.value.len(), answer.dnssec)
}

#[tokio::test]
async fn signed_zones_are_secure_by_ds_and_by_dnskey() {
    let lab = Lab::shared();
    for anchor in [lab.root_ds(), lab.root_dnskey()] {
        let resolver = resolver(&lab, &anchor);
        for zone in SIGNED {
            let mx = resolver.mx(&domain(zone)).await.unwrap();
            assert_eq!(mx.dnssec, Dnssec::Secure, "{zone}");
            assert!(matches!(mx.value, Mx::Hosts(hosts) if hosts.len() == 1));
            let host = domain(&format!("mx.{zone}"));
            let addresses = resolver.addresses(&host).await.unwrap();
            assert_eq!((addresses.value.len(), addresses.dnssec), (2, Dnssec::Secure), "{zone}");
            let tlsa = resolver.tlsa(&host, 25).await.unwrap();
            let record: Tlsa = format!("3 1 1 {}", "ab".repeat(32)).parse().unwrap();
            assert_eq!((tlsa.value, tlsa.dnssec), (vec![record], Dnssec::Secure), "{zone}");
            let text = resolver.txt(&domain(&format!("_mta-sts.{zone}"))).await.unwrap();
            assert_eq!(text.value, [b"v=STSv1; id=1;".to_vec()]);
            assert_eq!(text.dnssec, Dnssec::Secure);
        }
    }
}

#[tokio::test]
async fn absence_is_proven_with_nsec_and_nsec3() {
    let lab = Lab::shared();
    let resolver = resolver(&lab, &lab.root_ds());
    for zone in SIGNED {
        let host = domain(&format!("plainhost.{zone}"));
        let implicit = resolver.mx(&host).await.unwrap();
        assert_eq!((implicit.value, implicit.dnssec), (Mx::Implicit, Dnssec::Secure), "{zone}");
        // NXDOMAIN, NODATA of an empty non-terminal, and of a name that has other records.
        assert!(resolver.tlsa(&host, 25).await.unwrap().value.is_empty(), "{zone}");
        let other_port = resolver.tlsa(&domain(&format!("mx.{zone}")), 26).await.unwrap();
        assert!(other_port.value.is_empty(), "{zone}");
        let no_text = resolver.txt(&domain(&format!("mx.{zone}"))).await.unwrap();
        assert_eq!((no_text.value.len(), no_text.dnssec), (0, Dnssec::Secure), "{zone}");
        let gone = resolver.mx(&domain(&format!("nobody.{zone}"))).await;
        assert_eq!(gone, Err(DnsError::NoSuchDomain), "{zone}");
        let proven = resolver.tlsa(&domain(&format!("nobody.{zone}")), 25).await.unwrap();
        assert_eq!(count(&proven), (0, Dnssec::Secure), "{zone}");
    }
}

#[tokio::test]
async fn wildcards_answer_for_names_that_do_not_exist() {
    let lab = Lab::shared();
    let resolver = resolver(&lab, &lab.root_ds());
    for zone in SIGNED {
        let at = |name: &str| domain(&format!("{name}.{zone}"));
        let secure = |n| (n, Dnssec::Secure);
        let wild = resolver.addresses(&at("any.wild")).await.unwrap();
        assert_eq!(count(&wild), secure(1), "{zone}");
        assert_eq!(count(&resolver.addresses(&at("x.y.z.wild")).await.unwrap()), secure(1));
        let mx = resolver.mx(&at("any.wild")).await.unwrap();
        assert!(matches!(mx.value, Mx::Hosts(hosts) if hosts.len() == 1), "{zone}");
        assert_eq!(mx.dnssec, Dnssec::Secure, "{zone}");
        let txt = resolver.txt(&at("any.wild")).await.unwrap();
        assert_eq!((txt.value, txt.dnssec), (vec![b"wild".to_vec()], Dnssec::Secure), "{zone}");
        // `*._tcp.mx.wild` has the TLSA records of every port.
        assert_eq!(count(&resolver.tlsa(&at("mx.wild"), 25).await.unwrap()), secure(1), "{zone}");
        // An alias from a wildcard, and where it leads.
        let alias = resolver.addresses(&at("any.wildalias")).await.unwrap();
        assert_eq!(count(&alias), secure(2), "{zone}");
        assert_eq!(alias.alias.unwrap().initial, Dnssec::Secure);
        // The wildcard exists, without records of this kind; a closer name hides it.
        assert_eq!(count(&resolver.tlsa(&at("any.wild"), 25).await.unwrap()), secure(0), "{zone}");
        assert_eq!(count(&resolver.txt(&at("host.wild")).await.unwrap()), secure(0), "{zone}");
        assert_eq!(count(&resolver.txt(&at("ent.wild")).await.unwrap()), secure(0), "{zone}");
        let below = resolver.txt(&at("below.host.wild")).await;
        assert_eq!(below, Err(DnsError::NoSuchDomain), "{zone}");
    }
}

#[tokio::test]
async fn dname_makes_aliases() {
    let lab = Lab::shared();
    let resolver = resolver(&lab, &lab.root_ds());
    for zone in SIGNED {
        let at = |name: &str| domain(&format!("{name}.{zone}"));
        let found = resolver.addresses(&at("mx.old")).await.unwrap();
        let chain = found.chain(&at("mx.old"));
        assert_eq!(count(&found), (1, Dnssec::Secure), "{zone}");
        assert_eq!((chain.initial, chain.canonical), (Dnssec::Secure, at("mx.new")), "{zone}");
        let gone = resolver.mx(&at("nobody.old")).await;
        assert_eq!(gone, Err(DnsError::NoSuchDomain), "{zone}");
        // Into an unsigned zone: the alias is proven, the addresses are not.
        let moved = resolver.addresses(&at("mx.moved")).await.unwrap().chain(&at("mx.moved"));
        assert_eq!((moved.initial, moved.whole), (Dnssec::Secure, Dnssec::Insecure), "{zone}");
        assert_eq!(moved.canonical, domain("mx.plain.test"));
    }
    let plain = resolver.addresses(&domain("mx.old.plain.test")).await.unwrap();
    assert_eq!(count(&plain), (1, Dnssec::Insecure));
}

#[tokio::test]
async fn aliases_may_lead_to_names_without_such_records() {
    let lab = Lab::shared();
    let resolver = resolver(&lab, &lab.root_ds());
    for zone in SIGNED {
        let at = |name: &str| domain(&format!("{name}.{zone}"));
        let found = resolver.addresses(&at("onlyfour")).await.unwrap();
        assert_eq!(count(&found), (1, Dnssec::Secure), "{zone}");
        let implicit = resolver.mx(&at("onlyfour")).await.unwrap();
        assert_eq!((implicit.value, implicit.dnssec), (Mx::Implicit, Dnssec::Secure), "{zone}");
        assert_eq!(implicit.alias.unwrap().canonical, at("four"));
        assert_eq!(resolver.mx(&at("nowhere")).await, Err(DnsError::NoSuchDomain), "{zone}");
        let round = resolver.mx(&at("round")).await.unwrap_err();
        assert!(matches!(round, DnsError::Temporary(_)), "{zone}: {round:?}");
    }
    // The weakest link counts, also where there is nothing at the end.
    let mixed = resolver.mx(&domain("in.plain.test")).await.unwrap();
    assert_eq!((mixed.value, mixed.dnssec), (Mx::Implicit, Dnssec::Insecure));
}

#[tokio::test]
async fn unsigned_zones_below_signed_ones_are_insecure() {
    let lab = Lab::shared();
    let resolver = resolver(&lab, &lab.root_ds());
    // Below NSEC, NSEC3 and opt-out; and signed, but by keys that the zone above does not name.
    for zone in ["plain.secure.test", "plain.nsec3.test", "plain.optout.test", "island.test"] {
        let at = |name: &str| domain(&format!("{name}.{zone}"));
        assert_eq!(resolver.mx(&domain(zone)).await.unwrap().dnssec, Dnssec::Insecure, "{zone}");
        let found = resolver.addresses(&at("mx")).await.unwrap();
        assert_eq!(count(&found), (2, Dnssec::Insecure), "{zone}");
        let tlsa = resolver.tlsa(&at("mx"), 25).await.unwrap();
        assert_eq!(count(&tlsa), (1, Dnssec::Insecure), "{zone}");
        assert_eq!(count(&resolver.tlsa(&at("four"), 25).await.unwrap()), (0, Dnssec::Insecure));
        assert_eq!(resolver.mx(&at("nobody")).await, Err(DnsError::NoSuchDomain), "{zone}");
    }
    // What opt-out proves to be absent may be an unsigned zone's.
    let tlsa = resolver.tlsa(&domain("nobody.optout.test"), 25).await.unwrap();
    assert_eq!(count(&tlsa), (0, Dnssec::Insecure));
    let mx = resolver.mx(&domain("optout.test")).await.unwrap();
    assert_eq!(mx.dnssec, Dnssec::Secure, "opt-out or not, it is signed");
}

#[tokio::test]
async fn an_unsigned_delegation_is_insecure_and_works() {
    let lab = Lab::shared();
    let resolver = resolver(&lab, &lab.root_ds());
    let mx = resolver.mx(&domain("plain.test")).await.unwrap();
    assert_eq!(mx.dnssec, Dnssec::Insecure);
    let host = domain("mx.plain.test");
    assert_eq!(resolver.addresses(&host).await.unwrap().dnssec, Dnssec::Insecure);
    let tlsa = resolver.tlsa(&host, 25).await.unwrap();
    assert_eq!((tlsa.value.len(), tlsa.dnssec), (1, Dnssec::Insecure), "records, but no proof");
    let implicit = resolver.mx(&domain("plainhost.plain.test")).await.unwrap();
    assert_eq!((implicit.value, implicit.dnssec), (Mx::Implicit, Dnssec::Insecure));
    let gone = resolver.mx(&domain("nobody.plain.test")).await;
    assert_eq!(gone, Err(DnsError::NoSuchDomain));
}

#[tokio::test]
async fn aliases_carry_their_own_truth() {
    let lab = Lab::shared();
    let resolver = resolver(&lab, &lab.root_ds());
    let chain = async |host: &str| {
        let host = domain(host);
        resolver.addresses(&host).await.unwrap().chain(&host)
    };
    let inside = chain("alias.secure.test").await;
    assert_eq!((inside.initial, inside.whole), (Dnssec::Secure, Dnssec::Secure));
    assert_eq!(inside.canonical, domain("mx.secure.test"));
    let across = chain("across.secure.test").await;
    assert_eq!((across.initial, across.whole), (Dnssec::Secure, Dnssec::Secure));
    assert_eq!(across.canonical, domain("mx.nsec3.test"));
    let out = chain("out.secure.test").await;
    assert_eq!((out.initial, out.whole), (Dnssec::Secure, Dnssec::Insecure));
    assert_eq!(out.canonical, domain("mx.plain.test"));
    let back = chain("in.plain.test").await;
    assert_eq!((back.initial, back.whole), (Dnssec::Insecure, Dnssec::Insecure));
    let none = chain("mx.secure.test").await;
    assert_eq!((none.initial, none.canonical), (Dnssec::Secure, domain("mx.secure.test")));
}

#[tokio::test]
async fn broken_chains_are_bogus_and_never_absent() {
    let lab = Lab::shared();
    let resolver = resolver(&lab, &lab.root_ds());
    // A DS that fits no key; a DS for a zone without signatures.
    for zone in ["broken.test", "stripped.test"] {
        let host = domain(&format!("mx.{zone}"));
        assert_eq!(resolver.mx(&domain(zone)).await, Err(DnsError::Bogus), "{zone}");
        assert_eq!(resolver.addresses(&host).await, Err(DnsError::Bogus), "{zone}");
        assert_eq!(resolver.tlsa(&host, 25).await, Err(DnsError::Bogus), "{zone}");
        assert_eq!(resolver.txt(&domain(&format!("_mta-sts.{zone}"))).await, Err(DnsError::Bogus));
        // That there is nothing must be proven, too.
        let nothing = resolver.tlsa(&domain(&format!("nobody.{zone}")), 25).await;
        assert_eq!(nothing, Err(DnsError::Bogus), "{zone}");
        assert!(DnsError::Bogus.is_temporary(), "it defers");
    }
    assert!(resolver.mx(&domain("secure.test")).await.is_ok(), "others are not held up");
}

#[tokio::test]
async fn an_expired_signature_is_bogus() {
    let lab = Lab::with_expired_zone();
    let resolver = resolver(&lab, &lab.root_ds());
    for name in ["any.wild.expired.test", "mx.old.expired.test", "nobody.expired.test"] {
        assert_eq!(resolver.addresses(&domain(name)).await, Err(DnsError::Bogus), "{name}");
    }
    assert_eq!(resolver.mx(&domain("expired.test")).await, Err(DnsError::Bogus));
    let tlsa = resolver.tlsa(&domain("mx.expired.test"), 25).await;
    assert_eq!(tlsa, Err(DnsError::Bogus));
}

#[tokio::test]
async fn another_root_proves_nothing() {
    let (lab, other) = (Lab::shared(), Lab::with_expired_zone());
    let strange = resolver(&lab, &other.root_dnskey());
    assert_eq!(strange.mx(&domain("secure.test")).await, Err(DnsError::Bogus));
    assert_eq!(strange.mx(&domain("plain.test")).await, Err(DnsError::Bogus));
    let strange = resolver(&lab, &other.root_ds());
    assert_eq!(strange.mx(&domain("secure.test")).await, Err(DnsError::Bogus));
}

#[tokio::test]
async fn an_anchor_below_the_root_serves_its_zone() {
    let lab = Lab::shared();
    let island = resolver(&lab, &lab.key("secure.test.", "dnskey"));
    assert_eq!(island.mx(&domain("secure.test")).await.unwrap().dnssec, Dnssec::Secure);
    let wild = island.addresses(&domain("any.wild.secure.test")).await.unwrap();
    assert_eq!(count(&wild), (1, Dnssec::Secure));
    let below = island.mx(&domain("plain.secure.test")).await.unwrap();
    assert_eq!(below.dnssec, Dnssec::Insecure);
    // Nothing is known of anything else (RFC 4033 §5).
    for zone in ["nsec3.test", "plain.test", "broken.test"] {
        let mx = island.mx(&domain(zone)).await.unwrap();
        assert_eq!(mx.dnssec, Dnssec::Indeterminate, "{zone}");
    }
}

#[tokio::test]
async fn without_a_configured_anchor_a_private_root_is_left_unvalidated() {
    let lab = Lab::shared();
    let resolver = HickoryResolver::validating(&[lab.address], None).unwrap();
    assert_eq!(*resolver.validated_by().borrow(), ValidatedBy::Undecided);
    let never = HickoryResolver::new(&[lab.address]).unwrap();
    for zone in ["secure.test", "plain.test", "broken.test", "stripped.test"] {
        let mx = resolver.mx(&domain(zone)).await.unwrap();
        assert_eq!(mx.dnssec, Dnssec::Indeterminate, "{zone}");
        assert_eq!(never.mx(&domain(zone)).await.unwrap(), mx, "{zone}");
    }
    let tlsa = resolver.tlsa(&domain("mx.secure.test"), 25).await.unwrap();
    assert_eq!((tlsa.value.len(), tlsa.dnssec), (1, Dnssec::Indeterminate));
    assert_eq!(*resolver.validated_by().borrow(), ValidatedBy::Stripped);
    assert_eq!(*never.validated_by().borrow(), ValidatedBy::Nothing);
}

#[tokio::test]
async fn a_root_that_validated_once_is_insisted_on() {
    let lab = Lab::shared();
    let resolver = HickoryResolver::validating(&[lab.address], None).unwrap().known_to_validate();
    assert_eq!(*resolver.validated_by().borrow(), ValidatedBy::Root);
    for zone in ["secure.test", "plain.test"] {
        assert_eq!(resolver.mx(&domain(zone)).await, Err(DnsError::Bogus), "{zone}: not the root");
    }
    assert_eq!(*resolver.validated_by().borrow(), ValidatedBy::Root);
}

#[tokio::test]
async fn long_signed_answers_come_over_tcp() {
    let lab = Lab::shared();
    let resolver = resolver(&lab, &lab.root_ds());
    let long = resolver.txt(&domain("long.secure.test")).await.unwrap();
    assert_eq!((long.value.len(), long.dnssec), (30, Dnssec::Secure));
}

#[tokio::test]
async fn answers_and_their_truth_are_kept_for_their_ttl_only() {
    let lab = Lab::start(&[]);
    let resolver = resolver(&lab, &lab.root_ds());
    let host = domain("mx.secure.test");
    let before = resolver.addresses(&host).await.unwrap();
    drop(lab);
    let start = Instant::now();
    let kept = resolver.addresses(&host).await.unwrap();
    assert_eq!(kept, before, "from the cache");
    assert!(start.elapsed() < Duration::from_secs(1));
    tokio::time::sleep(Duration::from_millis(lab::TTL * 1000 + 500)).await;
    let error = resolver.addresses(&host).await.unwrap_err();
    assert!(error.is_temporary(), "{error}");
}

#[tokio::test]
async fn a_server_that_is_gone_or_fails_is_temporary_with_an_anchor_too() {
    let lab = Lab::start(&[]);
    let (address, ds, key) = (lab.address, lab.root_ds(), lab.root_dnskey());
    drop(lab);
    for anchor in [ds, key] {
        let resolver =
            HickoryResolver::validating(&[address], Some(anchor.parse().unwrap())).unwrap();
        let error = resolver.tlsa(&domain("mx.secure.test"), 25).await.unwrap_err();
        assert!(error.is_temporary() && !error.to_string().contains("secure"), "{error}");
    }
    // A zone that Knot cannot load answers SERVFAIL.
    let lab = Lab::start(&["unloadable.test"]);
    let resolver = resolver(&lab, &lab.root_ds());
    let error = resolver.tlsa(&domain("mx.unloadable.test"), 25).await.unwrap_err();
    assert!(error.is_temporary(), "SERVFAIL is no absence: {error:?}");
}

#[tokio::test]
async fn addresses_come_from_both_families() {
    let lab = Lab::shared();
    let resolver = resolver(&lab, &lab.root_ds());
    let found = resolver.addresses(&domain("mx.rsa.test")).await.unwrap().value;
    let (v4, v6): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
    assert_eq!(found, [v4, v6]);
}
