//! Installs the Debian packages that a task needs.

use crate::{Failure, Outcome};
use std::io::Write;
use std::process::{Command, Stdio};

/// What building takes: C and C++ compilers, OpenSSL for OpenPGP, libclang for RocksDB's bindings.
pub(crate) const BUILD: &[&str] = &["gcc", "g++", "pkg-config", "libssl-dev", "libclang-dev"];
/// The demo's destination servers, its zone, and a client for the portal.
pub(crate) const DEMO: &[&str] = &["postfix", "knot", "curl"];
/// The demo's, and the clients and browsers that the whole-system tests drive. Exim, OpenSMTPD and chasquid
/// are not installed beside Postfix; the tests unpack them, and these are the libraries they need.
pub(crate) const TEST: &[&str] = &[
    "postfix",
    "knot",
    "knot-dnssecutils",
    "bind9-dnsutils",
    "curl",
    "openssl",
    "stunnel4",
    "testssl.sh",
    "isync",
    "python3",
    "python3-dkim",
    "swaks",
    "libnet-ssleay-perl",
    "thunderbird",
    "xvfb",
    "chromium",
    "chromium-driver",
    "libnss3-tools",
    "zbar-tools",
    "oathtool",
    "poppler-utils",
    "libgnutls-dane0",
    "libidn12",
    "libnsl2",
    "libevent-2.1-7",
    "libdb5.3",
    "prometheus",
    "chrony",
    "faketime",
    "gnupg",
    "python3-dnspython",
    "python3-nacl",
    "pebble",
    "mmdebstrap",
    "iproute2",
    "systemd-container",
    "nftables",
    "binutils",
    "dpkg-dev",
    "lintian",
];
/// What the Debian package takes.
pub(crate) const DEB: &[&str] = &["binutils", "dpkg-dev", "lintian"];
/// The peers of the benchmarks.
pub(crate) const BENCH: &[&str] = &["postfix", "dovecot-imapd", "dovecot-lmtpd", "knot", "openssl"];

/// What makes the tree of image tools.
pub(crate) const IMAGE: &[&str] =
    &["mmdebstrap", "debian-archive-keyring", "binutils", "util-linux", "zstd"];
/// What is in that tree (Debian 13): it makes the image, and starts it in a virtual machine.
pub(crate) const TOOLS: &[&str] = &[
    "apt",
    "ca-certificates",
    "cpio",
    "cryptsetup-bin",
    "debian-archive-keyring",
    "diffutils",
    "dosfstools",
    "e2fsprogs",
    "erofs-utils",
    "kmod",
    "mkosi",
    "mtools",
    "nftables",
    "openssl",
    "ovmf",
    "python3-pefile",
    "qemu-system-x86",
    "qemu-utils",
    "swtpm",
    "systemd",
    "systemd-boot",
    "systemd-container",
    "systemd-repart",
    "systemd-ukify",
    "util-linux",
    "xfsprogs",
    "zstd",
];

/// Installs those of `names` that are missing. Needs root or sudo only then.
pub(crate) fn install(names: &[&str]) -> Outcome {
    let missing: Vec<&str> = names.iter().copied().filter(|name| !is_installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("xtask: installing {}", missing.join(" "));
    if missing.contains(&"postfix") {
        // Unconfigured: our tests start their own instances, none may run by itself.
        preseed("postfix postfix/main_mailer_type select No configuration\n")?;
    }
    privileged(&["apt-get", "update", "-qq"])?;
    let mut install = vec!["apt-get", "install", "-y", "-qq", "--no-install-recommends"];
    install.extend(&missing);
    privileged(&install)
}

fn is_installed(name: &str) -> bool {
    Command::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Status}", name])
        .output()
        .is_ok_and(|output| output.stdout == b"installed")
}

fn preseed(text: &str) -> Outcome {
    let failure = |e: std::io::Error| Failure::new(format!("debconf-set-selections: {e}"));
    let mut child =
        as_root(&["debconf-set-selections"]).stdin(Stdio::piped()).spawn().map_err(failure)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(text.as_bytes()).map_err(failure)?;
    }
    child.wait().map_err(failure)?;
    Ok(())
}

fn privileged(words: &[&str]) -> Outcome {
    let status = as_root(words)
        .stdout(Stdio::null())
        .status()
        .map_err(|e| Failure::new(format!("{}: {e}", words[0])))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "`{}` failed ({status}); run it by hand as root, then try again",
        words.join(" ")
    )))
}

fn as_root(words: &[&str]) -> Command {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout == b"0\n");
    let mut command = if is_root {
        Command::new(words[0])
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg(words[0]);
        sudo
    };
    command.args(&words[1..]).env("DEBIAN_FRONTEND", "noninteractive");
    command
}
