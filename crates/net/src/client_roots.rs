//! Clients that an authority of our choice vouches for.

use crate::certificate::{PROVIDER, read_chain};
use crate::server::TlsError;
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::path::Path;
use std::sync::Arc;

/// Authorities whose clients are let in. They judge a chain that a client showed on a connection of
/// [`ServerTls::asking_clients`](crate::ServerTls::asking_clients), where its key was proven to be his.
#[derive(Debug, Clone)]
pub struct ClientRoots(Arc<dyn ClientCertVerifier>);

impl ClientRoots {
    /// Reads the authorities from a PEM file.
    ///
    /// # Errors
    /// When the file cannot be read, or holds something that is no certificate of an authority.
    pub fn from_pem_file(path: &Path) -> Result<Self, TlsError> {
        let bad = |error: String| TlsError::Certificate { path: path.to_owned(), error };
        let mut roots = RootCertStore::empty();
        for der in read_chain(path)? {
            roots.add(der).map_err(|error| bad(error.to_string()))?;
        }
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&PROVIDER))
            .build()
            .map(Self)
            .map_err(|error| bad(error.to_string()))
    }

    /// Whether one of them vouches for this client now: the chain, its own certificate first.
    pub fn vouch_for(&self, chain: &[Vec<u8>]) -> bool {
        let Some((own, others)) = chain.split_first() else { return false };
        let own = CertificateDer::from(own.as_slice());
        let others: Vec<_> =
            others.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        self.0.verify_client_cert(&own, &others, UnixTime::now()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{
        BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    };

    struct Authority(Issuer<'static, KeyPair>, String);

    impl Authority {
        fn new() -> Self {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            let pem = params.self_signed(&key).unwrap().pem();
            Self(Issuer::new(params, key), pem)
        }

        fn client(&self, usage: ExtendedKeyUsagePurpose, until: i32) -> Vec<Vec<u8>> {
            let mut params = CertificateParams::new(vec!["prometheus".to_owned()]).unwrap();
            params.extended_key_usages = vec![usage];
            params.not_after = rcgen::date_time_ymd(until, 1, 1);
            let key = KeyPair::generate().unwrap();
            vec![params.signed_by(&key, &self.0).unwrap().der().to_vec()]
        }
    }

    #[test]
    fn only_living_client_certificates_of_our_authority_count() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clients.pem");
        let ours = Authority::new();
        std::fs::write(&path, &ours.1).unwrap();
        let roots = ClientRoots::from_pem_file(&path).unwrap();
        let client = ExtendedKeyUsagePurpose::ClientAuth;
        assert!(roots.vouch_for(&ours.client(client.clone(), 2046)));
        assert!(!roots.vouch_for(&ours.client(client.clone(), 2020)), "expired");
        assert!(!roots.vouch_for(&Authority::new().client(client, 2046)), "a stranger's");
        let server = ExtendedKeyUsagePurpose::ServerAuth;
        assert!(!roots.vouch_for(&ours.client(server, 2046)), "for servers");
        assert!(!roots.vouch_for(&[]) && !roots.vouch_for(&[b"no certificate".to_vec()]));
    }

    #[test]
    fn files_that_hold_no_authority_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clients.pem");
        assert!(ClientRoots::from_pem_file(&path).is_err());
        std::fs::write(&path, "nothing").unwrap();
        assert!(ClientRoots::from_pem_file(&path).is_err());
    }
}
