//! Debian's Exim as somebody else's mail server.
//!
//! The package cannot be installed beside Postfix, so it is fetched and unpacked, once, into a folder
//! beside the built program. Exim insists on a user `Debian-exim`: it runs in a mount namespace with an
//! `/etc` of its own that knows one, and knows Wardpost's address, so nothing changes on the machine.

use crate::ca::Pair;
use crate::destinations::{Destination, Place};
use crate::process::Process;
use crate::wardpost::{HOSTNAME, Wardpost};
use crate::{DOMAIN, Lab, Result, SMTP_PORT, run, wait_for};
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Who Exim is, in its own `/etc` only.
const OWNER: u32 = 64990;
const PACKAGE: &str = "exim4-daemon-light";

/// A running Exim.
#[derive(Debug)]
pub struct Exim {
    process: Process,
    folder: PathBuf,
    /// Where its SMTP server listens.
    pub address: SocketAddr,
}

impl Exim {
    /// Starts an Exim for `place` with a configuration, spool and log of its own. Mail for the practice
    /// goes to `wardpost`, over verified TLS only.
    ///
    /// # Errors
    /// When it cannot be had or does not start, or this is not run as root.
    pub fn start(lab: &Lab, place: &Place, tls: Option<Pair>, wardpost: &Wardpost) -> Result<Self> {
        let folder = lab.folder(&place.hostname())?;
        // Where Exim's user, too, can run it.
        let program = folder.join("exim4");
        fs::copy(unpacked()?, &program)?;
        let address = SocketAddr::from((lab.host(place.host), SMTP_PORT));
        for name in ["spool", "mail", "logs"] {
            fs::create_dir_all(folder.join(name))?;
            chown(folder.join(name), Some(OWNER), Some(OWNER))?;
        }
        let tls = tls.map(|pair| private_copy(&folder, &pair)).transpose()?;
        make_etc(&folder.join("etc"), wardpost)?;
        let config = configuration(lab, place, &folder, &program, tls.as_ref());
        fs::write(folder.join("etc/exim4/exim4.conf"), config)?;

        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c"])
            .arg("mount --bind \"$0\" /etc && exec \"$1\" -bdf -q10s")
            .arg(folder.join("etc"))
            .arg(&program);
        let process = Process::start(&mut command, &folder.join("stdout"))?;
        let mut this = Self { process, folder, address };
        let up = wait_for("Exim to listen", Duration::from_secs(20), || {
            let up = TcpStream::connect(address).is_ok();
            (up || this.process.ended().is_some()).then_some(up)
        })?;
        if up {
            return Ok(this);
        }
        let said = fs::read_to_string(this.folder.join("stdout")).unwrap_or_default();
        Err(format!("Exim does not run:\n{said}{}", this.log()).into())
    }
}

impl Destination for Exim {
    fn folder(&self) -> &Path {
        &self.folder
    }

    fn log(&self) -> String {
        ["main", "reject", "panic"]
            .iter()
            .filter_map(|name| fs::read_to_string(self.folder.join("logs").join(name)).ok())
            .collect()
    }
}

/// The program, fetched if it is not there yet.
fn unpacked() -> Result<PathBuf> {
    let beside = crate::wardpost::program()?;
    let home = beside.parent().ok_or("no folder")?.join("exim4");
    let program = home.join("usr/sbin/exim4");
    if program.is_file() {
        return Ok(program);
    }
    // Made aside and renamed, so that flows side by side never see half of it.
    let aside =
        tempfile::Builder::new().prefix("exim4-").tempdir_in(beside.parent().unwrap_or(&home))?;
    run(Command::new("apt-get").args(["download", "-qq", PACKAGE]).current_dir(aside.path()))?;
    let package = fs::read_dir(aside.path())?.flatten().map(|e| e.path()).next();
    let package = package.ok_or_else(|| format!("apt-get downloaded no {PACKAGE}"))?;
    let tree = aside.path().join("tree");
    run(Command::new("dpkg").arg("-x").args([&package, &tree]))?;
    match fs::rename(&tree, &home) {
        Err(e) if !program.is_file() => Err(e.into()),
        _ => Ok(program),
    }
}

/// An `/etc` with what a program needs to know, and Exim's user.
fn make_etc(etc: &Path, wardpost: &Wardpost) -> Result<()> {
    fs::create_dir_all(etc.join("exim4"))?;
    for name in ["passwd", "group"] {
        let known = fs::read_to_string(Path::new("/etc").join(name))?;
        let id = OWNER;
        let line = match name {
            "passwd" => format!("Debian-exim:x:{id}:{id}::/nonexistent:/usr/sbin/nologin\n"),
            _ => format!("Debian-exim:x:{id}:\n"),
        };
        let others = known.lines().filter(|line| !line.starts_with("Debian-exim:"));
        let others: String = others.map(|line| format!("{line}\n")).collect();
        fs::write(etc.join(name), others + &line)?;
    }
    fs::write(etc.join("nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files\n")?;
    let hosts = format!("127.0.0.1 localhost\n{} {HOSTNAME}\n", wardpost.mx().ip());
    fs::write(etc.join("hosts"), hosts)?;
    for name in ["services", "protocols", "localtime", "ld.so.cache"] {
        if let Ok(content) = fs::read(Path::new("/etc").join(name)) {
            fs::write(etc.join(name), content)?;
        }
    }
    Ok(())
}

/// A copy of certificate and key that Exim's user may read.
fn private_copy(folder: &Path, pair: &Pair) -> Result<Pair> {
    let copy = Pair { certificate: folder.join("tls.pem"), key: folder.join("tls.key") };
    fs::copy(&pair.certificate, &copy.certificate)?;
    fs::copy(&pair.key, &copy.key)?;
    chown(&copy.key, Some(OWNER), Some(OWNER))?;
    Ok(copy)
}

fn configuration(
    lab: &Lab,
    place: &Place,
    folder: &Path,
    program: &Path,
    tls: Option<&Pair>,
) -> String {
    let tls = tls.map_or_else(
        || "tls_advertise_hosts =".to_owned(),
        |pair| {
            format!(
                "tls_advertise_hosts = *\ntls_certificate = {}\ntls_privatekey = {}",
                pair.certificate.display(),
                pair.key.display()
            )
        },
    );
    format!(
        "primary_hostname = {hostname}\n\
         exim_path = {program}\n\
         spool_directory = {dir}/spool\n\
         log_file_path = {dir}/logs/%s\n\
         log_selector = +tls_peerdn +smtp_confirmation +subject\n\
         local_interfaces = {ip}.{SMTP_PORT}\n\
         host_lookup =\n\
         rfc1413_hosts =\n\
         smtputf8_advertise_hosts = *\n\
         chunking_advertise_hosts = *\n\
         deliver_drop_privilege = true\n\
         message_size_limit = 100M\n\
         acl_smtp_rcpt = take\n\
         acl_smtp_data = take\n\
         {tls}\n\
         begin acl\n\
         take:\n  accept\n\
         begin routers\n\
         practice:\n  driver = manualroute\n  domains = {DOMAIN}\n  route_list = {DOMAIN} {HOSTNAME}::{SMTP_PORT} byname\n  \
         self = send\n  transport = practice\n\
         own:\n  driver = accept\n  domains = {domain}\n  transport = maildir\n\
         begin transports\n\
         maildir:\n  driver = appendfile\n  directory = {dir}/mail/box\n  maildir_format\n  create_directory\n  \
         return_path_add\n  envelope_to_add\n  user = Debian-exim\n  group = Debian-exim\n\
         practice:\n  driver = smtp\n  interface = {ip}\n  hosts_require_tls = *\n  tls_verify_certificates = {root}\n  \
         tls_verify_hosts = *\n  tls_verify_cert_hostnames = *\n\
         begin retry\n\
         * * F,1h,2s\n",
        hostname = place.hostname(),
        program = program.display(),
        dir = folder.display(),
        ip = lab.host(place.host),
        domain = place.domain,
        root = lab.ca.root.display(),
    )
}
