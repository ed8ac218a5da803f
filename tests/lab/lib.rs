//! A mail world on loopback for tests, demo and benchmarks: a certificate authority, DNS with a signed root
//! (Knot), destination servers (Postfix, Exim, OpenSMTPD, chasquid) and Wardpost itself, each on an address of
//! its own in 127.0.0.0/8.
//!
//! Nothing here stands in for a mail server: they are Debian's, and Wardpost is the program that was just
//! built. What is ours is what Debian has none of: men in the middle and a host for MTA-STS policies.
//! Everything a lab starts ends with it. docs/testing.md tells how to add to it.

pub mod ca;
pub mod chasquid;
pub mod chromium;
pub mod chrony;
mod debian;
pub mod destinations;
pub mod dovecot;
pub mod exim;
pub mod imap;
pub mod knot;
pub mod machine;
pub mod marionette;
pub mod middle;
pub mod opensmtpd;
pub mod pebble;
pub mod policies;
pub mod postfix;
pub mod practice;
pub mod process;
pub mod smtp;
pub mod storm;
pub mod stunnel;
pub mod thunderbird;
pub mod wardpost;
pub mod web;

use ca::Ca;
use knot::{Knot, Proof, Zone};
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The port every SMTP server of a lab listens on.
pub const SMTP_PORT: u16 = 2525;
/// The practice's domain in every lab.
pub const DOMAIN: &str = "clinic.test";

/// What went wrong in a lab, in words.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// Outcome of a lab's step.
pub type Result<T> = std::result::Result<T, Error>;

/// One mail world.
#[derive(Debug)]
pub struct Lab {
    folder: tempfile::TempDir,
    network: [u8; 2],
    /// The throw-away certificate authority.
    pub ca: Ca,
    /// The world's DNS.
    pub dns: Knot,
}

/// A world before its DNS starts: what zones it will have can still be said.
#[derive(Debug)]
pub struct Plan<'a> {
    /// The throw-away certificate authority.
    pub ca: &'a Ca,
    /// The zones of the world, one a domain.
    pub zones: Vec<Zone>,
    network: [u8; 2],
}

impl Plan<'_> {
    /// The address that host `n` will have.
    pub fn host(&self, n: u8) -> Ipv4Addr {
        address(self.network, n)
    }

    /// The zones that every world has: the practice's (signed), and those of [`destinations`].
    fn usual_zones(&mut self) {
        let practice = [
            "clinic.test. MX 10 mail.clinic.test.".to_owned(),
            format!("mail.clinic.test. A {}", self.host(10)),
            "clinic.test. TXT \"v=spf1 mx -all\"".to_owned(),
        ];
        self.zones.push(Zone::new(DOMAIN, Proof::Signed, &practice));
        // A domain that takes no mail (RFC 7505).
        let nomail = ["nomail.test. MX 0 .".to_owned()];
        self.zones.push(Zone::new("nomail.test", Proof::Unsigned, &nomail));
        for place in destinations::ALL {
            let zone = place.zone(self);
            self.zones.push(zone);
        }
    }
}

impl Lab {
    /// Starts a world without mail servers: a certificate authority, and DNS that holds the practice's
    /// records and those of every destination in [`destinations`].
    ///
    /// # Errors
    /// When Knot is missing or does not start.
    pub fn start() -> Result<Self> {
        Self::start_with(|_| Ok(()))
    }

    /// Starts a world whose DNS also holds what `more` puts into the plan.
    ///
    /// # Errors
    /// As [`Lab::start`], and whatever `more` says.
    pub fn start_with(more: impl FnOnce(&mut Plan<'_>) -> Result<()>) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("wardpost-lab-").tempdir()?;
        // Postfix's and Knot's own users must be able to walk through.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let network = free_network();
        let ca = Ca::create(&folder.path().join("ca"))?;
        let mut plan = Plan { ca: &ca, zones: Vec::new(), network };
        plan.usual_zones();
        more(&mut plan)?;
        let zones = plan.zones;
        let dns = Knot::start(&folder.path().join("knot"), address(network, 53), &zones)?;
        Ok(Self { folder, network, ca, dns })
    }

    /// The address of host `n` in this world.
    pub fn host(&self, n: u8) -> Ipv4Addr {
        address(self.network, n)
    }

    /// A folder of this world, made if need be. It goes when the lab goes.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// The world's root folder.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }
}

fn address(network: [u8; 2], host: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, network[0], network[1], host)
}

/// Labs run side by side: each takes a network of its own, from its process and a counter.
fn free_network() -> [u8; 2] {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = std::process::id().wrapping_mul(7).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
    [(n / 250 % 250) as u8 + 1, (n % 250) as u8 + 1]
}

/// Waits until `ready` gives a value, looking every few milliseconds.
///
/// # Errors
/// When `limit` has passed; the text says what was waited for.
pub fn wait_for<T>(what: &str, limit: Duration, mut ready: impl FnMut() -> Option<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = ready() {
            return Ok(value);
        }
        if start.elapsed() > limit {
            return Err(format!("waited {limit:?} in vain for {what}").into());
        }
        std::thread::sleep(Duration::from_millis(25));
    }
}

/// Runs a command to its end and gives its standard output.
///
/// # Errors
/// When it does not start or fails; the text holds what it said.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|e| format!("{:?}: {e}", command.get_program()))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let complained = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?} ended with {}:\n{said}{complained}", output.status).into())
}

/// Counts the files below `folder` whose bytes contain `needle`, and names them.
///
/// # Errors
/// When a file cannot be read for a reason other than being gone.
pub fn files_containing(folder: &Path, needle: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(fs::read_dir(&path)?.flatten().map(|entry| entry.path()));
        } else if path.is_file() {
            match fs::read(&path) {
                Ok(bytes) if contains(&bytes, needle.as_bytes()) => found.push(path),
                Ok(_) => {}
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
    Ok(found)
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
