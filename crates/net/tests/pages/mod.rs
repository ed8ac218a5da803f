//! A web server on loopback that shows what a test tells it to, good or bad.

#![allow(dead_code, reason = "each test program uses a part of it")]

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use wardpost_verdict::Roots;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// What the server shows as its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// One of the trusted authority's.
    Good,
    /// The same, and its time is over.
    Expired,
    /// The same, and its time has not come.
    Early,
    /// Its own.
    SelfSigned,
}

/// How the server answers.
#[derive(Debug, Clone)]
pub(crate) enum Page {
    /// These octets, then the end.
    Raw(Vec<u8>),
    /// These octets, then the same chunk for ever.
    Endless(Vec<u8>, Vec<u8>),
    /// These octets, then one octet of a body every now and then.
    Drip(Vec<u8>),
    /// Nothing at all; the connection stays.
    Silence,
    /// These octets, when somebody lets it.
    Later(Vec<u8>, Arc<tokio::sync::Notify>),
}

impl Page {
    /// A text with status 200.
    pub(crate) fn text(body: &str) -> Self {
        Self::of("200 OK", "text/plain", body)
    }

    /// An answer with a type and a length.
    pub(crate) fn of(status: &str, content_type: &str, body: &str) -> Self {
        Self::Raw(raw(status, content_type, body))
    }
}

pub(crate) fn raw(status: &str, content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The server.
pub(crate) struct Pages {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The authority that it has good certificates from.
    pub(crate) roots: Roots,
    ca: CertifiedIssuer<'static, KeyPair>,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

struct State {
    page: Mutex<Page>,
    tls: Mutex<Arc<ServerConfig>>,
    connections: AtomicUsize,
    requests: Mutex<Vec<Vec<u8>>>,
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Pages {
    /// Starts a server for `host`.
    pub(crate) async fn start(host: &str, page: Page) -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, "Trusted Root");
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut roots = Roots::new();
        roots.add(ca.der()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            page: Mutex::new(page),
            tls: Mutex::new(identity(&ca, host, Shown::Good)),
            connections: AtomicUsize::new(0),
            requests: Mutex::default(),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&state)));
        Self { address, roots, ca, state, task }
    }

    /// Shows another certificate from now on.
    pub(crate) fn show(&self, host: &str, shown: Shown) {
        *self.state.tls.lock().unwrap() = identity(&self.ca, host, shown);
    }

    /// Answers otherwise from now on.
    pub(crate) fn answer(&self, page: Page) {
        *self.state.page.lock().unwrap() = page;
    }

    /// The requests that came, each whole.
    pub(crate) fn requests(&self) -> Vec<String> {
        let requests = self.state.requests.lock().unwrap();
        requests.iter().map(|request| String::from_utf8_lossy(request).into_owned()).collect()
    }

    /// How many connections came.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }
}

fn identity(ca: &CertifiedIssuer<'_, KeyPair>, host: &str, shown: Shown) -> Arc<ServerConfig> {
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    let now = SystemTime::now();
    match shown {
        Shown::Expired => {
            (params.not_before, params.not_after) = ((now - 9 * DAY).into(), (now - DAY).into());
        }
        Shown::Early => {
            (params.not_before, params.not_after) = ((now + DAY).into(), (now + 9 * DAY).into());
        }
        Shown::Good | Shown::SelfSigned => {}
    }
    let key = KeyPair::generate().unwrap();
    let certificate = match shown {
        Shown::SelfSigned => params.self_signed(&key).unwrap(),
        _ => params.signed_by(&key, ca).unwrap(),
    };
    let chain = vec![CertificateDer::from(certificate.der().to_vec())];
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(config)
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((tcp, _)) = listener.accept().await {
        state.connections.fetch_add(1, Ordering::SeqCst);
        let acceptor = TlsAcceptor::from(Arc::clone(&state.tls.lock().unwrap()));
        let state = Arc::clone(&state);
        // Whoever goes away in the middle has seen what the test wants to know about.
        tokio::spawn(async move {
            if let Ok(stream) = acceptor.accept(tcp).await {
                let _ = serve(stream, &state).await;
            }
        });
    }
}

async fn serve(mut stream: TlsStream<TcpStream>, state: &State) -> std::io::Result<()> {
    let request = request(&mut stream).await?;
    state.requests.lock().unwrap().push(request);
    let page = state.page.lock().unwrap().clone();
    match page {
        Page::Raw(octets) => stream.write_all(&octets).await?,
        Page::Endless(head, chunk) => {
            stream.write_all(&head).await?;
            loop {
                stream.write_all(&chunk).await?;
            }
        }
        Page::Drip(head) => {
            stream.write_all(&head).await?;
            loop {
                stream.write_all(b"1\r\nx\r\n").await?;
                stream.flush().await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Page::Silence => std::future::pending().await,
        Page::Later(octets, let_it) => {
            let_it.notified().await;
            stream.write_all(&octets).await?;
        }
    }
    stream.shutdown().await
}

/// Reads a request with its body.
async fn request(stream: &mut TlsStream<TcpStream>) -> std::io::Result<Vec<u8>> {
    let mut request = Vec::new();
    loop {
        if let Some(head) = request.windows(4).position(|w| w == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&request[..head]).to_ascii_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
            if request.len() >= head + 4 + length {
                return Ok(request);
            }
        }
        if stream.read_buf(&mut request).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}
