//! The courier among scripted mail servers: what goes where, and what is never said to whom.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#![allow(unreachable_pub, reason = "helpers shared within one test program")]

#[path = "flows/pins.rs"]
mod pins;
#[path = "flows/published.rs"]
mod published;
#[path = "flows/told.rs"]
mod told;
mod world;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};
use wardpost_courier::Outlook;
use wardpost_dns::{DnsError, Dnssec};
use wardpost_mail::{AccountId, BodyType, DsnReturn, Envelope, Notify, ReversePath, TlsGrade};
use wardpost_parcel::ParcelState;
use wardpost_policy::Route;
use wardpost_queue::RecipientState;
use wardpost_store::Column;
use wardpost_verdict::{FailureKind, Floor, Floors, Verdict};
use world::server::{Script, Server, Tls, certificate};
use world::{CANARY, World, address, domain, hire};

const DIRECT: Route = Route::Direct { floor: TlsGrade::T3 };

/// Nothing but the practice's own floor.
fn floors(grade: TlsGrade) -> Floors {
    Floors { default: Floor::new(grade), ..Floors::default() }
}

/// One exchanger for `there.test`, with this script.
async fn one_server(world: &World, script: Script) -> Server {
    world.mx("there.test", &[(10, "mx.there.test")]);
    world.server("mx.there.test", script).await
}

/// Asserts that a server never learnt who wrote to whom, nor what, but got the notice if `noticed`.
fn learnt_nothing(server: &Server, noticed: bool) {
    assert!(!server.read_anywhere(CANARY), "content");
    assert!(!server.read_anywhere("dana@"), "the sender");
    let notices = server.taken();
    assert_eq!(notices.len(), usize::from(noticed));
    for notice in notices {
        assert!(notice.mail.contains("<postmaster@clinic.test>"), "{}", notice.mail);
        assert!(notice.message.contains("https://mail.clinic.test/p/"), "{}", notice.message);
        assert!(notice.message.contains("+1 555 0100"));
    }
}

/// Asserts that the parcel waits and that the sender was told a code.
async fn became_a_parcel(world: &World) {
    let parcels = world.parcels.list(Some(world.dana)).unwrap();
    assert_eq!(parcels.len(), 1);
    assert_eq!(parcels[0].state, ParcelState::Waiting);
    let inbox = world.inbox().await;
    assert_eq!(inbox.len(), 1, "one mail, with the code");
    assert!(inbox[0].contains("lee@there.test") && inbox[0].contains("phone"), "{}", inbox[0]);
}

#[tokio::test]
async fn verified_tls_is_delivered_directly() {
    let world = World::new().await;
    let script = Script::new(world.good_tls("mx.there.test"));
    let server = one_server(&world, script).await;
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    let taken = server.taken();
    assert_eq!(taken.len(), 1);
    assert!(taken[0].over_tls);
    assert!(taken[0].message.contains(&format!(".. your result is {CANARY}\r\n.\r\n.. end\r\n")));
    assert!(!server.read_in_clear("MAIL FROM") && !server.read_in_clear(CANARY));
    let labels = [("route", "direct"), ("grade", "T3")];
    world.counts_one("wardpost_courier_deliveries_total", &labels).await;
    world.stop().await;
}

#[tokio::test]
async fn without_chunking_dots_are_stuffed() {
    let world = World::new().await;
    let mut script = Script::new(world.good_tls("mx.there.test"));
    script.offers = &["8BITMIME"];
    let server = one_server(&world, script).await;
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    assert!(server.read_anywhere("\r\n... your result"), "stuffed on the wire");
    assert!(
        server.taken()[0].message.contains(&format!("\r\n.. your result is {CANARY}\r\n.\r\n.."))
    );
}

#[tokio::test]
async fn no_tls_becomes_a_parcel_and_the_wire_sees_the_notice_only() {
    let world = World::new().await;
    let server = one_server(&world, Script::new(Tls::No)).await;
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    learnt_nothing(&server, true);
    assert!(!server.taken()[0].over_tls);
    became_a_parcel(&world).await;
    let labels = [("reason", "starttls-not-supported")];
    world.counts_one("wardpost_courier_tls_failures_total", &labels).await;
    world.counts_one("wardpost_courier_attempts_total", &[("outcome", "parcel")]).await;
}

#[tokio::test]
async fn self_signed_becomes_a_parcel_and_the_notice_goes_encrypted() {
    let world = World::new().await;
    let tls = Tls::With(certificate(None, "mx.there.test"));
    let server = one_server(&world, Script::new(tls)).await;
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    learnt_nothing(&server, true);
    assert!(server.taken()[0].over_tls);
    assert!(!server.read_in_clear("lee@"));
    became_a_parcel(&world).await;
}

#[tokio::test]
async fn the_wrong_name_becomes_a_parcel() {
    let world = World::new().await;
    let tls = world.good_tls("mx.elsewhere.test");
    let server = one_server(&world, Script::new(tls)).await;
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    learnt_nothing(&server, true);
    became_a_parcel(&world).await;
}

#[tokio::test]
async fn a_handshake_that_breaks_becomes_a_parcel() {
    let world = World::new().await;
    let server = one_server(&world, Script::new(Tls::Breaks)).await;
    world.send(&["lee@there.test"]).await;
    // The notice's own handshake breaks too, and only it may go without.
    world.settle().await;
    learnt_nothing(&server, true);
    became_a_parcel(&world).await;
}

#[tokio::test]
async fn a_refused_starttls_becomes_a_parcel() {
    let world = World::new().await;
    let server = one_server(&world, Script::new(Tls::Refuses)).await;
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    learnt_nothing(&server, true);
    became_a_parcel(&world).await;
}

#[tokio::test]
async fn a_reply_injected_before_the_handshake_gets_nothing() {
    let world = World::new().await;
    let tls = Tls::Injects(certificate(Some(&world.ca), "mx.there.test"));
    let server = one_server(&world, Script::new(tls)).await;
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    learnt_nothing(&server, true);
    became_a_parcel(&world).await;
}

#[tokio::test]
async fn a_host_below_the_floor_is_passed_over_for_one_that_reaches_it() {
    let world = World::new().await;
    world.mx("there.test", &[(10, "bad.there.test"), (20, "good.there.test")]);
    let bad = world.server("bad.there.test", Script::new(Tls::No)).await;
    let good = world.good_server("good.there.test").await;
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    learnt_nothing(&bad, false);
    assert_eq!(good.taken().len(), 1);
    assert!(world.parcels.list(None).unwrap().is_empty());
}

#[tokio::test]
async fn greylisting_is_waited_out() {
    let world = World::new().await;
    let mut script = Script::new(world.good_tls("mx.there.test"));
    script.greylist = AtomicUsize::new(1);
    let server = one_server(&world, script).await;
    let id = world.send(&["lee@there.test"]).await;
    let recipient = world.deferred(id).await;
    let evidence = recipient.history.last().unwrap();
    assert_eq!(evidence.grade, Some(TlsGrade::T3));
    assert!(evidence.certificate.as_ref().unwrap().contains("CN=Test CA"), "{evidence:?}");
    assert_eq!(evidence.reply.as_ref().unwrap().code, 451);
    world.queue.retry(id).unwrap();
    world.settle().await;
    assert_eq!(server.taken().len(), 1);
    assert_eq!(server.connections(), 1, "the second attempt used the open connection");
    assert!(world.parcels.list(None).unwrap().is_empty());
}

#[tokio::test]
async fn one_refused_recipient_is_reported_and_holds_nobody_up() {
    let world = World::new().await;
    let mut script = Script::new(world.good_tls("mx.there.test"));
    script.recipients = HashMap::from([("nobody", "550 5.1.1 no such user")]);
    let server = one_server(&world, script).await;
    world.send(&["nobody@there.test", "lee@there.test"]).await;
    world.settle().await;
    let taken = server.taken();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].recipients.len(), 1);
    let inbox = world.inbox().await;
    assert_eq!(inbox.len(), 1);
    assert!(inbox[0].contains("nobody@there.test") && inbox[0].contains("5.1.1"), "{}", inbox[0]);
    assert!(!inbox[0].contains("lee@there.test"));
    assert!(!inbox[0].contains(CANARY), "a report returns no content");
}

#[tokio::test]
async fn a_null_mx_is_reported_at_once() {
    let world = World::new().await;
    world.dns.set_null_mx(&domain("there.test"), Dnssec::Indeterminate);
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    assert!(world.inbox().await[0].contains("5.1.10"));
}

#[tokio::test]
async fn a_domain_that_does_not_exist_is_reported_at_once() {
    let world = World::new().await;
    world.send(&["lee@nowhere.test"]).await;
    world.settle().await;
    assert!(world.inbox().await[0].contains("5.1.2"));
}

#[tokio::test]
async fn a_failing_name_server_is_waited_for() {
    let world = World::new().await;
    world.dns.fail_mx(&domain("there.test"), DnsError::Temporary("SERVFAIL".into()));
    let id = world.send(&["lee@there.test"]).await;
    world.deferred(id).await;
    let server = one_server(&world, Script::new(world.good_tls("mx.there.test"))).await;
    world.queue.retry(id).unwrap();
    world.settle().await;
    assert_eq!(server.taken().len(), 1);
    assert!(world.inbox().await.is_empty());
}

#[tokio::test]
async fn an_implicit_exchanger_is_the_domain_itself() {
    let world = World::new().await;
    let server = world.good_server("there.test").await;
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    assert_eq!(server.taken().len(), 1);
}

#[tokio::test]
async fn a_server_that_is_down_is_waited_for() {
    let world = World::new().await;
    world.mx("there.test", &[(10, "mx.there.test")]);
    let nobody: IpAddr = "127.99.99.99".parse().unwrap();
    world.dns.set_addresses(&domain("mx.there.test"), &[nobody], Dnssec::Indeterminate);
    let id = world.send(&["lee@there.test"]).await;
    let recipient = world.deferred(id).await;
    assert_eq!(recipient.history[0].host.as_deref(), Some("mx.there.test"));
    assert!(world.parcels.list(None).unwrap().is_empty(), "out of reach is no verdict");
}

#[tokio::test]
async fn a_server_that_turns_us_away_is_waited_for() {
    let world = World::new().await;
    let mut script = Script::new(world.good_tls("mx.there.test"));
    script.greeting = "554 5.7.1 you are on a list";
    let server = one_server(&world, script).await;
    let id = world.send(&["lee@there.test"]).await;
    let recipient = world.deferred(id).await;
    assert_eq!(recipient.history[0].reply.as_ref().unwrap().code, 554);
    assert!(!server.read_anywhere("MAIL FROM"));
}

#[tokio::test]
async fn a_connection_lost_after_the_message_is_tried_again() {
    let world = World::new().await;
    let mut script = Script::new(world.good_tls("mx.there.test"));
    script.drop_after_data = AtomicUsize::new(1);
    let server = one_server(&world, script).await;
    let id = world.send(&["lee@there.test"]).await;
    let recipient = world.deferred(id).await;
    assert!(recipient.history[0].summary.contains("the server may have it"));
    world.queue.retry(id).unwrap();
    world.settle().await;
    assert_eq!(server.taken().len(), 1);
}

#[tokio::test]
async fn recipients_share_a_transaction_up_to_the_servers_limit() {
    let world = World::new().await;
    let mut script = Script::new(world.good_tls("mx.there.test"));
    script.offers = &["PIPELINING", "LIMITS RCPTMAX=2"];
    let server = one_server(&world, script).await;
    world.send(&["a@there.test", "b@there.test", "c@there.test"]).await;
    world.settle().await;
    let groups: Vec<usize> = server.taken().iter().map(|taken| taken.recipients.len()).collect();
    assert_eq!((groups, server.connections()), (vec![2, 1], 1));
}

#[tokio::test]
async fn the_next_message_uses_the_open_connection() {
    let world = World::new().await;
    let server = one_server(&world, Script::new(world.good_tls("mx.there.test"))).await;
    for _ in 0..5 {
        world.send(&["lee@there.test"]).await;
        world.settle().await;
    }
    assert_eq!((server.taken().len(), server.connections()), (5, 1));
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_opened_anew() {
    let world = World::new().await;
    let mut script = Script::new(world.good_tls("mx.there.test"));
    script.closes = true;
    let server = one_server(&world, script).await;
    for _ in 0..2 {
        world.send(&["lee@there.test"]).await;
        world.settle().await;
    }
    assert_eq!((server.taken().len(), server.connections()), (2, 2));
}

#[tokio::test]
async fn an_open_connection_is_not_used_for_a_higher_floor() {
    let world = World::new().await;
    let server = one_server(&world, Script::new(world.good_tls("mx.there.test"))).await;
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    let route = Route::Direct { floor: TlsGrade::T4 };
    world.send_by(&["sam@there.test"], route, |_| {}).await;
    world.settle().await;
    let to_sam = server.taken().into_iter().filter(|t| t.recipients[0].contains("<sam@"));
    let messages: Vec<String> = to_sam.map(|taken| taken.message).collect();
    assert_eq!(messages.len(), 1);
    assert!(messages[0].contains("/p/") && !messages[0].contains(CANARY), "the notice only");
}

#[tokio::test]
async fn an_exchanger_that_is_busy_is_passed_over() {
    let world = World::new().await;
    world.mx("there.test", &[(10, "busy.there.test"), (20, "good.there.test")]);
    let mut script = Script::new(Tls::No);
    script.greeting = "421 4.3.2 too busy";
    let busy = world.server("busy.there.test", script).await;
    let good = world.good_server("good.there.test").await;
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    assert_eq!((busy.taken().len(), good.taken().len()), (0, 1));
}

#[tokio::test]
async fn equal_exchangers_are_tried_in_any_order() {
    let world = World::new().await;
    world.mx("there.test", &[(10, "a.there.test"), (10, "b.there.test"), (5, "c.there.test")]);
    let mut firsts = HashSet::new();
    for _ in 0..60 {
        let report = world.courier.probe(&domain("there.test"), &floors(TlsGrade::T3)).await;
        let order: Vec<String> = report.hosts.into_iter().map(|host| host.host).collect();
        assert_eq!(order[0], "c.there.test");
        firsts.insert(order[1].clone());
    }
    assert_eq!(firsts.len(), 2);
}

#[tokio::test]
async fn envelope_parameters_are_passed_on() {
    let world = World::new().await;
    let server = one_server(&world, Script::new(world.good_tls("mx.there.test"))).await;
    world
        .send_by(&["lee@there.test"], DIRECT, |envelope| {
            envelope.body = BodyType::EightBitMime;
            envelope.ret = Some(DsnReturn::Headers);
            envelope.envid = Some("abc".into());
            envelope.to[0].notify = Notify { success: true, failure: true, delay: false };
            envelope.to[0].original = Some("rfc822;lee@there.test".into());
        })
        .await;
    world.settle().await;
    let taken = &server.taken()[0];
    for parameter in ["SIZE=", "BODY=8BITMIME", "RET=HDRS", "ENVID=abc"] {
        assert!(taken.mail.contains(parameter), "{parameter} in {}", taken.mail);
    }
    for parameter in ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;lee@there.test"] {
        assert!(taken.recipients[0].contains(parameter), "{:?}", taken.recipients);
    }
    assert!(world.inbox().await.is_empty(), "the next server reports success itself");
}

#[tokio::test]
async fn success_is_reported_where_the_next_server_does_not() {
    let world = World::new().await;
    let mut script = Script::new(world.good_tls("mx.there.test"));
    script.offers = &[];
    one_server(&world, script).await;
    world
        .send_by(&["lee@there.test"], DIRECT, |envelope| {
            envelope.to[0].notify = Notify { success: true, failure: true, delay: false };
        })
        .await;
    world.settle().await;
    let inbox = world.inbox().await;
    assert!(inbox[0].to_lowercase().contains("action: relayed"), "{}", inbox[0]);
}

#[tokio::test]
async fn what_the_server_cannot_take_is_reported() {
    let world = World::new().await;
    let mut script = Script::new(world.good_tls("mx.there.test"));
    script.offers = &["SIZE 20"];
    let server = one_server(&world, script).await;
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    assert!(world.inbox().await[0].contains("5.3.4"));
    assert!(!server.read_anywhere("MAIL FROM"));
}

#[tokio::test]
async fn international_addresses_need_a_server_that_takes_them() {
    let world = World::new().await;
    let server = one_server(&world, Script::new(world.good_tls("mx.there.test"))).await;
    world.send(&["müller@there.test"]).await;
    world.settle().await;
    assert!(world.inbox().await[0].contains("5.6.7"));
    assert!(!server.read_anywhere("MAIL FROM"));
}

#[tokio::test]
async fn requiretls_that_the_next_hop_does_not_take_becomes_a_parcel() {
    let world = World::new().await;
    let server = one_server(&world, Script::new(world.good_tls("mx.there.test"))).await;
    world.send_by(&["lee@there.test"], DIRECT, |envelope| envelope.require_tls = true).await;
    world.settle().await;
    learnt_nothing(&server, true);
    became_a_parcel(&world).await;
}

#[tokio::test]
async fn a_floor_that_nobody_reaches_yet_becomes_a_parcel() {
    let world = World::new().await;
    let server = one_server(&world, Script::new(world.good_tls("mx.there.test"))).await;
    let route = Route::Direct { floor: TlsGrade::T4 };
    world.send_by(&["lee@there.test"], route, |_| {}).await;
    world.settle().await;
    learnt_nothing(&server, true);
    became_a_parcel(&world).await;
}

#[tokio::test]
async fn pickup_asks_nobody_first() {
    let world = World::new().await;
    let server = one_server(&world, Script::new(world.good_tls("mx.there.test"))).await;
    world.send_by(&["lee@there.test"], Route::Pickup, |_| {}).await;
    world.settle().await;
    learnt_nothing(&server, true);
    assert_eq!(server.connections(), 1, "for the notice");
    became_a_parcel(&world).await;
}

#[tokio::test]
async fn the_second_parcel_for_somebody_needs_no_second_code() {
    let world = World::new().await;
    one_server(&world, Script::new(Tls::No)).await;
    world.send(&["lee@there.test", "lee@there.test"]).await;
    world.settle().await;
    became_a_parcel(&world).await;
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    assert_eq!(world.parcels.list(Some(world.dana)).unwrap().len(), 2);
    assert_eq!(world.inbox().await.len(), 1);
}

/// Somebody of the practice writes to `lee@there.test`, who needs a parcel.
async fn write(world: &World, sender: AccountId) {
    world.send_as(sender, &["lee@there.test"], Route::Pickup, |_| {}).await;
    world.settle().await;
}

fn code_in(mail: &str) -> &str {
    let line = mail.lines().find(|line| line.starts_with("    ") && line.contains('-'));
    line.unwrap_or_else(|| panic!("no code in {mail}")).trim()
}

#[tokio::test]
async fn a_colleague_learns_the_code_once_and_the_disk_never_does() {
    let world = World::new().await;
    one_server(&world, Script::new(Tls::No)).await;
    for sender in [world.dana, world.lee, world.dana, world.lee] {
        write(&world, sender).await;
    }
    let (first, second) = (world.inbox().await, world.inbox_of(world.lee).await);
    assert_eq!((first.len(), second.len()), (1, 1), "each is told once");
    let code = code_in(&first[0]).to_owned();
    assert_eq!(code_in(&second[0]), code);
    let note = world.parcels.code_note(&address("lee@there.test")).unwrap().unwrap();
    assert_eq!(note.told, [world.dana, world.lee]);
    for column in Column::ALL {
        for (_, value) in world.store.scan(column, b"", None, usize::MAX).unwrap() {
            let found = value.windows(code.len()).any(|part| part == code.as_bytes());
            assert!(!found, "the code is readable in {column:?}");
        }
    }
}

#[tokio::test]
async fn who_joined_later_is_told_whom_to_ask() {
    let world = World::new().await;
    one_server(&world, Script::new(Tls::No)).await;
    write(&world, world.dana).await;
    let kim = hire(&world.directory, "kim", "Kim Nowak").await;
    for _ in 0..2 {
        write(&world, kim).await;
    }
    let told = world.inbox_of(kim).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("Dana Lee has it"), "{}", told[0]);
    let code = code_in(&world.inbox().await[0]).to_owned();
    assert!(!told[0].contains(&code), "what was sealed before she came she cannot have");
}

#[tokio::test]
async fn a_code_that_the_administrator_made_is_not_told_again() {
    let world = World::new().await;
    one_server(&world, Script::new(Tls::No)).await;
    write(&world, world.dana).await;
    let (code, _) = world.parcels.new_code(&address("lee@there.test")).await.unwrap();
    write(&world, world.lee).await;
    let told = world.inbox_of(world.lee).await;
    assert!(told.len() == 1 && told[0].contains("can make a new one"), "{told:?}");
    assert!(!told[0].contains(code.expose()), "{told:?}");
}

#[tokio::test]
async fn an_unread_parcels_end_is_told_to_its_sender_once() {
    let days = Arc::new(AtomicU64::new(0));
    let late = Arc::clone(&days);
    let day = Duration::from_secs(24 * 3600);
    let clock = move || SystemTime::now() + day * late.load(Ordering::Relaxed) as u32;
    let world = World::with_clock(Arc::new(clock)).await;
    one_server(&world, Script::new(Tls::No)).await;
    write(&world, world.dana).await;
    write(&world, world.lee).await;
    write(&world, world.lee).await;
    assert_eq!(world.courier.purge_parcels().await.unwrap().messages, 0);
    days.store(31, Ordering::Relaxed);
    assert_eq!(world.courier.purge_parcels().await.unwrap().unread.len(), 3);
    assert_eq!(world.courier.purge_parcels().await.unwrap().messages, 0);
    for (who, parcels) in [(world.dana, 1), (world.lee, 2)] {
        let inbox = world.inbox_of(who).await;
        let told = inbox.iter().filter(|mail| mail.contains("was not read"));
        assert_eq!(told.clone().count(), parcels, "{inbox:?}");
        assert!(told.clone().all(|mail| mail.contains("lee@there.test")), "{inbox:?}");
        assert!(told.clone().all(|mail| !mail.contains(CANARY)), "{inbox:?}");
    }
    let states = world.parcels.list(None).unwrap().into_iter().map(|parcel| parcel.state);
    assert!(states.clone().all(|state| state == ParcelState::Expired), "{:?}", states.count());
}

#[tokio::test]
async fn a_parcel_of_nobody_any_more_is_not_made() {
    let world = World::new().await;
    one_server(&world, Script::new(Tls::No)).await;
    world.directory.remove_account(world.lee).await.unwrap();
    let from = ReversePath::Address(address("dana@clinic.test"));
    let change = |envelope: &mut Envelope| envelope.from = from;
    world.send_as(world.lee, &["pat@there.test"], Route::Pickup, change).await;
    world.settle().await;
    assert!(world.parcels.list(None).unwrap().is_empty(), "nobody would learn the code");
    assert!(world.inbox().await[0].contains("5.7.10"));
}

#[tokio::test]
async fn a_notice_that_nobody_takes_is_told_to_the_sender() {
    let world = World::new().await;
    let mut script = Script::new(Tls::No);
    script.recipients = HashMap::from([("lee", "550 5.1.1 no such user")]);
    one_server(&world, script).await;
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    let inbox = world.inbox().await;
    assert_eq!(inbox.len(), 2, "the code, and the report");
    let report = inbox.iter().find(|mail| mail.contains("5.1.1")).unwrap();
    assert!(report.contains("another way"), "{report}");
}

#[tokio::test]
async fn local_mail_is_sealed_into_the_mailbox_once() {
    let world = World::new().await;
    let to = ["dana@clinic.test", "Dana+lab@clinic.test", "nobody@clinic.test"];
    world.send_by(&to, Route::Local, |_| {}).await;
    world.settle().await;
    let inbox = world.inbox().await;
    let (reports, mail): (Vec<_>, Vec<_>) = inbox.iter().partition(|mail| mail.contains("5.1.1"));
    assert_eq!((reports.len(), mail.len()), (1, 1), "{inbox:?}");
    assert!(mail[0].starts_with("Return-Path: <dana@clinic.test>\r\n"), "{}", mail[0]);
    assert!(mail[0].contains(CANARY));
}

#[tokio::test]
async fn mail_does_not_go_round_in_circles() {
    let world = World::new().await;
    let backup = world.good_server("backup.there.test").await;
    world.mx("there.test", &[(10, "mail.clinic.test"), (20, "backup.there.test")]);
    world.send(&["lee@there.test"]).await;
    world.mx("ring.test", &[(10, "hidden.ring.test"), (20, "backup.there.test")]);
    let ours: IpAddr = "127.0.0.1".parse().unwrap();
    world.dns.set_addresses(&domain("hidden.ring.test"), &[ours], Dnssec::Indeterminate);
    world.send(&["lee@ring.test"]).await;
    world.settle().await;
    let inbox = world.inbox().await;
    assert!(inbox.len() == 2 && inbox.iter().all(|mail| mail.contains("5.4.6")), "{inbox:?}");
    assert_eq!(backup.connections(), 0);
}

#[tokio::test]
async fn after_five_days_the_sender_learns_it_and_is_told_of_the_delay_before() {
    let hours = Arc::new(AtomicU64::new(0));
    let late = Arc::clone(&hours);
    let clock =
        move || SystemTime::now() + Duration::from_secs(3600 * late.load(Ordering::Relaxed));
    let world = World::with_clock(Arc::new(clock)).await;
    world.dns.fail_mx(&domain("there.test"), DnsError::Temporary("SERVFAIL".into()));
    let id = world.send(&["lee@there.test"]).await;
    world.deferred(id).await;
    hours.store(5, Ordering::Relaxed);
    world.queue.retry(id).unwrap();
    world.until("two attempts were made", || attempts(&world, id) >= 2).await;
    world.until("the delay is told", || world.queue.depth() == 1).await;
    hours.store(200, Ordering::Relaxed);
    world.queue.retry(id).unwrap();
    world.settle().await;
    let inbox = world.inbox().await;
    assert_eq!(inbox.len(), 2, "{inbox:?}");
    assert!(inbox[0].to_lowercase().contains("action: delayed"), "{}", inbox[0]);
    assert!(inbox[0].contains("Will-Retry-Until"));
    assert!(inbox[1].contains("4.4.7"), "{}", inbox[1]);
}

fn attempts(world: &World, id: wardpost_mail::QueueId) -> u32 {
    let state = world.queue.show(id).map(|item| item.recipients[0].clone());
    state.map_or(
        0,
        |r| if matches!(r.state, RecipientState::Waiting { .. }) { r.attempts } else { 0 },
    )
}

#[tokio::test]
async fn a_probe_tells_the_story_and_sends_nothing() {
    let world = World::new().await;
    world.mx("there.test", &[(10, "bad.there.test"), (20, "good.there.test")]);
    let bad = world.server("bad.there.test", Script::new(Tls::No)).await;
    let good = world.good_server("good.there.test").await;
    let report = world.courier.probe(&domain("there.test"), &floors(TlsGrade::T3)).await;
    assert_eq!(report.outlook, Outlook::Direct, "{report:?}");
    let grades: Vec<_> =
        report.hosts.iter().map(|host| host.verdict().map(Verdict::grade)).collect();
    assert_eq!(grades, [Some(TlsGrade::T0), Some(TlsGrade::T3)]);
    let failure = &report.hosts[0].verdict().unwrap().failures()[0];
    assert_eq!(failure.kind, FailureKind::StarttlsNotSupported);
    assert!(!bad.read_anywhere("MAIL FROM") && !good.read_anywhere("MAIL FROM"));

    let nothing = world.courier.probe(&domain("nowhere.test"), &floors(TlsGrade::T3)).await;
    assert_eq!(nothing.outlook, Outlook::Returned);
    assert!(nothing.summary.contains("does not exist"), "{nothing:?}");
    let too_high = world.courier.probe(&domain("there.test"), &floors(TlsGrade::T4)).await;
    assert_eq!(too_high.outlook, Outlook::Pickup, "{too_high:?}");
}
