//! Answering TLS handshakes.

use crate::certificate::{
    CertificateFacts, Identity, PROVIDER, SetUpCertificate, parse_identity, read_identity,
    read_key, replace_self_signed, self_signed, self_signed_key,
};
use crate::challenge::Challenges;
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
use wardpost_mail::{Domain, Secret};

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
    #[error("the certificate was issued by others, who alone can put another key in")]
    Files,
    /// A certificate from an authority cannot be used.
    #[error("the authority's certificate cannot be used: {error}")]
    Issued {
        /// What is wrong with it.
        error: String,
    },
    /// The TLS library refused the settings.
    #[error("TLS cannot be set up: {0}")]
    Settings(#[from] rustls::Error),
}

/// Certificates, our own first, and the key that goes with it, in DER.
type SigningIdentity = (Vec<Vec<u8>>, Secret<Vec<u8>>);

/// Where our certificate comes from.
#[derive(Debug)]
enum Source {
    Files {
        certificate: PathBuf,
        key: PathBuf,
    },
    SelfSigned {
        dir: PathBuf,
        host: Domain,
        set_up: SetUpCertificate,
    },
    /// From an authority, given with [`ServerTls::install`]; until then, and when the last one has ended,
    /// self-signed with the same key.
    Issued {
        dir: PathBuf,
        host: Domain,
        set_up: SetUpCertificate,
    },
}

impl Source {
    fn read(&self) -> Result<Identity, TlsError> {
        match self {
            Self::Files { certificate, key } => read_identity(certificate, key),
            Self::SelfSigned { dir, host, set_up } | Self::Issued { dir, host, set_up } => {
                self_signed(dir, host, *set_up)
            }
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
    challenges: Option<Challenges>,
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
        Self::self_signed_after_set_up(dir, host, SetUpCertificate::Ends)
    }

    /// The same, where the certificate of the set-up may stay for a while.
    ///
    /// # Errors
    /// As for [`ServerTls::self_signed`].
    pub fn self_signed_after_set_up(
        dir: &Path,
        host: &Domain,
        set_up: SetUpCertificate,
    ) -> Result<Self, TlsError> {
        Self::new(Source::SelfSigned { dir: dir.to_owned(), host: host.clone(), set_up })
    }

    fn new(source: Source) -> Result<Self, TlsError> {
        let identity = ArcSwap::from_pointee(source.read()?);
        let current = Arc::new(Current { source, identity });
        let ticketer = Ticketer::new()?;
        let config = config(&current, &ticketer, &[], Clients::Anonymous)?;
        Ok(Self { current, ticketer, config, challenges: None })
    }

    /// Uses certificates that an authority issues, each given with [`ServerTls::install`]. Until the first
    /// one, a self-signed certificate under `dir`, as for [`ServerTls::self_signed_after_set_up`].
    ///
    /// # Errors
    /// When the self-signed certificate cannot be made or kept.
    pub fn issued(dir: &Path, host: &Domain, set_up: SetUpCertificate) -> Result<Self, TlsError> {
        Self::new(Source::Issued { dir: dir.to_owned(), host: host.clone(), set_up })
    }

    /// The same certificate, answering an authority's challenges too (RFC 8737): for port 443. Whoever
    /// does not ask for a challenge, and that alone, notices nothing.
    pub fn answering(&self, challenges: &Challenges) -> Self {
        Self { challenges: Some(challenges.clone()), ..self.clone() }
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
        Ok(Self { ticketer, config, ..self.clone() })
    }

    /// Reads the certificate again, for new connections of all clones. Open connections go on. One that an
    /// authority issued stays.
    ///
    /// # Errors
    /// When it cannot be read: the one in use stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        if self.is_issued() && !self.is_self_signed() {
            return Ok(());
        }
        self.current.identity.store(Arc::new(self.current.source.read()?));
        Ok(())
    }

    /// Uses a certificate that an authority issued for `key`, for new connections of all clones. Open
    /// connections go on. The self-signed certificate gets the same key, so that falling back to it changes
    /// nothing for whoever knows us by the key (RFC 7671 §5.1). Touches the disk: not for async threads.
    ///
    /// # Errors
    /// When the certificate is not for the key, or that cannot be kept: the one in use stays.
    pub fn install(&self, chain: &str, key: &OwnKey) -> Result<(), TlsError> {
        let Source::Issued { dir, host, .. } = &self.current.source else {
            return Err(TlsError::Files);
        };
        let identity = parse_identity(chain, key)?;
        if self_signed_key(dir)?.public_key_info() != key.public_key_info() {
            replace_self_signed(dir, host, key)?;
        }
        self.current.identity.store(Arc::new(identity));
        Ok(())
    }

    /// Goes back to the self-signed certificate, with the same key: for when the authority's has ended.
    ///
    /// # Errors
    /// As for [`ServerTls::install`].
    pub fn fall_back(&self) -> Result<(), TlsError> {
        if !self.is_issued() {
            return Err(TlsError::Files);
        }
        self.current.identity.store(Arc::new(self.current.source.read()?));
        Ok(())
    }

    /// The key in use, to ask an authority for a certificate with it.
    ///
    /// # Errors
    /// [`TlsError::Files`] when it is not ours to ask with; else when it cannot be read.
    pub fn own_key(&self) -> Result<OwnKey, TlsError> {
        match &self.current.source {
            Source::Files { .. } => Err(TlsError::Files),
            Source::SelfSigned { dir, .. } | Source::Issued { dir, .. } => self_signed_key(dir),
        }
    }

    fn is_issued(&self) -> bool {
        matches!(self.current.source, Source::Issued { .. })
    }

    /// When the certificate in use ends.
    pub fn expires_at(&self) -> SystemTime {
        let seconds = u64::try_from(self.current.identity.load().facts.not_after).unwrap_or(0);
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// Whether the certificate is one that we made for ourselves.
    pub fn is_self_signed(&self) -> bool {
        match self.current.source {
            Source::Files { .. } => false,
            Source::SelfSigned { .. } => true,
            Source::Issued { .. } => self.current.identity.load().facts.self_issued,
        }
    }

    /// What the certificate in use says.
    pub fn certificate(&self) -> CertificateFacts {
        self.current.identity.load().facts.clone()
    }

    /// The certificate in use itself, in DER.
    pub fn certificate_der(&self) -> Vec<u8> {
        self.current.identity.load().key.cert.first().map(|der| der.to_vec()).unwrap_or_default()
    }

    /// The certificates in use, our own first, and the key that goes with it, in DER: to sign with. Touches the
    /// disk: not for async threads.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub fn signing_identity(&self) -> Result<SigningIdentity, TlsError> {
        let key = match &self.current.source {
            Source::Files { key, .. } => read_key(key)?,
            Source::SelfSigned { dir, .. } | Source::Issued { dir, .. } => {
                self_signed_key(dir)?.pkcs8()
            }
        };
        let chain = &self.current.identity.load().key.cert;
        Ok((chain.iter().map(|der| der.to_vec()).collect(), key))
    }

    /// Puts another key, and a new certificate for it, in place of the self-signed one, for new
    /// connections of all clones. Open connections go on. Touches the disk: not for async threads.
    ///
    /// # Errors
    /// [`TlsError::Files`] when the certificate is not of our own making; else when the new one cannot
    /// be kept: the one in use stays.
    pub fn replace_key(&self, key: &OwnKey) -> Result<(), TlsError> {
        let (Source::SelfSigned { dir, host, .. } | Source::Issued { dir, host, .. }) =
            &self.current.source
        else {
            return Err(TlsError::Files);
        };
        if !self.is_self_signed() {
            return Err(TlsError::Files);
        }
        self.current.identity.store(Arc::new(replace_self_signed(dir, host, key)?));
        Ok(())
    }

    pub(crate) fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    pub(crate) fn challenges(&self) -> Option<&Challenges> {
        self.challenges.as_ref()
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
