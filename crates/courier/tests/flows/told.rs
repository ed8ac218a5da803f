//! What the courier counts for reports to the domains it met (RFC 8460).

use super::*;
use async_trait::async_trait;
use std::sync::Mutex;
use wardpost_queue::{Kind, NewItem};
use wardpost_reports::{Letter, Post, PostError, ReportKind, TlsReport};
use wardpost_store::{Batch, Committed, Store};

/// Takes the mails with reports.
struct Taker(Store, Mutex<Vec<Letter>>);

#[async_trait]
impl Post for Taker {
    async fn mail(&self, letter: Letter, done: Batch) -> Result<Committed, PostError> {
        let committed = self.0.commit(done).await.map_err(|e| PostError(e.to_string()))?;
        self.1.lock().unwrap().push(letter);
        Ok(committed)
    }

    async fn https(&self, _: &str, _: &str, _: &[u8]) -> Result<(), PostError> {
        Err(PostError("no web".into()))
    }
}

/// The report that `there.test` would get now; `None` when there is nothing to tell.
async fn told(world: &World) -> Option<TlsReport> {
    let name = domain("_smtp._tls.there.test");
    world.dns.set_txt(&name, &[b"v=TLSRPTv1; rua=mailto:tls@there.test"], Dnssec::Insecure);
    let taker = Arc::new(Taker(world.store.clone(), Mutex::default()));
    let post: Arc<dyn Post> = taker.clone();
    world.reports.send_now(&world.dns, &post).await.unwrap();
    let letters = taker.1.lock().unwrap();
    let letter = letters.first()?;
    let mail = wardpost_message::report::Mail::parse(&letter.message).unwrap();
    let json = mail.reports(ReportKind::Tls).next().unwrap().unwrap();
    Some(TlsReport::parse(&json).unwrap())
}

/// Policy type, successes, failures and the failures' result types of each policy.
fn summary(report: &TlsReport) -> Vec<(&str, u64, u64, Vec<&str>)> {
    let policies = report.policies.iter();
    policies
        .map(|policy| {
            let kinds = policy.failure_details.iter().map(|detail| detail.result_type.as_str());
            let sessions = &policy.summary;
            (
                policy.policy.policy_type.as_str(),
                sessions.total_successful_session_count,
                sessions.total_failure_session_count,
                kinds.collect(),
            )
        })
        .collect()
}

#[tokio::test]
async fn a_session_without_fault_is_told_once_however_many_messages_it_carries() {
    let world = World::new().await;
    let server = one_server(&world, Script::new(world.good_tls("mx.there.test"))).await;
    for _ in 0..3 {
        world.send(&["lee@there.test"]).await;
        world.settle().await;
    }
    assert_eq!((server.taken().len(), server.connections()), (3, 1));
    let report = told(&world).await.unwrap();
    assert_eq!(summary(&report), [("no-policy-found", 1, 0, vec![])]);
    assert_eq!(report.policies[0].policy.policy_domain, "there.test");
}

#[tokio::test]
async fn starttls_that_is_missing_or_breaks_is_told_with_host_and_addresses() {
    for (tls, kind) in [(Tls::No, "starttls-not-supported"), (Tls::Breaks, "validation-failure")] {
        let world = World::new().await;
        let server = one_server(&world, Script::new(tls)).await;
        world.send(&["lee@there.test"]).await;
        world.settle().await;
        let report = told(&world).await.unwrap();
        let policy = &report.policies[0];
        assert_eq!(policy.summary.total_successful_session_count, 0);
        // The message's own session, and the notice's.
        assert_eq!(policy.summary.total_failure_session_count, 2);
        let detail = &policy.failure_details[0];
        assert_eq!(detail.result_type, kind);
        assert_eq!(detail.receiving_mx_hostname.as_deref(), Some("mx.there.test"));
        assert_eq!(detail.receiving_ip, Some(server.address));
        assert!(detail.sending_mta_ip.is_some_and(|ip| ip.is_loopback()), "{detail:?}");
        world.stop().await;
    }
}

#[tokio::test]
async fn a_policy_in_testing_mode_is_told_of_and_not_enforced() {
    let world = World::new().await;
    let server = one_server(&world, Script::new(world.good_tls("mx.there.test"))).await;
    world
        .sts
        .set("there.test", "version: STSv1\nmode: testing\nmx: other.there.test\nmax_age: 86400\n");
    world.send(&["lee@there.test"]).await;
    world.settle().await;
    assert_eq!(server.taken().len(), 1);
    let report = told(&world).await.unwrap();
    assert_eq!(summary(&report), [("sts", 0, 1, vec!["validation-failure"])]);
    let policy = &report.policies[0].policy;
    assert!(policy.policy_string.contains(&"mode: testing".to_owned()), "{policy:?}");
    assert_eq!(policy.mx_host, ["other.there.test"]);
}

#[tokio::test]
async fn dns_that_lies_is_told_though_nobody_was_connected_to() {
    let world = World::new().await;
    let (mail, host) = (domain("there.test"), domain("mx.there.test"));
    world.dns.set_mx(&mail, &[(10, host.clone())], Dnssec::Secure);
    world.dns.set_addresses(&host, &[[127, 0, 0, 77].into()], Dnssec::Secure);
    world.dns.fail_tlsa(&host, 25, DnsError::Bogus);
    let id = world.send(&["lee@there.test"]).await;
    world.deferred(id).await;
    let report = told(&world).await.unwrap();
    assert_eq!(summary(&report), [("tlsa", 0, 1, vec!["dnssec-invalid"])]);
}

#[tokio::test]
async fn sessions_that_carry_reports_are_not_told_of() {
    let world = World::new().await;
    let server = one_server(&world, Script::new(world.good_tls("mx.there.test"))).await;
    let item = NewItem {
        sender: None,
        envelope: Envelope::new(ReversePath::Null, [address("tls@there.test")]),
        message: b"From: postmaster@clinic.test\r\n\r\nA report.\r\n".to_vec(),
        routes: vec![DIRECT],
        kind: Kind::Report,
    };
    world.queue.enqueue(item).await.unwrap();
    world.settle().await;
    assert_eq!(server.taken().len(), 1);
    assert!(told(&world).await.is_none());
}

#[tokio::test]
async fn a_report_that_cannot_go_by_tls_ends_without_a_word() {
    let world = World::new().await;
    let server = one_server(&world, Script::new(Tls::No)).await;
    let item = NewItem {
        sender: None,
        envelope: Envelope::new(ReversePath::Null, [address("tls@there.test")]),
        message: format!("From: postmaster@clinic.test\r\n\r\n{CANARY}\r\n").into_bytes(),
        routes: vec![DIRECT],
        kind: Kind::Report,
    };
    world.queue.enqueue(item).await.unwrap();
    world.settle().await;
    learnt_nothing(&server, false);
    assert!(world.parcels.list(None).unwrap().is_empty());
    assert!(world.inbox().await.is_empty());
}
