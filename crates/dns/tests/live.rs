//! The live resolver against a name server made for the occasion.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, MX, PTR, SOA, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use wardpost_dns::{DnsError, Dnssec, HickoryResolver, Mx, Resolver};
use wardpost_mail::Domain;

/// A name server on loopback, over UDP and TCP, and how often it was asked.
struct Server {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

/// The zone: what a question gets, by name and type.
fn zone(question: &Name, kind: RecordType) -> (ResponseCode, Vec<RData>) {
    use ResponseCode::{NXDomain, NoError, ServFail};
    let found = |data: Vec<RData>| (NoError, data);
    let mx = |preference, host: &str| RData::MX(MX::new(preference, name(host)));
    match (question.to_ascii().to_ascii_lowercase().as_str(), kind) {
        ("clinic.test.", RecordType::MX) => {
            found(vec![mx(20, "b.clinic.test."), mx(10, "a.clinic.test.")])
        }
        ("null.test.", RecordType::MX) => found(vec![mx(0, ".")]),
        ("odd.test.", RecordType::MX) => found(vec![mx(0, "."), mx(5, "a.clinic.test.")]),
        ("nowhere.test.", RecordType::MX) => {
            let odd = Name::from_labels([&b"a b"[..], b"test"]).unwrap();
            found(vec![RData::MX(MX::new(1, odd))])
        }
        ("alias.test.", RecordType::MX) => {
            found(vec![RData::CNAME(CNAME(name("clinic.test."))), mx(10, "a.clinic.test.")])
        }
        ("broken.test.", _) | ("half.test.", RecordType::AAAA) => (ServFail, vec![]),
        ("half.test." | "a.clinic.test.", RecordType::A) => {
            found(vec![RData::A(A::new(192, 0, 2, 1))])
        }
        ("a.clinic.test.", RecordType::AAAA) => {
            found(vec![RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))])
        }
        ("text.test.", RecordType::TXT) => {
            found(vec![RData::TXT(TXT::new(vec!["v=spf1 ".into(), "-all".into()]))])
        }
        ("big.test.", RecordType::TXT) => {
            found((0..60).map(|i| RData::TXT(TXT::new(vec![format!("{i:0100}")]))).collect())
        }
        ("1.2.0.192.in-addr.arpa.", RecordType::PTR) => {
            found(vec![RData::PTR(PTR(name("a.clinic.test.")))])
        }
        (known, _) if ["plain.test.", "alias.test.", "clinic.test."].contains(&known) => {
            found(vec![])
        }
        _ => (NXDomain, vec![]),
    }
}

fn answer(question: &[u8], over_udp: bool) -> Vec<u8> {
    let question = Message::from_vec(question).unwrap();
    let query = question.queries[0].clone();
    let (code, data) = zone(query.name(), query.query_type());
    let mut reply = question.into_response();
    reply.metadata.response_code = code;
    reply.metadata.recursion_available = true;
    if data.is_empty() && code != ResponseCode::ServFail {
        let soa = SOA::new(name("ns.test."), name("admin.test."), 1, 60, 60, 60, 60);
        reply.add_authority(Record::from_rdata(name("test."), 60, RData::SOA(soa)));
    }
    let mut owner = query.name().clone();
    for rdata in data {
        let next = if let RData::CNAME(alias) = &rdata { alias.0.clone() } else { owner.clone() };
        reply.add_answer(Record::from_rdata(owner, 60, rdata));
        owner = next;
    }
    let wire = reply.to_vec().unwrap();
    if over_udp && wire.len() > 1232 { reply.truncate().to_vec().unwrap() } else { wire }
}

async fn server() -> Server {
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = udp.local_addr().unwrap();
    let tcp = TcpListener::bind(address).await.unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        loop {
            let (n, peer) = udp.recv_from(&mut buffer).await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            udp.send_to(&answer(&buffer[..n], true), peer).await.unwrap();
        }
    });
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = tcp.accept().await.unwrap();
            tokio::spawn(async move {
                while let Ok(length) = stream.read_u16().await {
                    let mut question = vec![0; length.into()];
                    stream.read_exact(&mut question).await.unwrap();
                    let reply = answer(&question, false);
                    stream.write_u16(u16::try_from(reply.len()).unwrap()).await.unwrap();
                    stream.write_all(&reply).await.unwrap();
                }
            });
        }
    });
    Server { address, asked }
}

async fn resolver() -> (Server, HickoryResolver) {
    let server = server().await;
    let resolver = HickoryResolver::new(&[server.address]).unwrap();
    (server, resolver)
}

fn hosts(mx: &Mx) -> Vec<(u16, &str)> {
    match mx {
        Mx::Hosts(hosts) => hosts.iter().map(|mx| (mx.preference, mx.host.as_str())).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn exchangers_come_by_preference() {
    let (_server, resolver) = resolver().await;
    let answer = resolver.mx(&domain("clinic.test")).await.unwrap();
    assert_eq!(hosts(&answer.value), [(10, "a.clinic.test"), (20, "b.clinic.test")]);
    assert_eq!(answer.dnssec, Dnssec::Indeterminate, "nobody validated it");
}

#[tokio::test]
async fn an_alias_is_followed() {
    let (_server, resolver) = resolver().await;
    let answer = resolver.mx(&domain("alias.test")).await.unwrap();
    assert_eq!(hosts(&answer.value), [(10, "a.clinic.test")]);
}

#[tokio::test]
async fn null_mx_counts_only_alone() {
    let (_server, resolver) = resolver().await;
    assert_eq!(resolver.mx(&domain("null.test")).await.unwrap().value, Mx::Null);
    let odd = resolver.mx(&domain("odd.test")).await.unwrap().value;
    assert_eq!(hosts(&odd), [(5, "a.clinic.test")]);
}

#[tokio::test]
async fn no_mx_is_implicit_only_where_the_domain_exists_and_dns_works() {
    let (_server, resolver) = resolver().await;
    assert_eq!(resolver.mx(&domain("plain.test")).await.unwrap().value, Mx::Implicit);
    assert_eq!(resolver.mx(&domain("none.test")).await, Err(DnsError::NoSuchDomain));
    let broken = resolver.mx(&domain("broken.test")).await.unwrap_err();
    assert!(broken.is_temporary() && matches!(broken, DnsError::Temporary(_)), "{broken:?}");
}

#[tokio::test]
async fn exchangers_without_usable_names_are_not_an_implicit_mx() {
    let (_server, resolver) = resolver().await;
    let answer = resolver.mx(&domain("nowhere.test")).await.unwrap();
    assert_eq!(answer.value, Mx::Hosts(vec![]));
}

#[tokio::test]
async fn both_families_are_asked_and_one_is_enough() {
    let (_server, resolver) = resolver().await;
    let both = resolver.addresses(&domain("a.clinic.test")).await.unwrap().value;
    let (v4, v6): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
    assert_eq!(both, [v4, v6]);
    let half = resolver.addresses(&domain("half.test")).await.unwrap().value;
    assert_eq!(half, [v4]);
    assert!(resolver.addresses(&domain("plain.test")).await.unwrap().value.is_empty());
    assert_eq!(resolver.addresses(&domain("none.test")).await, Err(DnsError::NoSuchDomain));
    assert!(resolver.addresses(&domain("broken.test")).await.unwrap_err().is_temporary());
}

#[tokio::test]
async fn texts_are_joined_and_long_answers_come_over_tcp() {
    let (_server, resolver) = resolver().await;
    let text = resolver.txt(&domain("text.test")).await.unwrap().value;
    assert_eq!(text, [b"v=spf1 -all".to_vec()]);
    assert_eq!(resolver.txt(&domain("big.test")).await.unwrap().value.len(), 60);
}

#[tokio::test]
async fn addresses_have_names() {
    let (_server, resolver) = resolver().await;
    let names = resolver.reverse("192.0.2.1".parse().unwrap()).await.unwrap().value;
    assert_eq!(names, [domain("a.clinic.test")]);
    assert_eq!(resolver.reverse("192.0.2.2".parse().unwrap()).await, Err(DnsError::NoSuchDomain));
}

#[tokio::test]
async fn answers_are_kept_while_they_are_good() {
    let (server, resolver) = resolver().await;
    resolver.mx(&domain("clinic.test")).await.unwrap();
    let asked = server.asked.load(Ordering::Relaxed);
    resolver.mx(&domain("clinic.test")).await.unwrap();
    assert_eq!(server.asked.load(Ordering::Relaxed), asked);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_temporary_failure() {
    let gone = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let resolver = HickoryResolver::new(&[gone]).unwrap();
    let error = resolver.mx(&domain("clinic.test")).await.unwrap_err();
    assert!(error.is_temporary());
    assert!(!error.to_string().contains("clinic"), "no names in errors: {error}");
}
