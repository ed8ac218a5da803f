//! What can go wrong.

use std::path::PathBuf;
use thiserror::Error;
use wardpost_keys::KeyringError;

/// A data directory could not be opened. Nothing in it was touched.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The directory holds other things than Wardpost's data.
    #[error("{0} is not empty and holds no Wardpost data; name an empty or a Wardpost directory")]
    Foreign(PathBuf),
    /// The data was written by a newer version.
    #[error(
        "{path} was written by a newer version of Wardpost (format {found}, this one knows up to \
         {known}); upgrade the program"
    )]
    Newer {
        /// The directory.
        path: PathBuf,
        /// The version found.
        found: u32,
        /// The newest version this program knows.
        known: u32,
    },
    /// The file FORMAT says something else than a version.
    #[error("{0} does not hold a format version; restore it from a backup")]
    BadFormatFile(PathBuf),
    /// There is a database but no keyring.
    #[error("{0} is missing but there is data; restore it from a backup: without it nothing opens")]
    MissingKeyring(PathBuf),
    /// There is a keyring but no database.
    #[error("{0} is missing; restore it from a backup")]
    MissingDatabase(PathBuf),
    /// The keyring does not open.
    #[error("{path}: {error}")]
    Keyring {
        /// The keyring's file.
        path: PathBuf,
        /// Why.
        error: KeyringError,
    },
    /// Another process has it open.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// A file operation failed.
    #[error("{path}: {error}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        error: std::io::Error,
    },
    /// The database failed.
    #[error("database: {0}")]
    Database(String),
}

/// Reading failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// A value does not open: damaged, moved from another place, or of another key.
    #[error("a value in column {column} does not open: {error}")]
    Sealed {
        /// The column's name.
        column: &'static str,
        /// Why.
        error: wardpost_keys::OpenError,
    },
    /// The database failed.
    #[error("database: {0}")]
    Database(String),
}

/// Writing failed; nothing of the batch was written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CommitError {
    /// A precondition did not hold.
    #[error("a precondition does not hold")]
    Conflict,
    /// The disk is full. Trying again later may succeed, without a restart.
    #[error("the disk is full")]
    DiskFull,
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
    /// The database failed.
    #[error("database: {0}")]
    Failed(String),
}
