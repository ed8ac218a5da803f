//! Handshakes with mail servers that we connect to.

use crate::certificate::PROVIDER;
use crate::stream::{HANDSHAKE_TIMEOUT, exporter, registered_name};
use crate::verifier::RecordOnly;
use rustls::client::Resumption;
use rustls::{AlertDescription, ClientConfig, Error, PeerIncompatible, ProtocolVersion};
use rustls_pki_types::{DnsName, ServerName};
use std::io;
use std::sync::Arc;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wardpost_mail::Domain;
use wardpost_verdict::{HandshakeFacts, Observation, TlsVersion};

/// Why a handshake did not come about. The connection is gone; going on in clear is not possible.
#[derive(Debug, Error)]
pub enum HandshakeError {
    /// The server sent more in clear after its 220 to STARTTLS: someone answers for it.
    #[error("plaintext was sent after the answer to STARTTLS")]
    Injected,
    /// The connection speaks TLS already.
    #[error("the connection is encrypted already")]
    AlreadyTls,
    /// The server has no TLS 1.2 or later.
    #[error("the server has no TLS 1.2 or later")]
    OldTls,
    /// The handshake broke.
    #[error("{0}")]
    Failed(String),
    /// The handshake took too long.
    #[error("it took too long")]
    TimedOut,
}

impl HandshakeError {
    /// The failure as `verdict` sees it.
    pub fn observation(&self) -> Observation {
        match self {
            Self::OldTls => Observation::OldTls,
            other => Observation::HandshakeFailed(other.to_string()),
        }
    }
}

/// Our side of TLS towards other mail servers: TLS 1.2 and 1.3, certificates recorded, not judged.
///
/// Sessions are never resumed: each connection shows its certificate and is judged by it.
#[derive(Debug, Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
}

impl ClientTls {
    /// The one client set-up there is.
    ///
    /// # Errors
    /// When the TLS library refuses the settings.
    pub fn new() -> Result<Self, crate::TlsError> {
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(RecordOnly))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config) })
    }

    pub(crate) async fn connect(
        &self,
        tcp: TcpStream,
        host: &Domain,
    ) -> Result<(TlsStream<TcpStream>, HandshakeFacts), HandshakeError> {
        let name = DnsName::try_from(host.as_str().to_owned())
            .map_err(|e| HandshakeError::Failed(e.to_string()))?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let connecting = connector.connect(ServerName::DnsName(name), tcp);
        let stream = tokio::time::timeout(HANDSHAKE_TIMEOUT, connecting)
            .await
            .map_err(|_| HandshakeError::TimedOut)?
            .map_err(|error| explain(&error))?;
        let facts = facts(&stream)?;
        Ok((stream, facts))
    }
}

fn facts(stream: &TlsStream<TcpStream>) -> Result<HandshakeFacts, HandshakeError> {
    let (_, connection) = stream.get_ref();
    let incomplete = || HandshakeError::Failed("the handshake did not complete".into());
    let version = match connection.protocol_version().ok_or_else(incomplete)? {
        ProtocolVersion::TLSv1_3 => TlsVersion::Tls13,
        ProtocolVersion::TLSv1_2 => TlsVersion::Tls12,
        _ => return Err(HandshakeError::OldTls),
    };
    let suite = connection.negotiated_cipher_suite().ok_or_else(incomplete)?.suite();
    let chain = connection.peer_certificates().unwrap_or_default();
    Ok(HandshakeFacts {
        version,
        suite: registered_name(suite.as_str().unwrap_or("unknown")).to_owned(),
        chain: chain.iter().map(|der| der.to_vec()).collect(),
        binding: exporter(connection).map_err(|e| HandshakeError::Failed(e.to_string()))?,
    })
}

fn explain(error: &io::Error) -> HandshakeError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(
            Error::AlertReceived(AlertDescription::ProtocolVersion)
            | Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
        ) => HandshakeError::OldTls,
        Some(other) => HandshakeError::Failed(other.to_string()),
        None => HandshakeError::Failed(error.to_string()),
    }
}
