//! The world's DNS: Knot, authoritative for everything.

use crate::process::Process;
use crate::{Result, wait_for};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A running Knot that serves one root zone.
#[derive(Debug)]
pub struct Knot {
    _process: Process,
    /// Where it answers.
    pub address: SocketAddr,
}

impl Knot {
    pub(crate) fn start(folder: &Path, ip: Ipv4Addr, records: &[String]) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let address = SocketAddr::from((ip, 5353));
        let zone = folder.join("root.zone");
        let mut text = String::from(
            "$TTL 5\n. SOA ns.test. hostmaster.test. 1 3600 600 86400 5\n. NS ns.test.\n",
        );
        text.push_str(&format!("ns.test. A {ip}\n"));
        for record in records {
            text.push_str(record);
            text.push('\n');
        }
        fs::write(&zone, text)?;
        let config = folder.join("knot.conf");
        let dir = folder.display();
        fs::write(
            &config,
            format!(
                "server:\n  rundir: {dir}\n  listen: {ip}@{port}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n\
                 database:\n  storage: {dir}\n\
                 log:\n  - target: stdout\n    any: info\n\
                 zone:\n  - domain: .\n    file: {zone}\n    storage: {dir}\n",
                port = address.port(),
                zone = zone.display(),
            ),
        )?;
        let mut command = Command::new("/usr/sbin/knotd");
        command.arg("-c").arg(&config);
        let mut process = Process::start(&mut command, &folder.join("log"))?;
        wait_for("Knot to answer", Duration::from_secs(20), || {
            if process.ended().is_some() {
                return None;
            }
            TcpStream::connect(address).ok()
        })
        .map_err(|e| {
            format!("{e}\n{}", fs::read_to_string(folder.join("log")).unwrap_or_default())
        })?;
        Ok(Self { _process: process, address })
    }
}
