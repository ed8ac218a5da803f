//! The control socket, from the asking end: real requests to a daemon's worth of state in memory.

// A test that cannot go on says so by panicking.
#![allow(clippy::unwrap_used)]

use async_trait::async_trait;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use wardpost_admin::{
    AccountRequest, Admin, AliasRequest, Answer, AppPasswordRequest, CertificateView, Client,
    ClientError, DkimRequest, DomainRequest, ExceptionRequest, FailureKind, Host, ListenerView,
    LoginSpec, ParcelRequest, Parts, PinRequest, PinSpec, QueueRequest, ReportRequest,
    ReportSender, Request, RouteExplainer, RouteView, ServeError, SmarthostSpec, StsRequest,
    TlsRequest,
};
use wardpost_directory::{Directory, FakeRemoval, Options, Resolution, Way};
use wardpost_dns::{FakeOwn, FakeResolver, Tlsa};
use wardpost_mail::{Address, Domain, QueueId, Secret, TlsGrade};
use wardpost_net::{Https, ServerTls};
use wardpost_parcel::Parcels;
use wardpost_pins::Pins;
use wardpost_publish::{KeyPlan, OwnPolicy};
use wardpost_queue::Queue;
use wardpost_reports::{Arrived, ReportKind, Reports, ReportsError, SentNow};
use wardpost_store::Store;
use wardpost_sts::Policies;
use wardpost_verdict::{Roots, StsMode};
use wardpost_wall::Wall;

const PASSWORD: &str = "nineteen blue otters";

struct Program {
    hostname: Domain,
    tls: ServerTls,
}

impl Host for Program {
    fn version(&self) -> &'static str {
        "0.0.0"
    }
    fn hostname(&self) -> &Domain {
        &self.hostname
    }
    fn started(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
    fn listeners(&self) -> Vec<ListenerView> {
        Vec::new()
    }
    fn certificate(&self) -> CertificateView {
        CertificateView { expires: String::new(), self_signed: true }
    }
    fn dns(&self) -> String {
        "validated by the root's keys".to_owned()
    }
    fn tls(&self) -> &ServerTls {
        &self.tls
    }
    fn key_file(&self) -> Option<PathBuf> {
        None
    }
    fn mta_sts(&self) -> Option<OwnPolicy> {
        let max_age = Duration::from_secs(86_400);
        Some(OwnPolicy { mode: StsMode::Enforce, max_age, host: self.hostname.clone() })
    }
}

struct Everywhere;

#[async_trait]
impl RouteExplainer for Everywhere {
    async fn explain(&self, from: &Address, to: &Address) -> RouteView {
        RouteView {
            from: from.clone(),
            to: to.clone(),
            route: "direct".to_owned(),
            why: String::new(),
            floor: None,
            floor_set_by: None,
            hops: Vec::new(),
            outcome: "direct".to_owned(),
            explanation: String::new(),
        }
    }
}

/// Policies of a world in which nobody publishes any.
fn policies(store: Store) -> Policies {
    let https = Https::new(&Roots::new()).unwrap();
    Policies::open(store, Arc::new(FakeResolver::new()), https).unwrap()
}

/// Has reports to send to nobody.
struct Nobody;

#[async_trait]
impl ReportSender for Nobody {
    async fn send_now(&self) -> Result<SentNow, ReportsError> {
        Ok(SentNow { domains: 3, made: 2, waiting: 1 })
    }
}

/// Noon of 2 April 2016, UTC.
const NOON: u64 = 1_459_598_400;

fn reports(store: &Store) -> Reports {
    let settings = wardpost_reports::Settings {
        domain: Domain::parse("clinic.test").unwrap(),
        organization: "Clinic".to_owned(),
        contact: Address::parse("postmaster@clinic.test").unwrap(),
        clock: Arc::new(|| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(NOON)),
    };
    Reports::open(store.clone(), settings).unwrap()
}

struct Daemon {
    socket: PathBuf,
    _directory: tempfile::TempDir,
    directory: Directory,
    removal: FakeRemoval,
    reports: Reports,
    program: Arc<Program>,
    dns: FakeOwn,
}

impl Daemon {
    async fn start() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let socket = temporary.path().join("admin.sock");
        let store = Store::in_memory();
        let domain = Domain::parse("clinic.test").unwrap();
        let directory =
            Directory::open_with(store.clone(), &domain, Options::for_tests()).await.unwrap();
        let (reports, removal) = (reports(&store), FakeRemoval::new(directory.clone()));
        let hostname = Domain::parse("mail.clinic.test").unwrap();
        let tls = ServerTls::self_signed(temporary.path(), &hostname).unwrap();
        let program = Arc::new(Program { hostname, tls });
        let (keys, dns) = (KeyPlan::open(store.clone()).unwrap(), FakeOwn::new());
        let public_key = program.tls.certificate().public_key_info;
        keys.observe(&public_key, SystemTime::now()).await.unwrap();
        let admin = Admin::new(Parts {
            directory: directory.clone(),
            removal: Arc::new(removal.clone()),
            queue: Queue::open(store.clone(), wardpost_queue::Options::default()).await.unwrap(),
            parcels: Parcels::open(store.clone(), wardpost_parcel::Options::default()),
            pins: Pins::open(store.clone()).unwrap(),
            floor: TlsGrade::T3,
            wall: Wall::open(store.clone()).unwrap(),
            reports: reports.clone(),
            reporter: Arc::new(Nobody),
            policies: policies(store),
            keys,
            own: Arc::new(dns.clone()),
            host: Arc::<Program>::clone(&program),
            routes: Arc::new(Everywhere),
            certifier: None,
        });
        let serving = wardpost_admin::serve(&socket, Arc::new(admin), std::future::pending());
        tokio::spawn(serving.unwrap());
        Self { socket, _directory: temporary, directory, removal, reports, program, dns }
    }

    /// Asks; returns the answer and the recovery kit's secret if it came along.
    async fn ask(&self, request: Request) -> (Result<Answer, ClientError>, Option<String>) {
        let socket = self.socket.clone();
        let asking = tokio::task::spawn_blocking(move || {
            let mut kit = None;
            let answer = Client::connect(&socket)
                .and_then(|mut client| client.call(&request, |secret| kit = Some(secret)));
            (answer, kit.map(|secret| secret.expose().clone()))
        });
        asking.await.unwrap()
    }

    async fn done(&self, request: Request) -> Answer {
        self.ask(request).await.0.unwrap()
    }

    async fn refused(&self, request: Request) -> FailureKind {
        match self.ask(request).await.0.unwrap_err() {
            ClientError::Refused(failure) => failure.kind,
            other => panic!("{other}"),
        }
    }
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn add(text: &str, password: &str) -> Request {
    let address = address(text);
    Request::Account(AccountRequest::Add {
        address,
        name: "D".into(),
        password: secret(password),
        administrator: false,
    })
}

fn object(answer: &Answer) -> serde_json::Value {
    serde_json::from_str(&answer.json().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recovery_kit_comes_once_with_the_first_account_and_opens_it() {
    let daemon = Daemon::start().await;
    let (answer, kit) = daemon.ask(add("dana@clinic.test", PASSWORD)).await;
    assert_eq!(object(&answer.unwrap())["address"], "dana@clinic.test");
    let kit = kit.expect("the first account brings the recovery kit");
    let (_, again) = daemon.ask(add("kim@clinic.test", PASSWORD)).await;
    assert!(again.is_none());
    assert!(daemon.ask(Request::Setup).await.1.is_none());

    let recover = |kit: &str| {
        let (kit, new) = (secret(kit), secret("a fresh phrase of words"));
        Request::Account(AccountRequest::Recover { account: "dana".into(), kit, new })
    };
    assert_eq!(daemon.refused(recover("wrong")).await, FailureKind::Refused);
    daemon.done(recover(&kit)).await;
    let peer = "192.0.2.1".parse().unwrap();
    let new = secret("a fresh phrase of words");
    assert!(
        daemon
            .directory
            .authenticate("dana@clinic.test", &new, peer, Way::MailProgram)
            .await
            .is_ok()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kit_is_not_lost_when_the_first_account_is_refused() {
    let daemon = Daemon::start().await;
    let (answer, kit) = daemon.ask(add("dana@clinic.test", "short")).await;
    assert!(answer.is_err());
    assert!(kit.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn exceptions_are_made_shown_and_taken_back() {
    let daemon = Daemon::start().await;
    let add = |who: &str, days, reason: &str| {
        let (who, reason) = (who.to_owned(), reason.to_owned());
        Request::Exception(ExceptionRequest::Add { who, days, reason })
    };
    let made = object(&daemon.done(add("192.0.2.99/24", 30, "lab fax gateway")).await);
    assert_eq!(
        (&made[0]["who"], &made[0]["reason"]),
        (&"192.0.2.0/24".into(), &"lab fax gateway".into())
    );
    assert_eq!(daemon.refused(add("192.0.2.7", 366, "x")).await, FailureKind::Refused);
    assert_eq!(daemon.refused(add("192.0.2.7", 30, "")).await, FailureKind::Refused);
    assert_eq!(daemon.refused(add("no such thing", 30, "x")).await, FailureKind::BadRequest);
    let list = || Request::Exception(ExceptionRequest::List);
    assert_eq!(object(&daemon.done(list()).await).as_array().unwrap().len(), 1);
    let remove = || Request::Exception(ExceptionRequest::Remove { who: "192.0.2.0/24".into() });
    daemon.done(remove()).await;
    assert_eq!(daemon.refused(remove()).await, FailureKind::NotFound);

    let report = daemon.done(Request::Report(ReportRequest::Cleartext { days: 30 })).await;
    assert_eq!(object(&report)["peers"], serde_json::json!([]));
    assert!(report.to_string().starts_with("Nobody asked"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_added_shown_changed_and_removed() {
    let daemon = Daemon::start().await;
    daemon.done(add("dana@clinic.test", PASSWORD)).await;
    assert_eq!(daemon.refused(add("Dana@clinic.test", PASSWORD)).await, FailureKind::Refused);
    assert_eq!(daemon.refused(add("dana@elsewhere.test", PASSWORD)).await, FailureKind::Refused);
    assert_eq!(daemon.refused(add("kim@clinic.test", "tooshort")).await, FailureKind::Refused);

    let passwd = |current: &str, new: &str| {
        let (current, new) = (secret(current), secret(new));
        Request::Account(AccountRequest::Passwd { account: "dana".into(), current, new })
    };
    assert_eq!(daemon.refused(passwd("wrong", "twenty green herons")).await, FailureKind::Refused);
    daemon.done(passwd(PASSWORD, "twenty green herons")).await;

    let list = object(&daemon.done(Request::Account(AccountRequest::List)).await);
    assert_eq!(list.as_array().unwrap().len(), 1);
    let remove = || Request::Account(AccountRequest::Remove { account: "dana@clinic.test".into() });
    daemon.done(remove()).await;
    assert_eq!(daemon.refused(remove()).await, FailureKind::NotFound);
    assert_eq!(daemon.directory.resolve(&address("dana@clinic.test")), Resolution::Unknown);

    // What cannot be deleted just now is said, and whose account it was is gone all the same.
    daemon.done(add("dana@clinic.test", PASSWORD)).await;
    daemon.removal.keep_mail();
    let failure = daemon.ask(remove()).await.0.unwrap_err();
    assert!(failure.to_string().contains("still takes its space"), "{failure}");
    assert_eq!(daemon.refused(remove()).await, FailureKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_password_needs_the_password_and_logs_in_until_it_is_revoked() {
    let daemon = Daemon::start().await;
    daemon.done(add("dana@clinic.test", PASSWORD)).await;
    let make = |password: &str| {
        let (account, label) = ("dana".to_owned(), "phone".to_owned());
        let password = secret(password);
        Request::Account(AccountRequest::AppPassword(AppPasswordRequest::Add {
            account,
            label,
            password,
        }))
    };
    assert_eq!(daemon.refused(make("wrong")).await, FailureKind::Refused);
    let made = object(&daemon.done(make(PASSWORD)).await);
    let made = secret(made["secret"].as_str().unwrap());
    let peer = "192.0.2.1".parse().unwrap();
    assert!(daemon.directory.authenticate("dana", &made, peer, Way::MailProgram).await.is_ok());

    let app = |request| Request::Account(AccountRequest::AppPassword(request));
    let list = AppPasswordRequest::List { account: "dana".into() };
    let list = object(&daemon.done(app(list)).await);
    assert_eq!(list[0]["label"], "phone");
    let slot = u32::try_from(list[0]["slot"].as_u64().unwrap()).unwrap();
    let remove = AppPasswordRequest::Remove { account: "dana".into(), slot };
    daemon.done(app(remove)).await;
    assert!(daemon.directory.authenticate("dana", &made, peer, Way::MailProgram).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_reach_accounts() {
    let daemon = Daemon::start().await;
    daemon.done(add("dana@clinic.test", PASSWORD)).await;
    let office = || address("office@clinic.test");
    let alias =
        |targets: Vec<String>| Request::Alias(AliasRequest::Add { address: office(), targets });
    assert_eq!(daemon.refused(alias(vec!["nobody".into()])).await, FailureKind::NotFound);
    daemon.done(alias(vec!["dana".into()])).await;
    let list = object(&daemon.done(Request::Alias(AliasRequest::List)).await);
    assert_eq!(list[0]["targets"][0], "dana@clinic.test");
    let shown = AccountRequest::Show { account: "dana".into() };
    assert_eq!(
        object(&daemon.done(Request::Account(shown)).await)["aliases"][0],
        "office@clinic.test"
    );
    daemon.done(Request::Alias(AliasRequest::Remove { address: office() })).await;
    assert_eq!(daemon.directory.resolve(&office()), Resolution::Unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn domains_come_with_the_records_to_publish() {
    let daemon = Daemon::start().await;
    let domain = || Domain::parse("second.test").unwrap();
    let added =
        object(&daemon.done(Request::Domain(DomainRequest::Add { domain: domain() })).await);
    let records = added["records"].as_array().unwrap();
    let dkim = records
        .iter()
        .filter(|record| record["name"].as_str().unwrap().ends_with("._domainkey.second.test"));
    assert_eq!(dkim.count(), 2);
    assert!(records.iter().any(|record| record["value"] == "10 mail.clinic.test."));
    daemon.done(Request::Domain(DomainRequest::Remove { domain: domain() })).await;
    assert_eq!(daemon.directory.domains().len(), 1);
}

/// The value of the record of this name, and how many there are.
fn values(view: &serde_json::Value, name: &str) -> Vec<String> {
    let records = view["records"].as_array().unwrap().iter();
    let of_name = records.filter(|record| record["name"] == name);
    of_name.map(|record| record["value"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_domain_is_told_what_to_publish() {
    let daemon = Daemon::start().await;
    let show = |domain: &str| {
        Request::Domain(DomainRequest::Show { domain: Domain::parse(domain).unwrap() })
    };
    assert_eq!(daemon.refused(show("other.test")).await, FailureKind::NotFound);
    let second = Domain::parse("second.test").unwrap();
    daemon.done(Request::Domain(DomainRequest::Add { domain: second })).await;
    let (first, second) = (
        object(&daemon.done(show("clinic.test")).await),
        object(&daemon.done(show("second.test")).await),
    );
    for (view, domain) in [(&first, "clinic.test"), (&second, "second.test")] {
        let value = |name: &str| values(view, &format!("{name}.{domain}")).join("|");
        assert_eq!(value("_smtp._tls"), format!("v=TLSRPTv1; rua=mailto:tls-reports@{domain}"));
        let dmarc = value("_dmarc");
        assert!(dmarc.ends_with(&format!("rua=mailto:dmarc-reports@{domain}")), "{dmarc}");
        assert_eq!(value("mta-sts"), "mail.clinic.test.");
        assert!(value("_mta-sts").starts_with("v=STSv1; id="));
    }
    // The keys of the host are in the list of the domain that it lies in, and there alone.
    assert_eq!(values(&first, "_25._tcp.mail.clinic.test").len(), 1);
    assert!(values(&second, "_25._tcp.mail.clinic.test").is_empty());
    let notes = first["notes"].to_string();
    assert!(notes.contains("self-signed") && notes.contains("DNSSEC"), "{notes}");
    let status = object(&daemon.done(Request::Status).await);
    assert_eq!(status["mta_sts"], "testing");
    assert!(status["warnings"][0].as_str().unwrap().contains("self-signed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tls_key_rolls_over_when_its_record_is_there() {
    let daemon = Daemon::start().await;
    let tls = Request::Tls;
    let roll = || tls(TlsRequest::Roll { force: false });
    assert_eq!(daemon.refused(roll()).await, FailureKind::Refused, "there is no next key");
    let next = || tls(TlsRequest::NextKey { csr: true, replace: false });
    let made = object(&daemon.done(next()).await);
    assert!(made["csr"].as_str().unwrap().starts_with("-----BEGIN CERTIFICATE REQUEST-----"));
    let records: Vec<String> =
        (0..2).map(|n| made["keys"][n]["record"]["value"].as_str().unwrap().to_owned()).collect();
    assert_eq!(
        (&made["keys"][0]["role"], &made["keys"][1]["role"]),
        (&"current".into(), &"next".into())
    );
    let again = object(&daemon.done(next()).await);
    assert_eq!(again["keys"][1]["record"]["value"], *records[1]);

    assert_eq!(daemon.refused(roll()).await, FailureKind::Refused, "it is not published");
    let published: Vec<Tlsa> = records.iter().map(|record| record.parse().unwrap()).collect();
    let host = daemon.program.hostname.clone();
    daemon.dns.set_tlsa(&host, 25, &published, Duration::from_secs(3600));
    assert_eq!(daemon.refused(roll()).await, FailureKind::Refused, "others do not know it yet");
    let waiting = object(&daemon.done(tls(TlsRequest::Show)).await);
    assert!(waiting["next_steps"][0].as_str().unwrap().contains("wait for that"));

    let before = daemon.program.tls.certificate().public_key_info;
    let rolled = object(&daemon.done(tls(TlsRequest::Roll { force: true })).await);
    assert_ne!(daemon.program.tls.certificate().public_key_info, before);
    let roles: Vec<_> = rolled["keys"].as_array().unwrap().iter().map(|key| &key["role"]).collect();
    assert_eq!(roles, ["current", "old"]);
    assert_eq!(rolled["keys"][0]["record"]["value"], *records[1]);
    assert_eq!(rolled["keys"][1]["record"]["value"], *records[0]);
    assert!(!rolled.to_string().contains("PRIVATE KEY"));
}

#[tokio::test(flavor = "multi_thread")]
async fn dkim_keys_rotate_when_their_records_are_there() {
    let daemon = Daemon::start().await;
    let domain = || Domain::parse("clinic.test").unwrap();
    let dkim = |request| Request::Domain(DomainRequest::Dkim { domain: domain(), request });
    let rotate = |now| dkim(DkimRequest::Rotate { now, force: false });
    let made = object(&daemon.done(rotate(false)).await);
    assert_eq!(made["pairs"][1]["stage"], "waiting");
    assert_eq!(made["records"].as_array().unwrap().len(), 4);
    assert_eq!(daemon.refused(rotate(true)).await, FailureKind::Refused, "not published");
    for record in made["records"].as_array().unwrap() {
        let name = Domain::parse(record["name"].as_str().unwrap()).unwrap();
        daemon.dns.set_txt(&name, record["value"].as_str().unwrap());
    }
    let signs = |view: &serde_json::Value| {
        let pairs = view["pairs"].as_array().unwrap().iter();
        pairs
            .filter(|pair| pair["stage"] == "signing")
            .map(|pair| pair["selectors"][0].clone())
            .collect::<Vec<_>>()
    };
    let shown = object(&daemon.done(dkim(DkimRequest::Show)).await);
    assert_eq!(signs(&shown), ["wp1-ed25519"]);
    let rotated = object(&daemon.done(rotate(true)).await);
    assert_eq!(signs(&rotated), ["wp2-ed25519"]);
    assert_eq!(rotated["records"].as_array().unwrap().len(), 4, "the old ones stay");
    let forced = dkim(DkimRequest::Rotate { now: false, force: true });
    assert_eq!(signs(&object(&daemon.done(forced).await)), ["wp3-ed25519"]);
    assert!(
        daemon.directory.dkim_keys(&domain()).iter().all(|key| key.selector.starts_with("wp3"))
    );
}

fn pin(spec: PinSpec) -> Request {
    Request::Pin(PinRequest::Add(Box::new(spec)))
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_for_domains_are_set_shown_and_removed() {
    let daemon = Daemon::start().await;
    let lab =
        || PinSpec { pattern: "lab.example".into(), set_by: "kim".into(), ..PinSpec::default() };
    assert_eq!(daemon.refused(pin(lab())).await, FailureKind::Refused);
    let nowhere = PinSpec { pattern: "not a domain".into(), pickup: true, ..lab() };
    assert_eq!(daemon.refused(pin(nowhere)).await, FailureKind::BadRequest);

    let exception = || PinSpec { allow_unverified: true, ..lab() };
    assert_eq!(daemon.refused(pin(exception())).await, FailureKind::Refused);
    let endless = PinSpec { reason: "old server".into(), ..exception() };
    assert_eq!(daemon.refused(pin(endless.clone())).await, FailureKind::Refused);
    let far = PinSpec { expires: Some("400d".into()), ..endless.clone() };
    assert_eq!(daemon.refused(pin(far)).await, FailureKind::Refused);
    let set = PinSpec { expires: Some("90d".into()), ..endless };
    let set = object(&daemon.done(pin(set)).await);
    assert_eq!((&set["exception"], &set["set_by"]), (&true.into(), &"kim".into()));
    assert!(set["notes"].to_string().contains("DANE or an enforced MTA-STS"), "{set}");

    let replaced = daemon.done(pin(PinSpec { pickup: true, ..lab() })).await;
    assert!(replaced.to_string().contains("in place of the rule that kim set"), "{replaced}");
    let list = object(&daemon.done(Request::Pin(PinRequest::List)).await);
    assert_eq!((list.as_array().unwrap().len(), &list[0]["pickup"]), (1, &true.into()));
    let shown = || Request::Pin(PinRequest::Show { pattern: "LAB.example".into() });
    assert_eq!(object(&daemon.done(shown()).await)["pattern"], "lab.example");
    daemon.done(Request::Pin(PinRequest::Remove { pattern: "lab.example".into() })).await;
    assert_eq!(daemon.refused(shown()).await, FailureKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_smarthost_s_password_is_kept_and_never_shown() {
    let daemon = Daemon::start().await;
    let login = LoginSpec { user: "clinic".into(), password: secret("s3cret-relay") };
    let smarthost = SmarthostSpec {
        host: Domain::parse("relay.isp.example").unwrap(),
        port: 587,
        login: Some(login),
        trusted_onward: false,
    };
    let any = PinSpec {
        pattern: "*".into(),
        smarthost: Some(smarthost),
        set_by: "kim".into(),
        ..PinSpec::default()
    };
    let set = daemon.done(pin(any)).await;
    assert!(set.to_string().contains("REQUIRETLS"), "{set}");
    assert!(set.to_string().contains("business associate"), "{set}");
    let list = daemon.done(Request::Pin(PinRequest::List)).await;
    for text in [set.to_string(), set.json().unwrap(), list.to_string(), list.json().unwrap()] {
        assert!(text.contains("relay.isp.example") && !text.contains("s3cret"), "{text}");
    }
    // A narrower rule without it takes its domain away from the smarthost, and says so.
    let lab = PinSpec {
        pattern: "lab.example".into(),
        certificates: vec!["ab".repeat(32)],
        set_by: "kim".into(),
        ..PinSpec::default()
    };
    let lab = daemon.done(pin(lab)).await.to_string();
    assert!(lab.contains("does not go by the smarthost of the rule for * any more"), "{lab}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_not_to_be_there() {
    let daemon = Daemon::start().await;
    for request in [
        Request::Queue(QueueRequest::Show { id: QueueId(7) }),
        Request::Queue(QueueRequest::Retry { id: QueueId(7) }),
        Request::Queue(QueueRequest::Drop { id: QueueId(7) }),
        Request::Parcel(ParcelRequest::Show { id: "x".into() }),
        Request::Parcel(ParcelRequest::Recall { id: "0".repeat(32) }),
        Request::Parcel(ParcelRequest::Code { recipient: address("p@home.test") }),
        Request::Account(AccountRequest::Show { account: "nobody@clinic.test".into() }),
        Request::Account(AccountRequest::Show { account: "not an address".into() }),
    ] {
        assert_eq!(daemon.refused(request).await, FailureKind::NotFound);
    }
    let list = Request::Queue(QueueRequest::List { after: None, limit: usize::MAX, ended: false });
    assert_eq!(object(&daemon.done(list).await), serde_json::json!([]));
    assert_eq!(object(&daemon.done(Request::Status).await)["accounts"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_is_private_and_a_second_daemon_is_turned_away() {
    let daemon = Daemon::start().await;
    let mode = std::fs::metadata(&daemon.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let store = Store::in_memory();
    let domain = Domain::parse("clinic.test").unwrap();
    let directory = Directory::open(store.clone(), &domain).await.unwrap();
    let admin = Admin::new(Parts {
        removal: Arc::new(FakeRemoval::new(directory.clone())),
        directory,
        queue: Queue::open(store.clone(), wardpost_queue::Options::default()).await.unwrap(),
        parcels: Parcels::open(store.clone(), wardpost_parcel::Options::default()),
        pins: Pins::open(store.clone()).unwrap(),
        floor: TlsGrade::T3,
        wall: Wall::open(store.clone()).unwrap(),
        reports: reports(&store),
        reporter: Arc::new(Nobody),
        policies: policies(store.clone()),
        keys: KeyPlan::open(store).unwrap(),
        own: Arc::new(FakeOwn::new()),
        host: Arc::<Program>::clone(&daemon.program),
        routes: Arc::new(Everywhere),
        certifier: None,
    });
    let second = wardpost_admin::serve(&daemon.socket, Arc::new(admin), std::future::pending());
    assert!(matches!(second.err(), Some(ServeError::Running(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_answered_without_quoting_it_and_too_much_of_it_ends_the_conversation() {
    let daemon = Daemon::start().await;
    let socket = daemon.socket.clone();
    let said = tokio::task::spawn_blocking(move || {
        let mut peer = UnixStream::connect(&socket).unwrap();
        peer.write_all(b"{\"account\":{\"add\":{\"password\":\"hunter2\"}}}\n").unwrap();
        let mut said = vec![0; 4096];
        let length = peer.read(&mut said).unwrap();
        said.truncate(length);
        // More than a request may hold: the daemon hangs up.
        let _ = peer.write_all(&vec![b'x'; 1 << 20]);
        let mut rest = Vec::new();
        let _ = peer.read_to_end(&mut rest);
        assert!(rest.is_empty());
        String::from_utf8(said).unwrap()
    });
    let said = said.await.unwrap();
    assert!(said.contains("bad-request") && !said.contains("hunter2"), "{said}");
    // And it still serves others.
    daemon.done(Request::Status).await;
}

#[test]
fn nobody_there_is_said_in_words() {
    let error = Client::connect(Path::new("/nonexistent/admin.sock")).err().unwrap();
    assert!(error.to_string().contains("the Wardpost daemon is not running"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_of_others_are_listed() {
    let daemon = Daemon::start().await;
    let answer = daemon.done(Request::Sts(StsRequest::List)).await;
    assert_eq!(answer.to_string(), "DOMAIN  MODE  FETCHED  ENDS  PROBLEM\n");
    assert_eq!(answer.json().unwrap(), "[]");
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_about_us_are_shown_with_what_to_do() {
    let daemon = Daemon::start().await;
    let ours = [Domain::parse("clinic.test").unwrap()];
    for (signer, id) in [("big.test", "one"), ("evil.test", "two")] {
        let mail = format!(
            "From: <tls@big.test>\r\nTLS-Report-Submitter: big.test\r\n\
             Content-Type: application/tlsrpt+json\r\n\r\n\
             {{\"organization-name\":\"Big\",\"report-id\":\"{id}\",\"date-range\":\
             {{\"start-datetime\":\"2016-04-01T00:00:00Z\",\"end-datetime\":\"2016-04-01T23:59:59Z\"}},\
             \"policies\":[{{\"policy\":{{\"policy-type\":\"sts\",\"policy-domain\":\"clinic.test\"}},\
             \"summary\":{{\"total-successful-session-count\":9,\"total-failure-session-count\":4}},\
             \"failure-details\":[{{\"result-type\":\"certificate-expired\",\
             \"receiving-mx-hostname\":\"mail.clinic.test\",\"failed-session-count\":4}}]}}]}}\r\n"
        );
        let arrived = Arrived {
            kind: ReportKind::Tls,
            message: mail.as_bytes(),
            signed_by: &[Domain::parse(signer).unwrap()],
            dmarc_passed: false,
            ours: &ours,
        };
        daemon.reports.take_in(arrived).await.unwrap();
    }
    let answer = daemon.done(Request::Report(ReportRequest::Tls { days: 7 })).await;
    let text = answer.to_string();
    assert!(text.contains("9 sessions without fault, 4 failed (1 reports)"), "{text}");
    assert!(
        text.contains("certificate-expired: 4 sessions\n  our certificate has expired"),
        "{text}"
    );
    assert!(text.contains("4 times from somewhere to mail.clinic.test"), "{text}");
    let (proven, unproven) = text.split_once("nothing proves").unwrap();
    assert!(proven.contains("2016-04-01") && unproven.contains("2016-04-01"), "{text}");
    let json = object(&answer);
    assert_eq!(json["failure"], 4);
    assert_eq!(json["failures"][0]["kind"], "certificate-expired");
    let answer = daemon.done(Request::Report(ReportRequest::Dmarc { days: 7 })).await;
    assert!(answer.to_string().contains("0 messages proven to be ours"), "{answer}");
    let answer = daemon.done(Request::Report(ReportRequest::SendNow)).await;
    assert_eq!(answer.to_string(), "3 domains were counted, 2 reports made, 1 still wait\n");
}
