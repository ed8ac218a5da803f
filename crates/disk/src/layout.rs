//! The partitions, by systemd-repart: nothing is written before everything fits, and the table last of all,
//! so that a power failure half-way leaves the disk as it was.

use crate::{Failure, console, disk, keys, tool};
use serde_json::Value;

/// What the disk is to look like, without the data partition.
const COMMON: &str = "--definitions=/usr/lib/wardpost/repart.d";
const TPM: &str = "--definitions=/usr/lib/wardpost/repart-tpm.d";
const PASSPHRASE: &str = "--definitions=/usr/lib/wardpost/repart-passphrase.d";
/// The label in those definitions.
const DATA: &str = "wardpost-data";

/// Makes the data partition if there is none, else lets it grow.
pub(crate) fn prepare() -> Result<(), Failure> {
    let disk = disk::find()?;
    loop {
        match disk::take_whole(&disk).and_then(|()| plan(&disk)) {
            Ok(Plan::Keep) => return disk::show(&disk, DATA),
            Ok(Plan::Grow) => {
                // A disk that cannot grow is no reason not to start.
                if let Err(failure) = repart(&disk, &["--dry-run=no", PASSPHRASE]) {
                    eprintln!("wardpost-disk: the partition did not grow: {failure}");
                }
                return disk::show(&disk, DATA);
            }
            Ok(Plan::Create) => {
                create(&disk)?;
                return disk::show(&disk, DATA);
            }
            Err(failure) => {
                eprintln!("wardpost-disk: {failure}");
                console::say(&cannot(&failure));
                console::wait_for_enter();
            }
        }
    }
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    /// All is as it should be.
    Keep,
    /// There is a data partition, and something about the disk can be changed for the better.
    Grow,
    /// There is none yet.
    Create,
}

fn plan(disk: &str) -> Result<Plan, Failure> {
    let told = repart(disk, &["--dry-run=yes", "--json=short", PASSPHRASE])?;
    read_plan(&told).ok_or_else(|| format!("systemd-repart told nothing about {DATA}: {told}"))
}

fn read_plan(json: &str) -> Option<Plan> {
    let partitions: Value = serde_json::from_str(json).ok()?;
    let partitions = partitions.as_array()?;
    let data = partitions.iter().find(|partition| partition["label"] == DATA)?;
    let all_stay = || partitions.iter().all(|partition| partition["activity"] == "unchanged");
    Some(match data["activity"] == "create" {
        true => Plan::Create,
        false if all_stay() => Plan::Keep,
        false => Plan::Grow,
    })
}

/// The plain words for a disk on which the partitions cannot be made.
fn cannot(failure: &str) -> String {
    if failure.contains("free space") || failure.contains("fit") {
        return "This disk is too small. Wardpost needs one of at least 8 GB, and 32 GB or more\n\
                for a practice's mail of some years. Nothing was changed on it.\n\n\
                Switch the machine off, give it a larger disk, and start again.\n\
                (Enter: look again.)"
            .to_owned();
    }
    format!(
        "The disk cannot be set up. Nothing was changed on it. The reason:\n\n{failure}\n\n\
         Switch the machine off and write the image to the disk anew, or try another disk.\n\
         (Enter: try again.)"
    )
}

fn create(disk: &str) -> Result<(), Failure> {
    if tool::has_tpm() {
        console::say(
            "First start: making the encrypted partition for the mail. This takes a minute.",
        );
        let mut args = vec!["--dry-run=no", TPM];
        args.extend(keys::BOUND_TO);
        match repart(disk, &args) {
            Ok(_) => return Ok(()),
            Err(failure) => {
                eprintln!("wardpost-disk: {failure}");
                console::say(
                    "This machine's TPM security chip did not take the disk's key; it is done\n\
                     without it. (To use the TPM: switch off, clear it in the firmware's settings.)",
                );
            }
        }
    }
    let passphrase = console::new_passphrase()?;
    console::say("Making the encrypted partition for the mail. This takes a minute.");
    let file = keys::File::new(&passphrase)?;
    repart(disk, &["--dry-run=no", PASSPHRASE, &format!("--key-file={}", file.path())]).map(drop)
}

fn repart(disk: &str, args: &[&str]) -> Result<String, Failure> {
    let mut all = vec!["--no-pager", COMMON];
    all.extend(args);
    all.push(disk);
    tool::run("systemd-repart", &all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = r#"[{"type":"esp","label":"wardpost-esp","activity":"unchanged"},
        {"type":"linux-generic","label":"wardpost-data","activity":"create"}]"#;
    const LATER: &str = r#"[{"type":"linux-generic","label":"wardpost-data","activity":"resize"}]"#;

    #[test]
    fn a_new_disk_and_an_old_one() {
        assert_eq!(read_plan(FIRST), Some(Plan::Create));
        assert_eq!(read_plan(LATER), Some(Plan::Grow));
        let still = LATER.replace("resize", "unchanged");
        assert_eq!(read_plan(&still), Some(Plan::Keep));
        assert_eq!(read_plan("[]"), None);
        assert_eq!(read_plan("no"), None);
    }

    #[test]
    fn what_is_said_of_a_small_disk() {
        let failure = "Can't fit requested partitions into available free space (1.2G), refusing.";
        assert!(cannot(failure).contains("too small"));
        assert!(cannot("Input/output error").contains("Input/output error"));
    }
}
