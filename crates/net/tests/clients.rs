//! What our side of TLS takes and asks for, as OpenSSL sees it, and what becomes of clients' certificates.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_rustls::TlsConnector;
use wardpost_net::{ServerTls, Stream};
use wardpost_verdict::{ClientIdentity, Roots};

/// Writes a certificate of a key of this kind, signed by itself.
fn write(dir: &Path, name: &str, key: &KeyPair, host: &str) {
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, host);
    let pem = params.self_signed(key).unwrap().pem();
    std::fs::write(dir.join(format!("{name}.pem")), pem).unwrap();
    std::fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

/// Serves handshakes with an RSA certificate; sends what each client showed, or why it failed.
async fn server(dir: &Path) -> (SocketAddr, UnboundedReceiver<Result<Vec<Vec<u8>>, String>>) {
    write(dir, "server", &KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap(), "mail.clinic.test");
    let tls = ServerTls::from_pem_files(&dir.join("server.pem"), &dir.join("server.key")).unwrap();
    let tls = tls.asking_clients().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let shaken = Stream::Plain(tcp).upgrade_server(&tls, &[]).await;
            let shown = shaken.map(|stream| stream.client_chain()).map_err(|e| e.to_string());
            if tell.send(shown).is_err() {
                return;
            }
        }
    });
    (address, told)
}

async fn s_client(address: SocketAddr, words: &[&str]) -> Output {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &address.to_string(), "-brief"]).args(words);
    command.stdin(Stdio::null());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test]
async fn nothing_without_forward_secrecy_is_negotiated() {
    let dir = tempfile::tempdir().unwrap();
    let (address, mut told) = server(dir.path()).await;
    for (words, taken) in [
        // The same client with what we do take: the refusals below are ours.
        (&["-tls1_3"][..], true),
        (&["-tls1_2", "-cipher", "ECDHE+AESGCM:@SECLEVEL=0"], true),
        (&["-tls1_2", "-cipher", "kRSA:@SECLEVEL=0"], false),
        (&["-tls1_2", "-cipher", "kDHE:@SECLEVEL=0"], false),
        (&["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA:@SECLEVEL=0"], false),
        (&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], false),
        (&["-tls1", "-cipher", "ALL:@SECLEVEL=0"], false),
    ] {
        let output = s_client(address, words).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let shaken = told.recv().await.unwrap();
        assert_eq!(shaken.is_ok(), taken, "{words:?}: {shaken:?}\n{said}");
        assert_eq!(said.contains("CONNECTION ESTABLISHED"), taken, "{words:?}: {said}");
    }
}

#[tokio::test]
async fn clients_may_show_a_certificate_and_need_not() {
    let dir = tempfile::tempdir().unwrap();
    let (address, mut told) = server(dir.path()).await;
    write(dir.path(), "client", &KeyPair::generate().unwrap(), "mx.lab.test");
    let file = |name: &str| dir.path().join(name).display().to_string();
    let (certificate, key) = (file("client.pem"), file("client.key"));
    for version in ["-tls1_3", "-tls1_2"] {
        s_client(address, &[version]).await;
        assert_eq!(told.recv().await.unwrap(), Ok(Vec::new()), "{version}");

        s_client(address, &[version, "-cert", &certificate, "-key", &key]).await;
        let chain = told.recv().await.unwrap().unwrap();
        let now = SystemTime::now();
        let stranger = ClientIdentity::read(&chain, &Roots::new(), now).unwrap();
        assert_eq!((stranger.common_name.as_str(), stranger.verified), ("mx.lab.test", false));
        assert_eq!(stranger.names, ["mx.lab.test"]);
    }
}

/// Shows a certificate with somebody else's key.
#[derive(Debug)]
struct Liar(Arc<CertifiedKey>);

impl ResolvesClientCert for Liar {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_certificate_without_its_key_ends_the_handshake() {
    let dir = tempfile::tempdir().unwrap();
    let (address, mut told) = server(dir.path()).await;
    write(dir.path(), "client", &KeyPair::generate().unwrap(), "mx.lab.test");
    write(dir.path(), "other", &KeyPair::generate().unwrap(), "mx.lab.test");
    let certificate =
        |name: &str| CertificateDer::from_pem_file(dir.path().join(format!("{name}.pem"))).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate("server")).unwrap();
    for (key, honest) in [("client", true), ("other", false)] {
        for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let key = PrivateKeyDer::from_pem_file(dir.path().join(format!("{key}.key"))).unwrap();
            let key = provider.key_provider.load_private_key(key).unwrap();
            let shown = Arc::new(CertifiedKey::new(vec![certificate("client")], key));
            let config = ClientConfig::builder_with_provider(provider)
                .with_protocol_versions(&[version])
                .unwrap()
                .with_root_certificates(roots.clone())
                .with_client_cert_resolver(Arc::new(Liar(shown)));
            let tcp = TcpStream::connect(address).await.unwrap();
            let name = ServerName::try_from("mail.clinic.test").unwrap();
            // In TLS 1.3 the client is done before the server has looked.
            let client = TlsConnector::from(Arc::new(config)).connect(name, tcp).await;
            let shaken = told.recv().await.unwrap();
            assert_eq!(shaken.is_ok(), honest, "{version:?}: {shaken:?}");
            drop(client);
        }
    }
}

#[test]
fn what_is_no_certificate_is_no_fact() {
    for chain in [vec![], vec![vec![]], vec![b"nonsense".to_vec()]] {
        assert_eq!(ClientIdentity::read(&chain, &Roots::new(), SystemTime::now()), None);
    }
}

#[test]
fn a_certificate_from_an_authority_we_trust_is_verified_in_its_time() {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = authority.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(authority, &authority_key);
    let mut roots = Roots::new();
    roots.add(root.der()).unwrap();
    let leaf = |days: u64| {
        let mut params = CertificateParams::new(vec!["mx.lab.test".to_owned()]).unwrap();
        params.not_after =
            (SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(days * 86400)).into();
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, &issuer).unwrap().der().to_vec()
    };
    let now = SystemTime::now();
    let verified = |der| ClientIdentity::read(&[der], &roots, now).unwrap().verified;
    assert!(verified(leaf(40_000)));
    assert!(!verified(leaf(10_000)));
}
