//! Debian's stunnel as the TLS of a mail server that has none, or not the one that a test wants.
//!
//! stunnel speaks STARTTLS to a client and plain SMTP to the server behind it (`protocol = smtp`), but takes no
//! mail without TLS. So a face's clients come to a small usher of ours first: whoever asks for STARTTLS is led
//! to stunnel, and whoever does not is led to the server, as with a server that has both.

use crate::destinations::Face;
use crate::process::Process;
use crate::{Lab, Result, wait_for};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// The port that stunnel has on each face's address.
const INNER_PORT: u16 = 2526;
/// How long a connection may be silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running stunnel.
#[derive(Debug)]
pub struct Stunnel(#[expect(dead_code, reason = "held until the world ends")] Process);

impl Stunnel {
    /// Starts a stunnel called `name` that shows each face and passes what comes on to the server beside it.
    ///
    /// # Errors
    /// When stunnel is missing or does not start, or a face has no certificate.
    pub fn start(lab: &Lab, name: &str, fronts: &[(Face, SocketAddr)]) -> Result<Self> {
        let folder = lab.folder(name)?;
        let mut text = String::from("foreground = yes\npid =\nsyslog = no\ndebug = notice\n");
        for (face, server) in fronts {
            text.push_str(&service(face, *server)?);
        }
        let config = folder.join("stunnel.conf");
        fs::write(&config, text)?;
        let mut command = std::process::Command::new("/usr/bin/stunnel");
        command.arg(&config);
        let log = folder.join("log");
        let mut process = Process::start(&mut command, &log)?;
        for (face, server) in fronts {
            wait_for("stunnel to listen", Duration::from_secs(20), || {
                let up = TcpStream::connect(inner(face)).is_ok();
                (up || process.ended().is_some()).then_some(up)
            })
            .and_then(|up| if up { Ok(()) } else { Err("stunnel ended at once".into()) })
            .map_err(|e| format!("{e}\n{}", fs::read_to_string(&log).unwrap_or_default()))?;
            usher(face.address(), *server, inner(face))?;
        }
        Ok(Self(process))
    }
}

/// Where stunnel itself listens for a face.
fn inner(face: &Face) -> SocketAddr {
    (face.ip, INNER_PORT).into()
}

fn service(face: &Face, server: SocketAddr) -> Result<String> {
    let pair = face.tls.as_ref().ok_or("a stunnel without a certificate")?;
    let versions = if face.old {
        "sslVersionMin = TLSv1\nsslVersionMax = TLSv1.1\nsecurityLevel = 0\nciphers = ALL:!DH:@SECLEVEL=0\n"
    } else {
        "sslVersionMin = TLSv1.2\nciphers = HIGH:!DH:!aNULL\n"
    };
    Ok(format!(
        "[{domain}]\naccept = {address}\nconnect = {server}\nprotocol = smtp\n\
         cert = {certificate}\nkey = {key}\n{versions}",
        domain = face.domain,
        address = inner(face),
        certificate = pair.certificate.display(),
        key = pair.key.display(),
    ))
}

/// Listens, and leads each client to the server or to stunnel. Ends with the program.
fn usher(address: SocketAddr, server: SocketAddr, stunnel: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address)?;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // Who hangs up early is not missed.
            thread::spawn(move || drop(lead(client, server, stunnel)));
        }
    });
    Ok(())
}

fn lead(client: TcpStream, server: SocketAddr, stunnel: SocketAddr) -> Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_nodelay(true)?;
    let mut server = Side::connect(server)?;
    let mut client = Side(BufReader::new(client));
    client.say(&server.reply()?)?;
    loop {
        let line = client.line()?;
        match line.get(..4).unwrap_or_default().to_ascii_uppercase().as_str() {
            "" => return Ok(()),
            "STAR" => {
                let mut stunnel = Side::connect(stunnel)?;
                stunnel.reply()?;
                for line in ["EHLO usher.test\r\n", &line] {
                    stunnel.say(line)?;
                    let reply = stunnel.reply()?;
                    if !line.starts_with("EHLO") {
                        client.say(&reply)?;
                    }
                }
                return pass_on(client, stunnel);
            }
            "MAIL" => {
                server.say(&line)?;
                return pass_on(client, server);
            }
            verb => {
                server.say(&line)?;
                let reply = server.reply()?;
                client.say(&if verb == "EHLO" { with_starttls(&reply) } else { reply })?;
            }
        }
    }
}

/// A reply to EHLO that offers STARTTLS, if it did not.
fn with_starttls(reply: &str) -> String {
    if reply.contains("STARTTLS") {
        return reply.to_owned();
    }
    let last = reply.rfind("250 ").unwrap_or_default();
    format!("{}250-{}250 STARTTLS\r\n", &reply[..last], reply[last..].trim_start_matches("250 "))
}

/// Lets two sides talk until one has had enough.
fn pass_on(client: Side, server: Side) -> Result<()> {
    let (up, down) = (client.0.get_ref().try_clone()?, server.0.get_ref().try_clone()?);
    let downwards = thread::spawn(move || server.copy_to(up));
    client.copy_to(down)?;
    let _ = downwards.join();
    Ok(())
}

/// One end of a conversation.
struct Side(BufReader<TcpStream>);

impl Side {
    fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    fn say(&mut self, text: &str) -> Result<()> {
        Ok(self.0.get_mut().write_all(text.as_bytes())?)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        Ok(line)
    }

    /// A whole reply.
    fn reply(&mut self) -> Result<String> {
        let mut reply = String::new();
        loop {
            let line = self.line()?;
            let more = line.as_bytes().get(3) == Some(&b'-');
            reply.push_str(&line);
            if !more {
                return Ok(reply);
            }
        }
    }

    /// Copies all that it still says to the other side.
    fn copy_to(mut self, mut other: TcpStream) -> Result<()> {
        let copied = std::io::copy(&mut self.0, &mut other);
        // Either may be gone already.
        let _ = other.shutdown(Shutdown::Write);
        copied?;
        Ok(())
    }
}
