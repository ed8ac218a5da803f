//! Certificates that clients show on port 25: read, and compared with the authorities we trust. A fact and no
//! more: it says who handed a message over, and nothing is refused for the want of one.

use crate::chain::{CertificateSummary, Roots};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Names kept of a certificate.
const MAX_NAMES: usize = 10;
/// Longest name kept, in characters.
const MAX_NAME: usize = 120;

/// What a client showed. It owns the key: the handshake has proven that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    /// Who and from whom, with the fingerprint.
    pub certificate: CertificateSummary,
    /// The subject's common name, as far as it is printable.
    pub common_name: String,
    /// The DNS names it is for.
    pub names: Vec<String>,
    /// Whether it is in its time and chains to an authority we trust.
    pub verified: bool,
}

impl ClientIdentity {
    /// Reads a chain, the client's own certificate first. `None` when there is none that can be read.
    pub fn read(chain: &[Vec<u8>], roots: &Roots, now: SystemTime) -> Option<Self> {
        let (own, intermediates) = chain.split_first()?;
        let der = CertificateDer::from(own.as_slice());
        let certificate = EndEntityCert::try_from(&der).ok()?;
        let intermediates: Vec<CertificateDer<'_>> =
            intermediates.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let verifies = |usage| {
            let time = UnixTime::since_unix_epoch(since);
            let algorithms = webpki::ALL_VERIFICATION_ALGS;
            certificate
                .verify_for_usage(
                    algorithms,
                    roots.anchors(),
                    &intermediates,
                    time,
                    usage,
                    None,
                    None,
                )
                .is_ok()
        };
        let common_name = X509Certificate::from_der(own).ok().and_then(|(_, certificate)| {
            let names = certificate.subject().iter_common_name();
            names.last().and_then(|name| name.as_str().ok()).map(printable)
        });
        Some(Self {
            certificate: CertificateSummary::read(own),
            common_name: common_name.unwrap_or_default(),
            names: certificate.valid_dns_names().take(MAX_NAMES).map(printable).collect(),
            // Mail servers show the certificate they serve with; authorities make few others.
            verified: verifies(KeyUsage::client_auth()) || verifies(KeyUsage::server_auth()),
        })
    }
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect()
}
