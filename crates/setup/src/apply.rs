//! What the answers become: the store with the first account in it, and the configuration.
//!
//! The configuration is written last, by rename: from then on, and not before, the server is set up. A
//! mark in the data directory says that everything else in there is the work of a set-up on its way; if
//! that was interrupted, the next one clears it away. Without the mark, or beside a configuration, nothing
//! is ever cleared away.
//!
//! So that it holds after a power cut, too, each step is on the disk before the next begins: the mark, the
//! key and the data, the configuration and its name, and only then is the mark removed ([`settle`]).

use crate::answers::{Answers, Outgoing};
use crate::machine::Machine;
use crate::world::NotApplied;
use crate::written;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use wardpost_config::Config;
use wardpost_directory::{Directory, NewAccount};
use wardpost_keys::{RecoveryCertificate, SystemKey};
use wardpost_mail::TlsGrade;
use wardpost_pins::{Draft, Pattern, Pin, Pins, Smarthost};
use wardpost_store::Store;
use wardpost_verdict::Floor;

/// How long a store that was closed may linger.
const LINGERING: Duration = Duration::from_secs(5);
/// The mark of a set-up on its way.
const MARK: &str = "set-up-under-way";
/// What the mark says when the disk's recovery key was confirmed, too.
const WITH_DISK_KEY: &str = "with the disk key\n";
/// Left for good once the disk's recovery key is on paper.
const CONFIRMED: &str = "recovery-key-confirmed";
/// What is in the data directory before there is any data, and stays.
const NO_DATA: [&str; 7] = [
    "self-signed.pem",
    "self-signed.key",
    "self-signed.new",
    "admin.sock",
    "lost+found",
    CONFIRMED,
    MARK,
];

/// Makes everything of the answers, or nothing.
pub(crate) async fn apply(
    machine: &Machine,
    answers: &Answers,
    recovery: &RecoveryCertificate,
    disk_key_confirmed: bool,
) -> Result<(), NotApplied> {
    let data = &machine.provisional.data_dir;
    if machine.config_file.is_file() {
        return Err(NotApplied(format!(
            "This server is set up already: {} is there. Nothing was changed. Please restart the machine.",
            machine.config_file.display()
        )));
    }
    let key_file = system_key_file(machine)?;
    let text = written::configuration(answers, &machine.seed, key_file.as_deref());
    let config = Config::parse(&text, &machine.config_file).map_err(|error| {
        NotApplied(format!(
            "The configuration that would be written has a mistake, which is a fault in Wardpost: {error}"
        ))
    })?;
    // Whatever came into the directory while somebody typed is not ours to mark, and so to clear away.
    let found = prepare(&machine.config_file, data).map_err(|error| written_words(data, &error))?;
    if found == Found::Data {
        return Err(NotApplied(format!(
            "{} holds data that was not there when the set-up began. It was not touched, and nothing was set up: \
             bring its configuration back, too, or take it away, and restart the server.",
            data.display()
        )));
    }
    let marked = mark(data, disk_key_confirmed).map_err(|error| written_words(data, &error))?;
    let done = async {
        let key = system_key(key_file.as_deref())?;
        fill(&config, &key, answers, recovery).await?;
        if disk_key_confirmed {
            // Before the end: a key that is on paper must not be made anew at the next start.
            confirm(data).map_err(|error| written_words(data, &error))?;
        }
        commit(&machine.config_file, &text)
            .map_err(|error| written_words(&machine.config_file, &error))
    };
    let done = done.await;
    drop(marked);
    match &done {
        Ok(()) => tracing::info!("set-up: the configuration is written"),
        Err(error) => {
            tracing::error!(%error, "set-up: not done; clearing away");
            if let Err(error) = clear(&machine.config_file, data) {
                // The mark is still there: the next start does it.
                tracing::error!(%error, "set-up: what was begun could not be cleared away");
            }
        }
    }
    done
}

/// The system key's file: none where the machine gives the key as a credential.
fn system_key_file(machine: &Machine) -> Result<Option<PathBuf>, NotApplied> {
    let credential = SystemKey::from_systemd_credential();
    let credential = credential.map_err(|error| {
        NotApplied(format!(
            "The key that the machine keeps for this server cannot be used: {error}"
        ))
    })?;
    if credential.is_some() {
        return Ok(None);
    }
    let beside = || machine.config_file.with_file_name("system.key");
    Ok(Some(machine.provisional.keys.system_key_file.clone().unwrap_or_else(beside)))
}

/// The system key, made if its file is not there yet.
fn system_key(file: Option<&Path>) -> Result<SystemKey, NotApplied> {
    let key = match file {
        Some(file) if file.exists() => SystemKey::read_file(file),
        Some(file) => SystemKey::create_file(file),
        None => match SystemKey::from_systemd_credential() {
            Ok(Some(key)) => Ok(key),
            Ok(None) => return Err(NotApplied("The key that the machine keeps for this server is gone. Please restart the machine and begin again.".to_owned())),
            Err(error) => Err(error),
        },
    };
    key.map_err(|error| NotApplied(format!("The key of the data could not be made: {error}.")))
}

/// The store, with the practice's recovery certificate, the first account and the way out.
async fn fill(
    config: &Config,
    key: &SystemKey,
    answers: &Answers,
    recovery: &RecoveryCertificate,
) -> Result<(), NotApplied> {
    let (data, key) = (config.data_dir.clone(), key.clone());
    let opening = tokio::task::spawn_blocking(move || Store::open(&data, &key));
    let store = match opening.await {
        Ok(Ok(store)) => store,
        Ok(Err(error)) => return Err(failed(&error)),
        Err(_) => {
            return Err(NotApplied("Making the data broke off. Please try again.".to_owned()));
        }
    };
    let done = people_and_rules(config, &store, answers, recovery).await;
    let data = config.data_dir.clone();
    let closing = tokio::task::spawn_blocking(move || {
        store.close();
        wait_until_free(&data);
    });
    let closing = closing.await;
    done.and_then(|()| {
        closing.map_err(|_| NotApplied("Writing the data broke off. Please try again.".to_owned()))
    })
}

/// Waits until a store that was closed has let go of its directory: whoever opens or clears it next must not
/// find it in use.
fn wait_until_free(data: &Path) {
    let deadline = Instant::now() + LINGERING;
    while let Ok(directory) = File::open(data)
        && directory.try_lock().is_err()
        && Instant::now() < deadline
    {
        std::thread::sleep(Duration::from_millis(20));
    }
}

async fn people_and_rules(
    config: &Config,
    store: &Store,
    answers: &Answers,
    recovery: &RecoveryCertificate,
) -> Result<(), NotApplied> {
    let directory = Directory::open(store.clone(), &config.domain).await.map_err(|e| failed(&e))?;
    if !directory.initialise_with(recovery).await.map_err(|e| failed(&e))? {
        return Err(NotApplied(
            "There is a recovery certificate already, so this is no new server. Nothing was set up.".to_owned(),
        ));
    }
    let person = &answers.administrator;
    let new = NewAccount {
        address: person.address.clone(),
        name: person.name.clone(),
        password: person.password.clone(),
        administrator: true,
    };
    let id = directory.add_account(new).await.map_err(|e| failed(&e))?;
    let factor = Some(answers.second_factor.clone());
    directory.set_second_factor(id, factor).await.map_err(|e| failed(&e))?;
    if let Outgoing::Smarthost(relay) = &answers.outgoing {
        let pin = smarthost_rule(relay, config.transport.floor)?;
        let pins = Pins::open(store.clone()).map_err(|e| failed(&e))?;
        pins.set(pin).await.map_err(|e| failed(&e))?;
    }
    Ok(())
}

/// The rule that everything goes through a smarthost.
fn smarthost_rule(relay: &Smarthost, floor: TlsGrade) -> Result<Pin, NotApplied> {
    let reason = if relay.trusted_onward {
        "set-up: the provider has promised in writing to pass mail on encrypted only"
    } else {
        "set-up: mail goes out through a provider"
    };
    let draft = Draft {
        smarthost: Some(relay.clone()),
        reason: reason.to_owned(),
        ..Draft::new(Pattern::Any, "set-up")
    };
    Pin::new(draft, Floor::new(floor), SystemTime::now())
        .map_err(|error| NotApplied(format!("The way out cannot be set like this: {error}.")))
}

fn failed(error: &dyn std::error::Error) -> NotApplied {
    NotApplied(format!(
        "The data could not be made: {error}. Nothing was set up. Please look whether the disk has space \
         left, and try again."
    ))
}

fn written_words(path: &Path, error: &io::Error) -> NotApplied {
    let place = path.display();
    NotApplied(match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "The disk is full, so nothing was set up. Please give this machine a larger disk, or make \
             space on it, and try again."
                .to_owned()
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => format!(
            "The server may not write {place}, so nothing was set up. Its directory must belong to the \
             user that the server runs as."
        ),
        _ => format!("{place} could not be written ({error}), so nothing was set up. Please try again."),
    })
}

/// What a start finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A place for a new server.
    Empty,
    /// Data without the configuration that belongs to it.
    Data,
}

/// Makes the data directory ready for a set-up: what an interrupted one left is cleared away, unless there is
/// a configuration in the end.
///
/// # Errors
/// When the directory cannot be made, read or cleared.
pub fn prepare(config_file: &Path, data: &Path) -> io::Result<Found> {
    make_folder(data)?;
    clear(config_file, data)?;
    for entry in fs::read_dir(data)? {
        let name = entry?.file_name();
        if !NO_DATA.iter().any(|known| name == *known) {
            return Ok(Found::Data);
        }
    }
    Ok(Found::Empty)
}

/// Makes a folder, if it is not there, and sees to it that a power cut does not take it away again.
///
/// # Errors
/// When it cannot be made or synced.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let parent = parent(folder);
    make_folder(parent)?;
    fs::create_dir(folder)?;
    sync_directory(parent)
}

/// After the configuration is there: forgets the disk's recovery key if it was confirmed, and removes the
/// mark. To be called at every start; it does nothing a second time.
///
/// # Errors
/// When a file cannot be removed or made, or it is not sure that the configuration outlasts a power cut:
/// the mark is still there then.
pub fn settle(config_file: &Path, data: &Path, disk: &Path) -> io::Result<()> {
    let mark = data.join(MARK);
    let said = match fs::read_to_string(&mark) {
        Ok(said) => said,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    // Without it the data could outlast its configuration, and would be no server's any more.
    File::open(config_file)?.sync_all()?;
    sync_directory(parent(config_file))?;
    if said == WITH_DISK_KEY {
        confirm(data)?;
        remove(&disk.join("recovery-key"))?;
    }
    remove(&mark)?;
    sync_directory(data)
}

/// Whether the disk's recovery key was confirmed to be on paper.
pub(crate) fn is_confirmed(data: &Path) -> bool {
    data.join(CONFIRMED).exists()
}

fn confirm(data: &Path) -> io::Result<()> {
    write_synced(&data.join(CONFIRMED), b"")?;
    sync_directory(data)
}

/// Makes the mark. It is locked as long as what is given back lives: a second server that is started by mistake
/// clears nothing away meanwhile.
fn mark(data: &Path, disk_key_confirmed: bool) -> io::Result<File> {
    let text = if disk_key_confirmed { WITH_DISK_KEY } else { "" };
    let path = data.join(MARK);
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    // Before anything in it is changed.
    lock(&file)?;
    file.set_len(0)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    sync_directory(data)?;
    Ok(file)
}

fn lock(mark: &File) -> io::Result<()> {
    mark.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => io::Error::new(
            ErrorKind::WouldBlock,
            "another server is being set up in it; please stop one of the two",
        ),
        TryLockError::Error(error) => error,
    })
}

/// Clears away what an interrupted set-up left, if the mark says that there was one; the mark goes last.
fn clear(config_file: &Path, data: &Path) -> io::Result<()> {
    let mark = match File::open(data.join(MARK)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        mark => mark?,
    };
    lock(&mark)?;
    if is_there(config_file)? {
        return Ok(());
    }
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        let name = entry.file_name();
        if NO_DATA.iter().any(|known| name == *known) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    sync_directory(data)?;
    remove(&data.join(MARK))?;
    sync_directory(data)
}

/// Whether there is a configuration. What cannot be looked at is not taken for missing.
fn is_there(config_file: &Path) -> io::Result<bool> {
    match config_file.metadata() {
        Ok(found) => Ok(found.is_file()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes the configuration whole or not at all.
fn commit(file: &Path, text: &str) -> io::Result<()> {
    let new = file.with_extension("toml.new");
    remove(&new)?;
    write_synced(&new, text.as_bytes())?;
    fs::rename(&new, file)?;
    // It is there now, and nothing may be cleared away any more; before the mark goes this is tried again.
    if let Err(error) = sync_directory(parent(file)) {
        tracing::warn!(%error, "set-up: the directory of the configuration could not be synced");
    }
    Ok(())
}

/// The directory that a path is in.
fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

fn write_synced(path: &Path, content: &[u8]) -> io::Result<File> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()?;
    Ok(file)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
