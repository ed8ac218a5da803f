//! Ending TLS in the server's place.

use super::capture::{Direction, Record};
use crate::Result;
use crate::ca::Pair;
use crate::policies::certified_key;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long either side is listened to before it is the other's turn.
const TURN: Duration = Duration::from_millis(10);

#[derive(Debug)]
struct Only(Arc<CertifiedKey>);

impl ResolvesServerCert for Only {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// Lets the server talk until the client asks for TLS; then shakes hands with `pair` and goes on between TLS
/// on the one side and clear text on the other.
pub(super) fn impersonate(
    client: TcpStream,
    server: TcpStream,
    pair: &Pair,
    record: &Record,
) -> Result<()> {
    client.set_read_timeout(Some(TURN))?;
    server.set_read_timeout(Some(TURN))?;
    let config = ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_safe_default_protocol_versions()?
    .with_no_client_auth()
    .with_cert_resolver(Arc::new(Only(Arc::new(certified_key(pair)?))));
    let mut between = Between { client, server, tls: None, record };
    let end = Instant::now() + super::PATIENCE;
    while Instant::now() < end {
        if !between.turn_of_client(&config)? || !between.turn_of_server()? {
            break;
        }
    }
    Ok(())
}

struct Between<'a> {
    client: TcpStream,
    server: TcpStream,
    tls: Option<ServerConnection>,
    record: &'a Record,
}

impl Between<'_> {
    /// Takes what the client sent; `false` once it is gone.
    fn turn_of_client(&mut self, config: &ServerConfig) -> Result<bool> {
        let mut buffer = [0; 16 * 1024];
        let Some(n) = read(&mut self.client, &mut buffer)? else { return Ok(true) };
        if n == 0 {
            return Ok(false);
        }
        let piece = &buffer[..n];
        self.record.add(Direction::FromClient, piece);
        let Some(tls) = &mut self.tls else {
            if piece.to_ascii_uppercase().starts_with(b"STARTTLS") {
                self.client.write_all(b"220 2.0.0 Ready to start TLS\r\n")?;
                self.tls = Some(ServerConnection::new(Arc::new(config.clone()))?);
            } else {
                self.server.write_all(piece)?;
            }
            return Ok(true);
        };
        let mut rest = piece;
        while !rest.is_empty() {
            tls.read_tls(&mut rest)?;
            let processed = tls.process_new_packets();
            while tls.wants_write() {
                tls.write_tls(&mut self.client)?;
            }
            let mut opened = vec![0; processed?.plaintext_bytes_to_read()];
            tls.reader().read_exact(&mut opened)?;
            if !opened.is_empty() {
                self.record.add(Direction::OpenedFromClient, &opened);
                self.server.write_all(&opened)?;
            }
        }
        Ok(true)
    }

    /// Passes on what the server said; `false` once it is gone.
    fn turn_of_server(&mut self) -> Result<bool> {
        let mut buffer = [0; 16 * 1024];
        let Some(n) = read(&mut self.server, &mut buffer)? else { return Ok(true) };
        self.record.add(Direction::FromServer, &buffer[..n]);
        match &mut self.tls {
            None => self.client.write_all(&buffer[..n])?,
            Some(tls) => {
                tls.writer().write_all(&buffer[..n])?;
                while tls.wants_write() {
                    tls.write_tls(&mut self.client)?;
                }
            }
        }
        Ok(n > 0)
    }
}

/// Reads what is there: `None` when there is nothing yet.
fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<Option<usize>> {
    match stream.read(buffer) {
        Ok(n) => Ok(Some(n)),
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
        Err(e) => Err(e.into()),
    }
}
