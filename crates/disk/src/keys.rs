//! The keys that open the data partition.

use crate::{Failure, tool};
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};
use wardpost_mail::Secret;

/// The data partition of the disk that this system was started from ([`disk::show`](crate::disk::show)).
pub(crate) const DEVICE: &str = crate::disk::DATA;

/// What the TPM's key is bound to: any kernel image that our key has signed (PCR 11), started as it is, without
/// other arguments or files from the unprotected partition (PCR 12); and nothing of the firmware, so that an
/// update of it or of Secure Boot's lists locks nobody out.
pub(crate) const BOUND_TO: [&str; 4] = [
    "--tpm2-device=auto",
    "--tpm2-pcrs=12",
    "--tpm2-public-key=/run/systemd/tpm2-pcr-public-key.pem",
    "--tpm2-public-key-pcrs=11",
];

/// A passphrase in a file in memory, for a tool that wants one. Gone on drop.
pub(crate) struct File(String);

impl File {
    pub(crate) fn new(passphrase: &Secret<String>) -> Result<Self, Failure> {
        let path = format!("/run/wardpost-disk-key.{}", std::process::id());
        let file = Self(path);
        // One of an attempt before.
        let _ = fs::remove_file(file.path());
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(file.path())
            .and_then(|mut f| f.write_all(passphrase.expose().as_bytes()))
            .map_err(|e| format!("{}: {e}", file.path()))?;
        Ok(file)
    }

    pub(crate) fn path(&self) -> &str {
        &self.0
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = fs::remove_file(&self.0);
    }
}

/// Which kinds of keys the partition has.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Slots {
    pub(crate) tpm: bool,
    pub(crate) recovery: bool,
}

/// Asks the partition itself.
pub(crate) fn slots() -> Result<Slots, Failure> {
    Ok(read_slots(&tool::run("systemd-cryptenroll", &[DEVICE])?))
}

fn read_slots(table: &str) -> Slots {
    let has = |kind: &str| table.lines().any(|line| line.split_whitespace().nth(1) == Some(kind));
    Slots { tpm: has("tpm2"), recovery: has("recovery") }
}

/// The name under which the partition is opened for a moment.
const TRIAL: &str = "wardpost-trial";

/// Whether the TPM gives the partition's key back, here and now: what is measured does not change between this
/// and systemd-cryptsetup@data.service, which opens it for good.
pub(crate) fn tpm_opens() -> Result<(), Failure> {
    // Headless: where the TPM does not, nobody is asked for what nobody has.
    let options = "luks,read-only,tpm2-device=auto,headless=true";
    tool::run("systemd-cryptsetup", &["attach", TRIAL, DEVICE, "-", options])?;
    // Whoever looks at the new device would keep it busy.
    let closed = crate::disk::settle();
    let closed = closed.and_then(|()| tool::run("systemd-cryptsetup", &["detach", TRIAL]));
    if let Err(failure) = closed {
        // No fault of the TPM's; the next start opens it.
        eprintln!("wardpost-disk: {TRIAL} was not closed: {failure}");
    }
    Ok(())
}

/// What was typed at the console to open the disk on this start, if anything was.
pub(crate) fn typed() -> Vec<Secret<String>> {
    let known = fs::read_to_string("/proc/keys").unwrap_or_default();
    if known.lines().any(|line| line.contains(" cryptsetup:")) { ask() } else { Vec::new() }
}

/// From the kernel's keyring, or asked for once more where it has forgotten. Not for ever: the mail server
/// waits for this, and the screen may show something else.
pub(crate) fn ask() -> Vec<Secret<String>> {
    let output = Command::new("systemd-ask-password")
        .args([
            "--accept-cached",
            "--keyname=cryptsetup",
            "--multiple",
            "--no-tty",
            "--timeout=120",
        ])
        .args(["--", "The disk's passphrase once more, please, to make its recovery key:"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            let told = Secret::new(String::from_utf8(output.stdout).unwrap_or_default());
            told.expose().lines().map(|line| Secret::new(line.to_owned())).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read() {
        let table = "SLOT TYPE    \n   0 tpm2\n   1 recovery\n";
        assert_eq!(read_slots(table), Slots { tpm: true, recovery: true });
        assert_eq!(read_slots("SLOT TYPE\n   0 password\n"), Slots::default());
        assert_eq!(read_slots(""), Slots::default());
    }
}
