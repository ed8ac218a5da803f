//! The machine itself: clock, disk, keys, queue, backups, and whether it came up well.

use crate::facts::{BackupFacts, ClockFacts, DiskFacts, KeyProtection, Opening, QueueFacts};
use crate::words::{bad, count, good, joined, shown, size, time, unknown, warning};
use crate::{Check, Finding};

/// A clock that is off by more than this is told, in seconds.
const CLOCK_WARNING: f64 = 5.0;
/// A clock that is off by more than this does harm: sign-in codes live for 30 seconds.
const CLOCK_BAD: f64 = 60.0;
/// Less than this percentage of the disk free is told.
const DISK_WARNING: u64 = 20;
/// Less than this percentage free is urgent.
const DISK_BAD: u64 = 5;
/// Less than this is urgent, however small the disk.
const DISK_LEAST: u64 = 1 << 30;
/// A message that waits for longer than this is urgent, in seconds.
const QUEUE_BAD: u64 = 2 * 24 * 3600;

pub(crate) fn clock(clock: &ClockFacts) -> Finding {
    let check = Check::Clock;
    let to_do = "If this is a virtual machine, switch on \"time synchronisation\" in its settings. Otherwise \
                 tell whoever looks after the router: \"please let our mail server reach time servers, UDP \
                 port 123 and TCP port 4460\". Then restart the machine.";
    let Some(ahead) = median(&clock.ahead) else {
        return match clock.synchronized {
            true => good(check, "The system's time service says that the clock is set."),
            false => unknown(
                check,
                "No time server answered, so it is not known whether the clock is right.",
                format!(
                    "Compare the clock on the box's screen with your own. If it is wrong: {to_do}"
                ),
            ),
        };
    };
    let off = ahead.abs();
    if off <= CLOCK_WARNING {
        return good(check, "The clock is right.");
    }
    let direction = if ahead > 0.0 { "fast" } else { "slow" };
    // Rounded, and no more than u64 holds.
    let says = format!("The clock is {} {direction}.", time(off.round() as u64));
    match off <= CLOCK_BAD {
        true => warning(check, says, to_do),
        false => bad(
            check,
            format!("{says} Signatures, certificates and sign-in codes go wrong."),
            to_do,
        ),
    }
}

/// The middle one, so that one bad server does not decide.
fn median(values: &[f64]) -> Option<f64> {
    let mut values: Vec<f64> = values.iter().copied().filter(|it| it.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

pub(crate) fn disk(disk: &DiskFacts) -> Finding {
    let check = Check::Disk;
    let percent = u128::from(disk.free) * 100 / u128::from(disk.total.max(1));
    let says = format!("{} of {} are free ({percent} %).", size(disk.free), size(disk.total));
    let to_do = "Give the machine a larger disk: in a virtual machine enlarge it in the settings and restart \
                 the box, which grows into it; or tell whoever looks after the machine. Or delete mail \
                 that is not needed, in the mail program, and empty the trash.";
    if percent < DISK_BAD.into() || disk.free < DISK_LEAST {
        let says =
            format!("{says} When it is full, no mail is taken any more; what was taken stays.");
        return bad(check, says, to_do);
    }
    match percent < DISK_WARNING.into() {
        true => warning(check, says, to_do),
        false => good(check, says),
    }
}

pub(crate) fn opening(opening: Opening) -> Finding {
    let check = Check::DiskOpening;
    match opening {
        Opening::Tpm => {
            good(check, "The machine opens its encrypted disk by itself, with its TPM.")
        }
        Opening::Passphrase => warning(
            check,
            "The disk is encrypted, and somebody must type the passphrase whenever the machine starts: \
             after a power failure there is no mail until then.",
            "Make sure that somebody in the practice knows the passphrase and can get to the screen. If the \
             machine can have a TPM 2.0 (in a virtual machine: add \"TPM\" in its settings), set the box up \
             anew with it, and it opens the disk by itself.",
        ),
        Opening::Unencrypted => warning(
            check,
            "The disk is not encrypted. Mail is, each piece of it, but names of files and the rest of the \
             system can be read by whoever has the disk.",
            "Set the box up anew on a disk that it may encrypt, or keep the machine locked away.",
        ),
        Opening::NotKnown => unknown(
            check,
            "How the disk of this machine is opened is not known; only the ready-made box says so.",
            "",
        ),
    }
}

pub(crate) fn system_key(protection: KeyProtection, opening: Option<Opening>) -> Finding {
    let check = Check::SystemKey;
    let encrypted = matches!(opening, Some(Opening::Tpm | Opening::Passphrase));
    match protection {
        KeyProtection::Host if encrypted => good(
            check,
            "The key that opens all data is sealed by another key, and both are on the encrypted disk.",
        ),
        KeyProtection::Tpm => {
            good(check, "The key that opens all data is sealed by this machine's TPM.")
        }
        KeyProtection::Host => warning(
            check,
            "The key that opens all data is sealed by another key on the same disk: whoever has the whole \
             disk has both.",
            "If the machine can have a TPM 2.0 (in a virtual machine: add \"TPM\" in its settings), set the \
             box up anew with it. Otherwise keep the machine locked away.",
        ),
        KeyProtection::Systemd => {
            good(check, "The key that opens all data is sealed by this machine.")
        }
        KeyProtection::File => warning(
            check,
            "The key that opens all data is a file on the disk: whoever can read the disk can read it.",
            "Keep a copy of the file apart from all backups, and the machine locked away. `systemd-creds` \
             can seal the key by the machine's TPM: see docs/install-debian.md.",
        ),
    }
}

pub(crate) fn queue(queue: &QueueFacts) -> Finding {
    let check = Check::Queue;
    if queue.messages == 0 {
        return good(check, "No mail waits to go out.");
    }
    let messages = count(queue.messages as u64, "message waits", "messages wait");
    let says = format!("{messages} to go out, the oldest for {}.", time(queue.oldest));
    let to_do = "Look at the findings about DNS and port 25 first. If they are good, the trouble is at the \
                 other end: `wardpost queue list` shows for which domains, and a telephone call tells them. \
                 Senders were told, and messages are tried again for days.";
    match queue.oldest {
        age if age >= QUEUE_BAD => bad(check, says, to_do),
        age if age >= queue.late => warning(check, says, to_do),
        _ => good(check, says),
    }
}

pub(crate) fn backups(backups: BackupFacts) -> Finding {
    let says = match backups.destination {
        true => "It was said where backups are to go, but this version does not make any yet.",
        false => "Backups are not made by this version.",
    };
    warning(
        Check::Backups,
        says,
        "Until it does: switch the box off once a week and copy its disk (in a virtual machine: make a \
         snapshot or an export), and keep the copy and the recovery sheet in different places. A copy is \
         as safe as the disk: it opens only with the keys.",
    )
}

pub(crate) fn daemon(answers: bool) -> Finding {
    match answers {
        true => good(Check::Daemon, "It runs, and answers."),
        false => bad(
            Check::Daemon,
            "Wardpost does not run: no mail comes in, none goes out, and nobody can read theirs.",
            "Start it with `systemctl start wardpost`, or restart the machine. If it does not stay, `wardpost \
             check` says whether the configuration is at fault, and `journalctl -u wardpost -n 50` what \
             happened.",
        ),
    }
}

pub(crate) fn store(took: &Result<(), String>) -> Finding {
    match took {
        Ok(()) => good(Check::Store, "Data can be written."),
        Err(error) => bad(
            Check::Store,
            format!("Data cannot be written: {}.", shown(error).trim_end_matches('.')),
            "Look whether the disk has room. If it has, it may be failing: tell whoever looks after the \
             machine.",
        ),
    }
}

pub(crate) fn ports(silent: &[String]) -> Finding {
    let silent: Vec<String> = silent.iter().map(|service| shown(service)).collect();
    match silent.as_slice() {
        [] => good(Check::Ports, "All ports answer."),
        some => bad(
            Check::Ports,
            format!("These services do not answer on their ports: {}.", joined(some)),
            "Restart the machine. If it stays, tell whoever looks after the machine's firewall that it must \
             allow the machine to connect to itself.",
        ),
    }
}

pub(crate) fn units(failed: &Result<Vec<String>, String>) -> Finding {
    let failed = match failed {
        Ok(failed) => failed,
        Err(error) => {
            let says = format!(
                "Whether a part of the system has failed could not be found out: {}.",
                shown(error)
            );
            return unknown(Check::Units, says, "Restart the machine, and see whether it stays.");
        }
    };
    let failed: Vec<String> = failed.iter().map(|unit| shown(unit)).collect();
    match failed.as_slice() {
        [] => good(Check::Units, "No part of the system has failed."),
        some => bad(
            Check::Units,
            format!("These parts of the system have failed: {}.", joined(some)),
            "Restart the machine. If it stays, tell whoever looks after it; after an update the box goes back \
             to the version before by itself.",
        ),
    }
}
