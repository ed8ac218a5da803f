//! A real ACME authority: Pebble, at `https://ca.acme.test:14000/dir` on host 46 of a world whose zones
//! [`zone`] is in. It validates on the ports of the lab's Wardpost, by the lab's DNS.

use crate::ca::{Ca, Pair};
use crate::knot::{Proof, Zone};
use crate::process::Process;
use crate::{Lab, Plan, Result, debian, run, wait_for};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Its place in a world.
const HOST: u8 = 46;
/// Its name.
const NAME: &str = "ca.acme.test";
/// Its directory.
pub const DIRECTORY: &str = "https://ca.acme.test:14000/dir";
/// The account that it knows, where it wants to know its customers.
pub const KEY_ID: &str = "kid-1";
/// The key of that account.
pub const HMAC_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
/// A name that it issues nothing for.
pub const BLOCKED: &str = "mta-sts.blocked.test";

/// What an authority is like.
#[derive(Debug, Clone, Copy)]
pub struct Manners {
    /// Percent of good nonces that it refuses.
    pub bad_nonces: u8,
    /// Percent of proofs that it remembers for the next order.
    pub remembers: u8,
    /// It wants to know its customers.
    pub knows_customers: bool,
    /// How long it takes to look, in seconds at most; 0 for no time at all.
    pub dawdles: u8,
    /// How long its certificates last, in seconds.
    pub validity: u32,
    /// Debian 13's Pebble, which knows when certificates should be renewed (RFC 9773).
    pub newer: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            bad_nonces: 5,
            remembers: 0,
            knows_customers: false,
            dawdles: 0,
            validity: 90 * 24 * 3600,
            newer: false,
        }
    }
}

/// The zone that the authority's name is in.
pub fn zone(plan: &Plan<'_>) -> Zone {
    let records = [format!("{NAME}. A {}", plan.host(HOST))];
    Zone::new("acme.test", Proof::Signed, &records)
}

/// A Pebble.
#[derive(Debug)]
pub struct Pebble {
    folder: PathBuf,
    program: PathBuf,
    dns: SocketAddr,
    ip: Ipv4Addr,
    /// The authority of its own HTTPS.
    outer: PathBuf,
    process: Option<Process>,
    manners: Manners,
}

impl Pebble {
    /// Starts one.
    ///
    /// # Errors
    /// When it does not serve in time.
    pub fn start(lab: &Lab, manners: Manners) -> Result<Self> {
        let mut this = Self::prepare(lab, manners)?;
        this.run()?;
        Ok(this)
    }

    /// Starts one whose own certificate has expired.
    ///
    /// # Errors
    /// As [`Pebble::start`].
    pub fn start_expired(lab: &Lab, manners: Manners) -> Result<Self> {
        let mut this = Self::prepare_with(lab, manners, &lab.ca.issue_expired(&[NAME])?)?;
        this.run()?;
        Ok(this)
    }

    /// Gets everything ready, and starts nothing.
    ///
    /// # Errors
    /// When a file cannot be written, or the program cannot be had.
    pub fn prepare(lab: &Lab, manners: Manners) -> Result<Self> {
        Self::prepare_with(lab, manners, &lab.ca.issue(&[NAME])?)
    }

    fn prepare_with(lab: &Lab, manners: Manners, pair: &Pair) -> Result<Self> {
        let folder = lab.folder("pebble")?;
        let ip = lab.host(HOST);
        let config = serde_json::json!({ "pebble": {
            "listenAddress": format!("{ip}:14000"),
            "managementListenAddress": format!("{ip}:15000"),
            "certificate": pair.certificate,
            "privateKey": pair.key,
            "httpPort": 8080,
            "tlsPort": 8443,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": manners.knows_customers,
            "externalAccountMACKeys": { KEY_ID: HMAC_KEY },
            "domainBlocklist": [BLOCKED],
            "certificateValidityPeriod": manners.validity,
            "retryAfter": { "authz": 1, "order": 1 },
        }});
        fs::write(folder.join("pebble.json"), config.to_string())?;
        let program = match manners.newer {
            true => debian::unpacked_from("trixie", "pebble")?.join("usr/bin/pebble"),
            false => PathBuf::from("/usr/bin/pebble"),
        };
        let outer = lab.ca.root.clone();
        Ok(Self { folder, program, dns: lab.dns.address, ip, outer, process: None, manners })
    }

    /// Starts it, or starts it again. It has forgotten everything: accounts, orders and its own keys.
    ///
    /// # Errors
    /// When it does not serve in time.
    pub fn run(&mut self) -> Result<()> {
        let manners = self.manners;
        let mut command = Command::new(&self.program);
        command.arg("-config").arg(self.folder.join("pebble.json"));
        command.args(["-dnsserver", &self.dns.to_string()]);
        command.env("PEBBLE_WFE_NONCEREJECT", manners.bad_nonces.to_string());
        command.env("PEBBLE_AUTHZREUSE", manners.remembers.to_string());
        command.env("PEBBLE_VA_ALWAYS_VALID", "0");
        match manners.dawdles {
            0 => command.env("PEBBLE_VA_NOSLEEP", "1"),
            seconds => command.env("PEBBLE_VA_SLEEPTIME", seconds.to_string()),
        };
        let mut process = Process::start(&mut command, &self.folder.join("log"))?;
        let ports = [14000, 15000].map(|port| SocketAddr::from((self.ip, port)));
        wait_for("Pebble to listen", Duration::from_secs(30), || {
            let up = ports.iter().all(|port| TcpStream::connect(port).is_ok());
            (up || process.ended().is_some()).then_some(up)
        })
        .and_then(|up| if up { Ok(()) } else { Err("Pebble ended at once".into()) })
        .map_err(|e| format!("{e}\n{}", self.log()))?;
        self.process = Some(process);
        Ok(())
    }

    /// Ends it.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Whoever trusts this trusts what Pebble issues, and nothing else.
    ///
    /// # Errors
    /// When Pebble does not give out its root.
    pub fn trust(&self) -> Result<Ca> {
        let root = self.ask("https://ca.acme.test:15000/roots/0", &[])?;
        let file = self.folder.join("issuing-root.pem");
        fs::write(&file, root)?;
        let mut ca = Ca::create(&self.folder.join("trust"))?;
        ca.root = file;
        Ok(ca)
    }

    /// What the authority's pages say to curl.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn ask(&self, url: &str, words: &[&str]) -> Result<String> {
        run(Command::new("curl")
            .args(["-sS", "--max-time", "30", "--cacert"])
            .arg(&self.outer)
            .args(["--connect-to", &format!("{NAME}:14000:{}:14000", self.ip)])
            .args(["--connect-to", &format!("{NAME}:15000:{}:15000", self.ip)])
            .args(words)
            .arg(url))
    }
}
