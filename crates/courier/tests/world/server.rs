//! A scripted mail server that keeps every octet it reads, and knows which came in clear.

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair, PublicKeyData};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wardpost_net::{ServerTls, Stream};
use wardpost_verdict::Tlsa;

/// The port of all scripted servers; each has an address of its own.
pub const PORT: u16 = 2525;

/// How a server does TLS.
pub enum Tls {
    /// Not at all.
    No,
    /// Properly, with this certificate.
    With(ServerTls),
    /// Offers STARTTLS, says 220 and breaks the handshake.
    Breaks,
    /// Offers STARTTLS and refuses it.
    Refuses,
    /// Says 220 and more in the same breath, then shakes hands properly.
    Injects(ServerTls),
}

/// What a server does besides.
pub struct Script {
    pub tls: Tls,
    /// EHLO keywords besides STARTTLS.
    pub offers: &'static [&'static str],
    /// Replies to RCPT by local part; 250 for the rest.
    pub recipients: HashMap<&'static str, &'static str>,
    /// How many transactions get 451 first.
    pub greylist: AtomicUsize,
    /// How often the connection is dropped when the whole message has been read.
    pub drop_after_data: AtomicUsize,
    /// Whether the connection is closed after each message, without a word.
    pub closes: bool,
    /// The greeting.
    pub greeting: &'static str,
    /// The one response to AUTH PLAIN that logs in; MAIL is refused before.
    pub login: Option<&'static str>,
    /// The connection begins with the handshake.
    pub implicit_tls: bool,
}

impl Script {
    pub fn new(tls: Tls) -> Self {
        Self {
            tls,
            offers: &["PIPELINING", "8BITMIME", "CHUNKING", "SIZE 1000000", "DSN"],
            recipients: HashMap::new(),
            greylist: AtomicUsize::new(0),
            drop_after_data: AtomicUsize::new(0),
            closes: false,
            greeting: "220 scripted ESMTP",
            login: None,
            implicit_tls: false,
        }
    }
}

/// A message that a server took.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    pub mail: String,
    pub recipients: Vec<String>,
    pub message: String,
    pub over_tls: bool,
}

/// What a server saw.
#[derive(Default)]
pub struct Seen {
    /// Every octet that came in clear.
    pub clear: Vec<u8>,
    /// Every octet that came inside TLS.
    pub inside: Vec<u8>,
    pub taken: Vec<Taken>,
    pub connections: usize,
}

#[derive(Clone)]
pub struct Server {
    pub address: IpAddr,
    pub seen: Arc<Mutex<Seen>>,
}

static NEXT: AtomicU8 = AtomicU8::new(1);

impl Server {
    /// Starts a server on an address of its own.
    pub async fn start(script: Script) -> Self {
        Self::start_on(PORT, script).await.unwrap()
    }

    /// The same on another port.
    pub async fn start_on(port: u16, script: Script) -> std::io::Result<Self> {
        let last = NEXT.fetch_add(1, Ordering::Relaxed);
        let third = u8::try_from(std::process::id() % 251).unwrap();
        let address = IpAddr::V4(Ipv4Addr::new(127, 77, third, last));
        let listener = TcpListener::bind(SocketAddr::new(address, port)).await?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let server = Self { address, seen: Arc::clone(&seen) };
        let script = Arc::new(script);
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                seen.lock().unwrap().connections += 1;
                let session = Session {
                    stream: Some(Stream::Plain(tcp)),
                    buffer: Vec::new(),
                    script: Arc::clone(&script),
                    seen: Arc::clone(&seen),
                    tls: false,
                    logged_in: script.login.is_none(),
                    current: Taken::default(),
                };
                // A session ends in an error when the client leaves; that is its ordinary end.
                tokio::spawn(async move { drop(session.run().await) });
            }
        });
        Ok(server)
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.seen.lock().unwrap().taken.clone()
    }

    pub fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    /// Whether `text` was read from anybody, inside TLS or not.
    pub fn read_anywhere(&self, text: &str) -> bool {
        let seen = self.seen.lock().unwrap();
        contains(&seen.clear, text) || contains(&seen.inside, text)
    }

    /// Whether `text` was read in clear.
    pub fn read_in_clear(&self, text: &str) -> bool {
        contains(&self.seen.lock().unwrap().clear, text)
    }
}

pub fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
}

struct Session {
    stream: Option<Stream>,
    buffer: Vec<u8>,
    script: Arc<Script>,
    seen: Arc<Mutex<Seen>>,
    tls: bool,
    logged_in: bool,
    current: Taken,
}

type Gone = std::io::Error;

fn gone() -> Gone {
    std::io::ErrorKind::ConnectionAborted.into()
}

impl Session {
    async fn fill(&mut self) -> Result<(), Gone> {
        let mut chunk = [0; 16384];
        let n = self.stream.as_mut().ok_or_else(gone)?.read(&mut chunk).await?;
        if n == 0 {
            return Err(gone());
        }
        let mut seen = self.seen.lock().unwrap();
        let log = if self.tls { &mut seen.inside } else { &mut seen.clear };
        log.extend_from_slice(&chunk[..n]);
        self.buffer.extend_from_slice(&chunk[..n]);
        Ok(())
    }

    async fn line(&mut self) -> Result<String, Gone> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 2);
                return Ok(line);
            }
            self.fill().await?;
        }
    }

    async fn octets(&mut self, n: usize) -> Result<Vec<u8>, Gone> {
        while self.buffer.len() < n {
            self.fill().await?;
        }
        Ok(self.buffer.drain(..n).collect())
    }

    async fn say(&mut self, reply: &str) -> Result<(), Gone> {
        let stream = self.stream.as_mut().ok_or_else(gone)?;
        stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
        stream.flush().await
    }

    async fn run(mut self) -> Result<(), Gone> {
        let script = Arc::clone(&self.script);
        if let (true, Tls::With(tls)) = (script.implicit_tls, &script.tls) {
            self.shake_hands(tls).await?;
        }
        let greeting = self.script.greeting;
        self.say(greeting).await?;
        loop {
            let line = self.line().await?;
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" => self.ehlo().await?,
                "STARTTLS" => self.start_tls().await?,
                "AUTH" => {
                    let known = self.script.login.map(|login| format!("AUTH PLAIN {login}"));
                    self.logged_in = known.as_ref() == Some(&line);
                    let reply = if self.logged_in { "235 2.7.0 welcome" } else { "535 5.7.8 no" };
                    self.say(reply).await?;
                }
                "MAIL" if !self.logged_in => self.say("530 5.7.0 log in first").await?,
                "MAIL" => {
                    self.current = Taken { mail: line, over_tls: self.tls, ..Taken::default() };
                    self.say("250 2.1.0 ok").await?;
                }
                "RCPT" => self.rcpt(&line).await?,
                "DATA" => {
                    self.say("354 go on").await?;
                    self.data().await?;
                }
                "BDAT" => {
                    let size = line.split(' ').nth(1).unwrap().parse().unwrap();
                    let message = self.octets(size).await?;
                    self.take(&message).await?;
                }
                "RSET" => self.say("250 2.0.0 ok").await?,
                "QUIT" => return self.say("221 2.0.0 bye").await,
                _ => self.say("500 5.5.1 what?").await?,
            }
        }
    }

    async fn ehlo(&mut self) -> Result<(), Gone> {
        let mut lines = vec!["scripted"];
        lines.extend_from_slice(self.script.offers);
        if !self.tls && !matches!(self.script.tls, Tls::No) {
            lines.push("STARTTLS");
        }
        let last = lines.len() - 1;
        let text: Vec<String> = lines
            .iter()
            .enumerate()
            .map(|(i, line)| format!("250{}{line}", if i == last { ' ' } else { '-' }))
            .collect();
        self.say(&text.join("\r\n")).await
    }

    async fn start_tls(&mut self) -> Result<(), Gone> {
        let script = Arc::clone(&self.script);
        let tls = match &script.tls {
            Tls::No => return self.say("502 5.5.1 no").await,
            Tls::Refuses => return self.say("454 4.7.0 not today").await,
            Tls::Breaks => {
                self.say("220 2.0.0 go on").await?;
                return self.say("just joking").await;
            }
            Tls::With(tls) => {
                self.say("220 2.0.0 go on").await?;
                tls
            }
            Tls::Injects(tls) => {
                self.say("220 2.0.0 go on\r\n250 2.0.0 injected").await?;
                tls
            }
        };
        self.shake_hands(tls).await
    }

    async fn shake_hands(&mut self, tls: &ServerTls) -> Result<(), Gone> {
        let stream = self.stream.take().ok_or_else(gone)?;
        let upgraded = stream.upgrade_server(tls, &[]).await.map_err(|_| gone())?;
        self.stream = Some(upgraded);
        self.tls = true;
        Ok(())
    }

    async fn rcpt(&mut self, line: &str) -> Result<(), Gone> {
        let script = Arc::clone(&self.script);
        let refusal =
            script.recipients.iter().find(|(local, _)| line.contains(&format!("<{local}@")));
        if let Some((_, reply)) = refusal {
            return self.say(reply).await;
        }
        let again = |n: usize| n.checked_sub(1);
        if script.greylist.fetch_update(Ordering::AcqRel, Ordering::Acquire, again).is_ok() {
            return self.say("451 4.7.1 come back later").await;
        }
        self.current.recipients.push(line.to_owned());
        self.say("250 2.1.5 ok").await
    }

    async fn data(&mut self) -> Result<(), Gone> {
        let mut message = Vec::new();
        loop {
            let line = self.line().await?;
            if line == "." {
                return self.take(&message).await;
            }
            message.extend_from_slice(line.strip_prefix('.').unwrap_or(&line).as_bytes());
            message.extend_from_slice(b"\r\n");
        }
    }

    async fn take(&mut self, message: &[u8]) -> Result<(), Gone> {
        let script = Arc::clone(&self.script);
        let again = |n: usize| n.checked_sub(1);
        if script.drop_after_data.fetch_update(Ordering::AcqRel, Ordering::Acquire, again).is_ok() {
            return Err(gone());
        }
        self.current.message = String::from_utf8_lossy(message).into_owned();
        let taken = std::mem::take(&mut self.current);
        self.seen.lock().unwrap().taken.push(taken);
        self.say("250 2.0.0 taken").await?;
        if script.closes { Err(gone()) } else { Ok(()) }
    }
}

/// Makes a server's certificate.
pub fn certificate(ca: Option<&CertifiedIssuer<'static, KeyPair>>, name: &str) -> ServerTls {
    certificate_and_tlsa(ca, name).0
}

/// Makes a server's certificate, and the TLSA record (3 1 1) of its key.
pub fn certificate_and_tlsa(
    ca: Option<&CertifiedIssuer<'static, KeyPair>>,
    name: &str,
) -> (ServerTls, Tlsa) {
    let dir = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = match ca {
        Some(ca) => params.signed_by(&key, ca).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    let (cert, private) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, certificate.pem()).unwrap();
    std::fs::write(&private, key.serialize_pem()).unwrap();
    let digest = digest(&SHA256, &key.subject_public_key_info());
    let tlsa = Tlsa { usage: 3, selector: 1, matching: 1, data: digest.as_ref().to_vec() };
    (ServerTls::from_pem_files(&cert, &private).unwrap(), tlsa)
}
