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
        // Who else is there, and which partitions, is known only once udev has seen all.
        if let Err(failure) = disk::settle() {
            eprintln!("wardpost-disk: {failure}");
        }
        if let Some(other) = disk::twin() {
            eprintln!("wardpost-disk: {disk} and {other} hold the same system");
            console::say(TWO_DISKS);
            console::wait_for_enter();
            continue;
        }
        let planned = disk::take_whole(&disk).and_then(|()| plan(&disk));
        match next(planned, disk::has(&disk, DATA)) {
            Next::Show(failure) => {
                if let Some(failure) = failure {
                    eprintln!("wardpost-disk: the disk stays as it is: {failure}");
                }
                return disk::show(&disk, DATA);
            }
            Next::Grow => {
                // A disk that cannot grow is no reason not to start.
                if let Err(failure) = repart(&disk, &["--dry-run=no", PASSPHRASE]) {
                    eprintln!("wardpost-disk: the partition did not grow: {failure}");
                }
                return disk::show(&disk, DATA);
            }
            Next::Create => {
                create(&disk)?;
                return disk::show(&disk, DATA);
            }
            Next::Complain(failure) => {
                eprintln!("wardpost-disk: {failure}");
                console::say(&cannot(&failure));
                console::wait_for_enter();
            }
        }
    }
}

/// Said when either disk could be taken for the other.
const TWO_DISKS: &str = "Two disks hold this system, and nobody can say which one is right.\n\
     Nothing was changed on either. Switch off and take one out.\n\
     (Enter: look again.)";

/// What comes after the plan.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Go on with the partition that is there; why nothing is done to it, if something was wrong.
    Show(Option<Failure>),
    Grow,
    Create,
    /// Nothing can be made; somebody must do something.
    Complain(Failure),
}

/// A data partition that is there is gone on with, whatever is wrong with the rest of the disk: it is full of
/// mail, and advice for an empty disk would destroy it.
fn next(planned: Result<Plan, Failure>, there: bool) -> Next {
    match (planned, there) {
        (Ok(Plan::Keep), _) => Next::Show(None),
        (Ok(Plan::Grow), _) => Next::Grow,
        (Ok(Plan::Create), false) => Next::Create,
        (Ok(Plan::Create), true) => {
            Next::Show(Some(format!("systemd-repart does not know {DATA}, which is there")))
        }
        (Err(failure), true) => Next::Show(Some(failure)),
        (Err(failure), false) => Next::Complain(failure),
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

/// The plain words for a disk without a data partition, on which none can be made.
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

const NO_TPM: &str = "This machine has no TPM security chip, so its disk cannot open by itself.\n\
     (If you would rather not type a passphrase at every start: switch the machine\n\
     off, give it a TPM 2.0 in the settings of the firmware or of the virtual machine,\n\
     and start again.)";
const TPM_FAILED: &str = "This machine's TPM security chip does not keep the disk's key, so its disk\n\
     cannot open by itself. (If you would rather not type a passphrase at every start:\n\
     switch the machine off, clear the TPM in the settings of the firmware and switch\n\
     on its SHA-256 bank there, and start again.)";

fn create(disk: &str) -> Result<(), Failure> {
    if tool::has_tpm() {
        console::say(
            "First start: making the encrypted partition for the mail. This takes a minute.",
        );
        match create_with_tpm(disk) {
            Ok(()) => return Ok(()),
            Err(failure) => {
                eprintln!("wardpost-disk: {failure}");
                console::say(TPM_FAILED);
                // A partition that nothing opens would be taken for the mail's on the next start.
                disk::drop_partition(disk, DATA)?;
            }
        }
    } else {
        console::say(NO_TPM);
    }
    let passphrase = console::new_passphrase()?;
    console::say("Making the encrypted partition for the mail. This takes a minute.");
    let file = keys::File::new(&passphrase)?;
    repart(disk, &["--dry-run=no", PASSPHRASE, &format!("--key-file={}", file.path())]).map(drop)
}

/// The TPM's is the only key, so it has to open the partition once before anything is written to that.
fn create_with_tpm(disk: &str) -> Result<(), Failure> {
    let mut args = vec!["--dry-run=no", TPM];
    args.extend(keys::BOUND_TO);
    repart(disk, &args)?;
    disk::show(disk, DATA)?;
    keys::tpm_opens()
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

    #[test]
    fn mail_that_is_there_is_gone_on_with() {
        for failure in ["sfdisk: Input/output error", "Can't fit requested partitions"] {
            let failed = || Err(failure.to_owned());
            assert_eq!(next(failed(), true), Next::Show(Some(failure.to_owned())));
            assert_eq!(next(failed(), false), Next::Complain(failure.to_owned()));
        }
        assert!(matches!(next(Ok(Plan::Create), true), Next::Show(Some(_))));
        assert_eq!(next(Ok(Plan::Create), false), Next::Create);
        assert_eq!(next(Ok(Plan::Grow), true), Next::Grow);
        assert_eq!(next(Ok(Plan::Keep), true), Next::Show(None));
    }
}
