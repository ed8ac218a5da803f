//! A thousand domains that take no mail today, each in one of three ways: connections are refused; taken and
//! never answered; or everything works, TLS too, but so slowly that one wonders, and MAIL is put off in the end.

use crate::knot::{Proof, Zone};
use crate::policies::certified_key;
use crate::{Lab, Plan, Result, SMTP_PORT};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// How many domains there are.
pub const DOMAINS: usize = 1000;
/// Their hosts' places in the world: who stalls, who refuses (nobody listens), who is slow.
const HOSTS: [(&str, u8); 3] = [("stalls", 241), ("refuses", 242), ("slow", 243)];
/// How long the slow one thinks before each answer that matters.
const THINKS: Duration = Duration::from_secs(3);

/// The storm's servers.
#[derive(Debug)]
pub struct Storm {
    waiting: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Only(Arc<CertifiedKey>);

impl ResolvesServerCert for Only {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

impl Storm {
    /// Puts the domains into the world's DNS.
    pub fn plan(plan: &mut Plan<'_>) {
        let hosts = HOSTS.map(|(name, n)| format!("{name}.storm.test. A {}", plan.host(n)));
        let domains = (0..DOMAINS)
            .map(|n| format!("{}. MX 10 {}.storm.test.", domain(n), HOSTS[n % HOSTS.len()].0));
        let records: Vec<String> = hosts.into_iter().chain(domains).collect();
        plan.zones.push(Zone::new("storm.test", Proof::Unsigned, &records));
    }

    /// Starts those who listen.
    ///
    /// # Errors
    /// When an address is taken.
    pub fn start(lab: &Lab) -> Result<Self> {
        let [(_, stalls), _, (name, slow)] = HOSTS;
        let stalls = TcpListener::bind(SocketAddr::from((lab.host(stalls), SMTP_PORT)))?;
        let slow = TcpListener::bind(SocketAddr::from((lab.host(slow), SMTP_PORT)))?;
        let pair = lab.ca.issue(&[&format!("{name}.storm.test")])?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Only(Arc::new(certified_key(&pair)?))));
        let config = Arc::new(config);
        let waiting = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&waiting);
        // Both end with the program; their addresses are the world's own.
        thread::spawn(move || {
            for stream in stalls.incoming().flatten() {
                let count = Arc::clone(&count);
                count.fetch_add(1, Ordering::SeqCst);
                attend(move || {
                    // Until the client has had enough.
                    let _ = (&stream).read(&mut [0; 512]);
                    count.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        thread::spawn(move || {
            for stream in slow.incoming().flatten() {
                let config = Arc::clone(&config);
                // Who hangs up early is not missed.
                attend(move || drop(dawdle(stream, config)));
            }
        });
        Ok(Self { waiting })
    }

    /// How many connections wait for a greeting that never comes.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }
}

/// The name of the nth domain.
pub fn domain(n: usize) -> String {
    format!("d{n}.storm.test")
}

/// A thread with a small stack: there may be a thousand.
fn attend(work: impl FnOnce() + Send + 'static) {
    let _ = thread::Builder::new().stack_size(256 * 1024).spawn(work);
}

/// A conversation that takes its time and leads nowhere.
fn dawdle(stream: TcpStream, config: Arc<ServerConfig>) -> Result<()> {
    thread::sleep(THINKS);
    (&stream).write_all(b"220 slow.storm.test ESMTP\r\n")?;
    let mut plain = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if plain.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line.to_ascii_uppercase().starts_with("STARTTLS") {
            break;
        }
        plain.get_mut().write_all(b"250-slow.storm.test\r\n250 STARTTLS\r\n")?;
    }
    thread::sleep(THINKS);
    plain.get_mut().write_all(b"220 2.0.0 at last\r\n")?;
    let tls = StreamOwned::new(ServerConnection::new(config)?, plain.into_inner());
    let mut tls = BufReader::new(tls);
    loop {
        let mut line = String::new();
        if tls.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let answer: &[u8] = match line.get(..4).unwrap_or_default() {
            "EHLO" => b"250 slow.storm.test\r\n",
            "QUIT" => b"221 2.0.0 bye\r\n",
            _ => {
                thread::sleep(THINKS);
                b"451 4.3.0 not today\r\n"
            }
        };
        tls.get_mut().write_all(answer)?;
        tls.get_mut().flush()?;
    }
}
