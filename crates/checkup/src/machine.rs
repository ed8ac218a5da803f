//! The machine: disk, keys, failed parts of the system.

use crate::Settings;
use std::path::Path;
use std::time::Duration;
use tokio::process::Command;
use wardpost_health::facts::{DiskFacts, KeyProtection, Opening};

/// Where the image says how the disk is opened.
const UNLOCK: &str = "/run/wardpost-disk/unlock";
/// Where the system says what the system key is sealed by.
const SEALED_BY: &str = "/run/wardpost-system-key/sealed-by";
/// How long looking at the disk may take; one that is failing hangs.
const DISK_TIME: Duration = Duration::from_secs(5);
/// How long systemd may take to say what has failed.
const UNITS_TIME: Duration = Duration::from_secs(60);

/// The disk, how it is opened, and what protects the system key.
pub(crate) async fn look(
    settings: &Settings,
) -> (Option<DiskFacts>, Option<Opening>, Option<KeyProtection>) {
    let key_file = settings.key_file;
    let rest = tokio::task::spawn_blocking(move || {
        let protection = match key_file {
            true => KeyProtection::File,
            false => sealed_by(Path::new(SEALED_BY)),
        };
        (opening(Path::new(UNLOCK)), protection)
    });
    let (disk, rest) = tokio::join!(disk(settings), tokio::time::timeout(DISK_TIME, rest));
    let rest = rest.ok().and_then(Result::ok);
    (disk, rest.map(|(opening, _)| opening), rest.map(|(_, protection)| protection))
}

/// Room on the disk that the data lies on.
pub(crate) async fn disk(settings: &Settings) -> Option<DiskFacts> {
    let path = settings.data_dir.clone();
    let looking = tokio::task::spawn_blocking(move || disk_of(&path));
    tokio::time::timeout(DISK_TIME, looking).await.ok()?.ok()?
}

/// The disk of a directory, or of the nearest one above it that exists.
fn disk_of(path: &Path) -> Option<DiskFacts> {
    let disk = path.ancestors().find_map(|path| rustix::fs::statvfs(path).ok())?;
    let octets = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    Some(DiskFacts { total: octets(disk.f_blocks), free: octets(disk.f_bavail) })
}

fn opening(file: &Path) -> Opening {
    match word(file).as_deref() {
        Some("tpm") => Opening::Tpm,
        Some("passphrase") => Opening::Passphrase,
        Some("none") => Opening::Unencrypted,
        _ => Opening::NotKnown,
    }
}

fn sealed_by(file: &Path) -> KeyProtection {
    match word(file).as_deref() {
        Some("tpm") => KeyProtection::Tpm,
        Some("host") => KeyProtection::Host,
        _ => KeyProtection::Systemd,
    }
}

fn word(file: &Path) -> Option<String> {
    std::fs::read_to_string(file).ok().map(|text| text.trim().to_owned())
}

/// Units that wait for the network or fetch from it: without the internet they fail, and the machine is well
/// all the same.
const NETWORK_UNITS: [&str; 7] = [
    "systemd-networkd-wait-online",
    "NetworkManager-wait-online",
    "systemd-time-wait-sync",
    "chrony-wait",
    "systemd-sysupdate",
    "apt-daily",
    "fwupd-refresh",
];

/// The names of failed systemd units, or why nobody knows; `None` when there is no systemd to ask.
pub async fn failed_units() -> Option<Result<Vec<String>, String>> {
    if !Path::new("/run/systemd/system").exists() {
        return None;
    }
    let mut command = Command::new("systemctl");
    command.args(["list-units", "--failed", "--plain", "--no-legend", "--no-pager"]);
    command.kill_on_drop(true);
    let output = match tokio::time::timeout(UNITS_TIME, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Some(Err(format!("systemctl did not start: {error}"))),
        Err(_) => return Some(Err("systemctl did not answer in time".to_owned())),
    };
    Some(match output.status.success() {
        true => Ok(units(&String::from_utf8_lossy(&output.stdout))),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    })
}

fn units(list: &str) -> Vec<String> {
    let names = list.lines().filter_map(|line| line.split_whitespace().next());
    let network = |name: &&str| NETWORK_UNITS.iter().any(|unit| name.starts_with(unit));
    names.filter(|name| !network(name)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn what_the_machine_says_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("word");
        assert_eq!(opening(&file), Opening::NotKnown);
        for (text, is) in [
            ("tpm\n", Opening::Tpm),
            ("passphrase", Opening::Passphrase),
            ("none", Opening::Unencrypted),
            ("", Opening::NotKnown),
        ] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(opening(&file), is, "{text:?}");
        }
        std::fs::write(&file, "host\n").unwrap();
        assert_eq!(sealed_by(&file), KeyProtection::Host);
    }

    #[test]
    fn a_directory_that_is_not_there_yet_has_a_disk() {
        let folder = tempfile::tempdir().unwrap();
        let disk = disk_of(&folder.path().join("data/deep")).unwrap();
        assert!(disk.total > 0 && disk.free <= disk.total);
    }

    #[test]
    fn failed_units_are_read() {
        let list = "a.service loaded failed failed What it is\nb.mount loaded failed failed B\n\
                    systemd-networkd-wait-online.service loaded failed failed Wait for Network\n";
        assert_eq!(units(list), ["a.service", "b.mount"]);
        assert!(units("").is_empty());
    }
}
