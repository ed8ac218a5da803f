//! Debian's Postfix as somebody else's mail server.

use crate::destinations::{Destination, Face};
use crate::{Lab, Result, run, wait_for};
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Debian's `nobody`, who owns what is delivered.
const NOBODY: u32 = 65534;

/// A running Postfix instance.
#[derive(Debug)]
pub struct Postfix {
    folder: PathBuf,
    /// Where its SMTP server listens, with the first of its faces.
    pub address: SocketAddr,
}

impl Postfix {
    /// Starts an instance called `name`, with a configuration, queue and log of its own, that shows all of
    /// `faces`. `extra` are lines of main.cf.
    ///
    /// # Errors
    /// When Postfix is missing, or this is not run as root (Postfix's master demands it).
    pub fn start(lab: &Lab, name: &str, faces: &[Face], extra: &[&str]) -> Result<Self> {
        let first = faces.first().ok_or("a Postfix without a face")?;
        let folder = lab.folder(name)?;
        for name in ["etc", "queue", "data", "mail"] {
            fs::create_dir_all(folder.join(name))?;
        }
        chown(folder.join("mail"), Some(NOBODY), Some(NOBODY))?;
        let owner = run(Command::new("id").args(["-u", "postfix"]))?.trim().parse()?;
        chown(folder.join("data"), Some(owner), None)?;
        fs::write(folder.join("etc/main.cf"), main_cf(&folder, faces, lab, extra))?;
        fs::write(folder.join("etc/master.cf"), master_cf(faces))?;
        let this = Self { folder, address: first.address() };
        this.control("start")?;
        for face in faces {
            wait_for("Postfix to listen", Duration::from_secs(30), || {
                TcpStream::connect(face.address()).ok()
            })
            .map_err(|e| format!("{e}\n{}", this.log()))?;
        }
        Ok(this)
    }

    fn control(&self, verb: &str) -> Result<()> {
        run(Command::new("/usr/sbin/postfix").arg("-c").arg(self.folder.join("etc")).arg(verb))
            .map(|_| ())
            .map_err(|e| format!("{e}{}", self.log()).into())
    }
}

impl Destination for Postfix {
    fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // Nothing can be done about a Postfix that does not stop.
        let _ = self.control("stop");
    }
}

fn main_cf(folder: &Path, faces: &[Face], lab: &Lab, extra: &[&str]) -> String {
    let dir = folder.display();
    let domains: Vec<&str> = faces.iter().map(|face| face.domain.as_str()).collect();
    let mut text = format!(
        "compatibility_level = 3.6\n\
         queue_directory = {dir}/queue\n\
         data_directory = {dir}/data\n\
         maillog_file = {dir}/log\n\
         maillog_file_prefixes = {dir}\n\
         mail_owner = postfix\n\
         setgid_group = postdrop\n\
         myhostname = {host}\n\
         mydestination =\n\
         inet_interfaces = 127.0.0.1\n\
         inet_protocols = ipv4\n\
         mynetworks = 127.0.0.0/8\n\
         smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\n\
         virtual_mailbox_domains = {domains}\n\
         virtual_mailbox_base = {dir}/mail\n\
         virtual_mailbox_maps = static:box/\n\
         virtual_uid_maps = static:{NOBODY}\n\
         virtual_gid_maps = static:{NOBODY}\n\
         virtual_minimum_uid = 1\n\
         alias_maps =\n\
         biff = no\n\
         smtputf8_enable = yes\n\
         message_size_limit = 104857600\n\
         virtual_mailbox_limit = 0\n\
         smtp_bind_address = {ip}\n\
         smtp_tls_CAfile = {ca}\n\
         smtpd_tls_loglevel = 1\n\
         smtp_tls_loglevel = 1\n",
        host = faces[0].hostname(),
        domains = domains.join(", "),
        ip = faces[0].ip,
        ca = lab.ca.root.display(),
    );
    for line in extra {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// The SMTP server of one face.
fn smtpd(face: &Face) -> String {
    let tls = match &face.tls {
        None => "-o smtpd_tls_security_level=none".to_owned(),
        Some(pair) => {
            let old = "-o smtpd_tls_protocols=<=TLSv1.1 -o smtpd_tls_ciphers=low -o tls_low_cipherlist=ALL:@SECLEVEL=0";
            format!(
                "-o smtpd_tls_security_level=may -o smtpd_tls_chain_files={},{} {}",
                pair.key.display(),
                pair.certificate.display(),
                if face.old { old } else { "" }
            )
        }
    };
    format!("{} inet n - n - - smtpd -o myhostname={} {tls}\n", face.address(), face.hostname())
}

fn master_cf(faces: &[Face]) -> String {
    let servers: String = faces.iter().map(smtpd).collect();
    format!(
        "{servers}\
         pickup unix n - n 60 1 pickup\n\
         cleanup unix n - n - 0 cleanup\n\
         qmgr unix n - n 300 1 qmgr\n\
         tlsmgr unix - - n 1000? 1 tlsmgr\n\
         rewrite unix - - n - - trivial-rewrite\n\
         bounce unix - - n - 0 bounce\n\
         defer unix - - n - 0 bounce\n\
         trace unix - - n - 0 bounce\n\
         verify unix - - n - 1 verify\n\
         flush unix n - n 1000? 0 flush\n\
         proxymap unix - - n - - proxymap\n\
         proxywrite unix - - n - 1 proxymap\n\
         smtp unix - - n - - smtp\n\
         relay unix - - n - - smtp\n\
         lmtp unix - - n - - lmtp\n\
         error unix - - n - - error\n\
         retry unix - - n - - error\n\
         discard unix - - n - - discard\n\
         local unix - n n - - local\n\
         virtual unix - n n - - virtual\n\
         anvil unix - - n - 1 anvil\n\
         scache unix - - n - 1 scache\n\
         tlsproxy unix - - n - 0 tlsproxy\n\
         postlog unix-dgram n - n - 1 postlogd\n"
    )
}
