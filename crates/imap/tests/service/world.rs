//! An IMAP service in this process, with one account, and a client for it.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wardpost_directory::{Directory, NewAccount, Options};
use wardpost_imap::{Imap, Settings};
use wardpost_mail::{AccountId, Address, Domain, Secret};
use wardpost_mailbox::{Destination, Mailboxes, SpecialUse};
use wardpost_net::{Limits, Listeners, ServerTls, Shutdown};
use wardpost_store::Store;

/// The account's password.
pub(crate) const PASSWORD: &str = "correct horse battery";
/// The account's address.
pub(crate) const ADDRESS: &str = "dana@clinic.test";
/// INTERNALDATE of delivered mail: 2026-05-01 08:00 UTC.
const DELIVERED: i64 = 1_777_622_400;
/// How long an expected line may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The service.
pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) directory: Directory,
    pub(crate) mailboxes: Mailboxes,
    pub(crate) account: AccountId,
    pub(crate) shutdown: Shutdown,
    pub(crate) imap: Arc<Imap>,
    certificates: TempDir,
}

impl World {
    /// Starts the service on a free port of the loopback.
    pub(crate) async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    /// Starts it with other settings.
    pub(crate) async fn with(settings: Settings) -> Self {
        let (store, domain) = (Store::in_memory(), Domain::parse("clinic.test").unwrap());
        let options = Options { grace: Duration::from_millis(100), ..Options::for_tests() };
        let directory = Directory::open_with(store.clone(), &domain, options).await.unwrap();
        directory.initialise().await.unwrap();
        let new = NewAccount {
            address: Address::parse(ADDRESS).unwrap(),
            name: "Dana".into(),
            password: Secret::new(PASSWORD.into()),
            administrator: false,
        };
        let account = directory.add_account(new).await.unwrap();
        let mailboxes = Mailboxes::new(store);
        let certificates = tempfile::tempdir().unwrap();
        let host = Domain::parse("localhost").unwrap();
        let tls = ServerTls::self_signed(certificates.path(), &host).unwrap();
        let imap = Imap::new(settings, directory.clone(), mailboxes.clone(), tls);
        let listeners = Listeners::bind("imaps", &["127.0.0.1:0".parse().unwrap()]).unwrap();
        let address = listeners.local_addrs()[0];
        let shutdown = Shutdown::new();
        let (served, stopped) = (Arc::clone(&imap), shutdown.clone());
        tokio::spawn(listeners.run(
            Limits { total: 1000, per_ip: 1000 },
            shutdown.clone(),
            |_| Vec::new(),
            move |accepted| Arc::clone(&served).serve(accepted, stopped.clone()),
        ));
        Self { address, directory, mailboxes, account, shutdown, imap, certificates }
    }

    /// The certificate to trust, a PEM file.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.certificates.path().join("self-signed.pem")
    }

    /// Delivers a message to INBOX.
    pub(crate) async fn deliver(&self, raw: impl Into<Vec<u8>>) {
        let to = Destination {
            account: self.account,
            certificate: self.directory.certificate(self.account).unwrap(),
            mailbox: SpecialUse::Inbox,
        };
        self.mailboxes.deliver(raw.into(), &[to], DELIVERED).await.unwrap();
    }

    /// A client that has shaken hands and nothing more.
    pub(crate) async fn connect(&self) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.certificate()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tcp = TcpStream::connect(self.address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let name = "localhost".try_into().unwrap();
        let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
        Client(BufReader::new(tls))
    }

    /// A client that has logged in.
    pub(crate) async fn client(&self) -> Client {
        let mut client = self.connect().await;
        client.line().await;
        client.run("login", &format!("LOGIN {ADDRESS} \"{PASSWORD}\"")).await;
        client
    }
}

/// A client.
pub(crate) struct Client(BufReader<TlsStream<TcpStream>>);

impl Client {
    /// The next line without its end; empty when the server has closed.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.0.read_until(b'\n', &mut line));
        match read.await {
            // A close without TLS's own close is a close.
            Ok(_) => {}
            Err(_) => panic!("no line within {PATIENCE:?}"),
        }
        String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()
    }

    /// Whether a line arrives within this time.
    pub(crate) async fn hears_nothing(&mut self, within: Duration) -> bool {
        tokio::time::timeout(within, self.0.fill_buf()).await.is_err()
    }

    /// Sends octets.
    pub(crate) async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(octets.as_ref()).await.unwrap();
        self.0.get_mut().flush().await.unwrap();
    }

    /// Sends a command and gives all lines up to its tagged answer, which must be OK.
    pub(crate) async fn run(&mut self, tag: &str, command: &str) -> Vec<String> {
        self.send(format!("{tag} {command}\r\n")).await;
        let mut lines = Vec::new();
        loop {
            let line = self.line().await;
            let end = line.starts_with(&format!("{tag} "));
            assert!(!line.is_empty() || !lines.is_empty(), "closed during {command}");
            lines.push(line);
            if end {
                let last = &lines[lines.len() - 1];
                assert!(last.starts_with(&format!("{tag} OK")), "{command}: {last}");
                return lines;
            }
        }
    }
}
