//! The tools that make and start the image: a Debian 13 tree of their own, since this machine's systemd is
//! too old for it and nothing of the machine is to change. Made once with mmdebstrap, in a folder beside the
//! target directory, and entered with mounts that nobody else sees.

use crate::stage::failure;
use crate::{Failure, cargo, packages};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The suite that image and tools are made of.
pub(crate) const SUITE: &str = "trixie";

/// Enters a tree; the image's test does the same.
const ENTER: &str = include_str!("enter.sh");

/// The tree, ready to be entered, and everything about images in this process's hands: another one waits.
pub(crate) struct Tools {
    tree: PathBuf,
    _lock: fs::File,
}

/// A command whose program, named as its first word, ends when we do, however that happens. For the main thread.
pub(crate) fn ending_with_us() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    command
}

impl Tools {
    /// The folder for everything about images.
    pub(crate) fn folder() -> PathBuf {
        cargo::target_dir().parent().map_or_else(|| "image".into(), |p| p.join("image"))
    }

    /// Makes the tree if it is not there, or was made of other packages.
    pub(crate) fn ready() -> Result<Self, Failure> {
        let lock = alone()?;
        let tree = Self::folder().join("tools");
        let stamp = tree.join("etc/wardpost-tools");
        let wanted = format!("{SUITE} {}\n", packages::TOOLS.join(" "));
        if fs::read_to_string(&stamp).is_ok_and(|made_of| made_of == wanted) {
            return Ok(Self { tree, _lock: lock });
        }
        packages::install(packages::IMAGE)?;
        eprintln!("xtask: making the tree of image tools in {} (once)", tree.display());
        let new = Self::folder().join("tools.new");
        for old in [&new, &tree] {
            if old.exists() {
                fs::remove_dir_all(old).map_err(|e| failure(old, &e))?;
            }
        }
        let mut make = Command::new("mmdebstrap");
        make.args(["--variant=apt", "--quiet", "--aptopt=APT::Install-Recommends \"false\""]);
        make.arg("--dpkgopt=path-exclude=/usr/share/man/*")
            .arg("--dpkgopt=path-exclude=/usr/share/doc/*");
        make.arg(format!("--include={}", packages::TOOLS.join(","))).arg(SUITE).arg(&new);
        cargo::checked(make)?;
        fs::write(new.join("etc/wardpost-tools"), wanted).map_err(|e| failure(&new, &e))?;
        fs::rename(&new, &tree).map_err(|e| failure(&tree, &e))?;
        Ok(Self { tree, _lock: lock })
    }

    /// A program of the tree. It sees `work` as `/srv`, and nothing else of this machine's files.
    pub(crate) fn command(&self, work: &Path, program: &str) -> Command {
        // Who answers for names here answers there.
        let _ = fs::copy("/etc/resolv.conf", self.tree.join("etc/resolv.conf"));
        let mut enter = ending_with_us();
        enter.args(["unshare", "--mount", "--propagation", "private", "sh", "-ec", ENTER, "sh"]);
        enter.arg(&self.tree).arg(work).arg(program);
        // Keys are shown only by whoever is told to.
        enter.env_remove("TMPDIR").env_remove("release_keys");
        enter
    }

    /// The tree's folder, for programs that enter it themselves.
    pub(crate) fn tree(&self) -> &Path {
        &self.tree
    }
}

/// Takes the folder of images for this process.
fn alone() -> Result<fs::File, Failure> {
    let folder = Tools::folder();
    fs::create_dir_all(&folder).map_err(|e| failure(&folder, &e))?;
    let path = folder.join("lock");
    let lock = fs::File::create(&path).map_err(|e| failure(&path, &e))?;
    if lock.try_lock().is_err() {
        eprintln!("xtask: somebody else makes or tests an image in {}: waiting", folder.display());
        lock.lock().map_err(|e| failure(&path, &e))?;
    }
    Ok(lock)
}
