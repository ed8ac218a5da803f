//! A small HTTPS client: for other domains' MTA-STS policies (GET), for reports about TLS (POST), and for
//! talking to a certificate authority.
//!
//! One request, one connection, HTTP/1.1 by hyper. The host's certificate is verified in the
//! handshake, by the public authorities and those in `[transport] extra_roots`; no octet of HTTP is
//! sent before. The caller looks the addresses up, and they are tried in order until one completes a
//! handshake; from then on that one's answer is the answer.
//!
//! Everything a stranger's server sends is bounded: header fields by [`MAX_HEAD`], the body by the
//! caller's limit, and all of it by the caller's time.
//!
//! Left out on purpose: redirects (a status of 3xx is an answer like any other, RFC 8461 §3.3),
//! cookies, proxies, caches, compression, HTTP/2, kept connections, and a way to turn verification off.

use crate::certificate::PROVIDER;
use crate::server::TlsError;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1::Builder;
use hyper::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderName,
    HeaderValue, USER_AGENT,
};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::{CertificateError, ClientConfig, Error, RootCertStore};
use rustls_pki_types::ServerName;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wardpost_mail::Domain;
use wardpost_verdict::Roots;

/// The port of HTTPS.
const HTTPS: u16 = 443;
/// Most octets of a status line with its header fields.
const MAX_HEAD: usize = 16 * 1024;
/// Most header fields.
const MAX_FIELDS: usize = 64;
/// Addresses of one host that are tried.
const MAX_ADDRESSES: usize = 8;
/// How long one address may take to connect and shake hands before the next is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest text kept of an error: some quote what a stranger sent.
const MAX_REASON: usize = 200;

/// The client. Clones share their settings, and nothing else: each request is on its own.
#[derive(Clone)]
pub struct Https {
    config: Arc<ClientConfig>,
}

impl fmt::Debug for Https {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Https")
    }
}

/// Where a request goes.
#[derive(Debug, Clone, Copy)]
pub struct HttpsTarget<'a> {
    /// The host: asked for in the handshake (SNI), demanded of the certificate, and named in `Host`.
    pub host: &'a Domain,
    /// Its addresses, best first, with the port.
    pub addresses: &'a [SocketAddr],
    /// Path and query, from the slash on.
    pub path: &'a str,
}

/// How much an answer may take.
#[derive(Debug, Clone, Copy)]
pub struct HttpsLimits {
    /// Most octets of its body.
    pub body: usize,
    /// How long everything may take, from the first connection on.
    pub time: Duration,
}

/// An answer, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpsResponse {
    /// The status, such as 200.
    pub status: u16,
    /// The `Content-Type`, if there is exactly one and it is ASCII.
    pub content_type: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl HttpsResponse {
    /// Whether the body is of this media type, parameters aside (RFC 9110 §8.3.1). An answer that
    /// does not say what it is is of no type.
    pub fn is_of_type(&self, media_type: &str) -> bool {
        let essence = self.content_type.as_deref().and_then(|value| value.split(';').next());
        essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(media_type))
    }
}

/// Why there is no answer. Displays no host names.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HttpsError {
    /// The host's certificate does not verify; nothing was said to it.
    #[error("{0}")]
    Certificate(String),
    /// There is no address to connect to.
    #[error("the host has no address")]
    NoAddress,
    /// No connection could be made.
    #[error("no connection: {0}")]
    Connect(String),
    /// The TLS handshake failed for another reason than the certificate.
    #[error("the TLS handshake failed: {0}")]
    Tls(String),
    /// It took too long.
    #[error("it took too long")]
    TimedOut,
    /// The answer is larger than was allowed for.
    #[error("the answer is too large")]
    TooLarge,
    /// The answer is not HTTP, breaks off, or is encoded although that was not asked for.
    #[error("the answer cannot be used: {0}")]
    Answer(String),
    /// Path or content type cannot be sent.
    #[error("the request cannot be sent: its path or a header field is malformed")]
    Request,
}

impl Https {
    /// A client that believes these authorities.
    ///
    /// # Errors
    /// When the TLS library refuses the settings.
    pub fn new(roots: &Roots) -> Result<Self, TlsError> {
        let roots = RootCertStore { roots: roots.anchors().to_vec() };
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Every answer rests on a certificate seen now, not on an earlier session's.
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config) })
    }

    /// Fetches a page.
    ///
    /// # Errors
    /// See [`HttpsError`]. An answer of any status is not an error.
    pub async fn get(
        &self,
        target: HttpsTarget<'_>,
        limits: HttpsLimits,
    ) -> Result<HttpsResponse, HttpsError> {
        self.ask(target, Request::new(Bytes::new()), limits).await
    }

    /// Sends a request with header fields of the caller's, and gives the answer with all of its own. Only
    /// path and query of its address count; the host is `host`, by name or by address.
    ///
    /// # Errors
    /// As for [`Https::post`].
    pub async fn exchange(
        &self,
        host: &str,
        addresses: &[SocketAddr],
        request: Request<Bytes>,
        limits: HttpsLimits,
    ) -> Result<Response<Vec<u8>>, HttpsError> {
        let (mut head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        head.uri = path.parse::<Uri>().map_err(|_| HttpsError::Request)?;
        head.headers.remove(HOST);
        // The first of all fields, as servers like it (RFC 9110 §7.2).
        let mut fields = HeaderMap::new();
        fields.insert(HOST, host_field(host, addresses)?);
        fields.extend(head.headers);
        head.headers = fields;
        head.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        let request = Request::from_parts(head, Full::new(body));
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
            .map_err(|_| HttpsError::Certificate("no certificate can name that host".into()))?;
        let sending = self.send(name, addresses, request, limits.body);
        tokio::time::timeout(limits.time, sending).await.unwrap_or(Err(HttpsError::TimedOut))
    }

    /// Posts `body`, which is of the given media type.
    ///
    /// # Errors
    /// See [`HttpsError`]. An answer of any status is not an error. After a time-out or a break the
    /// host may have taken the body all the same.
    pub async fn post(
        &self,
        target: HttpsTarget<'_>,
        content_type: &str,
        body: Vec<u8>,
        limits: HttpsLimits,
    ) -> Result<HttpsResponse, HttpsError> {
        let content_type = HeaderValue::from_str(content_type).map_err(|_| HttpsError::Request)?;
        let mut request = Request::new(Bytes::from(body));
        *request.method_mut() = Method::POST;
        request.headers_mut().insert(CONTENT_TYPE, content_type);
        self.ask(target, request, limits).await
    }

    async fn ask(
        &self,
        target: HttpsTarget<'_>,
        mut request: Request<Bytes>,
        limits: HttpsLimits,
    ) -> Result<HttpsResponse, HttpsError> {
        let path = Some(target.path).filter(|path| path.starts_with('/'));
        *request.uri_mut() =
            path.and_then(|path| path.parse::<Uri>().ok()).ok_or(HttpsError::Request)?;
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("Wardpost"));
        let asking = self.exchange(target.host.as_str(), target.addresses, request, limits);
        let (head, body) = asking.await?.into_parts();
        let content_type = only(&head.headers, &CONTENT_TYPE).map(str::to_owned);
        Ok(HttpsResponse { status: head.status.as_u16(), content_type, body })
    }

    async fn send(
        &self,
        name: ServerName<'static>,
        addresses: &[SocketAddr],
        request: Request<Full<Bytes>>,
        limit: usize,
    ) -> Result<Response<Vec<u8>>, HttpsError> {
        exchange(self.connect(&name, addresses).await?, request, limit).await
    }

    /// Connects to the first address that completes a handshake. If none does, a certificate that
    /// does not verify says more than whatever else went wrong.
    async fn connect(
        &self,
        name: &ServerName<'static>,
        addresses: &[SocketAddr],
    ) -> Result<TlsStream<TcpStream>, HttpsError> {
        let mut worst = HttpsError::NoAddress;
        for address in addresses.iter().take(MAX_ADDRESSES) {
            let connecting = self.shake(*address, name.clone());
            let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
            match connected.unwrap_or(Err(HttpsError::TimedOut)) {
                Ok(stream) => return Ok(stream),
                Err(_) if matches!(worst, HttpsError::Certificate(_)) => {}
                Err(error) => worst = error,
            }
        }
        Err(worst)
    }

    async fn shake(
        &self,
        address: SocketAddr,
        name: ServerName<'static>,
    ) -> Result<TlsStream<TcpStream>, HttpsError> {
        let tcp = TcpStream::connect(address)
            .await
            .map_err(|error| HttpsError::Connect(error.kind().to_string()))?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let shaken = connector.connect(name, tcp).await;
        shaken.map_err(|error| handshake_error(&error))
    }
}

/// RFC 9110 §7.2: with the port, unless it is the usual one.
fn host_field(host: &str, addresses: &[SocketAddr]) -> Result<HeaderValue, HttpsError> {
    let host = match addresses.first().map_or(HTTPS, SocketAddr::port) {
        HTTPS => host.to_owned(),
        port => format!("{host}:{port}"),
    };
    HeaderValue::from_str(&host).map_err(|_| HttpsError::Request)
}

/// Sends the request and reads the whole answer.
async fn exchange(
    stream: TlsStream<TcpStream>,
    request: Request<Full<Bytes>>,
    limit: usize,
) -> Result<Response<Vec<u8>>, HttpsError> {
    let (mut sender, connection) = Builder::new()
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_FIELDS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| answer_error(&error))?;
    let mut answer = pin!(async move {
        let response = sender.send_request(request).await.map_err(|error| answer_error(&error))?;
        read(response, limit).await
    });
    let mut connection = pin!(connection);
    let mut open = true;
    loop {
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            // The connection moves the octets. When it has ended, with an error or without, the
            // answer knows from what it got.
            _ = &mut connection, if open => open = false,
        }
    }
}

async fn read(response: Response<Incoming>, limit: usize) -> Result<Response<Vec<u8>>, HttpsError> {
    let (head, mut incoming) = response.into_parts();
    let encoding = only(&head.headers, &CONTENT_ENCODING);
    if head.headers.contains_key(CONTENT_ENCODING)
        && !encoding.is_some_and(|encoding| encoding.trim().eq_ignore_ascii_case("identity"))
    {
        return Err(HttpsError::Answer("it is encoded, which was not asked for".into()));
    }
    if incoming.size_hint().lower() > limit as u64 {
        return Err(HttpsError::TooLarge);
    }
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        // Trailers are of no interest.
        let Ok(data) = frame.map_err(|error| answer_error(&error))?.into_data() else { continue };
        if data.len() > limit - body.len() {
            return Err(HttpsError::TooLarge);
        }
        body.extend_from_slice(&data);
    }
    Ok(Response::from_parts(head, body))
}

/// The value of a field that is there once and is visible ASCII.
fn only<'a>(fields: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = fields.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    value.to_str().ok()
}

fn answer_error(error: &hyper::Error) -> HttpsError {
    if error.is_parse_too_large() {
        HttpsError::TooLarge
    } else if error.is_parse() {
        HttpsError::Answer("it is not HTTP".into())
    } else {
        HttpsError::Answer("it broke off".into())
    }
}

fn handshake_error(error: &io::Error) -> HttpsError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(invalid)) => HttpsError::Certificate(explain(invalid)),
        Some(Error::NoCertificatesPresented) => {
            HttpsError::Certificate("no certificate was shown".into())
        }
        Some(other) => HttpsError::Tls(shortened(&other.to_string())),
        None => HttpsError::Tls(error.kind().to_string()),
    }
}

fn explain(invalid: &CertificateError) -> String {
    use CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext, UnknownIssuer,
    };
    match invalid {
        Expired | ExpiredContext { .. } => "a certificate of the chain has expired".into(),
        NotValidYet | NotValidYetContext { .. } => "a certificate is not valid yet".into(),
        UnknownIssuer => "the certificate does not come from a trusted authority, or one between \
                          is missing"
            .into(),
        NotValidForName | NotValidForNameContext { .. } => {
            "the certificate is for another host".into()
        }
        other => shortened(&other.to_string()),
    }
}

fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect()
}
