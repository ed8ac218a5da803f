//! The system key: the one secret that is not on the data disk.

use crate::aead::{Aead, derive, random};
use crate::error::SystemKeyError;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use wardpost_mail::Secret;
use zeroize::Zeroizing;

/// A key file holds 64 digits and a line end; no more than this is read.
const MAX_FILE: u64 = 256;

/// The key that wraps the keyring: 32 random bytes.
///
/// It comes from a file (64 hexadecimal digits, mode 0600) or from a systemd credential, which can
/// be sealed to the box's TPM. It belongs on other storage than the data and the backups.
#[derive(Clone)]
pub struct SystemKey(Secret<[u8; 32]>);

impl SystemKey {
    /// The name of the systemd credential.
    pub const CREDENTIAL: &str = "wardpost.system-key";

    /// Makes a new random key.
    pub fn generate() -> Self {
        Self(Secret::new(random()))
    }

    /// Makes a new key and writes it to a file that must not exist yet (mode 0600, synced).
    pub fn create_file(path: &Path) -> Result<Self, SystemKeyError> {
        let key = Self::generate();
        key.write(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => SystemKeyError::Exists(path.to_owned()),
            _ => SystemKeyError::Io { path: path.to_owned(), error },
        })?;
        Ok(key)
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let mut text = Zeroizing::new(HEXLOWER.encode(self.0.expose()));
        text.push('\n');
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    }

    /// Reads the key from its file. Refuses a file that others can read.
    pub fn read_file(path: &Path) -> Result<Self, SystemKeyError> {
        let failed = |error| SystemKeyError::Io { path: path.to_owned(), error };
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.mode() & 0o077 != 0 {
            return Err(SystemKeyError::TooOpen(path.to_owned()));
        }
        Self::read_from(file, path)
    }

    /// Reads `$CREDENTIALS_DIRECTORY/wardpost.system-key`; `None` when there is no such credential.
    /// systemd sees to it that nobody else can read it.
    pub fn from_systemd_credential() -> Result<Option<Self>, SystemKeyError> {
        Self::from_credentials(std::env::var_os("CREDENTIALS_DIRECTORY").as_deref())
    }

    fn from_credentials(directory: Option<&OsStr>) -> Result<Option<Self>, SystemKeyError> {
        let Some(directory) = directory else { return Ok(None) };
        let path = Path::new(directory).join(Self::CREDENTIAL);
        match File::open(&path) {
            Ok(file) => Self::read_from(file, &path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(SystemKeyError::Io { path, error }),
        }
    }

    fn read_from(file: File, path: &Path) -> Result<Self, SystemKeyError> {
        let mut text = Zeroizing::new(Vec::with_capacity(MAX_FILE as usize));
        file.take(MAX_FILE)
            .read_to_end(&mut text)
            .map_err(|error| SystemKeyError::Io { path: path.to_owned(), error })?;
        let bytes =
            Zeroizing::new(HEXLOWER_PERMISSIVE.decode(text.trim_ascii()).unwrap_or_default());
        let key = <[u8; 32]>::try_from(bytes.as_slice())
            .map_err(|_| SystemKeyError::Malformed(path.to_owned()))?;
        Ok(Self(Secret::new(key)))
    }

    /// The key that wraps the keyring.
    pub(crate) fn wrap_key(&self) -> Aead {
        Aead::new(derive(self.0.expose(), &[b"wardpost keyring wrap v1"]).expose())
    }

    /// A value that tells a wrong key from a damaged keyring, and nothing about the key.
    pub(crate) fn check_value(&self) -> [u8; 8] {
        let mut check = [0; 8];
        let derived = derive(self.0.expose(), &[b"wardpost keyring check v1"]);
        check.copy_from_slice(&derived.expose()[..8]);
        check
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn same(a: &SystemKey, b: &SystemKey) -> bool {
        a.0.expose() == b.0.expose()
    }

    #[test]
    fn a_file_is_made_once_and_read_back() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("system.key");
        let key = SystemKey::create_file(&path).expect("created");
        assert_eq!(fs::metadata(&path).expect("metadata").permissions().mode() & 0o777, 0o600);
        assert!(same(&key, &SystemKey::read_file(&path).expect("read")));
        assert!(matches!(SystemKey::create_file(&path), Err(SystemKeyError::Exists(_))));
        assert!(same(&key, &SystemKey::read_file(&path).expect("still the same")));
    }

    #[test]
    fn refuses_what_is_no_private_key_file() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("system.key");
        assert!(matches!(SystemKey::read_file(&path), Err(SystemKeyError::Io { .. })));
        SystemKey::create_file(&path).expect("created");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("chmod");
        assert!(matches!(SystemKey::read_file(&path), Err(SystemKeyError::TooOpen(_))));
        for text in ["", "abc", &"0".repeat(63), &"g".repeat(64), &"0".repeat(66)] {
            fs::write(&path, text).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
            assert!(
                matches!(SystemKey::read_file(&path), Err(SystemKeyError::Malformed(_))),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_credential_is_optional() {
        let dir = tempfile::tempdir().expect("temporary directory");
        assert!(matches!(SystemKey::from_credentials(None), Ok(None)));
        assert!(matches!(SystemKey::from_credentials(Some(dir.path().as_os_str())), Ok(None)));
        let path = dir.path().join(SystemKey::CREDENTIAL);
        fs::write(&path, "A5".repeat(32)).expect("written");
        let key = SystemKey::from_credentials(Some(dir.path().as_os_str()));
        assert_eq!(*key.expect("read").expect("there").0.expose(), [0xa5; 32]);
    }
}
