//! A Knot that serves a signed root and zones below it, good and bad.

#![allow(dead_code, reason = "each test uses a part of it")]

pub(crate) mod forger;

use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// TTL of all records, in seconds.
pub(crate) const TTL: u64 = 4;

static SERVERS: AtomicU8 = AtomicU8::new(1);
/// The server that tests share while any of them runs; the last one stops it.
static SHARED: Mutex<Weak<Lab>> = Mutex::new(Weak::new());

/// A running Knot.
pub(crate) struct Lab {
    folder: TempDir,
    knot: Option<Child>,
    /// Where it answers.
    pub(crate) address: SocketAddr,
}

/// How a zone denies what it has not.
#[derive(Clone, Copy, PartialEq)]
enum Denies {
    Nsec,
    Nsec3,
    OptOut,
}

/// How a zone is signed: its algorithm and its way to deny.
type Signed = Option<(&'static str, Denies)>;

const P256: Signed = Some(("ecdsap256sha256", Denies::Nsec));

/// What the zones of most tests are.
const ZONES: [(&str, Signed); 16] = [
    ("secure.test", P256),
    ("nsec3.test", Some(("ed25519", Denies::Nsec3))),
    ("rsa.test", Some(("rsasha256", Denies::Nsec3))),
    ("rsa512.test", Some(("rsasha512", Denies::Nsec))),
    ("p384.test", Some(("ecdsap384sha384", Denies::Nsec))),
    ("optout.test", Some(("ecdsap256sha256", Denies::OptOut))),
    ("signed.optout.test", P256),
    ("plain.optout.test", None),
    ("signed.secure.test", Some(("ecdsap256sha256", Denies::Nsec3))),
    ("plain.secure.test", None),
    ("plain.nsec3.test", None),
    // Signed, and nobody above says so.
    ("island.test", P256),
    // The zone above names a key that it does not have.
    ("broken.test", P256),
    ("plain.test", None),
    // The zone above names keys; it has none.
    ("stripped.test", None),
    ("evil.test", P256),
];

impl Lab {
    /// The usual zones, on a server for all tests that leave it alone.
    pub(crate) fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let lab = Arc::new(Self::start(&[]));
            *shared = Arc::downgrade(&lab);
            lab
        })
    }

    /// Signs and serves; `unloadable` zones are delegated to, and their files are broken.
    pub(crate) fn start(unloadable: &[&str]) -> Self {
        Self::with_records(unloadable, "")
    }

    /// The same, with more records in `evil.test`, whose owner is up to something.
    pub(crate) fn with_records(unloadable: &[&str], evil: &str) -> Self {
        let mut lab = Self::new();
        let mut zones = ZONES.to_vec();
        zones.extend(unloadable.iter().map(|&zone| (zone, None)));
        for (zone, _) in &zones {
            let text = if unloadable.contains(zone) { "rubbish (".into() } else { records(zone) };
            let more = if *zone == "evil.test" { evil } else { "" };
            fs::write(lab.file(zone), text + more).unwrap();
        }
        lab.serve(&zones, "");
        lab
    }

    /// Serves a zone whose signatures ran out.
    pub(crate) fn with_expired_zone() -> Self {
        let mut lab = Self::new();
        let zone = "expired.test";
        fs::write(lab.file(zone), records(zone).replace("$TTL 4", "$TTL 1")).unwrap();
        // Signs for four seconds and writes the signed zone down …
        let policy = "    rrsig-lifetime: 4\n    rrsig-refresh: 2\n    rrsig-pre-refresh: 0\n    \
                      propagation-delay: 0\n    dnskey-ttl: 1\n    zone-max-ttl: 1\n";
        lab.serve(&[(zone, P256)], policy);
        let file = lab.file(zone);
        wait("the signed zone", || fs::read_to_string(&file).unwrap().contains("RRSIG"));
        let delegation = lab.key("expired.test.", "ds") + "expired.test. NS ns.test.\n";
        // … and then serves that file as it is, when the time is over.
        lab.stop();
        sleep(Duration::from_secs(5));
        let config = lab.config(&[(zone, None)], "");
        lab.run(&config, &delegation);
        lab
    }

    fn new() -> Self {
        let [a, b, ..] = std::process::id().to_le_bytes();
        let ip =
            Ipv4Addr::new(127, 64 | (a >> 2), b.max(1), SERVERS.fetch_add(1, Ordering::Relaxed));
        let address = SocketAddr::from((ip, 5391));
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("db")).unwrap();
        Self { folder, knot: None, address }
    }

    /// The root's DS record, in zone-file form.
    pub(crate) fn root_ds(&self) -> String {
        self.key(".", "ds")
    }

    /// The root's DNSKEY record, in zone-file form.
    pub(crate) fn root_dnskey(&self) -> String {
        self.key(".", "dnskey")
    }

    /// A zone's key as `keymgr` prints it.
    pub(crate) fn key(&self, zone: &str, form: &str) -> String {
        self.keymgr(&[zone, form])
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self, zone: &str) -> PathBuf {
        self.path().join(format!("{zone}.zone"))
    }

    fn keymgr(&self, words: &[&str]) -> String {
        let config = self.path().join("knot.conf");
        let output = Command::new("/usr/sbin/keymgr").arg("-c").arg(config).args(words).output();
        let output = output.expect("keymgr, of Debian's package knot");
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Makes keys, tells the zones above of them, and starts.
    fn serve(&mut self, zones: &[(&str, Signed)], policy: &str) {
        let config = self.config(zones, policy);
        fs::write(self.path().join("knot.conf"), &config).unwrap();
        self.keymgr(&[".", "generate", "algorithm=ecdsap256sha256", "ksk=yes", "zsk=yes"]);
        let mut digests = String::new();
        for (zone, signed) in zones {
            let name = format!("{zone}.");
            let mut delegation = format!("{name} NS ns.test.\n");
            if let Some((algorithm, _)) = signed {
                let algorithm = format!("algorithm={algorithm}");
                self.keymgr(&[&name, "generate", &algorithm, "ksk=yes", "zsk=yes"]);
                match *zone {
                    "island.test" => {}
                    "broken.test" => delegation.push_str(&spoiled(&self.key(&name, "ds"))),
                    _ => delegation.push_str(&self.key(&name, "ds")),
                }
            } else if *zone == "stripped.test" {
                writeln!(delegation, "{name} DS 4711 13 2 {}", "00".repeat(32)).unwrap();
            }
            let above = zones.iter().find(|(above, _)| zone.ends_with(&format!(".{above}")));
            match above {
                Some((above, _)) => self.append(above, &delegation),
                None => digests.push_str(&delegation),
            }
        }
        self.run(&config, &digests);
    }

    fn append(&self, zone: &str, text: &str) {
        let mut all = fs::read_to_string(self.file(zone)).unwrap();
        all.push_str(text);
        fs::write(self.file(zone), all).unwrap();
    }

    fn run(&mut self, config: &str, delegations: &str) {
        let address = self.address;
        let root = format!(
            "$TTL {TTL}\n. SOA ns.test. hostmaster.test. 1 3600 600 86400 {TTL}\n. NS ns.test.\n\
             ns.test. A {}\n",
            address.ip()
        );
        fs::write(self.file("root"), root + delegations).unwrap();
        fs::write(self.path().join("knot.conf"), config).unwrap();
        let log = fs::File::create(self.path().join("log")).unwrap();
        let mut command = Command::new("/usr/sbin/knotd");
        command.arg("-c").arg(self.path().join("knot.conf"));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.knot = Some(command.spawn().expect("knotd, of Debian's package knot"));
        let log = self.path().join("log");
        wait("Knot to serve", || {
            let log = fs::read_to_string(&log).unwrap();
            log.contains("server started") && TcpStream::connect(address).is_ok()
        });
    }

    fn config(&self, zones: &[(&str, Signed)], policy: &str) -> String {
        let (dir, address) = (self.path().display(), self.address);
        let mut text = format!(
            "server:\n  rundir: {dir}\n  listen: {ip}@{port}\n  udp-workers: 1\n  tcp-workers: 1\n  \
             background-workers: 1\ndatabase:\n  storage: {dir}/db\n\
             log:\n  - target: stdout\n    any: info\npolicy:\n",
            ip = address.ip(),
            port = address.port(),
        );
        let root = ("root", P256);
        let all = || std::iter::once(&root).chain(zones);
        for (zone, signed) in all() {
            if let Some((algorithm, denies)) = signed {
                let on = |is: bool| if is { "on" } else { "off" };
                let nsec3 = on(*denies != Denies::Nsec);
                let opt_out = on(*denies == Denies::OptOut);
                let extra = if *zone == "root" { "" } else { policy };
                write!(
                    text,
                    "  - id: {zone}\n    manual: on\n    single-type-signing: on\n    \
                     algorithm: {algorithm}\n    nsec3: {nsec3}\n    nsec3-opt-out: {opt_out}\n{extra}"
                )
                .unwrap();
            }
        }
        text.push_str("zone:\n");
        for (zone, signed) in all() {
            let name = if *zone == "root" { String::from(".") } else { format!("{zone}.") };
            let sync = if policy.is_empty() { -1 } else { 0 };
            write!(
                text,
                "  - domain: {name}\n    file: {}\n    zonefile-sync: {sync}\n    \
                 zonefile-load: whole\n    journal-content: none\n",
                self.file(zone).display()
            )
            .unwrap();
            if signed.is_some() {
                writeln!(text, "    dnssec-signing: on\n    dnssec-policy: {zone}").unwrap();
            }
        }
        text
    }

    fn stop(&mut self) {
        if let Some(mut knot) = self.knot.take() {
            // An error means that it has ended by itself.
            let _ = knot.kill();
            let _ = knot.wait();
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What every zone holds, and where aliases lead.
fn records(zone: &str) -> String {
    let mut text = format!(
        "$ORIGIN {zone}.\n$TTL {TTL}\n@ SOA ns.test. hostmaster.test. 1 3600 600 86400 {TTL}\n\
         @ NS ns.test.\n@ MX 10 mx\nmx A 192.0.2.1\nmx AAAA 2001:db8::1\n\
         _25._tcp.mx TLSA 3 1 1 {}\n_mta-sts TXT \"v=STSv1; id=1;\"\nplainhost A 192.0.2.2\n\
         alias CNAME mx\nacross CNAME mx.nsec3.test.\n\
         out CNAME mx.plain.test.\nin CNAME mx.secure.test.\n\
         *.wild A 192.0.2.3\n*.wild MX 10 mx\n*.wild TXT \"wild\"\nhost.wild A 192.0.2.9\n\
         deep.ent.wild A 192.0.2.9\n*._tcp.mx.wild TLSA 3 1 1 {}\nmx.wild A 192.0.2.1\n\
         *.wildalias CNAME mx\nfour A 192.0.2.4\nonlyfour CNAME four\nnowhere CNAME nobody\n\
         Old DNAME New\nmx.new A 192.0.2.8\nnew MX 10 mx.new\n\
         moved DNAME plain.test.\nround CNAME round\n",
        "ab".repeat(32),
        "cd".repeat(32)
    );
    for i in 0..30 {
        writeln!(text, "long TXT \"{i:0100}\"").unwrap();
    }
    text
}

/// A DS that fits no key: the first digit of its digest is another.
fn spoiled(ds: &str) -> String {
    let spoil = |line: &str| {
        let (head, digest) = line.rsplit_once(' ').unwrap();
        let other = if digest.starts_with('0') { '1' } else { '0' };
        format!("{head} {other}{}\n", &digest[1..])
    };
    ds.lines().map(spoil).collect()
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited in vain for {what}");
        sleep(Duration::from_millis(20));
    }
}
