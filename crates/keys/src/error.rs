//! What can go wrong, one enum for each kind of operation.

use std::path::PathBuf;
use thiserror::Error;

/// Sealed bytes did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OpenError {
    /// The bytes are not of a form this version knows.
    #[error("sealed data of an unknown form; a newer version of Wardpost may have written it")]
    Format,
    /// The data was sealed under a root key that the keyring does not hold.
    #[error("sealed under a root key that is not in the keyring")]
    UnknownKey,
    /// Wrong key, wrong context, or changed bytes: authenticated encryption cannot tell which.
    #[error("sealed data does not open: wrong key or damaged")]
    NotAuthentic,
}

/// Something could not be sealed.
#[derive(Debug, Error)]
pub enum SealError {
    /// The certificate has no key that mail can be encrypted to.
    #[error("the certificate has no usable encryption key")]
    NoEncryptionKey,
    /// The bytes are not a certificate.
    #[error("not an OpenPGP certificate")]
    NotACertificate,
    /// The handle belongs to another account than the record.
    #[error("the unlocked key belongs to another account")]
    WrongAccount,
    /// The OpenPGP library or the random generator failed.
    #[error("OpenPGP: {0}")]
    OpenPgp(String),
}

/// A credential did not unlock an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UnlockError {
    /// No slot opens with this credential.
    #[error("the credential opens no slot")]
    WrongCredential,
    /// A slot opened, but the record behind it is damaged.
    #[error("the account's keys are damaged")]
    Damaged,
}

/// A keyring did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyringError {
    /// The system key is not the one the keyring was sealed under.
    #[error("the system key is not the one this data was sealed under")]
    WrongKey,
    /// The keyring was written by a newer version.
    #[error(
        "the keyring was written by a newer version of Wardpost (format {0}); upgrade the program"
    )]
    Newer(u8),
    /// The right key, but changed or cut-off bytes.
    #[error("the keyring is damaged; restore it from a backup")]
    Damaged,
}

/// The system key could not be read or made.
#[derive(Debug, Error)]
pub enum SystemKeyError {
    /// Reading or writing the file failed.
    #[error("system key {path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: std::io::Error,
    },
    /// The file exists already and is not overwritten.
    #[error("system key {0} exists already; it is never overwritten")]
    Exists(PathBuf),
    /// The file does not hold a key.
    #[error("system key {0} does not hold a Wardpost system key (64 hexadecimal digits)")]
    Malformed(PathBuf),
    /// Others can read the file.
    #[error("system key {0} is readable by others; make it mode 0600 or 0400")]
    TooOpen(PathBuf),
}
