//! What an administrator decided about single domains, and what the courier makes of it.

use super::*;
use wardpost_mail::Secret;
use wardpost_pins::{Draft, Login, Pin, Smarthost};
use wardpost_verdict::{Fingerprint, Tlsa};
use world::server::{PORT, certificate_and_tlsa};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// `clinic` and the password, as AUTH PLAIN sends them.
const LOGIN: &str = "AGNsaW5pYwBncmVlbiBoZXJvbg==";
const RELAY: &str = "relay.isp.test";
const PROMISES: &[&str] = &["PIPELINING", "8BITMIME", "CHUNKING", "AUTH PLAIN", "REQUIRETLS"];
const NO_PROMISE: &[&str] = &["PIPELINING", "8BITMIME", "CHUNKING", "AUTH PLAIN LOGIN"];

fn draft(pattern: &str) -> Draft {
    Draft::new(pattern.parse().unwrap(), "a test")
}

/// Keeps a rule that was set `ago`.
async fn set(world: &World, draft: Draft, ago: Duration) {
    let pin = Pin::new(draft, Floor::default(), SystemTime::now() - ago).unwrap();
    world.pins.set(pin).await.unwrap();
}

fn pinned(pattern: &str, tlsa: &Tlsa) -> Draft {
    let fingerprint: Fingerprint = tlsa.to_string().parse().unwrap();
    Draft { certificates: vec![fingerprint], ..draft(pattern) }
}

/// An exception that ends `days` after it was set.
fn exception(pattern: &str, days: u32, ago: Duration) -> Draft {
    Draft {
        allow_unverified: true,
        reason: "new server in June".into(),
        expires: Some(SystemTime::now() - ago + days * DAY),
        ..draft(pattern)
    }
}

/// Everything goes by the relay.
fn by_relay(port: u16, password: &str) -> Draft {
    let login = Login { user: "clinic".into(), password: Secret::new(password.into()) };
    let smarthost =
        Smarthost { host: domain(RELAY), port, login: Some(login), trusted_onward: false };
    Draft { smarthost: Some(smarthost), ..draft("*") }
}

fn trusted_onward(mut draft: Draft) -> Draft {
    draft.smarthost = draft.smarthost.map(|it| Smarthost { trusted_onward: true, ..it });
    draft.reason = "contract of last May".into();
    draft
}

/// A relay that wants a log-in, with this certificate.
fn relay(tls: Tls, offers: &'static [&'static str]) -> Script {
    Script { offers, login: Some(LOGIN), ..Script::new(tls) }
}

/// Asserts that neither the password nor anything about the message came there.
fn learnt_no_secret(server: &Server) {
    assert!(!server.read_anywhere(LOGIN), "the password");
    assert!(!server.read_anywhere(CANARY) && !server.read_anywhere("dana@"));
}

#[tokio::test]
async fn a_pinned_key_is_proof_enough() {
    let world = World::new().await;
    let (tls, tlsa) = certificate_and_tlsa(None, "whatever.name.test");
    let server = one_server(&world, Script::new(Tls::With(tls))).await;
    set(&world, pinned("there.test", &tlsa), Duration::ZERO).await;
    let id = world.send(&["lee@there.test"]).await;
    world.settle().await;
    assert_eq!(server.taken().len(), 1);
    assert!(server.taken()[0].over_tls && !server.read_in_clear(CANARY));
    world.counts_one("wardpost_courier_deliveries_total", &[("grade", "T3")]).await;
    let ended = world.queue.show(id).unwrap();
    let summary = &ended.recipients[0].history.last().unwrap().summary;
    assert!(summary.contains("pinned for the domain"), "{summary}");
}

#[tokio::test]
async fn whoever_is_not_pinned_gets_the_notice_whatever_authorities_say() {
    for public in [false, true] {
        let world = World::new().await;
        let tls = certificate(public.then_some(&world.ca), "mx.there.test");
        let server = one_server(&world, Script::new(Tls::With(tls))).await;
        let (_, another) = certificate_and_tlsa(None, "mx.there.test");
        set(&world, pinned("there.test", &another), Duration::ZERO).await;
        world.send(&["lee@there.test"]).await;
        world.settle().await;
        learnt_nothing(&server, true);
        became_a_parcel(&world).await;
        let labels = [("reason", "certificate-not-trusted")];
        world.counts_one("wardpost_courier_tls_failures_total", &labels).await;
    }
}

#[tokio::test]
async fn an_exception_lets_unverified_tls_pass_and_nothing_less() {
    let world = World::new().await;
    let tls = Tls::With(certificate(None, "mx.there.test"));
    let good = one_server(&world, Script::new(tls)).await;
    world.mx("bare.test", &[(10, "mx.bare.test")]);
    let bare = world.server("mx.bare.test", Script::new(Tls::No)).await;
    for pattern in ["there.test", "bare.test"] {
        set(&world, exception(pattern, 30, Duration::ZERO), Duration::ZERO).await;
    }
    world.send(&["lee@there.test"]).await;
    world.send(&["lee@bare.test"]).await;
    world.settle().await;
    assert_eq!(good.taken().len(), 1);
    world.counts_one("wardpost_courier_deliveries_total", &[("grade", "T2")]).await;
    learnt_nothing(&bare, true);
}

#[tokio::test]
async fn an_exception_that_has_ended_is_none() {
    let world = World::new().await;
    let tls = Tls::With(certificate(None, "mx.there.test"));
    let server = one_server(&world, Script::new(tls)).await;
    set(&world, exception("there.test", 1, 2 * DAY), 2 * DAY).await;
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    learnt_nothing(&server, true);
    became_a_parcel(&world).await;
}

#[tokio::test]
async fn what_the_domain_enforces_raises_an_exception_again() {
    let world = World::new().await;
    let tls = Tls::With(certificate(None, "mx.there.test"));
    let server = one_server(&world, Script::new(tls)).await;
    let text = "version: STSv1\nmode: enforce\nmx: mx.there.test\nmax_age: 86400\n";
    world.sts.set("there.test", text);
    set(&world, exception("there.test", 30, Duration::ZERO), Duration::ZERO).await;
    world.send(&["lee@there.test"]).await;
    world.until("the parcel is there", || world.parcels.list(None).unwrap().len() == 1).await;
    assert!(!server.read_anywhere(CANARY) && !server.read_anywhere("dana@"));
}

#[tokio::test]
async fn a_rule_made_while_mail_waits_counts_for_it() {
    let world = World::new().await;
    let server = one_server(&world, Script::new(world.good_tls("mx.there.test"))).await;
    set(&world, Draft { pickup: true, ..draft("there.test") }, Duration::ZERO).await;
    // The route of this message was made before the rule was.
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    learnt_nothing(&server, true);
    became_a_parcel(&world).await;
}

#[tokio::test]
async fn connections_opened_under_one_domain_s_trust_are_not_another_s() {
    let world = World::new().await;
    let (tls, tlsa) = certificate_and_tlsa(None, "mx.shared.test");
    let server = world.server("mx.shared.test", Script::new(Tls::With(tls))).await;
    world.mx("there.test", &[(10, "mx.shared.test")]);
    world.mx("other.test", &[(10, "mx.shared.test")]);
    set(&world, pinned("there.test", &tlsa), Duration::ZERO).await;
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    assert_eq!(server.taken().len(), 1, "an open connection waits now");
    world.send(&["lee@other.test"]).await;
    world.settle().await;
    let taken = server.taken();
    assert_eq!(taken.len(), 2);
    assert!(taken[1].mail.contains("<postmaster@clinic.test>"), "the notice, and no more");
    assert_eq!(world.parcels.list(None).unwrap().len(), 1);
}

#[tokio::test]
async fn a_smarthost_is_obliged_to_go_on_encrypted() {
    let world = World::new().await;
    let server = world.server(RELAY, relay(world.good_tls(RELAY), PROMISES)).await;
    set(&world, by_relay(PORT, "green heron"), Duration::ZERO).await;
    // Nothing is known of the recipient's domain: finding it is the smarthost's affair.
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    world.send(&["kim@elsewhere.test"]).await;
    world.settle().await;
    let taken = server.taken();
    assert_eq!(taken.len(), 2);
    assert!(taken.iter().all(|it| it.over_tls && it.mail.contains(" REQUIRETLS")), "{taken:?}");
    assert!(server.read_anywhere(LOGIN) && !server.read_in_clear(LOGIN));
    assert_eq!(server.connections(), 1, "one connection serves both, under the same rule");
    // Another rule, another log-in: not over the connection that is open.
    set(&world, by_relay(PORT, "green heron"), DAY).await;
    world.send(&["kim@elsewhere.test"]).await;
    world.settle().await;
    assert_eq!((server.taken().len(), server.connections()), (3, 2));
}

#[tokio::test]
async fn a_smarthost_that_promises_nothing_gets_notices_only() {
    let world = World::new().await;
    let server = world.server(RELAY, relay(world.good_tls(RELAY), NO_PROMISE)).await;
    set(&world, by_relay(PORT, "green heron"), Duration::ZERO).await;
    let pin = world.pins.of(&domain("there.test")).unwrap();
    let floors = Pin::floors(Some(&pin), Floor::default(), None);
    let report = world.courier.probe(&domain("there.test"), &floors).await;
    assert_eq!(report.outlook, Outlook::Pickup);
    assert!(report.summary.contains("REQUIRETLS"), "{}", report.summary);
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    learnt_nothing(&server, true);
    assert!(!server.taken()[0].mail.contains("REQUIRETLS"));
    became_a_parcel(&world).await;
}

#[tokio::test]
async fn a_smarthost_whose_owner_answers_for_it_gets_mail() {
    let world = World::new().await;
    let server = world.server(RELAY, relay(world.good_tls(RELAY), NO_PROMISE)).await;
    set(&world, trusted_onward(by_relay(PORT, "green heron")), Duration::ZERO).await;
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    assert_eq!(server.taken().len(), 1);
    // Who asks for REQUIRETLS still gets it or a pickup.
    world.send_by(&["kim@there.test"], DIRECT, |envelope| envelope.require_tls = true).await;
    world.settle().await;
    assert_eq!(world.parcels.list(None).unwrap().len(), 1);
    assert_eq!(server.taken().iter().filter(|it| it.message.contains(CANARY)).count(), 1);
}

#[tokio::test]
async fn a_smarthost_with_a_wrong_certificate_learns_neither_mail_nor_password() {
    let world = World::new().await;
    let wrong = world.good_tls("relay.somebody.else.test");
    let server = world.server(RELAY, relay(wrong, PROMISES)).await;
    set(&world, by_relay(PORT, "green heron"), Duration::ZERO).await;
    world.send(&["lee@there.test"]).await;
    world.until("the parcel is there", || world.parcels.list(None).unwrap().len() == 1).await;
    // The notice would need the password too: it waits.
    world.until("the notice was tried", || server.connections() >= 2).await;
    learnt_no_secret(&server);
    assert!(server.taken().is_empty() && !server.read_anywhere("MAIL FROM"));
    became_a_parcel(&world).await;
}

#[tokio::test]
async fn a_pinned_smarthost_needs_no_public_authority() {
    let world = World::new().await;
    let (tls, tlsa) = certificate_and_tlsa(None, RELAY);
    let server = world.server(RELAY, relay(Tls::With(tls), PROMISES)).await;
    let rule = by_relay(PORT, "green heron");
    set(&world, Draft { smarthost: rule.smarthost, ..pinned("*", &tlsa) }, Duration::ZERO).await;
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    assert_eq!(server.taken().len(), 1);
}

#[tokio::test]
async fn a_smarthost_that_does_not_know_us_costs_nobody_their_mail() {
    let world = World::new().await;
    let server = world.server(RELAY, relay(world.good_tls(RELAY), PROMISES)).await;
    set(&world, by_relay(PORT, "a wrong password"), Duration::ZERO).await;
    let wrong = world.send(&["lee@there.test"]).await;
    let waiting = world.deferred(wrong).await;
    let last = waiting.history.last().unwrap();
    assert!(last.summary.contains("does not take our log-in"), "{}", last.summary);
    assert!(server.taken().is_empty() && !server.read_anywhere(CANARY));
    // No log-in at all: it says so at MAIL, and that is no bounce either.
    let mut rule = by_relay(PORT, "");
    rule.smarthost = rule.smarthost.map(|it| Smarthost { login: None, ..it });
    set(&world, rule, Duration::ZERO).await;
    let none = world.send(&["lee@there.test"]).await;
    let waiting = world.deferred(none).await;
    let last = waiting.history.last().unwrap();
    assert!(last.summary.contains("does not know us"), "{}", last.summary);
    assert!(world.inbox().await.is_empty() && world.parcels.list(None).unwrap().is_empty());
}

#[tokio::test]
async fn a_smarthost_that_cannot_be_found_costs_nobody_their_mail() {
    let world = World::new().await;
    set(&world, by_relay(PORT, "green heron"), Duration::ZERO).await;
    let id = world.send(&["lee@there.test"]).await;
    let waiting = world.deferred(id).await;
    assert!(matches!(waiting.state, RecipientState::Waiting { .. }));
}

#[tokio::test]
async fn a_smarthost_without_a_way_onward_is_no_bounce_but_a_parcel() {
    let world = World::new().await;
    let mut script = relay(world.good_tls(RELAY), PROMISES);
    script.recipients.insert("lee", "550 5.7.30 no REQUIRETLS there");
    let server = world.server(RELAY, script).await;
    set(&world, by_relay(PORT, "green heron"), Duration::ZERO).await;
    world.send(&["lee@there.test"]).await;
    world.until("the parcel is there", || world.parcels.list(None).unwrap().len() == 1).await;
    assert!(!server.read_anywhere(CANARY));
}

#[tokio::test]
async fn port_465_begins_with_the_handshake() {
    let world = World::new().await;
    let script = Script { implicit_tls: true, ..relay(world.good_tls(RELAY), PROMISES) };
    let server = match Server::start_on(465, script).await {
        Ok(server) => server,
        // Not run as root: the flows of the whole system see to it.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return,
        Err(error) => panic!("{error}"),
    };
    world.dns.set_addresses(&domain(RELAY), &[server.address], Dnssec::Indeterminate);
    set(&world, by_relay(465, "green heron"), Duration::ZERO).await;
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    let taken = server.taken();
    assert_eq!(taken.len(), 1);
    assert!(taken[0].mail.contains(" REQUIRETLS"));
    let seen = server.seen.lock().unwrap();
    assert!(seen.clear.is_empty(), "not one octet of SMTP in clear");
}
