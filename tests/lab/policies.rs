//! A web host for other domains' MTA-STS policies (RFC 8461 §3.2): HTTPS on port 443 of host 44, one
//! certificate and one answer for each `mta-sts.DOMAIN`, changed at will while it runs.

use crate::ca::Pair;
use crate::{Lab, Plan, Result};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Its place in a world.
const HOST: u8 = 44;
/// Nobody may hold a thread longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is answered to whoever asks for a policy.
#[derive(Debug, Clone)]
pub enum Answer {
    /// 200 and this text.
    Text(String),
    /// A status without a policy.
    Status(u16),
    /// A redirect, which no client may follow (RFC 8461 §3.3).
    Redirect(String),
}

impl Answer {
    /// A policy file: `mode`, the permitted `mx`, and how long it may be kept.
    pub fn policy(mode: &str, mx: &str, max_age: u32) -> Self {
        Self::Text(format!("version: STSv1\r\nmode: {mode}\r\nmx: {mx}\r\nmax_age: {max_age}\r\n"))
    }
}

/// The records that announce a domain's policy and say where it is: `id` changes when the policy does.
pub fn records(plan: &Plan<'_>, domain: &str, id: &str) -> [String; 2] {
    [
        format!("_mta-sts.{domain}. TXT \"v=STSv1; id={id};\""),
        format!("mta-sts.{domain}. A {}", plan.host(HOST)),
    ]
}

#[derive(Debug)]
struct Site {
    key: Arc<CertifiedKey>,
    answer: Answer,
    asked: usize,
}

#[derive(Debug, Default)]
struct Sites(Mutex<HashMap<String, Site>>);

impl Sites {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Site>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolvesServerCert for Sites {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.lock().get(hello.server_name()?)?.key))
    }
}

/// A running policy host.
#[derive(Debug)]
pub struct Policies {
    sites: Arc<Sites>,
    ip: Ipv4Addr,
}

impl Policies {
    /// Starts the host, without any policy.
    ///
    /// # Errors
    /// When port 443 cannot be had: this needs root.
    pub fn start(lab: &Lab) -> Result<Self> {
        let sites = Arc::new(Sites::default());
        let ip = lab.host(HOST);
        let listener = TcpListener::bind(SocketAddr::from((ip, 443)))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&sites) as Arc<dyn ResolvesServerCert>);
        let config = Arc::new(config);
        let shared = Arc::clone(&sites);
        // Ends with the program; its address is the world's own.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, sites) = (Arc::clone(&config), Arc::clone(&shared));
                thread::spawn(move || {
                    // Who hangs up early has its answer.
                    let _ = serve(stream, config, &sites);
                });
            }
        });
        Ok(Self { sites, ip })
    }

    /// Sets what `domain`'s policy host shows and answers from now on.
    ///
    /// # Errors
    /// When the certificate cannot be read.
    pub fn set(&self, domain: &str, pair: &Pair, answer: Answer) -> Result<()> {
        let key = Arc::new(certified_key(pair)?);
        let name = format!("mta-sts.{domain}");
        let mut sites = self.sites.lock();
        let asked = sites.get(&name).map_or(0, |site| site.asked);
        sites.insert(name, Site { key, answer, asked });
        Ok(())
    }

    /// How often `domain`'s policy was asked for.
    pub fn asked(&self, domain: &str) -> usize {
        self.sites.lock().get(&format!("mta-sts.{domain}")).map_or(0, |site| site.asked)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (self.ip, 443).into()
    }
}

/// A certificate and key as rustls wants them.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn certified_key(pair: &Pair) -> Result<CertifiedKey> {
    let chain: std::result::Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(&pair.certificate)?.collect();
    let key = PrivateKeyDer::from_pem_file(&pair.key)?;
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)?;
    Ok(CertifiedKey::new(chain?, key))
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>, sites: &Sites) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut stream = BufReader::new(StreamOwned::new(ServerConnection::new(config)?, stream));
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
        if lines.len() > 100 {
            return Err("too many header lines".into());
        }
    }
    let known = lines.first().is_some_and(|l| l.starts_with("GET /.well-known/mta-sts.txt "));
    let host = lines.iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("host").then(|| value.trim().trim_end_matches(":443"))
    });
    let answer = host.filter(|_| known).and_then(|host| {
        let mut sites = sites.lock();
        let site = sites.get_mut(host)?;
        site.asked += 1;
        Some(site.answer.clone())
    });
    let reply = match answer.unwrap_or(Answer::Status(404)) {
        Answer::Text(text) => format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
            text.len()
        ),
        Answer::Status(status) => {
            format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        }
        Answer::Redirect(to) => format!(
            "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        ),
    };
    let tls = stream.get_mut();
    tls.write_all(reply.as_bytes())?;
    tls.conn.send_close_notify();
    tls.flush()?;
    Ok(())
}
