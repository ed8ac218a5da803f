//! Sends many messages to a server and tells how fast it took them:
//!
//! ```text
//! cargo run --release -p wardpost-smtp-io --example load -- 127.0.0.1:25 dana@clinic.test 8 4096 10000
//! ```
//! The words are: server, recipient, clients, octets of a message, messages in all.

#![allow(clippy::unwrap_used)] // A tool for the desk: whatever goes wrong ends it.

use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wardpost_mail::{Address, Domain, Envelope, ReversePath};
use wardpost_net::{ClientTls, Stream};
use wardpost_smtp::{ClientEvent, ClientSession};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [server, to, clients, size, messages] = words.as_slice() else {
        eprintln!("usage: load SERVER:PORT RECIPIENT CLIENTS OCTETS MESSAGES");
        std::process::exit(2);
    };
    let (clients, size): (usize, usize) = (clients.parse().unwrap(), size.parse().unwrap());
    let each = messages.parse::<usize>().unwrap() / clients;
    let mut ready = Vec::new();
    for _ in 0..clients {
        ready.push(Client::connect(server).await);
    }
    let from = ReversePath::Address(Address::parse("load@elsewhere.test").unwrap());
    let envelope = Envelope::new(from, [Address::parse(to).unwrap()]);
    let line = format!("{}\r\n", "x".repeat(70));
    let message = format!(
        "From: load@elsewhere.test\r\nSubject: load\r\n\r\n{}",
        line.repeat(size / line.len())
    );
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for mut client in ready {
        let (envelope, message) = (envelope.clone(), message.clone());
        tasks.spawn(async move {
            let mut times = Vec::with_capacity(each);
            for _ in 0..each {
                let started = Instant::now();
                client.send(&envelope, message.as_bytes()).await;
                times.push(started.elapsed());
            }
            times
        });
    }
    let mut times: Vec<Duration> = tasks.join_all().await.concat();
    times.sort_unstable();
    let at = |share: f64| times[(share * (times.len() - 1) as f64) as usize].as_secs_f64() * 1e3;
    let rate = times.len() as f64 / started.elapsed().as_secs_f64();
    println!("{rate:.0} messages/s, p50 {:.2} ms, p99 {:.2} ms", at(0.5), at(0.99));
}

struct Client {
    stream: Stream,
    session: ClientSession,
}

impl Client {
    async fn connect(server: &str) -> Self {
        let name = Domain::parse("load.elsewhere.test").unwrap();
        let tcp = TcpStream::connect(server).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let mut client = Self { stream: Stream::Plain(tcp), session: ClientSession::new(&name) };
        client.next().await;
        client.session.ehlo();
        client.next().await;
        client.session.starttls();
        client.next().await;
        let Self { stream, mut session } = client;
        let tls = ClientTls::new().unwrap();
        let (stream, _) = stream.upgrade_client(&tls, &name, &[]).await.unwrap();
        session.tls_started().unwrap();
        let mut client = Self { stream, session };
        client.session.ehlo();
        client.next().await;
        client
    }

    async fn send(&mut self, envelope: &Envelope, message: &[u8]) {
        self.session.mail(envelope, message.len() as u64).unwrap();
        loop {
            match self.next().await {
                ClientEvent::SendMessage => {
                    self.session.message(message);
                    self.session.end_of_message();
                }
                ClientEvent::Done(reply) => {
                    assert!(reply.as_ref().is_some_and(|reply| reply.code == 250), "{reply:?}");
                    return;
                }
                _ => {}
            }
        }
    }

    async fn next(&mut self) -> ClientEvent {
        let mut buffer = [0; 4096];
        loop {
            if let Some(event) = self.session.next_event().unwrap() {
                return event;
            }
            let output = self.session.take_output();
            self.stream.write_all(&output).await.unwrap();
            self.stream.flush().await.unwrap();
            let n = self.stream.read(&mut buffer).await.unwrap();
            assert!(n > 0, "the server went away");
            self.session.receive(&buffer[..n]);
        }
    }
}
