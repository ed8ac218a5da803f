//! Four mail servers, each in every state that a path can be in, and what must become of a letter to each.
//!
//! A row is a condition. Its letter goes to a domain of its own on Postfix, on Exim, on OpenSMTPD and on
//! chasquid, from one Wardpost, all at the same time. What `route explain` says beforehand, what the queue and
//! the parcels say afterwards and what the destination really holds must agree with the row.
//!
//! *Shows*: what the server shows to whoever asks it for TLS. *Says*: what the domain publishes in DNS and over
//! HTTPS. *Between*: what a man in the middle does on the way. How a server is brought to show what it cannot
//! show by itself is told in `matrix.rs`.

use crate::matrix::{Expect, Row, Says, Server, Shows, World};
use wardpost_tests::Result;
use wardpost_tests::middle::Trick;

const EVERY: &[Server] = &[Server::Postfix, Server::Exim, Server::OpenSmtpd, Server::Chasquid];
/// Behind stunnel, chasquid's TLS is OpenSSL's too; both say which version they would have spoken.
const OPENSSL: &[Server] = &[Server::Postfix, Server::OpenSmtpd, Server::Chasquid];
const ONE: &[Server] = &[Server::Postfix];

use Expect::{Delivered, Nothing, Notice, Waits};
use Says::{
    Bogus, DaneMatch, DaneOther, DaneUnsigned, ExpiredDnssec, Silent, StsEnforce, StsTesting,
};
use Shows::{Broken, Expired, Good, NoTls, OldTls, SelfSigned, WrongName};

/// What a server says to its clients in the breath of its 220: somebody else's words, in clear.
const INJECTED: &[u8] = b"250-mx.evil.test\r\n250 AUTH PLAIN\r\n235 2.7.0 welcome\r\n";

#[rustfmt::skip]
const TABLE: &[Row] = &[
    // Certificates, as the public web would judge them (T3), or no TLS worth the name.
    Row { name: "notls",       shows: NoTls,      says: Silent,        between: None,                on: EVERY, expect: Notice("T0") },
    Row { name: "tls11",       shows: OldTls,     says: Silent,        between: None,                on: OPENSSL, expect: Notice("T1") },
    // GnuTLS answers "handshake failure", which may mean anything.
    Row { name: "tls11",       shows: OldTls,     says: Silent,        between: None,                on: &[Server::Exim], expect: Notice("T0") },
    Row { name: "ownkey",      shows: Broken,     says: Silent,        between: None,                on: &[Server::OpenSmtpd], expect: Notice("T0") },
    Row { name: "selfsigned",  shows: SelfSigned, says: Silent,        between: None,                on: EVERY, expect: Notice("T2") },
    Row { name: "expired",     shows: Expired,    says: Silent,        between: None,                on: EVERY, expect: Notice("T2") },
    Row { name: "wrongname",   shows: WrongName,  says: Silent,        between: None,                on: EVERY, expect: Notice("T2") },
    Row { name: "good",        shows: Good,       says: Silent,        between: None,                on: EVERY, expect: Delivered("T3") },
    // DANE: the key is what DNSSEC says, whatever the certificate looks like; anything else is nothing.
    Row { name: "dane",        shows: SelfSigned, says: DaneMatch,     between: None,                on: EVERY, expect: Delivered("T4") },
    Row { name: "daneother",   shows: Good,       says: DaneOther,     between: None,                on: EVERY, expect: Nothing("T3") },
    Row { name: "danebare",    shows: NoTls,      says: DaneOther,     between: None,                on: EVERY, expect: Nothing("T0") },
    // TLSA records without DNSSEC prove nothing and demand nothing.
    Row { name: "danebluff",   shows: Good,       says: DaneUnsigned,  between: None,                on: ONE,   expect: Delivered("T3") },
    // MTA-STS.
    Row { name: "sts",         shows: Good,       says: StsEnforce,    between: None,                on: EVERY, expect: Delivered("T4") },
    Row { name: "stsbad",      shows: SelfSigned, says: StsEnforce,    between: None,                on: EVERY, expect: Nothing("T2") },
    Row { name: "stsexpired",  shows: Expired,    says: StsEnforce,    between: None,                on: ONE,   expect: Nothing("T2") },
    Row { name: "ststesting",  shows: SelfSigned, says: StsTesting,    between: None,                on: ONE,   expect: Notice("T2") },
    // Somebody on the way.
    Row { name: "stripped",    shows: Good,       says: Silent,        between: Some(Trick::Strip),  on: EVERY, expect: Notice("T0") },
    Row { name: "refused",     shows: Good,       says: Silent,        between: Some(Trick::Refuse("454 4.7.0 TLS not available")), on: EVERY, expect: Notice("T0") },
    Row { name: "injected",    shows: Good,       says: Silent,        between: Some(Trick::Inject(INJECTED)), on: EVERY, expect: Notice("T0") },
    Row { name: "strippedsts", shows: Good,       says: StsEnforce,    between: Some(Trick::Strip),  on: EVERY, expect: Nothing("T0") },
    // DNS that lies: nobody is spoken to.
    Row { name: "bogus",       shows: Good,       says: Bogus,         between: None,                on: ONE,   expect: Waits },
    Row { name: "oldsigned",   shows: Good,       says: ExpiredDnssec, between: None,                on: ONE,   expect: Waits },
];

#[test]
fn tls_01_interop_matrix() -> Result<()> {
    World::open(TABLE)?.run()
}
