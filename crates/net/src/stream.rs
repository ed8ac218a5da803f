//! One connection, before or after TLS.

use crate::challenge::Challenges;
use crate::client::{ClientTls, HandshakeError};
use crate::server::ServerTls;
use crate::verifier::is_readable;
use rustls::ProtocolVersion;
use rustls::server::Acceptor;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{LazyConfigAcceptor, TlsStream};
use wardpost_mail::Domain;
use wardpost_verdict::{Bound, ChannelBinding, HandshakeFacts, SecureChannel, TlsVersion};

/// How long a TLS handshake may take.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection: TCP, or TLS over TCP.
#[derive(Debug)]
pub enum Stream {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS, as server or client.
    Tls(Box<TlsStream<TcpStream>>),
}

/// What was negotiated, for Received fields and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsInfo {
    /// The protocol version.
    pub version: TlsVersion,
    /// The cipher suite by its registered name, such as `TLS_AES_256_GCM_SHA384`.
    pub cipher: &'static str,
}

impl fmt::Display for TlsInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.version, self.cipher)
    }
}

/// Why a connection could not be taken to TLS as its server. The connection is gone.
#[derive(Debug, Error)]
pub enum UpgradeError {
    /// The peer sent more before the handshake than it may: what follows STARTTLS in the same
    /// breath was put there by someone who hopes that it counts as encrypted.
    #[error("plaintext was sent after STARTTLS")]
    Injected,
    /// The connection speaks TLS already.
    #[error("the connection is encrypted already")]
    AlreadyTls,
    /// The handshake failed.
    #[error("the TLS handshake failed: {0}")]
    Handshake(#[from] io::Error),
    /// The handshake took too long.
    #[error("the TLS handshake took too long")]
    TimedOut,
    /// It was an authority that asked its question (RFC 8737), and has its answer.
    #[error("the handshake was an authority's challenge")]
    Challenge,
}

impl Stream {
    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// What was negotiated, if the connection is encrypted.
    pub fn tls_info(&self) -> Option<TlsInfo> {
        let Self::Tls(tls) = self else { return None };
        let (_, connection) = tls.get_ref();
        let version = match connection.protocol_version()? {
            ProtocolVersion::TLSv1_3 => TlsVersion::Tls13,
            _ => TlsVersion::Tls12,
        };
        let cipher = connection.negotiated_cipher_suite()?.suite().as_str()?;
        Some(TlsInfo { version, cipher: registered_name(cipher) })
    }

    /// The application protocol that ALPN chose (RFC 7301), if any.
    pub fn alpn(&self) -> Option<&[u8]> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(tls) => tls.get_ref().1.alpn_protocol(),
        }
    }

    /// The name that the client asked for (SNI, RFC 6066 §3), on connections we serve.
    pub fn server_name(&self) -> Option<&str> {
        match self {
            Self::Tls(tls) => match &**tls {
                TlsStream::Server(server) => server.get_ref().1.server_name(),
                TlsStream::Client(_) => None,
            },
            Self::Plain(_) => None,
        }
    }

    /// The certificates that the client of a connection we serve has shown, its own first, if it was
    /// asked ([`ServerTls::asking_clients`]). The key of the first is proven to be the client's.
    pub fn client_chain(&self) -> Vec<Vec<u8>> {
        let Self::Tls(tls) = self else { return Vec::new() };
        let TlsStream::Server(server) = &**tls else { return Vec::new() };
        let chain = server.get_ref().1.peer_certificates().unwrap_or_default();
        match chain.first() {
            Some(own) if is_readable(own) => chain.iter().map(|der| der.to_vec()).collect(),
            _ => Vec::new(),
        }
    }

    /// Takes a connection that we accepted to TLS: at once for implicit TLS, or after our 220 to
    /// STARTTLS. `unread` is whatever the caller has read from the connection and not yet processed;
    /// there must be nothing (RFC 3207 §4.2: nothing learnt before the handshake counts after it).
    ///
    /// # Errors
    /// See [`UpgradeError`]; the connection is closed then.
    pub async fn upgrade_server(
        self,
        tls: &ServerTls,
        unread: &[u8],
    ) -> Result<Self, UpgradeError> {
        let Self::Plain(tcp) = self else { return Err(UpgradeError::AlreadyTls) };
        if !unread.is_empty() {
            return Err(UpgradeError::Injected);
        }
        let accepting = async {
            match tls.challenges() {
                None => Ok(tls.acceptor().accept(tcp).await?),
                Some(challenges) => accept_or_answer(tcp, tls, challenges).await,
            }
        };
        let stream = tokio::time::timeout(HANDSHAKE_TIMEOUT, accepting).await;
        let stream = stream.unwrap_or(Err(UpgradeError::TimedOut))?;
        Ok(Self::Tls(Box::new(TlsStream::Server(stream))))
    }

    /// Takes a connection that we opened to TLS, asking for `host` (SNI). The certificate is
    /// recorded, not judged: give the facts to `verdict` before sending anything that matters.
    /// `unread` is whatever was read after the 220 to STARTTLS; there must be nothing.
    ///
    /// # Errors
    /// See [`HandshakeError`]; the connection is closed then and must not be continued in clear.
    pub async fn upgrade_client(
        self,
        tls: &ClientTls,
        host: &Domain,
        unread: &[u8],
    ) -> Result<(Self, HandshakeFacts), HandshakeError> {
        let Self::Plain(tcp) = self else { return Err(HandshakeError::AlreadyTls) };
        if !unread.is_empty() {
            return Err(HandshakeError::Injected);
        }
        let (stream, facts) = tls.connect(tcp, host).await?;
        Ok((Self::Tls(Box::new(TlsStream::Client(stream))), facts))
    }
}

/// Shakes hands, with an authority's challenge in mind: that one ends with the handshake.
async fn accept_or_answer(
    tcp: TcpStream,
    tls: &ServerTls,
    challenges: &Challenges,
) -> Result<tokio_rustls::server::TlsStream<TcpStream>, UpgradeError> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), tcp).await?;
    let Some(config) = challenges.asked(&start.client_hello()) else {
        return Ok(start.into_stream(Arc::clone(tls.config())).await?);
    };
    let mut answered = start.into_stream(config).await?;
    // That the authority has gone already is its affair.
    let _ = answered.shutdown().await;
    Err(UpgradeError::Challenge)
}

/// rustls writes TLS 1.3 suites as `TLS13_…`; the IANA registry writes `TLS_…`.
pub(crate) fn registered_name(name: &'static str) -> &'static str {
    match name {
        "TLS13_AES_256_GCM_SHA384" => "TLS_AES_256_GCM_SHA384",
        "TLS13_AES_128_GCM_SHA256" => "TLS_AES_128_GCM_SHA256",
        "TLS13_CHACHA20_POLY1305_SHA256" => "TLS_CHACHA20_POLY1305_SHA256",
        other => other,
    }
}

/// The `tls-exporter` channel binding (RFC 9266 §4.2).
pub(crate) fn exporter<D>(
    connection: &rustls::ConnectionCommon<D>,
) -> Result<ChannelBinding, rustls::Error> {
    connection
        .export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b""))
        .map(ChannelBinding)
}

impl Bound for Stream {
    fn channel_binding(&self) -> Option<ChannelBinding> {
        let Self::Tls(tls) = self else { return None };
        match &**tls {
            TlsStream::Server(server) => exporter(server.get_ref().1).ok(),
            TlsStream::Client(client) => exporter(client.get_ref().1).ok(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_shutdown(cx),
        }
    }
}

/// What a conversation runs over: a plain connection, or one of a quality that its type says.
pub trait Wire {
    /// The connection.
    fn wire(&mut self) -> &mut Stream;
}

impl Wire for Stream {
    fn wire(&mut self) -> &mut Stream {
        self
    }
}

impl Wire for SecureChannel<Stream> {
    fn wire(&mut self) -> &mut Stream {
        self.stream_mut()
    }
}
