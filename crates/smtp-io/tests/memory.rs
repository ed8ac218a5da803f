//! What happens when the memory for messages is used up, and when the program ends.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wardpost_mail::{Domain, EnhancedStatus, Reply};
use wardpost_net::{Accepted, ServerTls, Shutdown, Stream};
use wardpost_smtp::{Event, Profile};
use wardpost_smtp_io::{Budget, Conversation, Service, Start, Timing};

/// Takes whatever comes in clear, with room for two units of messages.
async fn service(shutdown: Shutdown) -> SocketAddr {
    let host = Domain::parse("mail.clinic.test").unwrap();
    let own = std::thread::current().id();
    let dir = std::env::temp_dir().join(format!("wardpost-smtp-io-{}-{own:?}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let tls = ServerTls::self_signed(&dir, &host).unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    let mut profile = Profile::new(host.clone(), host);
    profile.tls_required = false;
    let profile = Arc::new(profile);
    let timing = Timing { memory: Duration::from_millis(800), ..Timing::default() };
    let service = Service { tls, timing, budget: Budget::new(2 * 64 * 1024) };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let local = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (tcp, peer) = listener.accept().await.unwrap();
            let accepted = Accepted { stream: Stream::Plain(tcp), peer, local };
            let (profile, service) = (Arc::clone(&profile), service.clone());
            let shutdown = shutdown.clone();
            tokio::spawn(async move {
                // What the client says is there before it is asked for.
                tokio::time::sleep(Duration::from_millis(50)).await;
                let begun = Conversation::begin(accepted, Start::Plain, profile, service, shutdown);
                take_all(begun.await.unwrap()).await;
            });
        }
    });
    local
}

async fn take_all(mut conversation: Conversation) {
    while let Ok(event) = conversation.next().await {
        if matches!(event, Event::Mail(_) | Event::Recipient(_) | Event::Message { .. }) {
            conversation.answer(Reply::new(250, EnhancedStatus::new(2, 0, 0), "Taken"));
        }
    }
}

/// Begins a message and sends so much of it.
async fn begin(service: SocketAddr, octets: usize) -> TcpStream {
    let mut tcp = TcpStream::connect(service).await.unwrap();
    let envelope = "EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n";
    tcp.write_all(envelope.as_bytes()).await.unwrap();
    let line = format!("{}\r\n", "x".repeat(70));
    tcp.write_all(line.repeat(octets.div_ceil(line.len())).as_bytes()).await.unwrap();
    tcp
}

/// Everything that is said up to the end.
async fn rest(mut tcp: TcpStream) -> String {
    let mut said = Vec::new();
    let reading = tcp.read_to_end(&mut said);
    tokio::time::timeout(Duration::from_secs(20), reading).await.unwrap().unwrap();
    String::from_utf8(said).unwrap()
}

#[tokio::test]
async fn who_dawdles_gives_way_when_others_wait() {
    let service = service(Shutdown::new()).await;
    let dawdler = begin(service, 150 * 1024).await;
    // Room enough, as long as nobody else wants it.
    tokio::time::sleep(Duration::from_millis(900)).await;
    let mut other = begin(service, 100 * 1024).await;
    other.write_all(b".\r\nQUIT\r\n").await.unwrap();
    let (dawdler, other) = tokio::join!(rest(dawdler), rest(other));
    assert!(dawdler.contains("\r\n421 4.3.1 Too slow"), "{dawdler}");
    assert!(other.contains("354") && other.ends_with("221 2.0.0 Bye\r\n"), "{other}");
    assert!(other.contains("\r\n250 2.0.0 Taken\r\n221"), "{other}");
}

#[tokio::test]
async fn who_always_has_something_to_say_is_told_of_the_end_all_the_same() {
    let shutdown = Shutdown::new();
    let service = service(shutdown.clone()).await;
    shutdown.begin();
    let mut tcp = TcpStream::connect(service).await.unwrap();
    tcp.write_all(b"NOOP\r\nNOOP\r\n").await.unwrap();
    let said = rest(tcp).await;
    assert!(said.starts_with("220 ") && said.contains("\r\n421 4.3.2 "), "{said}");
    assert!(!said.contains("250"), "{said}");
}
