//! The data directory: what is in it, and when it is refused.
//!
//! ```text
//! DATA/FORMAT    the format's version in plain text; written last, when set-up is complete
//! DATA/keyring   the keyring, sealed under the system key
//! DATA/db/       RocksDB
//! ```
//!
//! All checks come before the first change: a directory that is refused is left as it was.

use crate::error::OpenError;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use wardpost_keys::{Keyring, SystemKey};

/// The format that this version writes.
const FORMAT: u32 = 1;
/// Files that may lie in a data directory before there is data.
const TOLERATED: [&str; 6] = [
    "lost+found",
    "admin.sock",
    // The set-up's: its certificate, that it is under way, that the disk's key is on paper.
    "self-signed.pem",
    "self-signed.key",
    "set-up-under-way",
    "recovery-key-confirmed",
];

/// A data directory, locked against other processes while this lives.
#[derive(Debug)]
pub(crate) struct Layout {
    dir: PathBuf,
    _lock: File,
}

/// What was found in the directory.
enum State {
    /// Nothing, or a set-up that was cut short before the first write was acknowledged.
    New,
    /// Data.
    Complete,
}

impl Layout {
    /// Checks the directory, opens the keyring (or makes both), and locks the directory.
    pub(crate) fn open(dir: &Path, key: &SystemKey) -> Result<(Self, Keyring), OpenError> {
        make_dir(dir)?;
        let lock = File::open(dir).map_err(io_error(dir))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::InUse(dir.to_owned()),
            TryLockError::Error(error) => OpenError::Io { path: dir.to_owned(), error },
        })?;
        let layout = Self { dir: dir.to_owned(), _lock: lock };
        let state = layout.look()?;
        let existing = layout.read_keyring(key)?;
        let database = exists(&layout.database())?;
        let keyring = match (state, existing, database) {
            (State::Complete, Some(keyring), true) => return Ok((layout, keyring)),
            (State::Complete, Some(_), false) => {
                return Err(OpenError::MissingDatabase(layout.database()));
            }
            (State::Complete, None, _) | (State::New, None, true) => {
                return Err(OpenError::MissingKeyring(layout.keyring()));
            }
            (State::New, Some(keyring), _) => keyring,
            (State::New, None, false) => {
                let keyring = Keyring::generate();
                layout.write_keyring(&keyring, key)?;
                keyring
            }
        };
        Ok((layout, keyring))
    }

    /// The database's directory.
    pub(crate) fn database(&self) -> PathBuf {
        self.dir.join("db")
    }

    fn keyring(&self) -> PathBuf {
        self.dir.join("keyring")
    }

    fn format(&self) -> PathBuf {
        self.dir.join("FORMAT")
    }

    /// Reads FORMAT; without it, makes sure that nothing foreign is there.
    fn look(&self) -> Result<State, OpenError> {
        let path = self.format();
        let mut text = String::new();
        match File::open(&path) {
            Ok(file) => {
                let read = file.take(64).read_to_string(&mut text);
                read.map_err(|_| OpenError::BadFormatFile(path.clone()))?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.refuse_foreign().map(|()| State::New);
            }
            Err(error) => return Err(OpenError::Io { path, error }),
        }
        match text.trim().parse() {
            Ok(FORMAT) => Ok(State::Complete),
            Ok(found) if found > FORMAT => {
                Err(OpenError::Newer { path: self.dir.clone(), found, known: FORMAT })
            }
            _ => Err(OpenError::BadFormatFile(path)),
        }
    }

    fn refuse_foreign(&self) -> Result<(), OpenError> {
        let ours = ["keyring", "keyring.new", "db"];
        for entry in fs::read_dir(&self.dir).map_err(io_error(&self.dir))? {
            let name = entry.map_err(io_error(&self.dir))?.file_name();
            if !ours.iter().chain(&TOLERATED).any(|known| name == *known) {
                return Err(OpenError::Foreign(self.dir.clone()));
            }
        }
        // A directory called db without our keyring may be anybody's.
        if exists(&self.database())? && !exists(&self.keyring())? {
            return Err(OpenError::MissingKeyring(self.keyring()));
        }
        Ok(())
    }

    fn read_keyring(&self, key: &SystemKey) -> Result<Option<Keyring>, OpenError> {
        let path = self.keyring();
        let mut sealed = Vec::new();
        match File::open(&path) {
            // A keyring has some hundred bytes; 65,535 roots would be 2 MiB.
            Ok(file) => file.take(4 << 20).read_to_end(&mut sealed).map_err(io_error(&path))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(OpenError::Io { path, error }),
        };
        let keyring = Keyring::open(&sealed, key);
        keyring.map(Some).map_err(|error| OpenError::Keyring { path, error })
    }

    /// Replaces the keyring's file at one stroke: after a crash there is the old one or the new.
    pub(crate) fn write_keyring(
        &self,
        keyring: &Keyring,
        key: &SystemKey,
    ) -> Result<(), OpenError> {
        self.replace("keyring", &keyring.seal(key))
    }

    /// Marks the set-up as complete. Called when the database is open.
    pub(crate) fn complete(&self) -> Result<(), OpenError> {
        if exists(&self.format())? {
            return Ok(());
        }
        self.replace("FORMAT", format!("{FORMAT}\n").as_bytes())
    }

    /// Makes the database's directory, private to us.
    pub(crate) fn make_database_dir(&self) -> Result<(), OpenError> {
        make_dir(&self.database())
    }

    fn replace(&self, name: &str, contents: &[u8]) -> Result<(), OpenError> {
        let (path, temporary) = (self.dir.join(name), self.dir.join(format!("{name}.new")));
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(contents)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            File::open(&self.dir)?.sync_all()
        };
        write().map_err(io_error(&path))
    }
}

/// Makes a directory with mode 0700. An empty one that is there already gets this mode too.
fn make_dir(dir: &Path) -> Result<(), OpenError> {
    if !exists(dir)? {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(dir).map_err(io_error(dir))?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            let synced = File::open(parent).and_then(|parent| parent.sync_all());
            synced.map_err(io_error(parent))?;
        }
    } else if fs::read_dir(dir).map_err(io_error(dir))?.next().is_none() {
        fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(io_error(dir))?;
    }
    Ok(())
}

fn exists(path: &Path) -> Result<bool, OpenError> {
    path.try_exists().map_err(io_error(path))
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |error| OpenError::Io { path, error }
}
