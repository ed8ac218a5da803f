//! Debian's stunnel as the TLS of a mail server that has none, or not the one that a test wants.
//!
//! stunnel speaks STARTTLS to the client and plain SMTP to the server behind it (`protocol = smtp`).

use crate::destinations::Face;
use crate::process::Process;
use crate::{Lab, Result, wait_for};
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

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
            let pair = face.tls.as_ref().ok_or("a stunnel without a certificate")?;
            let versions = if face.old {
                "sslVersionMin = TLSv1\nsslVersionMax = TLSv1.1\nsecurityLevel = 0\nciphers = ALL:!DH:@SECLEVEL=0\n"
            } else {
                "sslVersionMin = TLSv1.2\nciphers = HIGH:!DH:!aNULL\n"
            };
            text.push_str(&format!(
                "[{domain}]\naccept = {address}\nconnect = {server}\nprotocol = smtp\n\
                 cert = {certificate}\nkey = {key}\n{versions}",
                domain = face.domain,
                address = face.address(),
                certificate = pair.certificate.display(),
                key = pair.key.display(),
            ));
        }
        let config = folder.join("stunnel.conf");
        fs::write(&config, text)?;
        let mut command = std::process::Command::new("/usr/bin/stunnel");
        command.arg(&config);
        let log = folder.join("log");
        let mut process = Process::start(&mut command, &log)?;
        for (face, _) in fronts {
            wait_for("stunnel to listen", Duration::from_secs(20), || {
                let up = TcpStream::connect(face.address()).is_ok();
                (up || process.ended().is_some()).then_some(up)
            })
            .and_then(|up| if up { Ok(()) } else { Err("stunnel ended at once".into()) })
            .map_err(|e| format!("{e}\n{}", fs::read_to_string(&log).unwrap_or_default()))?;
        }
        Ok(Self(process))
    }
}
