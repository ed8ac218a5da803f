//! What somebody between us and the server may try, and what must never come of it: an answer.
//!
//! The zones are signed and served by a real Knot; the forger passes questions on and changes the
//! answers. Whatever he does, the answer is bogus or fails: never proven, never absent, and never
//! "insecure", which would switch DANE off without anybody noticing.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod lab;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as WireError, NetError};
use hickory_resolver::proto::dnssec::rdata::DNSSECRData;
use hickory_resolver::proto::dnssec::{Algorithm, Proof, PublicKeyBuf, TrustAnchors};
use hickory_resolver::proto::op::{Message, Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, CNAME, NS};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use lab::Lab;
use lab::forger::{Forgery, Knot, forge};
use std::net::SocketAddr;
use std::sync::Arc;
use wardpost_dns::{DnsError, Dnssec, HickoryResolver, Mx, Resolver};
use wardpost_mail::Domain;

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn asks(query: &Query, at: &str, kind: RecordType) -> bool {
    *query.name() == name(at) && query.query_type() == kind
}

/// Our resolver, with a forger in between.
fn resolver(
    lab: &Lab,
    tamper: impl Fn(&Query, Message, Knot) -> Message + Send + Sync + 'static,
) -> HickoryResolver {
    let anchor = lab.root_ds().parse().unwrap();
    HickoryResolver::validating(&[forge(lab.address, tamper)], Some(anchor)).unwrap()
}

/// Hickory's own validator in the same place.
fn hickory(
    lab: &Lab,
    tamper: impl Fn(&Query, Message, Knot) -> Message + Send + Sync + 'static,
) -> TokioResolver {
    let address: SocketAddr = forge(lab.address, tamper);
    let on_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let connections = vec![on_port(ConnectionConfig::udp()), on_port(ConnectionConfig::tcp())];
    let server = NameServerConfig::new(address.ip(), true, connections);
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let dnskey = lab.root_dnskey();
    let key = dnskey.split_ascii_whitespace().last().unwrap();
    let key = data_encoding::BASE64.decode(key.as_bytes()).unwrap();
    let mut anchors = TrustAnchors::empty();
    anchors.insert(&PublicKeyBuf::new(key, Algorithm::ECDSAP256SHA256));
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_trust_anchor(Arc::new(anchors))
        .build()
        .unwrap()
}

/// The unsigned SOA record of an unsigned zone, which has nothing to do with the question.
fn strangers_soa(knot: Knot) -> Vec<Record> {
    knot.ask("nobody.plain.test.", RecordType::A).authorities
}

fn without_signatures(records: &mut Vec<Record>) {
    records.retain(|record| record.record_type() != RecordType::RRSIG);
}

#[tokio::test]
async fn a_forger_who_does_nothing_is_not_noticed() {
    let lab = Lab::shared();
    let resolver = resolver(&lab, |_, reply, _| reply);
    let mx = resolver.mx(&domain("any.wild.secure.test")).await.unwrap();
    assert_eq!(mx.dnssec, Dnssec::Secure);
}

/// The records of a wildcard, under another name.
fn replayed(mut reply: Message, at: &str, knot: Knot, zone: &str) -> Message {
    let lie = knot.ask(&format!("any.wild.{zone}."), RecordType::A);
    reply.answers = lie.answers;
    for record in &mut reply.answers {
        record.name = name(at);
    }
    reply.authorities = lie.authorities;
    reply
}

#[tokio::test]
async fn a_wildcard_is_not_replayed_for_a_name_that_exists() {
    let lab = Lab::shared();
    for zone in ["secure.test", "nsec3.test"] {
        let (host, other) = (format!("host.wild.{zone}"), format!("aaa.wild.{zone}"));
        let proofs: [fn(&mut Message, Knot); 3] = [
            |_, _| {},
            |reply, _| reply.authorities.clear(),
            |reply, knot| reply.authorities = strangers_soa(knot),
        ];
        for (case, proof) in proofs.into_iter().enumerate() {
            let (at, beside) = (format!("{host}."), format!("{other}."));
            let resolver = resolver(&lab, move |query, reply, knot| {
                for at in [&at, &beside] {
                    if asks(query, at, RecordType::A) {
                        let mut reply = replayed(reply, at, knot, zone);
                        proof(&mut reply, knot);
                        return reply;
                    }
                }
                reply
            });
            let found = resolver.trace_v4(&host).await;
            assert_eq!(found, Err(DnsError::Bogus), "{host}, {case}");
            // The same for a name that the wildcard does serve is the truth, if it comes with proof.
            if (zone, case) == ("secure.test", 0) {
                assert_eq!(resolver.trace_v4(&other).await, Ok(Dnssec::Secure));
            }
        }
    }
}

/// The truth of a host's IPv4 addresses alone.
trait V4 {
    async fn trace_v4(&self, host: &str) -> Result<Dnssec, DnsError>;
}

impl V4 for HickoryResolver {
    async fn trace_v4(&self, host: &str) -> Result<Dnssec, DnsError> {
        let found = self.addresses(&domain(host)).await?;
        assert!(found.value.iter().all(|address| address.is_ipv4()));
        Ok(found.dnssec)
    }
}

#[tokio::test]
async fn a_denial_must_cover_the_name() {
    let lab = Lab::shared();
    let resolver = resolver(&lab, |query, mut reply, knot| {
        if asks(query, "any.wild.secure.test.", RecordType::MX) {
            let other = knot.ask("host.wild.secure.test.", RecordType::MX);
            reply.authorities = other.authorities;
        }
        reply
    });
    let mx = resolver.mx(&domain("any.wild.secure.test")).await;
    assert_eq!(mx, Err(DnsError::Bogus));
}

/// Somebody else's unsigned records for an absence.
fn absent_by_a_stranger(query: &Query, mut reply: Message, knot: Knot) -> Message {
    if matches!(query.query_type(), RecordType::TLSA | RecordType::MX) {
        reply.answers.clear();
        reply.authorities = strangers_soa(knot);
    }
    reply
}

#[tokio::test]
async fn records_are_not_talked_away() {
    let lab = Lab::shared();
    for (case, code) in [ResponseCode::NoError, ResponseCode::NXDomain].into_iter().enumerate() {
        let proofs: [fn(&mut Message, Knot); 5] = [
            |reply, knot| reply.authorities = strangers_soa(knot),
            |reply, _| reply.authorities.clear(),
            // Signed, by the zone above: but it says nothing of what is below the zone cut.
            |reply, knot| reply.authorities = knot.ask("secureaa.test.", RecordType::A).authorities,
            |reply, knot| reply.authorities = knot.ask("secure.test.", RecordType::TXT).authorities,
            |reply, knot| {
                reply.authorities = knot.ask("nobody.secure.test.", RecordType::A).authorities;
            },
        ];
        for (kind, proof) in proofs.into_iter().enumerate() {
            let resolver = resolver(&lab, move |query, mut reply, knot| {
                if matches!(query.query_type(), RecordType::TLSA | RecordType::MX) {
                    reply.answers.clear();
                    reply.metadata.response_code = code;
                    proof(&mut reply, knot);
                }
                reply
            });
            let mx = resolver.mx(&domain("secure.test")).await;
            assert_eq!(mx, Err(DnsError::Bogus), "{case} {kind}");
            let tlsa = resolver.tlsa(&domain("mx.secure.test"), 25).await;
            assert_eq!(tlsa, Err(DnsError::Bogus), "{case} {kind}");
        }
    }
}

#[tokio::test]
async fn response_codes_prove_nothing() {
    let lab = Lab::shared();
    let resolver = resolver(&lab, |query, mut reply, _| {
        let code = &mut reply.metadata.response_code;
        if query.query_type() == RecordType::MX {
            *code = match *code {
                ResponseCode::NXDomain => ResponseCode::NoError,
                _ => ResponseCode::NXDomain,
            };
        }
        reply
    });
    for zone in ["secure.test", "nsec3.test"] {
        let mx = resolver.mx(&domain(&format!("plainhost.{zone}"))).await.unwrap();
        assert_eq!((mx.value, mx.dnssec), (Mx::Implicit, Dnssec::Secure), "{zone}");
        let gone = resolver.mx(&domain(&format!("nobody.{zone}"))).await;
        assert_eq!(gone, Err(DnsError::NoSuchDomain), "{zone}");
    }
}

#[tokio::test]
async fn signatures_and_digests_are_not_left_out() {
    let lab = Lab::shared();
    let stripped = resolver(&lab, |_, mut reply, _| {
        without_signatures(&mut reply.answers);
        without_signatures(&mut reply.authorities);
        reply
    });
    let no_digests = resolver(&lab, |query, mut reply, knot| {
        if query.query_type() == RecordType::DS {
            reply.answers.clear();
            reply.authorities = strangers_soa(knot);
        }
        reply
    });
    // The proof that another delegation is unsigned, for this one.
    let another = resolver(&lab, |query, mut reply, knot| {
        if asks(query, "secure.test.", RecordType::DS) {
            reply.answers.clear();
            reply.authorities = knot.ask("plain.test.", RecordType::DS).authorities;
        }
        without_signatures(&mut reply.answers);
        reply
    });
    for resolver in [stripped, no_digests, another] {
        assert_eq!(resolver.mx(&domain("secure.test")).await, Err(DnsError::Bogus));
        let tlsa = resolver.tlsa(&domain("mx.secure.test"), 25).await;
        assert_eq!(tlsa, Err(DnsError::Bogus));
    }
}

/// An unsigned delegation made up inside of a signed zone, with the records of the opt-out zone above
/// that cover its hash.
fn made_up_delegation(query: &Query, mut reply: Message, knot: Knot) -> Message {
    let at = name("mx.signed.optout.test.");
    if !at.zone_of(query.name()) {
        return reply;
    }
    match query.query_type() {
        RecordType::NS => {
            let ns = RData::NS(NS(name("ns.test.")));
            reply.answers = vec![Record::from_rdata(at, 4, ns)];
            reply.authorities.clear();
        }
        RecordType::DS => {
            reply.answers.clear();
            reply.authorities = opt_out_above(&at, knot);
        }
        _ => {
            without_signatures(&mut reply.answers);
            reply.authorities.clear();
        }
    }
    reply
}

/// The proof of some other absence in the opt-out zone, as it happens to cover that name's hash.
fn opt_out_above(at: &Name, knot: Knot) -> Vec<Record> {
    let covers = |record: &Record| {
        let RData::DNSSEC(DNSSECRData::NSEC3(nsec3)) = &record.data else { return false };
        let hash = nsec3.hash_algorithm().hash(nsec3.salt(), at, nsec3.iterations()).unwrap();
        let label = record.name.iter().next().unwrap().to_ascii_lowercase();
        let from = data_encoding::BASE32_DNSSEC.decode(&label).unwrap();
        let (from, hash, to) = (from.as_slice(), hash.as_ref(), nsec3.next_hashed_owner_name());
        if from < to { from < hash && hash < to } else { from < hash || hash < to }
    };
    for i in 0..1000 {
        let mut shown = knot.ask(&format!("x{i}.optout.test."), RecordType::DS).authorities;
        if let Some(found) = shown.iter().find(|record| covers(record)) {
            let (found, apex) = (found.name.clone(), name("optout.test."));
            shown.retain(|record| record.name == found || record.name == apex);
            return shown;
        }
    }
    panic!("the forger did not find what he looked for");
}

#[tokio::test]
async fn delegations_are_not_made_up() {
    let lab = Lab::shared();
    let resolver = resolver(&lab, made_up_delegation);
    let host = domain("mx.signed.optout.test");
    assert_eq!(resolver.addresses(&host).await, Err(DnsError::Bogus));
    assert_eq!(resolver.tlsa(&host, 25).await, Err(DnsError::Bogus));
}

/// Somebody with a zone of his own, below which he has put a digest of his key as if it were another
/// zone's; he shows that digest when asked for the other zone's.
fn foreign_digest(
    forgery: Arc<Forgery>,
) -> impl Fn(&Query, Message, Knot) -> Message + Send + Sync {
    move |query, mut reply, knot| {
        let (victim, host) = (name("secure.test."), name("mx.secure.test."));
        let address = |data| Record::from_rdata(host.clone(), 4, data);
        match query.query_type() {
            RecordType::DS if *query.name() == victim => {
                reply.answers = knot.ask("x.evil.test.", RecordType::DS).answers;
                let bait = RData::CNAME(CNAME(name("bait.test.")));
                reply.answers.push(Record::from_rdata(victim, 4, bait));
                reply.authorities.clear();
            }
            RecordType::DNSKEY if *query.name() == victim => {
                let key = RData::DNSSEC(DNSSECRData::DNSKEY(forgery.dnskey.clone()));
                let key = Record::from_rdata(victim, 4, key);
                reply.answers = forgery.signed("secure.test.", vec![key]);
            }
            RecordType::A if *query.name() == host => {
                let address = address(RData::A(A::new(192, 0, 2, 66)));
                reply.answers = forgery.signed("secure.test.", vec![address]);
                reply.authorities.clear();
            }
            _ => {}
        }
        reply
    }
}

fn forgers_lab(forgery: &Forgery) -> Lab {
    let records = format!("x NS ns.test.\n{}", forgery.ds("x", "secure.test."));
    Lab::with_records(&[], &records)
}

#[tokio::test]
async fn keys_of_others_sign_nothing() {
    let forgery = Arc::new(Forgery::new());
    let lab = forgers_lab(&forgery);
    let resolver_a = resolver(&lab, foreign_digest(Arc::clone(&forgery)));
    assert_eq!(resolver_a.trace_v4("mx.secure.test").await, Err(DnsError::Bogus));
    // Signed by a key that is nobody's, or by one whose zone it is not.
    for signer in ["secure.test.", "x.evil.test.", "evil.test.", "."] {
        let forgery = Arc::clone(&forgery);
        let resolver = resolver(&lab, move |query, mut reply, _| {
            if *query.name() == name("mx.secure.test.") && query.query_type() != RecordType::DS {
                let data = RData::A(A::new(192, 0, 2, 66));
                let address = Record::from_rdata(query.name().clone(), 4, data);
                reply.answers = forgery.signed(signer, vec![address]);
                reply.authorities.clear();
            }
            reply
        });
        let found = resolver.addresses(&domain("mx.secure.test")).await;
        assert_eq!(found, Err(DnsError::Bogus), "{signer}");
    }
}

#[tokio::test]
async fn aliases_by_dname_are_checked() {
    let lab = Lab::shared();
    let tampers: [fn(&mut Vec<Record>); 3] = [
        |answers| {
            for record in answers {
                if let RData::CNAME(target) = &mut record.data {
                    target.0 = name("mx.plain.test.");
                }
            }
        },
        |answers| answers.retain(|record| record.record_type() != RecordType::DNAME),
        |answers| without_signatures(answers),
    ];
    for (case, tamper) in tampers.into_iter().enumerate() {
        let resolver = resolver(&lab, move |query, mut reply, _| {
            if *query.name() == name("mx.old.secure.test.") && query.query_type() != RecordType::DS
            {
                tamper(&mut reply.answers);
            }
            reply
        });
        let found = resolver.addresses(&domain("mx.old.secure.test")).await;
        assert_eq!(found, Err(DnsError::Bogus), "{case}");
    }
}

#[tokio::test]
async fn servers_that_choke_on_a_question_are_a_temporary_failure() {
    let lab = Lab::shared();
    for code in
        [ResponseCode::ServFail, ResponseCode::NotImp, ResponseCode::Refused, ResponseCode::FormErr]
    {
        let resolver = resolver(&lab, move |query, mut reply, _| {
            if query.query_type() == RecordType::TLSA {
                reply.answers.clear();
                reply.authorities.clear();
                reply.metadata.response_code = code;
            }
            reply
        });
        for zone in ["secure.test", "plain.test"] {
            let host = domain(&format!("mx.{zone}"));
            assert!(resolver.addresses(&host).await.is_ok(), "{code} {zone}");
            let tlsa = resolver.tlsa(&host, 25).await;
            assert!(matches!(tlsa, Err(DnsError::Temporary(_))), "{code} {zone}: {tlsa:?}");
        }
    }
}

/// Why there is a validator in this crate. When hickory stands firm, this fails, and that can be
/// thought over again.
#[tokio::test]
async fn hickorys_own_validator_falls_for_three_of_them() {
    let forgery = Arc::new(Forgery::new());
    let lab = forgers_lab(&forgery);
    let tlsa = "_25._tcp.mx.secure.test.";
    let honest = hickory(&lab, |_, reply, _| reply).lookup(tlsa, RecordType::TLSA).await.unwrap();
    assert_eq!(honest.answers()[0].proof, Proof::Secure, "the control");
    let talked_away = hickory(&lab, absent_by_a_stranger).lookup(tlsa, RecordType::TLSA).await;
    assert!(
        matches!(talked_away, Err(NetError::Dns(WireError::NoRecordsFound(_)))),
        "not bogus: {talked_away:?}"
    );
    let host = "mx.signed.optout.test.";
    let made_up = hickory(&lab, made_up_delegation).lookup(host, RecordType::A).await.unwrap();
    assert_eq!(made_up.answers()[0].proof, Proof::Insecure);
    let forged = hickory(&lab, foreign_digest(forgery));
    let forged = forged.lookup("mx.secure.test.", RecordType::A).await.unwrap();
    assert_eq!(forged.answers()[0].proof, Proof::Secure, "of the forger's own address");
}
