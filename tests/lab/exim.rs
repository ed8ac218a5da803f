//! Debian's Exim as somebody else's mail server.
//!
//! The package cannot be installed beside Postfix, so it runs as [`crate::debian`] says. It insists on a
//! user `Debian-exim`, and its `/etc` knows Wardpost's address.

use crate::ca::Pair;
use crate::debian::{User, in_own_world, make_etc, unpacked};
use crate::destinations::{Destination, Face};
use crate::process::Process;
use crate::wardpost::{HOSTNAME, Wardpost};
use crate::{DOMAIN, Lab, Result, SMTP_PORT, wait_for};
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Who Exim is, in its own `/etc` only.
const OWNER: User = User { name: "Debian-exim", id: 64990 };

/// A running Exim.
#[derive(Debug)]
pub struct Exim {
    process: Process,
    folder: PathBuf,
    /// Where its SMTP server listens, with the first of its faces.
    pub address: SocketAddr,
}

impl Exim {
    /// Starts an Exim called `name`, with a configuration, spool and log of its own, that shows all of
    /// `faces`. Mail for the practice goes to `wardpost`, over verified TLS only.
    ///
    /// # Errors
    /// When it cannot be had or does not start, or this is not run as root.
    pub fn start(lab: &Lab, name: &str, faces: &[Face], wardpost: &Wardpost) -> Result<Self> {
        let first = faces.first().ok_or("an Exim without a face")?;
        let folder = lab.folder(name)?;
        // Where Exim's user, too, can run it.
        let program = folder.join("exim4");
        fs::copy(unpacked("exim4-daemon-light")?.join("usr/sbin/exim4"), &program)?;
        for name in ["spool", "mail", "logs"] {
            fs::create_dir_all(folder.join(name))?;
            chown(folder.join(name), Some(OWNER.id), Some(OWNER.id))?;
        }
        let etc = folder.join("etc");
        let hosts = format!("{} {HOSTNAME}\n", wardpost.mx().ip());
        make_etc(&etc, &[OWNER], &hosts, lab.host(53))?;
        fs::create_dir_all(etc.join("exim4"))?;
        write_faces(&folder, faces)?;
        let config = configuration(lab, first, faces, &folder, &program);
        fs::write(etc.join("exim4/exim4.conf"), config)?;

        let mut command = in_own_world(&[(etc, "/etc")], &program, &["-bdf", "-q10s"]);
        let process = Process::start(&mut command, &folder.join("stdout"))?;
        let mut this = Self { process, folder, address: first.address() };
        for face in faces {
            let up = wait_for("Exim to listen", Duration::from_secs(20), || {
                let up = TcpStream::connect(face.address()).is_ok();
                (up || this.process.ended().is_some()).then_some(up)
            })?;
            if !up {
                let said = fs::read_to_string(this.folder.join("stdout")).unwrap_or_default();
                return Err(format!("Exim does not run:\n{said}{}", this.log()).into());
            }
        }
        Ok(this)
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

/// Writes the table that Exim looks its faces up in, by its own address: host name, certificate, key, and the
/// TLS versions (a GnuTLS priority string). Keys are copied where Exim's user may read them.
fn write_faces(folder: &Path, faces: &[Face]) -> Result<()> {
    let mut table = String::new();
    for face in faces {
        let tls = match &face.tls {
            None => String::new(),
            Some(pair) => {
                let (certificate, key) = private_copy(folder, face, pair)?;
                let versions = if face.old { "-VERS-ALL:+VERS-TLS1.1:+VERS-TLS1.0" } else { "" };
                let versions = format!("NORMAL:%COMPAT:{versions}");
                format!(
                    "certificate={} key={} versions={}",
                    certificate.display(),
                    key.display(),
                    versions.trim_end_matches(':')
                )
            }
        };
        table.push_str(&format!("{}: host={} {tls}\n", face.ip, face.hostname()));
    }
    fs::write(folder.join("faces"), table)?;
    Ok(())
}

/// A copy of certificate and key that Exim's user may read.
fn private_copy(folder: &Path, face: &Face, pair: &Pair) -> Result<(PathBuf, PathBuf)> {
    let certificate = folder.join(format!("{}.pem", face.domain));
    let key = folder.join(format!("{}.key", face.domain));
    fs::copy(&pair.certificate, &certificate)?;
    fs::copy(&pair.key, &key)?;
    chown(&key, Some(OWNER.id), Some(OWNER.id))?;
    Ok((certificate, key))
}

/// What the face that was connected to has under `key`: an expansion.
fn of_face(folder: &Path, key: &str) -> String {
    let table = folder.join("faces");
    format!(
        "${{extract{{{key}}}{{${{lookup{{$received_ip_address}}lsearch{{{}}}}}}}}}",
        table.display()
    )
}

fn configuration(lab: &Lab, first: &Face, faces: &[Face], folder: &Path, program: &Path) -> String {
    let addresses: Vec<String> =
        faces.iter().map(|face| format!("{}.{SMTP_PORT}", face.ip)).collect();
    let domains: Vec<&str> = faces.iter().map(|face| face.domain.as_str()).collect();
    format!(
        "primary_hostname = {hostname}\n\
         smtp_active_hostname = {active}\n\
         exim_path = {program}\n\
         spool_directory = {dir}/spool\n\
         log_file_path = {dir}/logs/%s\n\
         log_selector = +tls_peerdn +smtp_confirmation +subject\n\
         local_interfaces = <; {addresses}\n\
         host_lookup =\n\
         rfc1413_hosts =\n\
         smtp_accept_max = 200\n\
         smtputf8_advertise_hosts = *\n\
         chunking_advertise_hosts = *\n\
         deliver_drop_privilege = true\n\
         message_size_limit = 100M\n\
         acl_smtp_rcpt = take\n\
         acl_smtp_data = take\n\
         tls_advertise_hosts = ${{if eq{{{certificate}}}{{}}{{}}{{*}}}}\n\
         tls_certificate = {certificate}\n\
         tls_privatekey = {key}\n\
         tls_require_ciphers = {versions}\n\
         begin acl\n\
         take:\n  accept\n\
         begin routers\n\
         practice:\n  driver = manualroute\n  domains = {DOMAIN}\n  route_list = {DOMAIN} {HOSTNAME}::{SMTP_PORT} byname\n  \
         self = send\n  transport = practice\n\
         own:\n  driver = accept\n  domains = {domains}\n  transport = maildir\n\
         begin transports\n\
         maildir:\n  driver = appendfile\n  directory = {dir}/mail/box\n  maildir_format\n  create_directory\n  \
         return_path_add\n  envelope_to_add\n  user = Debian-exim\n  group = Debian-exim\n\
         practice:\n  driver = smtp\n  interface = {ip}\n  hosts_require_tls = *\n  tls_verify_certificates = {root}\n  \
         tls_verify_hosts = *\n  tls_verify_cert_hostnames = *\n\
         begin retry\n\
         * * F,1h,2s\n",
        hostname = first.hostname(),
        active = of_face(folder, "host"),
        program = program.display(),
        dir = folder.display(),
        addresses = addresses.join(" ; "),
        certificate = of_face(folder, "certificate"),
        key = of_face(folder, "key"),
        versions = of_face(folder, "versions"),
        domains = domains.join(" : "),
        ip = first.ip,
        root = lab.ca.root.display(),
    )
}
