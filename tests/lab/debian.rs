//! Programs from Debian packages that cannot be installed beside Postfix: fetched and unpacked, once, into a
//! folder beside the built program, and run in a mount namespace with an `/etc` of their own. Nothing changes
//! on the machine.

use crate::{Result, run};
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The unpacked tree of a package, fetched if it is not there yet.
///
/// # Errors
/// When `apt-get download` fails.
pub(crate) fn unpacked(package: &str) -> Result<PathBuf> {
    let beside = crate::wardpost::target_folder()?;
    let home = beside.join("debian").join(package);
    if home.is_dir() {
        return Ok(home);
    }
    // Made aside and renamed, so that flows side by side never see half of it.
    fs::create_dir_all(beside.join("debian"))?;
    let aside = tempfile::Builder::new().prefix("unpacking-").tempdir_in(beside.join("debian"))?;
    run(Command::new("apt-get").args(["download", "-qq", package]).current_dir(aside.path()))?;
    let file = fs::read_dir(aside.path())?.flatten().map(|e| e.path()).next();
    let file = file.ok_or_else(|| format!("apt-get downloaded no {package}"))?;
    let tree = aside.path().join("tree");
    run(Command::new("dpkg").arg("-x").args([&file, &tree]))?;
    match fs::rename(&tree, &home) {
        Err(e) if !home.is_dir() => Err(e.into()),
        _ => Ok(home),
    }
}

/// The same from another release of Debian, whose lists are kept apart from the machine's. For programs
/// that need no library that is newer than the machine's.
///
/// # Errors
/// When `apt-get` fails.
pub(crate) fn unpacked_from(suite: &str, package: &str) -> Result<PathBuf> {
    let beside = crate::wardpost::target_folder()?.join("debian");
    let home = beside.join(format!("{package}-{suite}"));
    if home.is_dir() {
        return Ok(home);
    }
    fs::create_dir_all(&beside)?;
    let aside = tempfile::Builder::new().prefix("unpacking-").tempdir_in(&beside)?;
    let at = aside.path();
    for folder in ["lists/partial", "cache/archives/partial", "file"] {
        fs::create_dir_all(at.join(folder))?;
    }
    let keys = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let source = format!("deb [signed-by={keys}] http://deb.debian.org/debian {suite} main\n");
    fs::write(at.join("sources.list"), source)?;
    let apt = |words: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(["-qq", "-o", "Dir::Etc::sourceparts=/dev/null"]);
        for (option, path) in
            [("Etc::sourcelist", "sources.list"), ("State::lists", "lists"), ("Cache", "cache")]
        {
            command.arg("-o").arg(format!("Dir::{option}={}", at.join(path).display()));
        }
        run(command.args(words).current_dir(at.join("file")))
    };
    apt(&["update"])?;
    apt(&["download", package])?;
    let file = fs::read_dir(at.join("file"))?.flatten().map(|e| e.path()).next();
    let file = file.ok_or_else(|| format!("apt-get downloaded no {package}"))?;
    let tree = at.join("tree");
    run(Command::new("dpkg").arg("-x").args([&file, &tree]))?;
    match fs::rename(&tree, &home) {
        Err(e) if !home.is_dir() => Err(e.into()),
        _ => Ok(home),
    }
}

/// A user that a program insists on, known in its own `/etc` only.
#[derive(Debug, Clone, Copy)]
pub(crate) struct User {
    pub(crate) name: &'static str,
    /// User and group.
    pub(crate) id: u32,
}

/// Makes an `/etc` with what a program needs to know: its users, some hosts, and a resolver's address.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn make_etc(etc: &Path, users: &[User], hosts: &str, resolver: Ipv4Addr) -> Result<()> {
    fs::create_dir_all(etc)?;
    for name in ["passwd", "group"] {
        let known = fs::read_to_string(Path::new("/etc").join(name))?;
        let is_ours = |line: &str| users.iter().any(|u| line.starts_with(&format!("{}:", u.name)));
        let others = known.lines().filter(|line| !is_ours(line));
        let mut text: String = others.map(|line| format!("{line}\n")).collect();
        for User { name: user, id } in users {
            text.push_str(&match name {
                "passwd" => format!("{user}:x:{id}:{id}::/nonexistent:/bin/sh\n"),
                _ => format!("{user}:x:{id}:\n"),
            });
        }
        fs::write(etc.join(name), text)?;
    }
    fs::write(etc.join("nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files dns\n")?;
    fs::write(etc.join("hosts"), format!("127.0.0.1 localhost\n{hosts}"))?;
    fs::write(etc.join("resolv.conf"), format!("nameserver {resolver}\n"))?;
    for name in ["services", "protocols", "localtime", "ld.so.cache"] {
        if let Ok(content) = fs::read(Path::new("/etc").join(name)) {
            fs::write(etc.join(name), content)?;
        }
    }
    Ok(())
}

/// A command in a mount namespace of its own, where each `(from, to)` of `binds` is bound first. It
/// becomes the program: signals reach it.
pub(crate) fn in_own_world(binds: &[(PathBuf, &str)], program: &Path, args: &[&str]) -> Command {
    let mut script = "mount --bind \"$1\" \"$2\" && shift 2 && ".repeat(binds.len());
    script.push_str("exec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"]);
    for (from, to) in binds {
        command.arg(from).arg(to);
    }
    command.arg(program).args(args);
    command
}
