//! Debian's chasquid as somebody else's mail server.
//!
//! chasquid always offers STARTTLS and picks the certificate by the name that the client asks for (SNI); for a
//! name that it has no certificate for it shows the first it has. It cannot be told to stay below TLS 1.2. A
//! test that wants it without TLS or with old TLS puts a [`crate::middle`] or a [`crate::stunnel`] before it.

use crate::debian::{in_own_world, make_etc, unpacked};
use crate::destinations::{Destination, Face};
use crate::process::Process;
use crate::{Lab, Result, SMTP_PORT, wait_for};
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where all mail is delivered: a domain of chasquid's own.
const INNER: &str = "inner.invalid";

/// A running chasquid.
#[derive(Debug)]
pub struct Chasquid {
    process: Process,
    folder: PathBuf,
    /// Where it listens, with the first of its faces.
    pub address: SocketAddr,
}

impl Chasquid {
    /// Starts a chasquid called `name`, with a configuration, queue and log of its own, that shows all of
    /// `faces`.
    ///
    /// # Errors
    /// When it cannot be had or does not start, or this is not run as root.
    pub fn start(lab: &Lab, name: &str, faces: &[Face]) -> Result<Self> {
        let first = faces.first().ok_or("a chasquid without a face")?;
        let folder = lab.folder(name)?;
        // No resolver answers: SPF of a world that is not the machine's cannot be asked for.
        make_etc(&folder.join("etc"), &[], "", lab.host(53))?;
        for name in ["mail/box/new", "mail/box/tmp", "data", "conf/certs", "conf/domains"] {
            fs::create_dir_all(folder.join(name))?;
        }
        let deliver = write_deliver(&folder)?;
        write_domains(lab, &folder, faces)?;
        fs::write(
            folder.join("conf/chasquid.conf"),
            configuration(&folder, first, faces, &deliver),
        )?;

        let program = unpacked("chasquid")?.join("usr/bin/chasquid");
        let config = folder.join("conf");
        let mut command = in_own_world(
            &[(folder.join("etc"), "/etc")],
            &program,
            &["-config_dir", &config.to_string_lossy(), "-v", "1"],
        );
        let process = Process::start(&mut command, &folder.join("log"))?;
        let mut this = Self { process, folder, address: first.address() };
        for face in faces {
            let up = wait_for("chasquid to listen", Duration::from_secs(20), || {
                let up = TcpStream::connect(face.address()).is_ok();
                (up || this.process.ended().is_some()).then_some(up)
            })?;
            if !up {
                return Err(format!("chasquid does not run:\n{}", this.log()).into());
            }
        }
        Ok(this)
    }
}

impl Destination for Chasquid {
    fn folder(&self) -> &Path {
        &self.folder
    }
}

/// The program that chasquid hands mail to: it puts it into the maildir.
fn write_deliver(folder: &Path) -> Result<PathBuf> {
    let deliver = folder.join("deliver");
    let maildir = folder.join("mail/box");
    let script = format!(
        "#!/bin/sh\nset -e\nfile=$(mktemp -p {dir}/tmp)\ncat >\"$file\"\nmv \"$file\" {dir}/new/\n",
        dir = maildir.display()
    );
    fs::write(&deliver, script)?;
    fs::set_permissions(&deliver, fs::Permissions::from_mode(0o755))?;
    Ok(deliver)
}

/// Every face's domain takes all local parts; every face's certificate is there to be picked.
fn write_domains(lab: &Lab, folder: &Path, faces: &[Face]) -> Result<()> {
    fs::create_dir_all(folder.join("conf/domains").join(INNER))?;
    // The first in the alphabet is shown to whoever asks for a name that there is none for.
    let fallback = lab.ca.issue(&["somebody.else.test"])?;
    let mut certificates = vec![("00-fallback".to_owned(), fallback)];
    for face in faces {
        let domain = folder.join("conf/domains").join(&face.domain);
        fs::create_dir_all(&domain)?;
        fs::write(domain.join("aliases"), format!("*: box@{INNER}\n"))?;
        certificates.extend(face.tls.clone().map(|pair| (face.hostname(), pair)));
    }
    for (name, pair) in certificates {
        let place = folder.join("conf/certs").join(name);
        fs::create_dir_all(&place)?;
        fs::copy(&pair.certificate, place.join("fullchain.pem"))?;
        fs::copy(&pair.key, place.join("privkey.pem"))?;
    }
    Ok(())
}

fn configuration(folder: &Path, first: &Face, faces: &[Face], deliver: &Path) -> String {
    let dir = folder.display();
    let mut text = format!(
        "hostname: \"{host}\"\n\
         submission_address: \"{ip}:2526\"\n\
         submission_over_tls_address: \"{ip}:2527\"\n\
         mail_delivery_agent_bin: \"{deliver}\"\n\
         mail_delivery_agent_args: \"%to%\"\n\
         data_dir: \"{dir}/data\"\n\
         mail_log_path: \"<stderr>\"\n",
        host = first.hostname(),
        ip = first.ip,
        deliver = deliver.display(),
    );
    for face in faces {
        text.push_str(&format!("smtp_address: \"{}:{SMTP_PORT}\"\n", face.ip));
    }
    text
}
