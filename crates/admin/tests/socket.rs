//! The control socket, from the asking end: real requests to a daemon's worth of state in memory.

// A test that cannot go on says so by panicking.
#![allow(clippy::unwrap_used)]

use async_trait::async_trait;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use wardpost_admin::{
    AccountRequest, Admin, AliasRequest, Answer, AppPasswordRequest, CertificateView, Client,
    ClientError, DomainRequest, ExceptionRequest, FailureKind, Host, ListenerView, ParcelRequest,
    Parts, QueueRequest, ReportRequest, Request, RouteExplainer, RouteView, ServeError, StsRequest,
};
use wardpost_directory::{Directory, Options, Resolution};
use wardpost_dns::FakeResolver;
use wardpost_mail::{Address, Domain, QueueId, Secret};
use wardpost_mailbox::Mailboxes;
use wardpost_net::Https;
use wardpost_parcel::Parcels;
use wardpost_queue::Queue;
use wardpost_store::Store;
use wardpost_sts::Policies;
use wardpost_verdict::Roots;
use wardpost_wall::Wall;

const PASSWORD: &str = "nineteen blue otters";

struct Program {
    hostname: Domain,
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

struct Daemon {
    socket: PathBuf,
    _directory: tempfile::TempDir,
    directory: Directory,
    program: Arc<Program>,
}

impl Daemon {
    async fn start() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let socket = temporary.path().join("admin.sock");
        let store = Store::in_memory();
        let domain = Domain::parse("clinic.test").unwrap();
        let directory =
            Directory::open_with(store.clone(), &domain, Options::for_tests()).await.unwrap();
        let program = Arc::new(Program { hostname: Domain::parse("mail.clinic.test").unwrap() });
        let admin = Admin::new(Parts {
            directory: directory.clone(),
            mailboxes: Mailboxes::new(store.clone()),
            queue: Queue::open(store.clone(), wardpost_queue::Options::default()).await.unwrap(),
            parcels: Parcels::open(store.clone(), wardpost_parcel::Options::default()),
            wall: Wall::open(store.clone()).unwrap(),
            policies: policies(store),
            host: Arc::<Program>::clone(&program),
            routes: Arc::new(Everywhere),
        });
        let serving = wardpost_admin::serve(&socket, Arc::new(admin), std::future::pending());
        tokio::spawn(serving.unwrap());
        Self { socket, _directory: temporary, directory, program }
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
    Request::Account(AccountRequest::Add { address, name: "D".into(), password: secret(password) })
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
    assert!(daemon.directory.authenticate("dana@clinic.test", &new, peer).await.is_ok());
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
    assert!(daemon.directory.authenticate("dana", &made, peer).await.is_ok());

    let app = |request| Request::Account(AccountRequest::AppPassword(request));
    let list = AppPasswordRequest::List { account: "dana".into() };
    let list = object(&daemon.done(app(list)).await);
    assert_eq!(list[0]["label"], "phone");
    let slot = u32::try_from(list[0]["slot"].as_u64().unwrap()).unwrap();
    let remove = AppPasswordRequest::Remove { account: "dana".into(), slot };
    daemon.done(app(remove)).await;
    assert!(daemon.directory.authenticate("dana", &made, peer).await.is_err());
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
        directory,
        mailboxes: Mailboxes::new(store.clone()),
        queue: Queue::open(store.clone(), wardpost_queue::Options::default()).await.unwrap(),
        parcels: Parcels::open(store.clone(), wardpost_parcel::Options::default()),
        wall: Wall::open(store.clone()).unwrap(),
        policies: policies(store),
        host: Arc::<Program>::clone(&daemon.program),
        routes: Arc::new(Everywhere),
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
