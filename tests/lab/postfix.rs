//! Debian's Postfix as somebody else's mail server.

use crate::ca::Pair;
use crate::destinations::Destination;
use crate::{Lab, Result, SMTP_PORT, run, wait_for};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Debian's `nobody`, who owns what is delivered.
const NOBODY: u32 = 65534;

/// What a Postfix instance is to be.
#[derive(Debug, Clone)]
pub struct Role<'a> {
    /// The host's own name.
    pub hostname: &'a str,
    /// The domain it takes mail for, any local part.
    pub domain: &'a str,
    /// Its place in the lab's network.
    pub host: u8,
    /// Its certificate; without one it does not offer STARTTLS.
    pub tls: Option<Pair>,
    /// Lines for main.cf.
    pub extra: &'a [&'a str],
}

/// A running Postfix instance.
#[derive(Debug)]
pub struct Postfix {
    folder: PathBuf,
    /// Where its SMTP server listens.
    pub address: SocketAddr,
}

impl Postfix {
    /// Starts an instance with a configuration, queue and log of its own.
    ///
    /// # Errors
    /// When Postfix is missing, or this is not run as root (Postfix's master demands it).
    pub fn start(lab: &Lab, role: &Role<'_>) -> Result<Self> {
        let folder = lab.folder(role.hostname)?;
        let ip = lab.host(role.host);
        for name in ["etc", "queue", "data", "mail"] {
            fs::create_dir_all(folder.join(name))?;
        }
        chown(folder.join("mail"), Some(NOBODY), Some(NOBODY))?;
        let owner = run(Command::new("id").args(["-u", "postfix"]))?.trim().parse()?;
        chown(folder.join("data"), Some(owner), None)?;
        fs::write(folder.join("etc/main.cf"), main_cf(&folder, role, lab))?;
        fs::write(folder.join("etc/master.cf"), master_cf(ip))?;
        let this = Self { folder, address: SocketAddr::from((ip, SMTP_PORT)) };
        this.control("start")?;
        wait_for("Postfix to listen", Duration::from_secs(30), || {
            TcpStream::connect(this.address).ok()
        })
        .map_err(|e| format!("{e}\n{}", this.log()))?;
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

fn main_cf(folder: &Path, role: &Role<'_>, lab: &Lab) -> String {
    let dir = folder.display();
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
         virtual_mailbox_domains = {domain}\n\
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
        host = role.hostname,
        domain = role.domain,
        ip = lab.host(role.host),
        ca = lab.ca.root.display(),
    );
    match &role.tls {
        Some(pair) => text.push_str(&format!(
            "smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {}, {}\n",
            pair.key.display(),
            pair.certificate.display()
        )),
        None => text.push_str("smtpd_tls_security_level = none\n"),
    }
    for line in role.extra {
        text.push_str(line);
        text.push('\n');
    }
    text
}

fn master_cf(ip: Ipv4Addr) -> String {
    format!(
        "{ip}:{SMTP_PORT} inet n - n - - smtpd\n\
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
         postlog unix-dgram n - n - 1 postlogd\n"
    )
}
