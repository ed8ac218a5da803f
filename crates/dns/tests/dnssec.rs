//! DNSSEC validation against zones that a real Knot signs and serves, from a private root down.
//!
//! Needs `knotd` and `keymgr` (Debian package `knot`). Each test has a server of its own on an
//! address in 127.0.0.0/8.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod lab;

use lab::Lab;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use wardpost_dns::{DnsError, Dnssec, HickoryResolver, Mx, Resolver, Tlsa, TrustAnchor};
use wardpost_mail::Domain;

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

fn resolver(lab: &Lab, anchor: &str) -> HickoryResolver {
    let anchor: TrustAnchor = anchor.parse().unwrap();
    HickoryResolver::validating(&[lab.address], Some(anchor)).unwrap()
}

/// The three signed zones, one an algorithm and a kind of denial.
const SIGNED: [&str; 3] = ["secure.test", "nsec3.test", "rsa.test"];

#[tokio::test]
async fn signed_zones_are_secure_by_ds_and_by_dnskey() {
    let lab = Lab::start(&[]);
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
    let lab = Lab::start(&[]);
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
        let wild = resolver.addresses(&domain(&format!("any.wild.{zone}"))).await;
        let wild = wild.map(|answer| (answer.value.len(), answer.dnssec));
        // The validator cannot follow wildcards under NSEC, and says so: mail waits.
        let nsec = zone == "secure.test";
        let expected = if nsec { Err(DnsError::Bogus) } else { Ok((1, Dnssec::Secure)) };
        assert_eq!(wild, expected, "{zone}");
    }
}

#[tokio::test]
async fn an_unsigned_delegation_is_insecure_and_works() {
    let lab = Lab::start(&[]);
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
    let lab = Lab::start(&[]);
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
    let lab = Lab::start(&[]);
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
    assert_eq!(resolver.mx(&domain("expired.test")).await, Err(DnsError::Bogus));
    let tlsa = resolver.tlsa(&domain("mx.expired.test"), 25).await;
    assert_eq!(tlsa, Err(DnsError::Bogus));
}

#[tokio::test]
async fn another_root_proves_nothing() {
    let (lab, other) = (Lab::start(&[]), Lab::start(&[]));
    let strange = resolver(&lab, &other.root_dnskey());
    assert_eq!(strange.mx(&domain("secure.test")).await, Err(DnsError::Bogus));
    assert_eq!(strange.mx(&domain("plain.test")).await, Err(DnsError::Bogus));
    let strange = resolver(&lab, &other.root_ds());
    assert_eq!(strange.mx(&domain("secure.test")).await, Err(DnsError::Bogus));
}

#[tokio::test]
async fn an_anchor_below_the_root_serves_its_zone() {
    let lab = Lab::start(&[]);
    let island = resolver(&lab, &lab.key("secure.test.", "dnskey"));
    assert_eq!(island.mx(&domain("secure.test")).await.unwrap().dnssec, Dnssec::Secure);
}

#[tokio::test]
async fn without_a_configured_anchor_a_private_root_is_left_unvalidated() {
    let lab = Lab::start(&[]);
    let resolver = HickoryResolver::validating(&[lab.address], None).unwrap();
    let never = HickoryResolver::new(&[lab.address]).unwrap();
    for zone in ["secure.test", "plain.test", "broken.test", "stripped.test"] {
        let mx = resolver.mx(&domain(zone)).await.unwrap();
        assert_eq!(mx.dnssec, Dnssec::Indeterminate, "{zone}");
        assert_eq!(never.mx(&domain(zone)).await.unwrap(), mx, "{zone}");
    }
    let tlsa = resolver.tlsa(&domain("mx.secure.test"), 25).await.unwrap();
    assert_eq!((tlsa.value.len(), tlsa.dnssec), (1, Dnssec::Indeterminate));
}

#[tokio::test]
async fn long_signed_answers_come_over_tcp() {
    let lab = Lab::start(&[]);
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
    let lab = Lab::start(&[]);
    let resolver = resolver(&lab, &lab.root_ds());
    let found = resolver.addresses(&domain("mx.rsa.test")).await.unwrap().value;
    let (v4, v6): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
    assert_eq!(found, [v4, v6]);
}
