//! A time server: Debian's chrony, whose clock may be wrong by as much as is wanted (libfaketime). It leaves the
//! machine's clock alone.

use crate::process::Process;
use crate::{Lab, Result, wait_for};
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

/// A running time server.
#[derive(Debug)]
pub struct Chrony {
    _process: Process,
    /// Where it answers.
    pub address: SocketAddr,
}

impl Chrony {
    /// Starts one on host `n` whose clock is ahead of the machine's by so many seconds.
    ///
    /// # Errors
    /// When chrony or faketime is missing, or it does not answer in time.
    pub fn start(lab: &Lab, n: u8, ahead: i32) -> Result<Self> {
        let address = SocketAddr::from((lab.host(n), 11_123));
        let folder = lab.folder(&format!("chrony-{n}"))?;
        let config = format!(
            "local stratum 3\nport {port}\nbindaddress {ip}\nallow 127.0.0.0/8\ncmdport 0\nbindcmdaddress /\n\
             pidfile {folder}/pid\ndriftfile {folder}/drift\n",
            port = address.port(),
            ip = address.ip(),
            folder = folder.display(),
        );
        fs::write(folder.join("chrony.conf"), config)?;
        let mut command = Command::new("faketime");
        command.arg("-f").arg(format!("{ahead:+}s"));
        command.args(["/usr/sbin/chronyd", "-x", "-d", "-u", "root", "-f"]);
        command.arg(folder.join("chrony.conf"));
        let process = Process::start(&mut command, &folder.join("log"))?;
        let socket = UdpSocket::bind((lab.host(n), 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        socket.connect(address)?;
        wait_for("chrony to answer", Duration::from_secs(20), || {
            let mut question = [0; 48];
            question[0] = 0b00_100_011;
            socket.send(&question).ok()?;
            let mut answer = [0; 48];
            let length = socket.recv(&mut answer).ok()?;
            // Its own clock counts as set.
            (length == 48 && answer[0] >> 6 != 3).then_some(())
        })
        .map_err(|e| {
            format!("{e}\n{}", fs::read_to_string(folder.join("log")).unwrap_or_default())
        })?;
        Ok(Self { _process: process, address })
    }
}
