//! A provider's server that says what it is told to say.

use super::*;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::io::AsyncBufReadExt;
use tokio::io::BufReader;
use tokio::net::TcpListener;
use wardpost_dns::{Dnssec, FakeResolver};
use wardpost_mail::Secret;
use wardpost_net::ServerTls;

const HOST: &str = "smtp.isp.test";

/// What came of a try of a server that answers a log-in like this, and what the server heard. Whether its
/// certificate is trusted is the caller's choice.
async fn tried(answer: &'static str, trusted: bool) -> (RelayLook, String) {
    let host = Domain::parse(HOST).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server_tls = ServerTls::self_signed(folder.path(), &host).unwrap();
    let mut roots = Roots::new();
    if trusted {
        roots.add(&server_tls.certificate_der()).unwrap();
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::new(Mutex::new(String::new()));
    let (ears, tls) = (Arc::clone(&heard), server_tls.clone());
    let serving = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(Stream::Plain(tcp));
        stream.write_all(b"220 smtp.isp.test\r\n").await.unwrap();
        let mut line = String::new();
        loop {
            line.clear();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            ears.lock().push_str(&line);
            let reply = match line.split_whitespace().next().unwrap_or_default() {
                "EHLO" if stream.get_ref().is_tls() => "250-smtp.isp.test\r\n250 AUTH PLAIN",
                "EHLO" => "250-smtp.isp.test\r\n250 STARTTLS",
                "STARTTLS" => "220 go ahead",
                "AUTH" => answer,
                _ => "221 bye",
            };
            stream.write_all(format!("{reply}\r\n").as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            if line.starts_with("STARTTLS") {
                let upgraded = stream.into_inner().upgrade_server(&tls, &[]).await;
                stream = BufReader::new(upgraded.unwrap());
            }
        }
    });
    let resolver = FakeResolver::new();
    resolver.set_addresses(&host, &[[127, 0, 0, 1].into()], Dnssec::Insecure);
    let (tls, hostname) = (ClientTls::new().unwrap(), Domain::parse("mail.clinic.test").unwrap());
    let login = Login { user: "clinic".into(), password: Secret::new("s3cret".into()) };
    let relay = Smarthost { host, port, login: Some(login), trusted_onward: true };
    let trial = Trial { resolver: &resolver, tls: &tls, roots: &roots, hostname: &hostname };
    let look = trial.run(&relay).await;
    serving.await.unwrap();
    let heard = heard.lock().clone();
    (look, heard)
}

#[tokio::test]
async fn only_a_235_says_that_the_password_was_taken() {
    let (look, heard) = tried("235 2.7.0 welcome", true).await;
    assert!(look.works && look.says.contains("It took the user name and the password"), "{look:?}");
    assert!(heard.contains("AUTH PLAIN"), "{heard}");
    for answer in ["334 ", "250 fine", "535 5.7.8 no"] {
        let (look, _) = tried(answer, true).await;
        assert!(!look.works, "{answer}: {look:?}");
        assert!(look.says.contains("did not take the user name and password"), "{look:?}");
    }
}

#[tokio::test]
async fn nobody_untrusted_gets_the_password() {
    let (look, heard) = tried("235 2.7.0 welcome", false).await;
    assert!(!look.works && look.says.contains("No password was sent"), "{look:?}");
    assert!(heard.contains("STARTTLS") && !heard.contains("AUTH"), "{heard}");
}
