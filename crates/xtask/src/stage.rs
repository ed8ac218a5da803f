//! Laying files out for the Debian package and for the image: what both have, and how it is copied.

use crate::{Failure, Outcome};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Files of the repository that both have, where they go, and their modes (systemd/README.md).
pub(crate) const UNITS: &[(&str, &str, u32)] = &[
    ("systemd/wardpost.service", "usr/lib/systemd/system/wardpost.service", 0o644),
    (
        "systemd/wardpost-system-key.service",
        "usr/lib/systemd/system/wardpost-system-key.service",
        0o644,
    ),
    (
        "systemd/wardpost-console@.service",
        "usr/lib/systemd/system/wardpost-console@.service",
        0o644,
    ),
    (
        "systemd/wardpost-firewall.service",
        "usr/lib/systemd/system/wardpost-firewall.service",
        0o644,
    ),
    ("systemd/wardpost.tmpfiles", "usr/lib/tmpfiles.d/wardpost.conf", 0o644),
    ("systemd/system-key", "usr/lib/wardpost/system-key", 0o755),
    ("systemd/firewall.nft", "usr/lib/wardpost/firewall.nft", 0o644),
];

/// Copies files from below one folder to below another.
pub(crate) fn lay_out(files: &[(&str, &str, u32)], root: &Path, tree: &Path) -> Outcome {
    files.iter().try_for_each(|(from, to, mode)| put(&root.join(from), &tree.join(to), *mode))
}

/// Copies a file, with this mode; a checkout's own may be narrower.
pub(crate) fn put(from: &Path, to: &Path, mode: u32) -> Outcome {
    write(to, &fs::read(from).map_err(|e| failure(from, &e))?, mode)
}

/// Writes a file with this mode, in a folder that everybody can read.
pub(crate) fn write(to: &Path, content: &[u8], mode: u32) -> Outcome {
    make_folder(to.parent().unwrap_or(Path::new(".")))?;
    fs::write(to, content).map_err(|e| failure(to, &e))?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).map_err(|e| failure(to, &e))
}

/// Makes a folder that everybody can read, and those it lies in.
pub(crate) fn make_folder(folder: &Path) -> Outcome {
    if folder.is_dir() {
        return Ok(());
    }
    folder.parent().map_or(Ok(()), make_folder)?;
    fs::create_dir(folder).map_err(|e| failure(folder, &e))?;
    // Whatever the umask is.
    let everybody = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder, everybody).map_err(|e| failure(folder, &e))
}

/// Copies a folder; every file in it is for all to read.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> Outcome {
    make_folder(to)?;
    for entry in fs::read_dir(from).map_err(|e| failure(from, &e))? {
        let entry = entry.map_err(|e| failure(from, &e))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_folder(&path, &target)?;
        } else {
            put(&path, &target, 0o644)?;
        }
    }
    Ok(())
}

/// The time stamp of everything that is made, Unix seconds: that of the commit, unless one is given
/// (SOURCE_DATE_EPOCH).
pub(crate) fn commit_time(root: &Path) -> String {
    if let Ok(given) = std::env::var("SOURCE_DATE_EPOCH") {
        return given;
    }
    let told = Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(root).output();
    let told =
        told.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default();
    // Sources without a history, from an archive: any time will do that is always the same.
    if told.is_empty() { "1767225600".to_owned() } else { told }
}

/// What went wrong with a file.
pub(crate) fn failure(path: &Path, e: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {e}", path.display()))
}
