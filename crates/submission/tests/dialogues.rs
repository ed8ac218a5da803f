//! Every file in `dialogues/` is played against the service on a loopback connection, with a store in
//! memory: `….tls.txt` on a connection that begins with the handshake (465), the others on one that
//! begins in clear (587). The `=` lines there:
//!
//! - `queued 1`: how many messages wait in the queue;
//! - `routes direct local`: the routes of the first one's recipients;
//! - `floors T3 T4`: the floors of those that go directly;
//! - `has TEXT`, `lacks TEXT`: the first one's text.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

#[path = "../../smtp-io/tests/support/dialogue.rs"]
mod dialogue;

use dialogue::{Checks, play};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::{TcpListener, TcpStream};
use wardpost_directory::{Directory, DkimAlgorithm, NewAccount, Options};
use wardpost_mail::{Address, Domain, Secret, TlsGrade};
use wardpost_net::{Accepted, ServerTls, Shutdown, Stream};
use wardpost_pins::{Draft, Pin, Pins};
use wardpost_policy::{OutboundRules, Route};
use wardpost_queue::{ItemView, Queue};
use wardpost_signer::{Algorithm, Signer, SigningKey};
use wardpost_smtp_io::{Start, Timing};
use wardpost_store::Store;
use wardpost_submission::{Settings, Submission};
use wardpost_verdict::Floor;

const PASSWORD: &str = "a kettle on the blue shelf";

/// A practice of two with its submission ports.
struct Practice {
    submission: Arc<Submission>,
    queue: Queue,
    _certificate: tempfile::TempDir,
}

fn settings() -> Settings {
    Settings {
        hostname: Domain::parse("mail.clinic.test").unwrap(),
        domain: Domain::parse("clinic.test").unwrap(),
        max_size: 100_000,
        max_recipients: 100,
        memory: 1_000_000,
        rules: OutboundRules::default(),
        timing: Timing {
            idle: Duration::from_secs(20),
            session: Duration::from_secs(60),
            memory: Duration::from_millis(200),
        },
    }
}

/// Signs with whatever keys the directory has for a domain.
fn signer(directory: &Directory) -> Arc<Signer> {
    let directory = directory.clone();
    Arc::new(Signer::from_source(move |domain| {
        let signing_key = |key: wardpost_directory::DkimKey| SigningKey {
            domain: domain.clone(),
            selector: key.selector,
            algorithm: match key.algorithm {
                DkimAlgorithm::Ed25519 => Algorithm::Ed25519,
                DkimAlgorithm::Rsa2048 => Algorithm::Rsa2048,
            },
            private_pkcs8: key.private_pkcs8,
        };
        directory.dkim_keys(domain).into_iter().map(signing_key).collect()
    }))
}

/// `always-pickup.test` and all below `strict.test` have rules of their own.
async fn pins(store: &Store) -> Pins {
    let pins = Pins::open(store.clone()).unwrap();
    let draft = |pattern: &str| Draft::new(pattern.parse().unwrap(), "a test");
    for draft in [
        Draft { pickup: true, ..draft("always-pickup.test") },
        Draft { floor: Some(TlsGrade::T4), ..draft("*.strict.test") },
    ] {
        let pin = Pin::new(draft, Floor::default(), SystemTime::now()).unwrap();
        pins.set(pin).await.unwrap();
    }
    pins
}

impl Practice {
    async fn open() -> Self {
        let settings = settings();
        let store = Store::in_memory();
        let domain = settings.domain.clone();
        let directory =
            Directory::open_with(store.clone(), &domain, Options::for_tests()).await.unwrap();
        directory.initialise().await.unwrap();
        for name in ["dana", "lee"] {
            let address = Address::parse(&format!("{name}@{domain}")).unwrap();
            let password = Secret::new(PASSWORD.to_owned());
            let name = String::new();
            let new = NewAccount { address, name, password, administrator: false };
            directory.add_account(new).await.unwrap();
        }
        let pins = pins(&store).await;
        let queue = Queue::open(store, wardpost_queue::Options::default()).await.unwrap();
        let certificate = tempfile::tempdir().unwrap();
        let tls = ServerTls::self_signed(certificate.path(), &settings.hostname).unwrap();
        let signer = signer(&directory);
        let submission = Submission::new(settings, tls, directory, queue.clone(), signer, pins);
        Self { submission, queue, _certificate: certificate }
    }

    /// A client's end of a new connection.
    async fn connect(&self, start: Start) -> Stream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        let local = server.local_addr().unwrap();
        let accepted = Accepted { stream: Stream::Plain(server), peer, local };
        let (submission, shutdown) = (Arc::clone(&self.submission), Shutdown::new());
        tokio::spawn(async move {
            match start {
                Start::Plain => submission.serve_starttls(accepted, shutdown).await,
                Start::ImplicitTls => submission.serve_tls(accepted, shutdown).await,
            }
        });
        Stream::Plain(client)
    }

    fn items(&self) -> Vec<ItemView> {
        self.queue.list(None, 100).unwrap()
    }

    fn first(&self) -> String {
        let id = self.items()[0].id;
        String::from_utf8(self.queue.message(id).unwrap()).unwrap()
    }
}

impl Checks for Practice {
    async fn check(&mut self, what: &str) {
        let (kind, rest) = what.split_once(' ').unwrap();
        match kind {
            "queued" => assert_eq!(self.items().len().to_string(), rest),
            "routes" => {
                let items = self.items();
                let routes: Vec<&str> =
                    items[0].recipients.iter().map(|r| r.route.name()).collect();
                assert_eq!(routes.join(" "), rest);
            }
            "floors" => {
                let items = self.items();
                let floors = items[0].recipients.iter().filter_map(|r| match r.route {
                    Route::Direct { floor } => Some(floor.name()),
                    _ => None,
                });
                assert_eq!(floors.collect::<Vec<_>>().join(" "), rest);
            }
            "has" => assert!(self.first().contains(rest), "{what}:\n{}", self.first()),
            "lacks" => assert!(!self.first().contains(rest), "{what}:\n{}", self.first()),
            _ => panic!("what is {what:?}?"),
        }
    }
}

#[tokio::test]
async fn all_dialogues() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dialogues");
    let mut played = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let start = if name.ends_with(".tls.txt") { Start::ImplicitTls } else { Start::Plain };
        let mut practice = Practice::open().await;
        let client = practice.connect(start).await;
        play(&name, &text, client, &mut practice).await;
        played += 1;
    }
    assert!(played >= 5);
}

#[tokio::test]
async fn plaintext_on_the_tls_port_gets_nothing() {
    let mut practice = Practice::open().await;
    let client = practice.connect(Start::ImplicitTls).await;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let Stream::Plain(mut tcp) = client else { panic!("TLS already") };
    tcp.write_all(b"EHLO x\r\n").await.unwrap();
    let mut heard = Vec::new();
    let _ = tcp.read_to_end(&mut heard).await;
    assert!(!heard.windows(3).any(|three| three == b"220"), "{heard:?}");
    practice.check("queued 0").await;
}
