//! Streams, handshakes and listeners over loopback.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use rcgen::{CertificateParams, KeyPair};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wardpost_mail::{Domain, TlsGrade};
use wardpost_net::{
    ClientTls, HandshakeError, Limits, ListenError, Listeners, OwnKey, ServerTls, SetUpCertificate,
    Shutdown, Stream, TlsError, TooMany, UpgradeError, load_roots,
};
use wardpost_verdict::{Bound, Observation, Roots, TlsVersion, grade};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

fn host() -> Domain {
    Domain::parse("mx.clinic.test").unwrap()
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
    (client.unwrap(), server.unwrap().0)
}

/// Writes a self-signed certificate and its key where `ServerTls` reads them.
fn write_certificate(dir: &Path, name: &str) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    std::fs::write(dir.join("cert.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
}

fn server_tls(dir: &Path) -> Result<ServerTls, TlsError> {
    ServerTls::from_pem_files(&dir.join("cert.pem"), &dir.join("key.pem"))
}

async fn shake(server_tls: &ServerTls) -> (Stream, Stream, wardpost_verdict::HandshakeFacts) {
    let (client, server) = pair().await;
    let client_tls = ClientTls::new().unwrap();
    let name = host();
    let (client, server) = tokio::join!(
        Stream::Plain(client).upgrade_client(&client_tls, &name, &[]),
        Stream::Plain(server).upgrade_server(server_tls, &[]),
    );
    let (client, facts) = client.unwrap();
    (client, server.unwrap(), facts)
}

#[tokio::test]
async fn a_certificate_that_proves_nothing_is_recorded_and_judged() {
    let dir = tempfile::tempdir().unwrap();
    let tls = ServerTls::self_signed(dir.path(), &host()).unwrap();
    let (mut client, mut server, facts) = shake(&tls).await;
    assert_eq!((facts.version, facts.chain.len()), (TlsVersion::Tls13, 1));
    assert_eq!(client.channel_binding(), Some(facts.binding));
    assert_eq!(server.channel_binding(), Some(facts.binding));
    assert_eq!(server.server_name(), Some("mx.clinic.test"));
    let info = server.tls_info().unwrap();
    assert!(info.to_string().starts_with("TLSv1.3 TLS_"), "{info}");

    let mut roots = Roots::new();
    let seen = Observation::Completed(facts.clone());
    assert_eq!(grade(&host(), &seen, &roots, SystemTime::now()).grade(), TlsGrade::T2);
    roots.add(&facts.chain[0]).unwrap();
    assert_eq!(grade(&host(), &seen, &roots, SystemTime::now()).grade(), TlsGrade::T3);

    client.write_all(b"hello").await.unwrap();
    client.flush().await.unwrap();
    let mut read = [0; 5];
    server.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"hello");
}

#[tokio::test]
async fn the_self_signed_key_is_kept_and_private() {
    let dir = tempfile::tempdir().unwrap();
    let first = ServerTls::self_signed(dir.path(), &host()).unwrap();
    let key = dir.path().join("self-signed.key");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let before = std::fs::read(&key).unwrap();
    let again = ServerTls::self_signed(dir.path(), &host()).unwrap();
    assert_eq!(std::fs::read(&key).unwrap(), before);
    assert_eq!(first.expires_at(), again.expires_at());
    assert!(again.is_self_signed());
    let left = again.expires_at().duration_since(SystemTime::now()).unwrap();
    assert!(left > Duration::from_secs(800 * 24 * 3600), "{left:?}");
}

#[tokio::test]
async fn the_certificate_of_set_up_stays_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let name = Domain::parse(wardpost_net::SET_UP_HOST).unwrap();
    let first = ServerTls::self_signed(dir.path(), &name).unwrap().certificate();
    let after = |set_up| {
        ServerTls::self_signed_after_set_up(dir.path(), &host(), set_up).unwrap().certificate()
    };
    // It was made long before somebody answered the questions, and by a clock that was wrong.
    let made = first.not_before;
    assert!(made > 0);
    rewrite_as_of_last_year(dir.path());
    let first = ServerTls::self_signed(dir.path(), &name).unwrap().certificate();
    assert!(first.not_before < made - 300 * 24 * 3600);
    // A browser that was told to trust it goes on without another question: in the middle of the set-up,
    // and for a day.
    let (now, hour) = (SystemTime::now(), Duration::from_secs(3600));
    let named = after(SetUpCertificate::Stays);
    assert_eq!(named.fingerprint, first.fingerprint);
    for when in [now, now - 23 * hour, now + 23 * hour] {
        let certificate = after(SetUpCertificate::SetUpAt(when));
        assert_eq!(certificate.fingerprint, first.fingerprint);
    }
    let tls = ServerTls::issued(dir.path(), &host(), SetUpCertificate::Stays).unwrap();
    tls.reload().unwrap();
    assert_eq!(tls.certificate().fingerprint, first.fingerprint);
    assert_eq!(named.fingerprint_text().len(), 16 * 4 + 15);
    let digest = format!("{:02X}{:02X} ", first.fingerprint[0], first.fingerprint[1]);
    assert!(named.fingerprint_text().starts_with(&digest));
    // Then it gives way.
    let later = after(SetUpCertificate::SetUpAt(now - 25 * hour));
    assert!(later.covers(&host()), "{later:?}");
    assert_eq!(later.public_key_info, first.public_key_info);
}

/// The set-up's certificate as a machine made it that was started a year ago.
fn rewrite_as_of_last_year(dir: &Path) {
    let key = std::fs::read_to_string(dir.join("self-signed.key")).unwrap();
    let key = KeyPair::from_pem(&key).unwrap();
    let names = vec![wardpost_net::SET_UP_HOST.to_owned()];
    let mut params = CertificateParams::new(names).unwrap();
    let day = Duration::from_secs(24 * 3600);
    params.not_before = (SystemTime::now() - 365 * day).into();
    params.not_after = (SystemTime::now() + 365 * day).into();
    std::fs::write(dir.join("self-signed.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
}

#[tokio::test]
async fn the_self_signed_key_outlives_its_certificate_and_gives_way_only_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let first = ServerTls::self_signed(dir.path(), &host()).unwrap().certificate();
    assert!(first.self_issued && first.covers(&host()));
    // The certificate is lost, or is for a name we had before: the key stays.
    std::fs::remove_file(dir.path().join("self-signed.pem")).unwrap();
    let other = Domain::parse("mail.clinic.test").unwrap();
    let tls = ServerTls::self_signed(dir.path(), &other).unwrap();
    let renamed = tls.certificate();
    assert_eq!(renamed.public_key_info, first.public_key_info);
    assert!(renamed.covers(&other) && !renamed.covers(&host()));

    let key = OwnKey::generate().unwrap();
    let kept = OwnKey::from_pkcs8(&key.pkcs8()).unwrap();
    let https = tls.with_alpn(&[b"h2"]).unwrap();
    tls.replace_key(&kept).unwrap();
    assert_eq!(https.certificate().public_key_info, key.public_key_info());
    let (_, _, facts) = shake(&https).await;
    assert_eq!(facts.chain.len(), 1);
    // As after a crash between the two files.
    let next = OwnKey::generate().unwrap();
    std::fs::write(dir.path().join("self-signed.key"), next.pem().expose()).unwrap();
    let restarted = ServerTls::self_signed(dir.path(), &other).unwrap();
    assert_eq!(restarted.certificate().public_key_info, next.public_key_info());
    // A key that cannot be read is nobody's to write over.
    std::fs::write(dir.path().join("self-signed.key"), "rubbish").unwrap();
    let error = ServerTls::self_signed(dir.path(), &other).unwrap_err();
    assert!(matches!(error, TlsError::PrivateKey { .. }), "{error}");
}

#[test]
fn certificates_tell_their_names_and_files_keep_their_key() {
    let dir = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let names = vec!["Mail.Clinic.test".to_owned(), "*.second.test".to_owned()];
    let params = CertificateParams::new(names).unwrap();
    std::fs::write(dir.path().join("cert.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(dir.path().join("key.pem"), key.serialize_pem()).unwrap();
    let tls = server_tls(dir.path()).unwrap();
    let facts = tls.certificate();
    let covers = |name: &str| facts.covers(&Domain::parse(name).unwrap());
    assert!(covers("mail.clinic.test") && covers("mta-sts.second.test"));
    assert!(!covers("second.test") && !covers("a.b.second.test") && !covers("clinic.test"));
    assert!(matches!(tls.replace_key(&OwnKey::generate().unwrap()), Err(TlsError::Files)));
}

#[test]
fn a_signing_request_asks_for_the_names_with_the_key() {
    let key = OwnKey::generate().unwrap();
    let names = [host(), Domain::parse("mta-sts.clinic.test").unwrap()];
    let request = key.signing_request(&names).unwrap();
    let (_, pem) = x509_parser::pem::parse_x509_pem(request.as_bytes()).unwrap();
    let (_, request) = X509CertificationRequest::from_der(&pem.contents).unwrap();
    let info = &request.certification_request_info;
    assert_eq!(info.subject_pki.raw, key.public_key_info());
    let asked = String::from_utf8_lossy(&pem.contents).into_owned();
    assert!(names.iter().all(|name| asked.contains(name.as_str())));
}

#[tokio::test]
async fn what_is_sent_before_the_handshake_ends_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    let tls = ServerTls::self_signed(dir.path(), &host()).unwrap();
    let (_client, server) = pair().await;
    let error = Stream::Plain(server).upgrade_server(&tls, b"MAIL FROM:<>\r\n").await;
    assert!(matches!(error, Err(UpgradeError::Injected)));
    let (client, _server) = pair().await;
    let client_tls = ClientTls::new().unwrap();
    let error = Stream::Plain(client).upgrade_client(&client_tls, &host(), b"250 ok\r\n").await;
    assert!(matches!(error, Err(HandshakeError::Injected)));
}

#[tokio::test]
async fn a_broken_handshake_is_an_observation() {
    let (client, mut server) = pair().await;
    let client_tls = ClientTls::new().unwrap();
    let breaking = async move {
        server.write_all(b"I do not speak TLS\r\n").await.unwrap();
        let mut rest = Vec::new();
        let _ = server.read_to_end(&mut rest).await;
    };
    let name = host();
    let (shaken, ()) =
        tokio::join!(Stream::Plain(client).upgrade_client(&client_tls, &name, &[]), breaking);
    let seen = shaken.unwrap_err().observation();
    assert!(matches!(seen, Observation::HandshakeFailed(_)));
}

#[tokio::test]
async fn a_server_without_tls_1_2_is_old() {
    let (client, mut server) = pair().await;
    let client_tls = ClientTls::new().unwrap();
    let old = async move {
        let mut hello = [0; 1024];
        let _ = server.read(&mut hello).await;
        // A fatal alert: protocol_version (RFC 8446 §6.2).
        server.write_all(&[21, 3, 1, 0, 2, 2, 70]).await.unwrap();
        let _ = server.read(&mut hello).await;
    };
    let name = host();
    let (shaken, ()) =
        tokio::join!(Stream::Plain(client).upgrade_client(&client_tls, &name, &[]), old);
    assert!(matches!(shaken, Err(HandshakeError::OldTls)));
}

#[tokio::test]
async fn reloading_changes_new_connections_and_leaves_open_ones() {
    let dir = tempfile::tempdir().unwrap();
    write_certificate(dir.path(), "old.clinic.test");
    let tls = server_tls(dir.path()).unwrap();
    let https = tls.with_alpn(&[b"h2", b"http/1.1"]).unwrap();
    let (mut client, mut server, before) = shake(&tls).await;

    write_certificate(dir.path(), "new.clinic.test");
    tls.reload().unwrap();
    let (_, _, after) = shake(&https).await;
    assert_ne!(before.chain, after.chain, "clones share the certificate");
    server.write_all(b"still here").await.unwrap();
    server.flush().await.unwrap();
    let mut read = [0; 10];
    client.read_exact(&mut read).await.unwrap();

    std::fs::write(dir.path().join("cert.pem"), "rubbish").unwrap();
    let error = tls.reload().unwrap_err();
    assert!(error.to_string().contains("no certificate in it"), "{error}");
    let (_, _, kept) = shake(&tls).await;
    assert_eq!(kept.chain, after.chain);
}

#[test]
fn files_that_do_not_belong_together_are_told_apart() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_certificate(one.path(), "a.test");
    write_certificate(two.path(), "b.test");
    let (certificate, key) = (one.path().join("cert.pem"), two.path().join("key.pem"));
    assert!(matches!(
        ServerTls::from_pem_files(&certificate, &key),
        Err(TlsError::Mismatch { .. })
    ));
    assert!(matches!(
        ServerTls::from_pem_files(&one.path().join("none.pem"), &key),
        Err(TlsError::Certificate { .. })
    ));
    assert!(matches!(
        ServerTls::from_pem_files(&certificate, &certificate),
        Err(TlsError::PrivateKey { .. })
    ));
}

#[test]
fn extra_roots_are_trusted_besides_the_systems() {
    let dir = tempfile::tempdir().unwrap();
    write_certificate(dir.path(), "ca.test");
    let without = load_roots(None).unwrap().len();
    let with = load_roots(Some(&dir.path().join("cert.pem"))).unwrap().len();
    assert_eq!(with, without + 1);
    assert!(load_roots(Some(&dir.path().join("none.pem"))).is_err());
}

fn loopback() -> Vec<SocketAddr> {
    vec!["127.0.0.1:0".parse().unwrap()]
}

async fn read_all(address: SocketAddr) -> String {
    let mut text = String::new();
    let mut tcp = TcpStream::connect(address).await.unwrap();
    tcp.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn listeners_serve_limit_and_drain() {
    let listeners = Listeners::bind("mx", &loopback()).unwrap();
    let address = listeners.local_addrs()[0];
    let shutdown = Shutdown::new();
    let session_shutdown = shutdown.clone();
    let running = tokio::spawn(listeners.run(
        Limits { total: 10, per_ip: 1 },
        shutdown.clone(),
        |why| format!("421 {why:?}").into_bytes(),
        move |mut accepted| {
            let shutdown = session_shutdown.clone();
            async move {
                accepted.stream.write_all(b"220 hello\r\n").await.unwrap();
                shutdown.cancelled().await;
                accepted.stream.write_all(b"421 bye\r\n").await.unwrap();
            }
        },
    ));
    let mut first = TcpStream::connect(address).await.unwrap();
    let mut greeting = [0; 11];
    first.read_exact(&mut greeting).await.unwrap();
    assert_eq!(shutdown.sessions(), 1);
    assert_eq!(read_all(address).await, format!("421 {:?}", TooMany::FromPeer));

    shutdown.begin();
    assert_eq!(shutdown.drain(Duration::from_secs(5)).await, 0);
    running.await.unwrap();
    let mut rest = String::new();
    first.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "421 bye\r\n");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let first = Listeners::bind("imaps", &loopback()).unwrap();
    let taken = first.local_addrs();
    let error = Listeners::bind("submissions", &taken).unwrap_err();
    assert!(matches!(error, ListenError::InUse { service: "submissions", .. }));
    assert!(error.to_string().contains(&taken[0].to_string()), "{error}");
    let elsewhere = ["192.0.2.1:0".parse().unwrap()];
    let error = Listeners::bind("mx", &elsewhere).unwrap_err();
    assert!(matches!(error, ListenError::NoSuchAddress { .. }), "{error}");
}
