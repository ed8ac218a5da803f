//! A plain IMAP client that says exactly what a test tells it to.

use crate::smtp::Stream;
use crate::{Result, ca::Ca};
use std::io::{Read, Write};
use std::net::SocketAddr;

/// An IMAP session inside TLS.
#[derive(Debug)]
pub struct Imap {
    stream: Stream,
    buffer: Vec<u8>,
    tag: u32,
}

impl Imap {
    /// Connects inside TLS and reads the greeting.
    ///
    /// # Errors
    /// When the server does not prove to be `name` or does not greet.
    pub fn connect(address: SocketAddr, ca: &Ca, name: &str) -> Result<Self> {
        let stream = Stream::connect(address)?.secure(ca, name)?;
        let mut this = Self { stream, buffer: Vec::new(), tag: 0 };
        let greeting = this.response()?;
        if !greeting.starts_with(b"* OK") {
            return Err(format!("greeted with {:?}", String::from_utf8_lossy(&greeting)).into());
        }
        Ok(this)
    }

    /// Connects and logs in.
    ///
    /// # Errors
    /// When the password is refused.
    pub fn login(
        address: SocketAddr,
        ca: &Ca,
        name: &str,
        user: &str,
        password: &str,
    ) -> Result<Self> {
        let mut this = Self::connect(address, ca, name)?;
        this.must(&format!("LOGIN \"{user}\" \"{password}\""))?;
        Ok(this)
    }

    /// Sends a command; gives all that came back, the tagged line last.
    ///
    /// # Errors
    /// When the connection ends.
    pub fn command(&mut self, text: &str) -> Result<String> {
        let tag = self.start(text)?;
        let mut all = Vec::new();
        loop {
            let response = self.response()?;
            all.extend_from_slice(&response);
            if response.starts_with(tag.as_bytes()) {
                return Ok(String::from_utf8_lossy(&all).into_owned());
            }
        }
    }

    /// Sends a command that must end in OK.
    ///
    /// # Errors
    /// When it ends in NO or BAD.
    pub fn must(&mut self, text: &str) -> Result<String> {
        let answer = self.command(text)?;
        let last = answer.trim_end().rsplit("\r\n").next().unwrap_or_default();
        if last.split(' ').nth(1) == Some("OK") {
            return Ok(answer);
        }
        let verb = text.split(' ').next().unwrap_or_default();
        Err(format!("{verb} was answered with {last:?}").into())
    }

    /// Sends a tagged command and gives the tag.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn start(&mut self, text: &str) -> Result<String> {
        self.tag += 1;
        let tag = format!("a{}", self.tag);
        self.send_raw(format!("{tag} {text}\r\n").as_bytes())?;
        Ok(tag)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()?;
        Ok(())
    }

    /// APPEND with a non-synchronising literal (RFC 7888).
    ///
    /// # Errors
    /// When it is refused.
    pub fn append(&mut self, mailbox: &str, message: &str) -> Result<String> {
        self.must(&format!("APPEND \"{mailbox}\" {{{}+}}\r\n{message}", message.len()))
    }

    /// One response, with its literals (RFC 9051 §4.3), line end included.
    ///
    /// # Errors
    /// When the connection ends first.
    pub fn response(&mut self) -> Result<Vec<u8>> {
        let mut end = 0;
        loop {
            let Some(line) = self.buffer[end..].windows(2).position(|w| w == b"\r\n") else {
                self.fill()?;
                continue;
            };
            end += line + 2;
            match literal_length(&self.buffer[..end]) {
                Some(length) => {
                    while self.buffer.len() < end + length {
                        self.fill()?;
                    }
                    end += length;
                }
                None => return Ok(self.buffer.drain(..end).collect()),
            }
        }
    }

    fn fill(&mut self) -> Result<()> {
        let mut chunk = [0; 16384];
        let n = self.stream.read(&mut chunk)?;
        if n == 0 {
            return Err("the server closed the connection".into());
        }
        self.buffer.extend_from_slice(&chunk[..n]);
        Ok(())
    }
}

/// The length that a line ending in `{n}CRLF` announces.
fn literal_length(line: &[u8]) -> Option<usize> {
    let line = line.strip_suffix(b"}\r\n")?;
    let open = line.iter().rposition(|&b| b == b'{')?;
    std::str::from_utf8(&line[open + 1..]).ok()?.parse().ok()
}
