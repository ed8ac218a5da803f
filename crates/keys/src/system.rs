//! The system key: the one secret that is not on the data disk.

use crate::error::SystemKeyError;
use std::path::Path;
use wardpost_mail::Secret;

/// The key that wraps the keyring: 32 random bytes.
///
/// It comes from a file (64 hexadecimal digits, mode 0600) or from a systemd credential, which can
/// be sealed to the box's TPM.
#[derive(Clone)]
pub struct SystemKey(Secret<[u8; 32]>);

impl SystemKey {
    /// The name of the systemd credential.
    pub const CREDENTIAL: &str = "wardpost.system-key";

    /// Makes a new random key.
    pub fn generate() -> Self {
        unimplemented!()
    }

    /// Makes a new key and writes it to a file that must not exist yet.
    pub fn create_file(path: &Path) -> Result<Self, SystemKeyError> {
        let _ = path;
        unimplemented!()
    }

    /// Reads the key from its file. Refuses a file that others can read.
    pub fn read_file(path: &Path) -> Result<Self, SystemKeyError> {
        let _ = path;
        unimplemented!()
    }

    /// Reads `$CREDENTIALS_DIRECTORY/wardpost.system-key`; `None` when there is no such credential.
    pub fn from_systemd_credential() -> Result<Option<Self>, SystemKeyError> {
        unimplemented!()
    }
}
