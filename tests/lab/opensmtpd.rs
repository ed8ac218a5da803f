//! Debian's OpenSMTPD as somebody else's mail server.
//!
//! Debian 12 builds OpenSMTPD 6.8.0p2 against OpenSSL 3, with which it cannot use its own keys: every handshake
//! as a server ends with an internal error (OpenSMTPD issues #1171 and #1239). A face with [`Face::tls`] here has
//! exactly that: STARTTLS is offered and the handshake breaks. Where a test wants OpenSMTPD with good TLS, it
//! puts a [`crate::stunnel`] before a face without.
//!
//! It runs as [`crate::debian`] says, with its own `/etc`, `/var`, `/run` and `/usr/libexec`.

use crate::debian::{User, in_own_world, make_etc, unpacked};
use crate::destinations::{Destination, Face};
use crate::process::Process;
use crate::{Lab, Result, SMTP_PORT, run, wait_for};
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Who its parts are, in its own `/etc` only.
const USERS: [User; 3] = [
    User { name: "opensmtpd", id: 64991 },
    User { name: "opensmtpq", id: 64992 },
    User { name: "vmail", id: VMAIL },
];
/// Whom delivered mail belongs to.
const VMAIL: u32 = 64993;

/// A running OpenSMTPD.
#[derive(Debug)]
pub struct OpenSmtpd {
    process: Process,
    folder: PathBuf,
    /// Where it listens, with the first of its faces.
    pub address: SocketAddr,
}

impl OpenSmtpd {
    /// Starts an OpenSMTPD called `name`, with a configuration, queue and log of its own, that shows all of
    /// `faces`.
    ///
    /// # Errors
    /// When it cannot be had or does not start, or this is not run as root.
    pub fn start(lab: &Lab, name: &str, faces: &[Face]) -> Result<Self> {
        let first = faces.first().ok_or("an OpenSMTPD without a face")?;
        let folder = lab.folder(name)?;
        make_etc(&folder.join("etc"), &USERS, "", lab.host(53))?;
        fs::write(folder.join("etc/mailname"), first.hostname())?;
        for name in ["var/spool/smtpd", "var/lib/opensmtpd/empty", "var/run", "mail/box", "usr"] {
            fs::create_dir_all(folder.join(name))?;
        }
        fs::create_dir_all(folder.join("run"))?;
        fs::set_permissions(folder.join("var/spool/smtpd"), fs::Permissions::from_mode(0o711))?;
        chown(folder.join("mail"), Some(VMAIL), Some(VMAIL))?;
        chown(folder.join("mail/box"), Some(VMAIL), Some(VMAIL))?;
        // Where its users, too, can run it.
        let tree = unpacked("opensmtpd")?;
        for part in ["usr/sbin", "usr/libexec"] {
            run(Command::new("cp").arg("-r").arg(tree.join(part)).arg(folder.join("usr")))?;
        }
        let config = folder.join("smtpd.conf");
        fs::write(&config, configuration(&folder, faces))?;

        let binds =
            [("etc", "/etc"), ("var", "/var"), ("run", "/run"), ("usr/libexec", "/usr/libexec")]
                .map(|(from, to)| (folder.join(from), to));
        let program = folder.join("usr/sbin/smtpd");
        let config = config.to_string_lossy();
        let mut command = in_own_world(&binds, &program, &["-d", "-f", &config]);
        let process = Process::start(&mut command, &folder.join("log"))?;
        let mut this = Self { process, folder, address: first.address() };
        for face in faces {
            let up = wait_for("OpenSMTPD to listen", Duration::from_secs(20), || {
                let up = TcpStream::connect(face.address()).is_ok();
                (up || this.process.ended().is_some()).then_some(up)
            })?;
            if !up {
                return Err(format!("OpenSMTPD does not run:\n{}", this.log()).into());
            }
        }
        Ok(this)
    }
}

impl Destination for OpenSmtpd {
    fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for OpenSmtpd {
    fn drop(&mut self) {
        // Its parts end when the parent tells them to; should it not, they lose their sockets to it.
        let _ = self.process.stop(Duration::from_secs(5));
    }
}

fn configuration(folder: &Path, faces: &[Face]) -> String {
    let dir = folder.display();
    let mut text = String::from("table everybody { \"@\" = \"vmail\" }\n");
    for face in faces {
        let (ip, host) = (face.ip, face.hostname());
        let tls = match &face.tls {
            None => String::new(),
            Some(pair) => {
                text.push_str(&format!(
                    "pki {host} cert \"{}\"\npki {host} key \"{}\"\n",
                    pair.certificate.display(),
                    pair.key.display()
                ));
                format!("tls pki {host}")
            }
        };
        text.push_str(&format!("listen on {ip} port {SMTP_PORT} {tls} hostname {host}\n"));
    }
    let domains: Vec<String> = faces.iter().map(|face| format!("\"{}\"", face.domain)).collect();
    text.push_str(&format!(
        "action \"in\" maildir \"{dir}/mail/box\" virtual <everybody>\n\
         match from any for domain {{ {} }} action \"in\"\n",
        domains.join(", ")
    ));
    text
}
