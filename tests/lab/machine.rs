//! A Debian of its own: a tree made once with mmdebstrap, unpacked for each test, and booted with
//! systemd-nspawn, so that units run under a real systemd.

use crate::process::Process;
use crate::{Result, run, wait_for};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

/// What the package depends on and recommends, and nothing more.
const PACKAGES: &str = "systemd,ca-certificates,debconf,init-system-helpers,libssl3,libstdc++6,nftables,\
                        libtss2-esys-3.0.2-0,libtss2-mu0,libtss2-rc0,libtss2-tcti-device0";
/// How long such a system may take to come up or to go down.
const PATIENCE: Duration = Duration::from_secs(90);

/// A Debian that does not run.
#[derive(Debug)]
pub struct Machine {
    tree: PathBuf,
}

impl Machine {
    /// Unpacks a new one into `folder`. Needs root.
    ///
    /// # Errors
    /// When mmdebstrap cannot make the tree.
    pub fn unpack(folder: &Path) -> Result<Self> {
        let tree = folder.join("tree");
        fs::create_dir_all(&tree)?;
        run(Command::new("tar").arg("-xf").arg(archive()?).arg("-C").arg(&tree))?;
        // The host's: whatever resolves names there.
        fs::write(tree.join("etc/resolv.conf"), "nameserver 127.0.0.1\n")?;
        Ok(Self { tree })
    }

    /// A path in it, as this side sees it.
    pub fn path(&self, path: &str) -> PathBuf {
        self.tree.join(path.trim_start_matches('/'))
    }

    /// Writes a file in it, folders included.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.path(path);
        fs::create_dir_all(path.parent().ok_or("a file in no folder")?)?;
        Ok(fs::write(path, text)?)
    }

    /// Runs a program in it while it does not run.
    ///
    /// # Errors
    /// When it fails; the text holds what it said.
    pub fn chroot(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c"])
            .arg(
                "mount -t proc proc \"$0/proc\" && mount --bind /dev \"$0/dev\" && exec chroot \"$0\" \"$@\"",
            )
            .arg(&self.tree)
            .args(words)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let output = command.output()?;
        let said = both(&output);
        if output.status.success() { Ok(said) } else { Err(format!("{words:?}:\n{said}").into()) }
    }

    /// Boots it, with a network of its own that leads nowhere, and waits until all is started.
    ///
    /// # Errors
    /// When it does not come up; the text ends with what its console said.
    pub fn boot(&self) -> Result<Running<'_>> {
        let log = self.tree.with_extension("console");
        let mut command = Command::new("systemd-nspawn");
        command
            .args(["--quiet", "--boot", "--private-network", "--register=no", "--keep-unit"])
            .arg("--directory")
            .arg(&self.tree);
        let process = Process::start(&mut command, &log)?;
        let told = |e: crate::Error| -> crate::Error {
            format!("{e}\n{}", fs::read_to_string(&log).unwrap_or_default()).into()
        };
        let leader =
            wait_for("a machine to boot", PATIENCE, || leader(process.id())).map_err(told)?;
        let running = Running { machine: self, process, leader };
        wait_for("a machine to come up", PATIENCE, || {
            let state = running.output(&["systemctl", "is-system-running"]).ok()?;
            matches!(state.trim(), "running" | "degraded").then_some(())
        })
        .map_err(told)?;
        Ok(running)
    }
}

/// A Debian that runs; killed on drop.
#[derive(Debug)]
pub struct Running<'a> {
    machine: &'a Machine,
    process: Process,
    leader: String,
}

impl Running<'_> {
    /// Runs a program in it, as root.
    ///
    /// # Errors
    /// When it fails; the text holds what it said.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        let output = self.enter(words)?;
        let said = both(&output);
        if output.status.success() { Ok(said) } else { Err(format!("{words:?}:\n{said}").into()) }
    }

    /// Runs a program in it and gives what it said, whatever its exit code.
    ///
    /// # Errors
    /// When it does not start.
    pub fn output(&self, words: &[&str]) -> Result<String> {
        Ok(both(&self.enter(words)?))
    }

    fn enter(&self, words: &[&str]) -> Result<Output> {
        let mut command = Command::new("nsenter");
        command
            .args([
                "--target",
                &self.leader,
                "--mount",
                "--uts",
                "--ipc",
                "--net",
                "--pid",
                "--root",
            ])
            .arg("--wd=/")
            .args(words)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("SYSTEMD_PAGER", "cat");
        Ok(command.output()?)
    }

    /// Runs a program of this side in its network.
    ///
    /// # Errors
    /// When it fails; the text holds what it said.
    pub fn in_its_network(&self, words: &[&str]) -> Result<String> {
        run(Command::new("nsenter").args(["--target", &self.leader, "--net"]).args(words))
    }

    /// What is logged of a unit since this boot.
    pub fn journal(&self, unit: &str) -> String {
        let words = ["journalctl", "-b", "--no-pager", "-o", "cat", "-u", unit];
        self.output(&words).unwrap_or_default()
    }

    /// What came on the console.
    pub fn console(&self) -> String {
        fs::read(self.machine.tree.with_extension("console"))
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .unwrap_or_default()
    }

    /// Powers it off, as a button would, and waits until it is gone.
    ///
    /// # Errors
    /// When it does not go.
    pub fn power_off(mut self) -> Result<()> {
        self.run(&["systemctl", "--no-block", "poweroff"])?;
        let ended = wait_for("a machine to power off", PATIENCE, || self.process.ended());
        ended.map(drop).map_err(|e| format!("{e}\n{}", self.console()).into())
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // nspawn takes its machine along when it ends on this signal; on a kill it could not.
        let _ = self.process.stop(Duration::from_secs(30));
    }
}

fn both(output: &Output) -> String {
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    said
}

/// The process that is 1 in the machine: nspawn's only child, once it is past setting up.
fn leader(nspawn: u32) -> Option<String> {
    let children = fs::read_to_string(format!("/proc/{nspawn}/task/{nspawn}/children")).ok()?;
    let child = children.split_whitespace().next()?;
    let name = fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
    (name.trim() == "systemd").then(|| child.to_owned())
}

/// The tree in an archive, made where it is missing (a minute and a half).
fn archive() -> Result<PathBuf> {
    let home = crate::wardpost::target_folder()?.join("debian");
    let archive = home.join("machine-bookworm.tar");
    if archive.exists() {
        return Ok(archive);
    }
    fs::create_dir_all(&home)?;
    // Made aside and renamed, so that flows side by side never see half of it.
    let aside = tempfile::Builder::new().prefix("machine-").suffix(".tar").tempfile_in(&home)?;
    let mut make = Command::new("mmdebstrap");
    make.args(["--variant=minbase", &format!("--include={PACKAGES}"), "bookworm"]);
    run(make.arg(aside.path()))?;
    aside.persist(&archive)?;
    Ok(archive)
}
