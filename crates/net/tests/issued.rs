//! Certificates from an authority: exchanged in place, and challenges answered in a handshake (RFC 8737).

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use wardpost_mail::Domain;
use wardpost_net::{
    Challenges, OwnKey, ServerTls, SetUpCertificate, Stream, TlsError, UpgradeError,
};
use x509_parser::prelude::{FromDer, X509Certificate};

/// A client that takes any certificate, to see which one it was.
#[derive(Debug)]
struct Any;

impl ServerCertVerifier for Any {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

type Client = tokio_rustls::client::TlsStream<TcpStream>;

/// A handshake for `name` that offers these protocols: what both sides got.
async fn shake(
    tls: &ServerTls,
    name: &str,
    protocols: &[&[u8]],
) -> (std::io::Result<Client>, Result<Stream, UpgradeError>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Any))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let connector = TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let client = async {
        let tcp = TcpStream::connect(address).await.unwrap();
        connector.connect(name, tcp).await
    };
    let server = async {
        let tcp = listener.accept().await.unwrap().0;
        Stream::Plain(tcp).upgrade_server(tls, &[]).await
    };
    tokio::join!(client, server)
}

fn shown(client: &Client) -> Vec<u8> {
    client.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

fn host() -> Domain {
    Domain::parse("mail.clinic.test").unwrap()
}

/// A certificate by some authority for our key, in PEM and DER.
fn issue(key: &OwnKey, name: &str) -> (String, Vec<u8>) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "authority");
    let issuer = Issuer::new(params, KeyPair::generate().unwrap());
    let own = KeyPair::from_pem(key.pem().expose()).unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = leaf.signed_by(&own, &issuer).unwrap();
    (certificate.pem(), certificate.der().to_vec())
}

#[tokio::test]
async fn a_certificate_from_an_authority_takes_the_place_of_ours_and_open_connections_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let tls = ServerTls::issued(dir.path(), &host(), SetUpCertificate::Ends).unwrap();
    let https = tls.with_alpn(&[b"h2"]).unwrap();
    assert!(tls.is_self_signed() && tls.certificate().self_issued);
    let (client, server) = shake(&tls, host().as_str(), &[]).await;
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    let before = shown(&client);

    let key = tls.own_key().unwrap();
    let (pem, der) = issue(&key, host().as_str());
    tls.install(&pem, &key).unwrap();
    assert!(!tls.is_self_signed() && tls.certificate().covers(&host()));
    for clone in [&tls, &https] {
        assert_eq!(shown(&shake(clone, host().as_str(), &[b"h2"]).await.0.unwrap()), der);
    }
    // The same key, so that a TLSA record holds.
    assert_eq!(tls.certificate().public_key_info, key.public_key_info());
    // A reload, which people are used to, does not take it away.
    tls.reload().unwrap();
    assert!(!tls.is_self_signed());
    server.write_all(b"still here").await.unwrap();
    server.flush().await.unwrap();
    let mut heard = [0; 10];
    client.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"still here");

    tls.fall_back().unwrap();
    assert!(tls.is_self_signed());
    assert_eq!(shown(&shake(&https, host().as_str(), &[]).await.0.unwrap()), before);
}

#[tokio::test]
async fn another_key_comes_with_its_certificate_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let tls = ServerTls::issued(dir.path(), &host(), SetUpCertificate::Ends).unwrap();
    let first = tls.own_key().unwrap();
    let next = OwnKey::generate().unwrap();
    let (pem, _) = issue(&next, host().as_str());
    assert!(matches!(tls.install(&pem, &first), Err(TlsError::Issued { .. })));
    assert!(matches!(tls.install("nonsense", &next), Err(TlsError::Issued { .. })));
    assert!(tls.is_self_signed(), "what cannot be used changes nothing");
    assert_eq!(tls.own_key().unwrap().public_key_info(), first.public_key_info());

    tls.install(&pem, &next).unwrap();
    assert_eq!(tls.own_key().unwrap().public_key_info(), next.public_key_info());
    assert!(matches!(tls.replace_key(&first), Err(TlsError::Files)));
    tls.fall_back().unwrap();
    assert_eq!(tls.certificate().public_key_info, next.public_key_info());
    let tls = ServerTls::issued(dir.path(), &host(), SetUpCertificate::Ends).unwrap();
    assert_eq!(tls.certificate().public_key_info, next.public_key_info());
    tls.replace_key(&first).unwrap();
    assert_eq!(tls.certificate().public_key_info, first.public_key_info());
}

#[test]
fn files_and_our_own_take_no_certificate_from_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let tls = ServerTls::self_signed(dir.path(), &host()).unwrap();
    let key = tls.own_key().unwrap();
    let (pem, _) = issue(&key, host().as_str());
    assert!(matches!(tls.install(&pem, &key), Err(TlsError::Files)));
    assert!(matches!(tls.fall_back(), Err(TlsError::Files)));
}

#[tokio::test]
async fn a_challenge_is_answered_to_who_asks_for_it_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let challenges = Challenges::new();
    let plain = ServerTls::issued(dir.path(), &host(), SetUpCertificate::Ends).unwrap();
    let https = plain.answering(&challenges).with_alpn(&[b"h2", b"http/1.1"]).unwrap();
    let own = plain.certificate_der();
    let name = host();

    // Nobody has asked anything of us yet.
    let (client, _) = shake(&https, name.as_str(), &[b"acme-tls/1"]).await;
    assert!(client.unwrap_err().to_string().contains("NoApplicationProtocol"));

    challenges.answer(&name, &[7; 32]).unwrap();
    assert!(challenges.answer(&name, &[7; 31]).is_err());
    let (client, server) = shake(&https, "MAIL.clinic.test", &[b"acme-tls/1"]).await;
    let mut client = client.unwrap();
    assert!(matches!(server, Err(UpgradeError::Challenge)));
    assert_eq!(client.get_ref().1.alpn_protocol(), Some(&b"acme-tls/1"[..]));
    // RFC 8737 §3: one name, self-signed, the digest in a critical extension.
    let der = shown(&client);
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    assert_eq!(format!("{:?}", names.value.general_names), "[DNSName(\"mail.clinic.test\")]");
    let extension =
        certificate.extensions().iter().find(|e| e.oid.to_id_string() == "1.3.6.1.5.5.7.1.31");
    let extension = extension.unwrap();
    assert!(extension.critical);
    assert_eq!(extension.value, [&[4, 32][..], &[7; 32]].concat());
    // The connection ends with the handshake.
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);

    // Others notice nothing: another name, the protocol among others, no protocol, another port.
    for (tls, name, protocols, chosen) in [
        (&https, "mail.clinic.test", &[&b"acme-tls/1"[..], b"h2"][..], Some(&b"h2"[..])),
        (&https, "mail.clinic.test", &[b"http/1.1"], Some(b"http/1.1")),
        (&https, "mail.clinic.test", &[], None),
        (&plain, "mail.clinic.test", &[], None),
    ] {
        let (client, server) = shake(tls, name, protocols).await;
        let client = client.unwrap();
        assert_eq!(shown(&client), own);
        assert_eq!(server.unwrap().alpn(), chosen);
    }
    for (tls, name) in [(&https, "other.clinic.test")] {
        assert!(shake(tls, name, &[b"acme-tls/1"]).await.0.is_err());
    }
    let (client, server) = shake(&plain, "mail.clinic.test", &[b"acme-tls/1"]).await;
    assert_eq!(shown(&client.unwrap()), own, "a port without protocols of its own takes no notice");
    assert!(server.is_ok());

    challenges.clear();
    assert!(shake(&https, "mail.clinic.test", &[b"acme-tls/1"]).await.0.is_err());
}
