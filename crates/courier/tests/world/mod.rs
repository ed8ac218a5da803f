//! A practice, its queue and the mail servers around it, all in one process.

pub mod server;

use async_trait::async_trait;
use prometheus::Registry;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use server::{PORT, Script, Server, Tls, certificate};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use wardpost_courier::{Courier, Parts, Settings, StsPolicies, Timeouts};
use wardpost_directory::{Directory, NewAccount, Options as DirectoryOptions};
use wardpost_dns::{Dnssec, FakeResolver};
use wardpost_keys::KdfCost;
use wardpost_mail::{AccountId, Address, Domain, Envelope, QueueId, ReversePath, Secret, TlsGrade};
use wardpost_mailbox::{Mailboxes, SpecialUse};
use wardpost_net::{ClientTls, Shutdown};
use wardpost_parcel::{Options as ParcelOptions, Parcels};
use wardpost_pins::Pins;
use wardpost_policy::Route;
use wardpost_queue::{ItemView, Kind, NewItem, Options as QueueOptions, Queue, RecipientView};
use wardpost_reports::Reports;
use wardpost_signer::Signer;
use wardpost_store::Store;
use wardpost_verdict::{Roots, StsFacts, StsPolicy};

/// What must never be seen on a path that is not good enough.
pub const CANARY: &str = "positive-for-the-canary";
const PASSWORD: &str = "eleven grey herons at the weir";

pub struct World {
    pub ca: CertifiedIssuer<'static, KeyPair>,
    pub dns: FakeResolver,
    pub sts: StsTable,
    pub queue: Queue,
    pub parcels: Parcels,
    pub pins: Pins,
    pub directory: Directory,
    pub mailboxes: Mailboxes,
    pub courier: Arc<Courier>,
    pub registry: Registry,
    pub store: Store,
    pub reports: Reports,
    pub dana: AccountId,
    pub lee: AccountId,
    shutdown: Shutdown,
    running: tokio::task::JoinHandle<()>,
}

pub fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

pub fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "Test CA");
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

impl World {
    pub async fn new() -> Self {
        Self::with_clock(Arc::new(SystemTime::now)).await
    }

    /// A world whose queue and parcels have a clock of their own.
    pub async fn with_clock(clock: Arc<dyn Fn() -> SystemTime + Send + Sync>) -> Self {
        let store = Store::in_memory();
        let directory = Directory::open_with(
            store.clone(),
            &domain("clinic.test"),
            DirectoryOptions::for_tests(),
        )
        .await
        .unwrap();
        directory.initialise().await.unwrap();
        let dana = hire(&directory, "dana", "Dana Lee").await;
        let lee = hire(&directory, "lee", "Lee Park").await;
        let parcel_clock = Arc::clone(&clock);
        let queue = Queue::open(store.clone(), QueueOptions { clock, ..QueueOptions::default() })
            .await
            .unwrap();
        let parcels = Parcels::open(
            store.clone(),
            ParcelOptions {
                kdf_cost: KdfCost::Test,
                clock: parcel_clock,
                ..ParcelOptions::default()
            },
        );
        let pins = Pins::open(store.clone()).unwrap();
        let mailboxes = Mailboxes::new(store.clone());
        let (ca, dns, registry) = (authority(), FakeResolver::new(), Registry::new());
        let sts = StsTable::default();
        let mut roots = Roots::new();
        roots.add(ca.der()).unwrap();
        let reports = reports(&store);
        let parts = Parts {
            resolver: Arc::new(dns.clone()),
            sts: Arc::new(sts.clone()),
            tls: ClientTls::new().unwrap(),
            roots: Arc::new(roots),
            queue: queue.clone(),
            parcels: parcels.clone(),
            pins: pins.clone(),
            mailboxes: mailboxes.clone(),
            directory: directory.clone(),
            signer: Arc::new(Signer::new(&[]).unwrap()),
            reports: reports.clone(),
        };
        let courier = Courier::new(settings(), parts, &registry).unwrap();
        let shutdown = Shutdown::new();
        let running = tokio::spawn(Arc::clone(&courier).run(shutdown.clone()));
        Self {
            ca,
            dns,
            sts,
            queue,
            parcels,
            pins,
            directory,
            mailboxes,
            courier,
            registry,
            store,
            reports,
            dana,
            lee,
            shutdown,
            running,
        }
    }

    /// Starts a server for `host` and points `mail_domain` at it, after those it has already.
    pub async fn server(&self, host: &str, script: Script) -> Server {
        let server = Server::start(script).await;
        self.dns.set_addresses(&domain(host), &[server.address], Dnssec::Indeterminate);
        server
    }

    /// A server with a certificate that verifies.
    pub async fn good_server(&self, host: &str) -> Server {
        self.server(host, Script::new(self.good_tls(host))).await
    }

    pub fn good_tls(&self, host: &str) -> Tls {
        Tls::With(certificate(Some(&self.ca), host))
    }

    pub fn mx(&self, mail_domain: &str, hosts: &[(u16, &str)]) {
        let hosts: Vec<(u16, Domain)> = hosts.iter().map(|(p, h)| (*p, domain(h))).collect();
        self.dns.set_mx(&domain(mail_domain), &hosts, Dnssec::Indeterminate);
    }

    /// Queues a message from Dana with the canary in subject and body.
    pub async fn send(&self, to: &[&str]) -> QueueId {
        let route = Route::Direct { floor: TlsGrade::T3 };
        self.send_by(to, route, |_| {}).await
    }

    pub async fn send_by(
        &self,
        to: &[&str],
        route: Route,
        change: impl FnOnce(&mut Envelope),
    ) -> QueueId {
        self.send_as(self.dana, to, route, change).await
    }

    pub async fn send_as(
        &self,
        sender: AccountId,
        to: &[&str],
        route: Route,
        change: impl FnOnce(&mut Envelope),
    ) -> QueueId {
        let account = self.directory.account(sender);
        let from =
            account.map_or(ReversePath::Null, |account| ReversePath::Address(account.address));
        let mut envelope = Envelope::new(from, to.iter().map(|to| address(to)));
        change(&mut envelope);
        let routes = vec![route; envelope.to.len()];
        let item = NewItem {
            sender: Some(sender),
            envelope,
            message: message(to),
            routes,
            kind: Kind::Mail,
        };
        self.queue.enqueue(item).await.unwrap().0
    }

    /// Waits until the queue is empty.
    pub async fn settle(&self) {
        self.until("the queue is empty", || self.queue.depth() == 0).await;
    }

    /// Waits until an item has made `attempts` attempts and rests.
    pub async fn deferred(&self, id: QueueId) -> RecipientView {
        let resting = || self.queue.show(id).is_ok_and(|item| rests(&item));
        self.until("the item rests", resting).await;
        self.queue.show(id).unwrap().recipients.remove(0)
    }

    pub async fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !done() {
            assert!(begun.elapsed() < Duration::from_secs(20), "waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What lies in Dana's INBOX.
    pub async fn inbox(&self) -> Vec<String> {
        self.inbox_of(self.dana).await
    }

    /// What lies in somebody's INBOX.
    pub async fn inbox_of(&self, who: AccountId) -> Vec<String> {
        let password = Secret::new(PASSWORD.into());
        let unlocked = self.directory.unlock(who, &password).await.unwrap();
        let mail = self.mailboxes.open(who, unlocked);
        mail.prepare().await.unwrap();
        let inbox = mail.special(SpecialUse::Inbox).unwrap().id;
        let mut bodies = Vec::new();
        for message in mail.select(inbox).await.unwrap().messages {
            let body = mail.body(inbox, message.uid).await.unwrap();
            bodies.push(String::from_utf8_lossy(&body).into_owned());
        }
        bodies
    }

    /// Waits until a counter, summed over the label sets that have all of `labels`, is at one:
    /// counting comes after the commit that empties the queue.
    pub async fn counts_one(&self, name: &str, labels: &[(&str, &str)]) {
        self.until(name, || self.counted(name, labels) > 0.0).await;
        assert_eq!(self.counted(name, labels), 1.0, "{name}");
    }

    fn counted(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let families = self.registry.gather();
        families
            .iter()
            .filter(|family| family.name() == name)
            .flat_map(|family| family.get_metric())
            .filter(|metric| {
                labels.iter().all(|(label, value)| {
                    metric.get_label().iter().any(|p| p.name() == *label && p.value() == *value)
                })
            })
            .map(|metric| metric.get_counter().get_value())
            .sum()
    }

    pub async fn stop(self) {
        self.shutdown.begin();
        self.running.await.unwrap();
    }
}

/// The MTA-STS policies of a test.
#[derive(Clone, Default)]
pub struct StsTable(Arc<Mutex<HashMap<Domain, StsFacts>>>);

impl StsTable {
    /// Gives a domain a policy that was fetched just now.
    pub fn set(&self, of: &str, policy: &str) {
        let policy = StsPolicy::parse(policy.as_bytes()).unwrap();
        let facts = StsFacts { policy: Some((policy, Duration::ZERO)), ..StsFacts::default() };
        self.0.lock().unwrap().insert(domain(of), facts);
    }
}

#[async_trait]
impl StsPolicies for StsTable {
    async fn facts(&self, domain: &Domain) -> StsFacts {
        self.0.lock().unwrap().get(domain).cloned().unwrap_or_default()
    }
}

/// Somebody new at the practice.
pub async fn hire(directory: &Directory, local: &str, name: &str) -> AccountId {
    let new = NewAccount {
        address: address(&format!("{local}@clinic.test")),
        name: name.into(),
        password: Secret::new(PASSWORD.into()),
        administrator: false,
    };
    directory.add_account(new).await.unwrap()
}

fn rests(item: &ItemView) -> bool {
    use wardpost_queue::RecipientState::Waiting;
    let due = |time: &SystemTime| *time > SystemTime::now();
    item.recipients
        .iter()
        .any(|r| r.attempts > 0 && matches!(&r.state, Waiting { next_due } if due(next_due)))
}

fn reports(store: &Store) -> Reports {
    let settings = wardpost_reports::Settings {
        domain: domain("clinic.test"),
        organization: "Elm Street Practice".into(),
        contact: address("postmaster@clinic.test"),
        clock: Arc::new(SystemTime::now),
    };
    Reports::open(store.clone(), settings).unwrap()
}

fn settings() -> Settings {
    let mut settings =
        Settings::new(&domain("mail.clinic.test"), address("postmaster@clinic.test"));
    settings.smtp_port = PORT;
    settings.own_addresses = vec!["127.0.0.1:2525".parse().unwrap()];
    settings.practice = "Elm Street Practice".into();
    settings.phone = Some("+1 555 0100".into());
    settings.timeouts = Timeouts {
        connect: Duration::from_secs(2),
        command: Duration::from_secs(3),
        data: Duration::from_secs(3),
        data_end: Duration::from_secs(3),
        idle: Duration::from_secs(5),
    };
    settings
}

fn message(to: &[&str]) -> Vec<u8> {
    format!(
        "From: Dana Lee <dana@clinic.test>\r\nTo: {}\r\nSubject: {CANARY}\r\n\
         Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@clinic.test>\r\n\r\n\
         .. your result is {CANARY}\r\n.\r\n.. end\r\n",
        to.join(", ")
    )
    .into_bytes()
}
