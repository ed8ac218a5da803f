//! The world's DNS: one Knot, authoritative for a signed root of its own and for every zone below it.
//!
//! A resolver that is given Knot's address and [`Knot::anchor`] sees what it would see of the real DNS: signed
//! zones with their DS in the root, unsigned ones whose lack of a DS the root proves, and broken ones. Keys are
//! ECDSA P-256, one a zone. All records live for [`TTL`] seconds.

use crate::process::Process;
use crate::{Result, run, wait_for};
use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long records live, in seconds.
pub const TTL: u32 = 5;
/// Debian's package `knot-dnssecutils`, `knot`.
const KEYMGR: &str = "/usr/sbin/keymgr";

/// What DNSSEC says of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Not signed, and the root proves that it is not: *insecure*.
    Unsigned,
    /// Signed, with its DS in the root: *secure*.
    Signed,
    /// Signed with a key that does not fit the DS in the root: *bogus*.
    Broken,
    /// Signed in 2024, for a day: *bogus*.
    Expired,
}

/// One zone of the world.
#[derive(Debug, Clone)]
pub struct Zone {
    /// Its name, without the final dot.
    pub name: String,
    /// What DNSSEC says of it.
    pub proof: Proof,
    /// Its records but SOA and NS: absolute name, type, data.
    pub records: Vec<String>,
}

impl Zone {
    /// A zone with these records.
    pub fn new(name: &str, proof: Proof, records: &[String]) -> Self {
        Self { name: name.to_owned(), proof, records: records.to_vec() }
    }

    fn text(&self, serial: u32) -> String {
        let name = &self.name;
        let mut text = format!(
            "$TTL {TTL}\n{name}. SOA ns.test. hostmaster.test. {serial} 3600 600 86400 {TTL}\n{name}. NS ns.test.\n"
        );
        for record in &self.records {
            text.push_str(record);
            text.push('\n');
        }
        text
    }
}

/// A running Knot.
#[derive(Debug)]
pub struct Knot {
    folder: PathBuf,
    _process: Process,
    serial: AtomicU32,
    /// Where it answers.
    pub address: SocketAddr,
    /// The file that holds the root's DS, a validator's only trust anchor.
    pub anchor: PathBuf,
}

impl Knot {
    pub(crate) fn start(folder: &Path, ip: Ipv4Addr, zones: &[Zone]) -> Result<Self> {
        fs::create_dir_all(folder.join("keys"))?;
        let address = SocketAddr::from((ip, 5353));
        fs::write(folder.join("knot.conf"), configuration(folder, address, zones))?;
        let anchor = folder.join("anchor");
        fs::write(&anchor, make_key(folder, ".", &[])?)?;
        let mut root = format!(
            "$TTL {TTL}\n. SOA ns.test. hostmaster.test. 1 3600 600 86400 {TTL}\n. NS ns.test.\nns.test. A {ip}\n"
        );
        for zone in zones {
            fs::write(file(folder, &zone.name), zone.text(1))?;
            writeln!(root, "{}. NS ns.test.", zone.name)?;
            root.push_str(&secure(folder, zone)?);
        }
        fs::write(file(folder, "root"), root)?;

        let mut command = Command::new("/usr/sbin/knotd");
        command.arg("-c").arg(folder.join("knot.conf"));
        let log = folder.join("log");
        let mut process = Process::start(&mut command, &log)?;
        wait_for("Knot to answer", Duration::from_secs(30), || {
            let up = fs::read_to_string(&log).is_ok_and(|log| log.contains("server started"))
                && TcpStream::connect(address).is_ok();
            (up || process.ended().is_some()).then_some(up)
        })
        .and_then(|up| if up { Ok(()) } else { Err("Knot ended at once".into()) })
        .map_err(|e| format!("{e}\n{}", fs::read_to_string(&log).unwrap_or_default()))?;
        let folder = folder.to_owned();
        Ok(Self { folder, _process: process, serial: AtomicU32::new(2), address, anchor })
    }

    /// Puts other records into a zone that is served; its proof stays as it was. Resolvers notice within
    /// [`TTL`] seconds.
    ///
    /// # Errors
    /// When Knot does not take them.
    pub fn change(&self, zone: &Zone) -> Result<()> {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        fs::write(file(&self.folder, &zone.name), zone.text(serial))?;
        run(Command::new("/usr/sbin/knotc").arg("-c").arg(self.folder.join("knot.conf")).args([
            "-b",
            "zone-reload",
            &zone.name,
        ]))?;
        Ok(())
    }
}

fn file(folder: &Path, zone: &str) -> PathBuf {
    folder.join(format!("{zone}.zone"))
}

/// Makes a zone's key; gives its DS record (SHA-256).
fn make_key(folder: &Path, zone: &str, times: &[&str]) -> Result<String> {
    let keymgr = |words: &[&str]| {
        run(Command::new(KEYMGR).arg("-c").arg(folder.join("knot.conf")).arg(zone).args(words))
    };
    let generate = ["generate", "algorithm=ecdsap256sha256", "ksk=yes", "zsk=yes"];
    keymgr(&[&generate, times].concat())?;
    let records = keymgr(&["ds"])?;
    let sha256 = records.lines().find(|line| line.contains(" 13 2 "));
    Ok(format!("{}\n", sha256.ok_or("keymgr gave no DS")?))
}

/// Signs what is signed ahead, and gives the DS records that the root is to hold for a zone.
fn secure(folder: &Path, zone: &Zone) -> Result<String> {
    let name = format!("{}.", zone.name);
    match zone.proof {
        Proof::Unsigned => Ok(String::new()),
        Proof::Signed => make_key(folder, &name, &[]),
        Proof::Broken => Ok(spoiled(&make_key(folder, &name, &[])?)),
        Proof::Expired => {
            // Knot signs for the time that it is told; afterwards the file is served as it is.
            const THEN: &str = "20240601000000";
            let times = ["created", "publish", "ready", "active"].map(|t| format!("{t}={THEN}"));
            let ds = make_key(folder, &name, &times.each_ref().map(String::as_str))?;
            let signed = folder.join("signed");
            fs::create_dir_all(&signed)?;
            run(Command::new("/usr/bin/kzonesign")
                .arg("-c")
                .arg(signing_configuration(folder, zone)?)
                .arg("-o")
                .arg(&signed)
                .args(["-t", "1717210000", &name]))?;
            fs::rename(signed.join(format!("{name}zone")), file(folder, &zone.name))?;
            Ok(ds)
        }
    }
}

/// A DS that fits no key: the first digit of its digest is another.
fn spoiled(ds: &str) -> String {
    let Some((head, digest)) = ds.trim_end().rsplit_once(' ') else { return ds.to_owned() };
    let other = if digest.starts_with('0') { '1' } else { '0' };
    format!("{head} {other}{}\n", &digest[1..])
}

fn configuration(folder: &Path, address: SocketAddr, zones: &[Zone]) -> String {
    let dir = folder.display();
    let mut text = format!(
        "server:\n  rundir: {dir}\n  listen: {ip}@{port}\n  udp-workers: 1\n  tcp-workers: 1\n  \
         background-workers: 1\n\
         control:\n  listen: knot.sock\n\
         log:\n  - target: stdout\n    any: info\n{database}\
         zone:\n{root}",
        ip = address.ip(),
        port = address.port(),
        database = database_and_policy(folder, ""),
        root = zone_section(folder, ".", "root", true),
    );
    for zone in zones {
        let signs = matches!(zone.proof, Proof::Signed | Proof::Broken);
        text.push_str(&zone_section(folder, &format!("{}.", zone.name), &zone.name, signs));
    }
    text
}

/// A configuration for signing one zone for one day, in its own file.
fn signing_configuration(folder: &Path, zone: &Zone) -> Result<PathBuf> {
    let path = folder.join(format!("{}.conf", zone.name));
    let text = format!(
        "{}zone:\n{}",
        database_and_policy(folder, "    rrsig-lifetime: 1d\n"),
        zone_section(folder, &format!("{}.", zone.name), &zone.name, true)
    );
    fs::write(&path, text)?;
    Ok(path)
}

fn database_and_policy(folder: &Path, more: &str) -> String {
    format!(
        "database:\n  storage: {dir}/keys\n\
         policy:\n  - id: own\n    manual: on\n    single-type-signing: on\n    algorithm: ecdsap256sha256\n    \
         dnskey-ttl: {TTL}\n    zone-max-ttl: {TTL}\n{more}",
        dir = folder.display(),
    )
}

fn zone_section(folder: &Path, name: &str, file_name: &str, signs: bool) -> String {
    let mut text = format!(
        "  - domain: {name}\n    file: {file}\n    zonefile-sync: -1\n    zonefile-load: whole\n    \
         journal-content: none\n",
        file = file(folder, file_name).display()
    );
    if signs {
        text.push_str("    dnssec-signing: on\n    dnssec-policy: own\n");
    }
    text
}
