//! Debian's Dovecot, fed by Postfix over LMTP, with mail_crypt and a key for every user: the peer of the
//! benchmarks.

use crate::ca::Pair;
use crate::process::Process;
use crate::wardpost::PASSWORD;
use crate::{Lab, Result, run, wait_for};
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Debian's `nobody`, who owns the mail.
const NOBODY: u32 = 65534;

/// A running Dovecot.
#[derive(Debug)]
pub struct Dovecot {
    _process: Process,
    folder: PathBuf,
    /// IMAP inside TLS.
    pub imaps: SocketAddr,
}

impl Dovecot {
    /// Starts Dovecot for `users`, who all have [`PASSWORD`], each with an encrypted mail_crypt key.
    ///
    /// # Errors
    /// When it is missing or does not start.
    pub fn start(lab: &Lab, hostname: &str, host: u8, users: &[&str]) -> Result<Self> {
        let folder = lab.folder("dovecot")?;
        for name in ["run", "state", "mail"] {
            fs::create_dir_all(folder.join(name))?;
        }
        chown(folder.join("mail"), Some(NOBODY), Some(NOBODY))?;
        let imaps = SocketAddr::from((lab.host(host), 9930));
        let lines: String =
            users.iter().map(|user| format!("{user}:{{PLAIN}}{PASSWORD}\n")).collect();
        fs::write(folder.join("users"), lines)?;
        let pair = lab.ca.issue(&[hostname])?;
        let config = folder.join("dovecot.conf");
        fs::write(&config, configuration(&folder, imaps, &pair))?;
        let mut command = Command::new("/usr/sbin/dovecot");
        command.arg("-F").arg("-c").arg(&config);
        let process = Process::start(&mut command, &folder.join("stdout"))?;
        let this = Self { _process: process, folder, imaps };
        wait_for("Dovecot to listen", Duration::from_secs(30), || TcpStream::connect(imaps).ok())
            .map_err(|e| format!("{e}\n{}", this.log()))?;
        for user in users {
            this.make_key(user)?;
        }
        Ok(this)
    }

    fn make_key(&self, user: &str) -> Result<()> {
        run(Command::new("doveadm")
            .arg("-c")
            .arg(self.folder.join("dovecot.conf"))
            .args(["-o", &format!("plugin/mail_crypt_private_password={PASSWORD}")])
            .args(["mailbox", "cryptokey", "generate", "-u", user, "-U"]))
        .map(|_| ())
        .map_err(|e| format!("{e}\n{}", self.log()).into())
    }

    /// The line of main.cf that makes Postfix deliver here.
    pub fn transport(&self) -> String {
        format!("virtual_transport = lmtp:unix:{}/run/lmtp", self.folder.display())
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

fn configuration(folder: &Path, imaps: SocketAddr, pair: &Pair) -> String {
    format!(
        "base_dir = {dir}/run\n\
         state_dir = {dir}/state\n\
         log_path = {dir}/log\n\
         protocols = imap lmtp\n\
         listen = {ip}\n\
         ssl = required\n\
         ssl_cert = <{certificate}\n\
         ssl_key = <{key}\n\
         mail_location = sdbox:{dir}/mail/%u\n\
         mail_uid = {NOBODY}\n\
         mail_gid = {NOBODY}\n\
         first_valid_uid = 1\n\
         first_valid_gid = 1\n\
         mail_fsync = always\n\
         mail_plugins = mail_crypt\n\
         mail_attribute_dict = file:{dir}/mail/%u/dovecot-attributes\n\
         mail_max_userip_connections = 2000\n\
         default_client_limit = 8000\n\
         default_process_limit = 2000\n\
         plugin {{\n  mail_crypt_curve = prime256v1\n  mail_crypt_save_version = 2\n  mail_crypt_require_encrypted_user_key = yes\n}}\n\
         passdb {{\n  driver = passwd-file\n  args = {dir}/users\n  override_fields = userdb_mail_crypt_private_password=%w\n}}\n\
         userdb {{\n  driver = static\n  args = uid={NOBODY} gid={NOBODY} home={dir}/mail/%u allow_all_users=yes\n}}\n\
         service imap-login {{\n  inet_listener imap {{\n    port = 0\n  }}\n  inet_listener imaps {{\n    port = {port}\n    ssl = yes\n  }}\n}}\n\
         service lmtp {{\n  unix_listener lmtp {{\n    mode = 0666\n  }}\n}}\n",
        dir = folder.display(),
        ip = imaps.ip(),
        port = imaps.port(),
        certificate = pair.certificate.display(),
        key = pair.key.display(),
    )
}
