//! Answering TLS handshakes.

use crate::certificate::{
    CertificateFacts, Identity, PROVIDER, read_identity, replace_self_signed, self_signed,
};
use crate::own_key::OwnKey;
use crate::verifier::AskOnly;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;
use wardpost_mail::Domain;

/// Why TLS cannot be set up.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The certificate file.
    #[error("the certificate file {} cannot be used: {error}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: String,
    },
    /// The key file.
    #[error("the private key file {} cannot be used: {error}", path.display())]
    PrivateKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: String,
    },
    /// Certificate and key are not a pair.
    #[error(
        "the private key {} does not belong to the first certificate in {}; the server's own \
         certificate must come first in the file",
        key.display(), certificate.display()
    )]
    Mismatch {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// A self-signed certificate could not be made.
    #[error("a self-signed certificate could not be made: {error}")]
    Make {
        /// What went wrong.
        error: String,
    },
    /// A self-signed certificate could not be kept.
    #[error("{} cannot be written: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// Only a certificate of our own making gets another key from us.
    #[error("the certificate comes from files; only whoever issues it can put another key in")]
    Files,
    /// The TLS library refused the settings.
    #[error("TLS cannot be set up: {0}")]
    Settings(#[from] rustls::Error),
}

/// Where our certificate comes from.
#[derive(Debug)]
enum Source {
    Files { certificate: PathBuf, key: PathBuf },
    SelfSigned { dir: PathBuf, host: Domain },
}

impl Source {
    fn read(&self) -> Result<Identity, TlsError> {
        match self {
            Self::Files { certificate, key } => read_identity(certificate, key),
            Self::SelfSigned { dir, host } => self_signed(dir, host),
        }
    }
}

/// The certificate in use, exchanged in place.
#[derive(Debug)]
struct Current {
    source: Source,
    identity: ArcSwap<Identity>,
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.identity.load().key))
    }
}

/// Our side of TLS: one certificate for all services, TLS 1.2 with ECDHE and AEAD, and TLS 1.3.
///
/// Sessions resume by tickets whose keys live in memory only and rotate (RFC 8446 §2.2, RFC 9325
/// §3.4); there is no session cache and no early data. Clones share the certificate.
#[derive(Debug, Clone)]
pub struct ServerTls {
    current: Arc<Current>,
    ticketer: Arc<dyn ProducesTickets>,
    config: Arc<ServerConfig>,
}

/// Whether clients are asked for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clients {
    Anonymous,
    Asked,
}

impl ServerTls {
    /// Uses a certificate chain and its key from PEM files.
    ///
    /// # Errors
    /// When a file cannot be read or the two do not belong together.
    pub fn from_pem_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        Self::new(Source::Files { certificate: certificate.to_owned(), key: key.to_owned() })
    }

    /// Uses a self-signed certificate kept under `dir`, made when it is not there: enough to begin
    /// with, not enough for mail servers and clients that verify.
    ///
    /// # Errors
    /// When it cannot be made or kept.
    pub fn self_signed(dir: &Path, host: &Domain) -> Result<Self, TlsError> {
        Self::new(Source::SelfSigned { dir: dir.to_owned(), host: host.clone() })
    }

    fn new(source: Source) -> Result<Self, TlsError> {
        let identity = ArcSwap::from_pointee(source.read()?);
        let current = Arc::new(Current { source, identity });
        let ticketer = Ticketer::new()?;
        let config = config(&current, &ticketer, &[], Clients::Anonymous)?;
        Ok(Self { current, ticketer, config })
    }

    /// The same certificate with these application protocols on offer (RFC 7301), best first.
    ///
    /// # Errors
    /// When the TLS library refuses the settings.
    pub fn with_alpn(&self, protocols: &[&[u8]]) -> Result<Self, TlsError> {
        let config = config(&self.current, &self.ticketer, protocols, Clients::Anonymous)?;
        Ok(Self { config, ..self.clone() })
    }

    /// The same certificate, asking clients for theirs: any will do, and none. What was shown is in
    /// [`Stream::client_chain`](crate::Stream::client_chain). Tickets are of its own, so that nobody resumes
    /// with a session that was never asked.
    ///
    /// # Errors
    /// When the TLS library refuses the settings.
    pub fn asking_clients(&self) -> Result<Self, TlsError> {
        let ticketer = Ticketer::new()?;
        let config = config(&self.current, &ticketer, &[], Clients::Asked)?;
        Ok(Self { current: Arc::clone(&self.current), ticketer, config })
    }

    /// Reads the certificate again, for new connections of all clones. Open connections go on.
    ///
    /// # Errors
    /// When it cannot be read: the one in use stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.identity.store(Arc::new(self.current.source.read()?));
        Ok(())
    }

    /// When the certificate in use ends.
    pub fn expires_at(&self) -> SystemTime {
        let seconds = u64::try_from(self.current.identity.load().facts.not_after).unwrap_or(0);
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// Whether the certificate is one that we made for ourselves.
    pub fn is_self_signed(&self) -> bool {
        matches!(self.current.source, Source::SelfSigned { .. })
    }

    /// What the certificate in use says.
    pub fn certificate(&self) -> CertificateFacts {
        self.current.identity.load().facts.clone()
    }

    /// Puts another key, and a new certificate for it, in place of the self-signed one, for new
    /// connections of all clones. Open connections go on. Touches the disk: not for async threads.
    ///
    /// # Errors
    /// [`TlsError::Files`] when the certificate is not of our own making; else when the new one cannot
    /// be kept: the one in use stays.
    pub fn replace_key(&self, key: &OwnKey) -> Result<(), TlsError> {
        let Source::SelfSigned { dir, host } = &self.current.source else {
            return Err(TlsError::Files);
        };
        self.current.identity.store(Arc::new(replace_self_signed(dir, host, key)?));
        Ok(())
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

fn config(
    current: &Arc<Current>,
    ticketer: &Arc<dyn ProducesTickets>,
    alpn: &[&[u8]],
    clients: Clients,
) -> Result<Arc<ServerConfig>, TlsError> {
    let resolver: Arc<dyn ResolvesServerCert> = Arc::<Current>::clone(current);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&PROVIDER))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let builder = match clients {
        Clients::Anonymous => builder.with_no_client_auth(),
        Clients::Asked => builder.with_client_cert_verifier(Arc::new(AskOnly)),
    };
    let mut config = builder.with_cert_resolver(resolver);
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    config.ticketer = Arc::clone(ticketer);
    // Tickets carry the sessions; a cache would hold memory for nothing.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}
