//! Examinations are shared, and what is found without the daemon.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use async_trait::async_trait;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use wardpost_checkup::{Checkup, Parts, Settings};
use wardpost_config::Config;
use wardpost_dns::{DnsError, FakeOwn, FakeResolver, OwnKind, OwnRecords, Seen, Tlsa};
use wardpost_health::{Examiner, State};
use wardpost_mail::Domain;

/// A zone that counts how often our host is looked for.
#[derive(Default)]
struct Counting {
    zone: FakeOwn,
    looks: AtomicUsize,
}

#[async_trait]
impl OwnRecords for Counting {
    async fn tlsa(&self, host: &Domain, port: u16) -> Result<Seen<Tlsa>, DnsError> {
        self.zone.tlsa(host, port).await
    }

    async fn txt(&self, name: &Domain) -> Result<Seen<Vec<u8>>, DnsError> {
        self.zone.txt(name).await
    }

    async fn published(
        &self,
        name: &Domain,
        kind: OwnKind,
    ) -> Result<Option<Vec<String>>, DnsError> {
        if kind == OwnKind::Aaaa {
            self.looks.fetch_add(1, Ordering::SeqCst);
            // Long enough for others to come and ask.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        self.zone.published(name, kind).await
    }
}

fn checkup(own: Arc<Counting>) -> Arc<Checkup> {
    let text = "hostname = \"mail.clinic.test\"\ndomain = \"clinic.test\"\n\
                [publish]\naddresses = \"203.0.113.7\"\n\
                [doctor]\nprobe_hosts = []\ntime_servers = []\n";
    let config = Config::parse(text, Path::new("/nowhere/wardpost.toml")).unwrap();
    // It gives no answer; the zone is what counts.
    let resolver = FakeResolver::new();
    resolver.fail_addresses(&config.hostname, DnsError::Temporary("silence".into()));
    let parts =
        Parts { own, resolver: Arc::new(resolver), certificate: Box::new(|| None), daemon: None };
    Checkup::new(Settings::from_config(&config), parts)
}

#[tokio::test]
async fn the_host_is_looked_for_once_in_an_examination() {
    let own = Arc::new(Counting::default());
    checkup(own.clone()).examine().await;
    assert_eq!(own.looks.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn whoever_asks_meanwhile_or_soon_after_gets_the_same_report() {
    let own = Arc::new(Counting::default());
    let checkup = checkup(own.clone());
    assert!(checkup.latest().is_none());
    let (a, b) = tokio::join!(checkup.examine(), checkup.examine());
    assert!(Arc::ptr_eq(&a, &b), "under way");
    assert!(Arc::ptr_eq(&a, &checkup.examine().await), "just made");
    assert!(Arc::ptr_eq(&a, &checkup.latest().unwrap()));
    assert_eq!(own.looks.load(Ordering::SeqCst), 1);
    // Somebody has just mended something, while another looks, and a third comes along.
    let (c, d, e) =
        tokio::join!(checkup.examine_anew(), checkup.examine_anew(), checkup.examine_anew());
    assert!(!Arc::ptr_eq(&a, &c));
    assert!(!Arc::ptr_eq(&c, &d), "it began too early to see what was mended");
    assert!(Arc::ptr_eq(&d, &e), "it began after both had asked");
    assert_eq!(own.looks.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn without_the_daemon_what_can_be_seen_is_told() {
    let own = Arc::new(Counting::default());
    let host = Domain::parse("mail.clinic.test").unwrap();
    own.zone.publish(&host, OwnKind::A, &["198.51.100.9"]);
    let checkup = checkup(own.clone());
    let report = checkup.examine().await;
    let state = |check: &str| {
        let finding = report.findings.iter().find(|finding| finding.check == check);
        finding.map(|finding| finding.state)
    };
    assert_eq!(state("daemon"), Some(State::Bad));
    assert_eq!(state("dns-address"), Some(State::Bad));
    assert_eq!(state("dns-server"), Some(State::Good));
    assert!(state("disk").is_some());
    assert_eq!((state("queue"), state("port-25-in"), state("dns-mx")), (None, None, None));

    own.zone.set_silent(true);
    let report = checkup.examine_anew().await;
    let silent = report.findings.iter().find(|finding| finding.check == "dns-server").unwrap();
    assert!(silent.says.starts_with("No DNS server answers"), "{silent:?}");
    assert_eq!(checkup.examine_boot().await.worst(), State::Bad, "nobody answers");
}
