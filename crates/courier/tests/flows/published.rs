//! What domains publish about their mail servers, and what the courier makes of it.

use super::*;
use world::server::certificate_and_tlsa;

const ENFORCE: &str = "version: STSv1\nmode: enforce\nmx: mx.there.test\nmax_age: 86400\n";

/// `there.test` with one exchanger in a signed zone.
async fn signed(world: &World, script: Script) -> Server {
    let (mail, host) = (domain("there.test"), domain("mx.there.test"));
    let server = Server::start(script).await;
    world.dns.set_mx(&mail, &[(10, host.clone())], Dnssec::Secure);
    world.dns.set_addresses(&host, &[server.address], Dnssec::Secure);
    server
}

/// Asserts that nothing at all was said to the server that is part of mail.
fn heard_no_mail(server: &Server) {
    learnt_nothing(server, false);
    assert!(!server.read_anywhere("MAIL FROM") && !server.read_anywhere("lee@"));
}

/// What the last attempt for the only recipient saw.
fn last_seen(recipient: &wardpost_queue::RecipientView) -> wardpost_verdict::PathEvidence {
    *recipient.history.last().unwrap().path.clone().unwrap()
}

#[tokio::test]
async fn a_dane_match_is_t4_whoever_issued_the_certificate() {
    let world = World::new().await;
    let (tls, tlsa) = certificate_and_tlsa(None, "some.other.name.test");
    let server = signed(&world, Script::new(Tls::With(tls))).await;
    world.dns.set_tlsa(&domain("mx.there.test"), 25, &[tlsa], Dnssec::Secure);
    let id = world.send(&["lee@there.test"]).await;
    world.settle().await;
    assert_eq!(server.taken().len(), 1);
    world.counts_one("wardpost_courier_deliveries_total", &[("grade", "T4")]).await;
    // What was seen stays after the message has gone.
    let ended = world.queue.show(id).unwrap();
    assert!(ended.ended.is_some());
    let path = last_seen(&ended.recipients[0]);
    let (floor, set_by) = path.floor.unwrap();
    assert_eq!(floor.grade(), TlsGrade::T4);
    assert!(set_by.explain().contains("DANE"));
    assert_eq!(path.mx, Ok(Dnssec::Secure));
    assert!(path.tlsa[0].records.as_ref().unwrap().0[0].starts_with("3 1 1 "));
}

#[tokio::test]
async fn a_dane_mismatch_is_a_parcel_though_a_public_authority_vouches() {
    let world = World::new().await;
    let server = signed(&world, Script::new(world.good_tls("mx.there.test"))).await;
    let (_, another) = certificate_and_tlsa(None, "mx.there.test");
    world.dns.set_tlsa(&domain("mx.there.test"), 25, &[another], Dnssec::Secure);
    world.send(&["lee@there.test"]).await;
    // The notice may not go to such a server either: it waits.
    world.until("the parcel is there", || world.parcels.list(None).unwrap().len() == 1).await;
    world.until("the notice was tried", || attempts_of_the_last(&world) > 0).await;
    heard_no_mail(&server);
    became_a_parcel(&world).await;
}

fn attempts_of_the_last(world: &World) -> u32 {
    let items = world.queue.list(None, 10).unwrap();
    items.last().map_or(0, |item| item.recipients[0].attempts)
}

#[tokio::test]
async fn tlsa_records_in_an_unsigned_zone_say_nothing() {
    let world = World::new().await;
    let server = one_server(&world, Script::new(world.good_tls("mx.there.test"))).await;
    let (_, another) = certificate_and_tlsa(None, "mx.there.test");
    world.dns.set_tlsa(&domain("mx.there.test"), 25, &[another], Dnssec::Insecure);
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    assert_eq!(server.taken().len(), 1);
    world.counts_one("wardpost_courier_deliveries_total", &[("grade", "T3")]).await;
}

#[tokio::test]
async fn a_tlsa_answer_that_is_bogus_or_missing_makes_mail_wait() {
    for error in [DnsError::Bogus, DnsError::Temporary("SERVFAIL".into())] {
        let world = World::new().await;
        let server = signed(&world, Script::new(world.good_tls("mx.there.test"))).await;
        world.dns.fail_tlsa(&domain("mx.there.test"), 25, error);
        let id = world.send(&["lee@there.test"]).await;
        let recipient = world.deferred(id).await;
        assert_eq!(server.connections(), 0, "not even connected to");
        let path = last_seen(&recipient);
        assert!(path.deferral.is_some() && path.verdict.is_none(), "{path:?}");
        assert!(recipient.history[0].reasons[0].starts_with("dnssec-invalid"));
        assert!(world.parcels.list(None).unwrap().is_empty());
        world.stop().await;
    }
}

#[tokio::test]
async fn a_bogus_mx_or_address_makes_mail_wait() {
    let world = World::new().await;
    let server = signed(&world, Script::new(world.good_tls("mx.there.test"))).await;
    world.dns.fail_addresses(&domain("mx.there.test"), DnsError::Bogus);
    let id = world.send(&["lee@there.test"]).await;
    world.deferred(id).await;
    world.dns.fail_mx(&domain("there.test"), DnsError::Bogus);
    world.queue.retry(id).unwrap();
    world.until("a second attempt", || attempts(&world, id) >= 2).await;
    assert_eq!(server.connections(), 0);
    assert!(world.parcels.list(None).unwrap().is_empty());
}

#[tokio::test]
async fn a_host_that_cannot_be_judged_is_passed_over_for_one_that_can() {
    let world = World::new().await;
    let (first, second) = (domain("mx1.there.test"), domain("mx2.there.test"));
    let hosts = [(10, first.clone()), (20, second.clone())];
    world.dns.set_mx(&domain("there.test"), &hosts, Dnssec::Secure);
    let doubtful = Server::start(Script::new(world.good_tls("mx1.there.test"))).await;
    let (tls, tlsa) = certificate_and_tlsa(None, "mx2.there.test");
    let good = Server::start(Script::new(Tls::With(tls))).await;
    world.dns.set_addresses(&first, &[doubtful.address], Dnssec::Secure);
    world.dns.set_addresses(&second, &[good.address], Dnssec::Secure);
    world.dns.fail_tlsa(&first, 25, DnsError::Bogus);
    world.dns.set_tlsa(&second, 25, &[tlsa], Dnssec::Secure);
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    assert_eq!((doubtful.connections(), good.taken().len()), (0, 1));
}

#[tokio::test]
async fn an_enforced_policy_makes_t4_of_t3() {
    let world = World::new().await;
    let server = one_server(&world, Script::new(world.good_tls("mx.there.test"))).await;
    world.sts.set("there.test", ENFORCE);
    let route = Route::Direct { floor: TlsGrade::T4 };
    world.send_by(&["lee@there.test"], route, |_| {}).await;
    world.settle().await;
    assert_eq!(server.taken().len(), 1);
    world.counts_one("wardpost_courier_deliveries_total", &[("grade", "T4")]).await;
}

#[tokio::test]
async fn an_enforced_policy_that_does_not_name_the_host_gets_neither_mail_nor_notice() {
    let world = World::new().await;
    let server = one_server(&world, Script::new(world.good_tls("mx.there.test"))).await;
    world.sts.set("there.test", &ENFORCE.replace("mx.there.test", "mx.elsewhere.test"));
    world.send(&["lee@there.test"]).await;
    world.until("the parcel is there", || world.parcels.list(None).unwrap().len() == 1).await;
    world.until("the notice was tried", || attempts_of_the_last(&world) > 0).await;
    heard_no_mail(&server);
    became_a_parcel(&world).await;
}

#[tokio::test]
async fn an_enforced_policy_keeps_the_notice_out_of_clear_text() {
    let world = World::new().await;
    let server = one_server(&world, Script::new(Tls::No)).await;
    world.sts.set("there.test", ENFORCE);
    world.send(&["lee@there.test"]).await;
    world.until("the parcel is there", || world.parcels.list(None).unwrap().len() == 1).await;
    world.until("the notice was tried", || attempts_of_the_last(&world) > 0).await;
    heard_no_mail(&server);
}

#[tokio::test]
async fn unusable_tlsa_records_ask_for_tls_and_for_no_more() {
    let unusable = || "3 1 9 00".parse().unwrap();
    let world = World::new().await;
    // Any TLS will do for the notice; the message wants a certificate as always.
    let tls = Tls::With(certificate(None, "mx.there.test"));
    let server = signed(&world, Script::new(tls)).await;
    world.dns.set_tlsa(&domain("mx.there.test"), 25, &[unusable()], Dnssec::Secure);
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    learnt_nothing(&server, true);
    assert!(server.taken()[0].over_tls);
    world.stop().await;

    let world = World::new().await;
    let server = signed(&world, Script::new(Tls::No)).await;
    world.dns.set_tlsa(&domain("mx.there.test"), 25, &[unusable()], Dnssec::Secure);
    world.send(&["lee@there.test"]).await;
    world.until("the notice was tried", || attempts_of_the_last(&world) > 0).await;
    heard_no_mail(&server);
}

#[tokio::test]
async fn a_policy_in_testing_mode_changes_nothing() {
    let world = World::new().await;
    let server = one_server(&world, Script::new(world.good_tls("mx.there.test"))).await;
    let testing = ENFORCE.replace("enforce", "testing").replace("mx.there", "mx.elsewhere");
    world.sts.set("there.test", &testing);
    let id = world.send(&["lee@there.test"]).await;
    world.settle().await;
    assert_eq!(server.taken().len(), 1);
    let path = last_seen(&world.queue.show(id).unwrap().recipients[0]);
    let verdict = path.verdict.unwrap();
    assert_eq!((verdict.grade(), verdict.remarks().len()), (TlsGrade::T3, 1));
}

#[tokio::test]
async fn requiretls_goes_to_who_takes_it_on_a_path_that_is_proven() {
    let world = World::new().await;
    let mut script = Script::new(world.good_tls("mx.there.test"));
    script.offers = &["8BITMIME", "REQUIRETLS"];
    let server = one_server(&world, script).await;
    world.sts.set("there.test", ENFORCE);
    let route = Route::Direct { floor: TlsGrade::T5 };
    world.send_by(&["lee@there.test"], route, |envelope| envelope.require_tls = true).await;
    world.settle().await;
    let taken = server.taken();
    assert_eq!(taken.len(), 1);
    assert!(taken[0].mail.contains(" REQUIRETLS"), "{}", taken[0].mail);
    world.counts_one("wardpost_courier_deliveries_total", &[("grade", "T5")]).await;
}

#[tokio::test]
async fn requiretls_is_never_dropped_on_the_way() {
    // Taken by the host, but the path to it is not proven (RFC 8689 §4.2.1).
    let world = World::new().await;
    let mut script = Script::new(world.good_tls("mx.there.test"));
    script.offers = &["8BITMIME", "REQUIRETLS"];
    let server = one_server(&world, script).await;
    world.send_by(&["lee@there.test"], DIRECT, |envelope| envelope.require_tls = true).await;
    world.settle().await;
    learnt_nothing(&server, true);
    became_a_parcel(&world).await;
}

#[tokio::test]
async fn an_open_connection_is_judged_by_the_policy_of_the_day() {
    let world = World::new().await;
    let server = one_server(&world, Script::new(world.good_tls("mx.there.test"))).await;
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    // Meanwhile the domain has published a policy that the host meets, then one that it does not.
    world.sts.set("there.test", ENFORCE);
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    assert_eq!((server.taken().len(), server.connections()), (2, 1), "the open connection is used");
    world.counts_one("wardpost_courier_deliveries_total", &[("grade", "T4")]).await;
    world.sts.set("there.test", &ENFORCE.replace("mx.there.test", "mx.elsewhere.test"));
    world.send(&["lee@there.test"]).await;
    world.until("the parcel is there", || world.parcels.list(None).unwrap().len() == 1).await;
    assert_eq!(server.taken().len(), 2);
}

#[tokio::test]
async fn a_probe_tells_who_set_the_floor() {
    let world = World::new().await;
    let server = one_server(&world, Script::new(world.good_tls("mx.there.test"))).await;
    world.sts.set("there.test", ENFORCE);
    let report = world.courier.probe(&domain("there.test"), &floors(TlsGrade::T3)).await;
    assert_eq!(report.outlook, Outlook::Direct, "{report:?}");
    let path = report.hosts[0].path.as_ref().unwrap();
    let (floor, set_by) = path.floor.unwrap();
    assert_eq!(floor.grade(), TlsGrade::T4);
    assert!(set_by.explain().contains("MTA-STS"));
    assert!(path.sts.as_ref().unwrap().covers);
    heard_no_mail(&server);
}
