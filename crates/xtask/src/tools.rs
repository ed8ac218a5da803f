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

/// The tree, ready to be entered.
pub(crate) struct Tools {
    tree: PathBuf,
}

impl Tools {
    /// The folder for everything about images.
    pub(crate) fn folder() -> PathBuf {
        cargo::target_dir().parent().map_or_else(|| "image".into(), |p| p.join("image"))
    }

    /// Makes the tree if it is not there, or was made of other packages.
    pub(crate) fn ready() -> Result<Self, Failure> {
        let tree = Self::folder().join("tools");
        let stamp = tree.join("etc/wardpost-tools");
        let wanted = format!("{SUITE} {}\n", packages::TOOLS.join(" "));
        if fs::read_to_string(&stamp).is_ok_and(|made_of| made_of == wanted) {
            return Ok(Self { tree });
        }
        packages::install(packages::IMAGE)?;
        eprintln!("xtask: making the tree of image tools in {} (once)", tree.display());
        let new = Self::folder().join("tools.new");
        for old in [&new, &tree] {
            if old.exists() {
                fs::remove_dir_all(old).map_err(|e| failure(old, &e))?;
            }
        }
        fs::create_dir_all(Self::folder()).map_err(|e| failure(&Self::folder(), &e))?;
        let mut make = Command::new("mmdebstrap");
        make.args(["--variant=apt", "--quiet", "--aptopt=APT::Install-Recommends \"false\""]);
        make.arg("--dpkgopt=path-exclude=/usr/share/man/*")
            .arg("--dpkgopt=path-exclude=/usr/share/doc/*");
        make.arg(format!("--include={}", packages::TOOLS.join(","))).arg(SUITE).arg(&new);
        cargo::checked(make)?;
        fs::write(new.join("etc/wardpost-tools"), wanted).map_err(|e| failure(&new, &e))?;
        fs::rename(&new, &tree).map_err(|e| failure(&tree, &e))?;
        Ok(Self { tree })
    }

    /// A program of the tree. It sees `work` as `/srv`, and nothing else of this machine's files.
    pub(crate) fn command(&self, work: &Path, program: &str) -> Command {
        // Who answers for names here answers there.
        let _ = fs::copy("/etc/resolv.conf", self.tree.join("etc/resolv.conf"));
        let mut enter = Command::new("unshare");
        enter.args(["--mount", "--propagation", "private", "sh", "-ec", ENTER, "sh"]);
        enter.arg(&self.tree).arg(work).arg(program);
        enter.env_remove("TMPDIR");
        enter
    }

    /// The tree's folder, for programs that enter it themselves.
    pub(crate) fn tree(&self) -> &Path {
        &self.tree
    }
}
