//! A plain SMTP client that says exactly what a test tells it to.

use crate::{Result, ca::Ca};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// How long a test waits for any one answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection, in the clear or inside TLS.
#[derive(Debug)]
pub enum Stream {
    /// Not encrypted yet.
    Plain(TcpStream),
    /// Inside TLS.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buf),
            Self::Tls(stream) => stream.read(buf),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(buf),
            Self::Tls(stream) => stream.write(buf),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl Stream {
    /// Connects without TLS.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self::Plain(stream))
    }

    /// Shakes hands; the server must prove to be `name` by the lab's authority.
    ///
    /// # Errors
    /// When the handshake fails or the certificate does not hold.
    pub fn secure(self, ca: &Ca, name: &str) -> Result<Self> {
        let Self::Plain(mut tcp) = self else {
            return Err("already inside TLS".into());
        };
        let mut connection =
            ClientConnection::new(tls_config(ca)?, ServerName::try_from(name.to_owned())?)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut tcp)?;
        }
        Ok(Self::Tls(Box::new(StreamOwned::new(connection, tcp))))
    }
}

/// A TLS client configuration that trusts the lab's authority alone.
///
/// # Errors
/// When the authority's file cannot be read.
pub fn tls_config(ca: &Ca) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&ca.root)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// An SMTP conversation.
#[derive(Debug)]
pub struct Smtp {
    stream: Option<Stream>,
    buffer: Vec<u8>,
}

impl Smtp {
    /// Connects and reads the greeting.
    ///
    /// # Errors
    /// When nobody listens or the greeting is not 220.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        Self::over(Stream::connect(address)?)
    }

    /// Connects with TLS from the first byte (RFC 8314 §3.3).
    ///
    /// # Errors
    /// As [`Smtp::connect`] and [`Stream::secure`].
    pub fn connect_tls(address: SocketAddr, ca: &Ca, name: &str) -> Result<Self> {
        Self::over(Stream::connect(address)?.secure(ca, name)?)
    }

    fn over(stream: Stream) -> Result<Self> {
        let mut this = Self { stream: Some(stream), buffer: Vec::new() };
        this.expect(220)?;
        Ok(this)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result<()> {
        let stream = self.stream.as_mut().ok_or("the connection is gone")?;
        stream.write_all(bytes)?;
        stream.flush()?;
        Ok(())
    }

    /// Reads one reply, all its lines.
    ///
    /// # Errors
    /// When the connection ends first.
    pub fn reply(&mut self) -> Result<String> {
        let mut reply = String::new();
        loop {
            let line = self.line()?;
            let last = line.as_bytes().get(3) != Some(&b'-');
            reply.push_str(&line);
            reply.push('\n');
            if last {
                return Ok(reply);
            }
        }
    }

    fn line(&mut self) -> Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            let mut chunk = [0; 4096];
            let stream = self.stream.as_mut().ok_or("the connection is gone")?;
            let n = stream.read(&mut chunk)?;
            if n == 0 {
                return Err("the server closed the connection".into());
            }
            self.buffer.extend_from_slice(&chunk[..n]);
        }
    }

    /// Sends a command line and reads its reply.
    ///
    /// # Errors
    /// When the connection ends.
    pub fn command(&mut self, line: &str) -> Result<String> {
        self.send_raw(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    /// Sends a command line whose reply must have `code`.
    ///
    /// # Errors
    /// When the reply has another code.
    pub fn must(&mut self, line: &str, code: u16) -> Result<String> {
        self.send_raw(format!("{line}\r\n").as_bytes())?;
        self.expect(code).map_err(|e| format!("after {line:?}: {e}").into())
    }

    fn expect(&mut self, code: u16) -> Result<String> {
        let reply = self.reply()?;
        if reply.starts_with(&code.to_string()) {
            return Ok(reply);
        }
        Err(format!("wanted {code}, got {reply}").into())
    }

    /// EHLO, STARTTLS, handshake, EHLO.
    ///
    /// # Errors
    /// When any of it fails.
    pub fn starttls(&mut self, ca: &Ca, name: &str) -> Result<String> {
        self.must("EHLO client.test", 250)?;
        self.must("STARTTLS", 220)?;
        let plain = self.stream.take().ok_or("the connection is gone")?;
        self.stream = Some(plain.secure(ca, name)?);
        self.must("EHLO client.test", 250)
    }

    /// AUTH PLAIN with an initial response (RFC 4616).
    ///
    /// # Errors
    /// When the password is refused.
    pub fn login(&mut self, user: &str, password: &str) -> Result<()> {
        let token = data_encoding::BASE64.encode(format!("\0{user}\0{password}").as_bytes());
        self.must(&format!("AUTH PLAIN {token}"), 235)?;
        Ok(())
    }

    /// One whole mail transaction. `message` has CRLF line ends; dots are stuffed here.
    ///
    /// # Errors
    /// With the first reply that is not positive.
    pub fn send(&mut self, from: &str, to: &[&str], message: &str) -> Result<String> {
        self.send_with(from, "", to, message)
    }

    /// Like [`Smtp::send`], with `parameters` after the sender, such as `REQUIRETLS`.
    ///
    /// # Errors
    /// With the first reply that is not positive.
    pub fn send_with(
        &mut self,
        from: &str,
        parameters: &str,
        to: &[&str],
        message: &str,
    ) -> Result<String> {
        self.must(format!("MAIL FROM:<{from}> {parameters}").trim_end(), 250)?;
        for recipient in to {
            self.must(&format!("RCPT TO:<{recipient}>"), 250)?;
        }
        self.must("DATA", 354)?;
        let mut wire = message.replace("\r\n.", "\r\n..");
        if !wire.ends_with("\r\n") {
            wire.push_str("\r\n");
        }
        wire.push_str(".\r\n");
        self.send_raw(wire.as_bytes())?;
        self.expect(250)
    }
}
