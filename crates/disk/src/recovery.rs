//! The recovery key: what opens the disk when the TPM does not, or the passphrase is forgotten.
//!
//! Nobody can read a key off the disk again, so until one is on paper each start makes a new one, puts it
//! into memory where only the mail server's user reads it, and forgets the one before. Afterwards never again.

use crate::keys::{self, BOUND_TO, DEVICE, File, Slots};
use crate::{Failure, tool};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use wardpost_mail::Secret;

/// Where it is handed over; the set-up page deletes it there.
const FOLDER: &str = "/run/wardpost-disk";
/// Written by the set-up page when somebody has typed the last group of the key.
const CONFIRMED: &str = "/var/lib/wardpost/recovery-key-confirmed";
/// Remembers the confirmation where only root writes: if the mail server's own note of it is lost, or deleted
/// by whoever broke into the mail server, the key on paper stays good.
const MARK: &str = "/var/lib/wardpost-disk/confirmed";
/// The mail server's user.
const USER: &str = "wardpost";

/// Says how the disk opens and, until it is confirmed, hands over a new recovery key.
pub(crate) fn hand_over() -> Result<(), Failure> {
    let slots = keys::slots()?;
    let owner = owner()?;
    fs::create_dir_all(FOLDER).map_err(|e| format!("{FOLDER}: {e}"))?;
    fs::set_permissions(FOLDER, fs::Permissions::from_mode(0o700)).map_err(|e| e.to_string())?;
    give(Path::new(FOLDER), owner)?;
    put("unlock", if slots.tpm { "tpm" } else { "passphrase" }, owner)?;
    let typed = keys::typed();
    if slots.tpm && !typed.is_empty() {
        seal_again(&typed);
    }
    if is_confirmed(&slots, CONFIRMED.as_ref(), MARK.as_ref()) {
        return Ok(());
    }
    put("recovery-key", new_key(&slots, typed)?.expose(), owner)
}

/// Whether a recovery key is on paper. Once that was so it stays so.
fn is_confirmed(slots: &Slots, note: &Path, mark: &Path) -> bool {
    if mark.exists() {
        if !slots.recovery {
            eprintln!(
                "wardpost-disk: the recovery key that was confirmed opens the disk no longer"
            );
        }
        return true;
    }
    if !note.exists() {
        return false;
    }
    if slots.recovery
        && let Err(failure) = remember(mark)
    {
        // A full disk, say: the next start tries again.
        eprintln!("wardpost-disk: {}: {failure}", mark.display());
    }
    true
}

fn remember(mark: &Path) -> std::io::Result<()> {
    let folder = mark.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    fs::File::create(mark)?.sync_all()?;
    fs::File::open(folder)?.sync_all()
}

/// The disk was moved to another machine, or its TPM cleared, and somebody typed the recovery key: from now
/// on this machine's TPM opens it.
fn seal_again(typed: &[Secret<String>]) {
    if !tool::has_tpm() {
        return;
    }
    for passphrase in typed {
        let mut args = vec!["--wipe-slot=tpm2"];
        args.extend(BOUND_TO);
        match enroll(passphrase, &args) {
            Ok(_) => {
                return eprintln!("wardpost-disk: this machine's TPM opens the disk from now on");
            }
            Err(failure) => eprintln!("wardpost-disk: the TPM did not take the key: {failure}"),
        }
    }
}

fn new_key(slots: &Slots, typed: Vec<Secret<String>>) -> Result<Secret<String>, Failure> {
    let make = ["--recovery-key", "--wipe-slot=recovery"];
    let mut last = "nothing was typed".to_owned();
    if slots.tpm {
        let mut args = vec!["--unlock-tpm2-device=auto"];
        args.extend(make);
        args.push(DEVICE);
        match tool::run("systemd-cryptenroll", &args) {
            Ok(told) => return read_key(&told),
            Err(failure) => last = failure,
        }
    }
    let typed = if typed.is_empty() && !slots.tpm { keys::ask() } else { typed };
    for passphrase in &typed {
        match enroll(passphrase, &make) {
            Ok(told) => return read_key(&told),
            Err(failure) => last = failure,
        }
    }
    Err(format!("no recovery key could be made: {last}"))
}

fn enroll(passphrase: &Secret<String>, args: &[&str]) -> Result<String, Failure> {
    let file = File::new(passphrase)?;
    let unlock = format!("--unlock-key-file={}", file.path());
    let mut all = vec![unlock.as_str()];
    all.extend(args);
    all.push(DEVICE);
    tool::run("systemd-cryptenroll", &all)
}

/// Eight groups of eight letters (systemd's "modhex").
fn read_key(told: &str) -> Result<Secret<String>, Failure> {
    let is_group = |g: &str| g.len() == 8 && g.bytes().all(|b| b"cbdefghijklnrtuv".contains(&b));
    told.split_whitespace()
        .find(|word| word.split('-').count() == 8 && word.split('-').all(is_group))
        .map(|word| Secret::new(word.to_owned()))
        // Never the text itself: it may hold the key.
        .ok_or_else(|| "systemd-cryptenroll made a recovery key of an unknown form".to_owned())
}

/// Writes a file whole or not at all, readable by its owner alone.
fn put(name: &str, text: &str, owner: (u32, u32)) -> Result<(), Failure> {
    let path = Path::new(FOLDER).join(name);
    let new = Path::new(FOLDER).join(format!(".{name}"));
    let failure = |e: std::io::Error| format!("{}: {e}", path.display());
    let _ = fs::remove_file(&new);
    fs::write(&new, "").map_err(failure)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o400)).map_err(failure)?;
    fs::write(&new, text).map_err(failure)?;
    give(&new, owner)?;
    fs::rename(&new, &path).map_err(failure)
}

fn give(path: &Path, (user, group): (u32, u32)) -> Result<(), Failure> {
    chown(path, Some(user), Some(group)).map_err(|e| format!("{}: {e}", path.display()))
}

fn owner() -> Result<(u32, u32), Failure> {
    let passwd = fs::read_to_string("/etc/passwd").map_err(|e| format!("/etc/passwd: {e}"))?;
    read_owner(&passwd).ok_or_else(|| format!("there is no user {USER}"))
}

fn read_owner(passwd: &str) -> Option<(u32, u32)> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(USER))?;
    let mut numbers = line.split(':').skip(2);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_and_nothing_else_is_taken_for_one() {
        let key = "vvccbbdd-eeffgghh-iijjkkll-nnrrttuu-vvccbbdd-eeffgghh-iijjkkll-nnrrttuu";
        assert_eq!(read_key(&format!("{key}\n")).unwrap().expose(), key);
        assert!(read_key("A secret recovery key has been generated").is_err());
        assert!(read_key("aaaaaaaa-eeffgghh").is_err());
    }

    #[test]
    fn the_users_number() {
        let passwd =
            "root:x:0:0::/root:/bin/sh\nwardpost:x:899:898::/var/lib/wardpost:/usr/sbin/nologin\n";
        assert_eq!(read_owner(passwd), Some((899, 898)));
        assert_eq!(read_owner("root:x:0:0::/:/"), None);
    }

    #[test]
    fn a_key_on_paper_stays_good_without_the_mail_servers_note() {
        let folder = std::env::temp_dir().join(format!("wardpost-mark-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (note, mark) = (folder.join("note"), folder.join("disk/confirmed"));
        let (with, without) = (Slots { tpm: true, recovery: true }, Slots::default());
        assert!(!is_confirmed(&with, &note, &mark));
        assert!(!mark.exists());
        fs::write(&note, "").unwrap();
        // No key, nothing to remember.
        assert!(is_confirmed(&without, &note, &mark));
        assert!(!mark.exists());
        assert!(is_confirmed(&with, &note, &mark));
        let mode = fs::metadata(mark.parent().unwrap()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        fs::remove_file(&note).unwrap();
        assert!(is_confirmed(&with, &note, &mark));
        fs::remove_dir_all(&folder).unwrap();
    }
}
