//! What can go wrong, told to the one who asked.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use thiserror::Error;
use wardpost_directory::DirectoryError;
use wardpost_parcel::ParcelError;
use wardpost_pins::{PinError, PinsError};
use wardpost_publish::PlanError;
use wardpost_queue::QueueError;
use wardpost_wall::WallError;

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind of reason, for programs.
    pub kind: FailureKind,
    /// The reason, for people.
    pub message: String,
}

/// Kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The request makes no sense.
    BadRequest,
    /// What it names is not there.
    NotFound,
    /// It goes against a rule: a weak password, an address in use, a wrong secret.
    Refused,
    /// It should have worked and did not.
    Failed,
    /// It was begun, and takes longer than whoever asked waits; it goes on without them.
    Unfinished,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(FailureKind::NotFound, message)
    }

    pub(crate) fn failed(error: impl fmt::Display) -> Self {
        Self::new(FailureKind::Failed, error.to_string())
    }
}

impl From<DirectoryError> for Failure {
    fn from(error: DirectoryError) -> Self {
        use DirectoryError as E;
        let kind = match &error {
            E::NoSuchAccount | E::NoSuchAlias | E::NoSuchDomain | E::NoSuchAppPassword => {
                FailureKind::NotFound
            }
            E::AddressTaken
            | E::NotOurDomain
            | E::NoTargets
            | E::DomainInUse
            | E::WeakPassword(_)
            | E::BadName
            | E::NoKeysWait
            | E::LastAdministrator
            | E::WrongSecret => FailureKind::Refused,
            _ => FailureKind::Failed,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Self {
        let kind = match &error {
            QueueError::NotFound(_) => FailureKind::NotFound,
            _ => FailureKind::Failed,
        };
        Self::new(kind, with_source(&error))
    }
}

impl From<ParcelError> for Failure {
    fn from(error: ParcelError) -> Self {
        let kind = match &error {
            ParcelError::NotFound => FailureKind::NotFound,
            ParcelError::Expired | ParcelError::Recalled | ParcelError::Superseded => {
                FailureKind::Refused
            }
            _ => FailureKind::Failed,
        };
        Self::new(kind, with_source(&error))
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        Self::failed(with_source(&error))
    }
}

impl From<PinError> for Failure {
    fn from(error: PinError) -> Self {
        let kind = match &error {
            PinError::Pattern => FailureKind::BadRequest,
            _ => FailureKind::Refused,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<PinsError> for Failure {
    fn from(error: PinsError) -> Self {
        let kind = match &error {
            PinsError::NotFound(_) => FailureKind::NotFound,
            PinsError::TooMany(_) => FailureKind::Refused,
            _ => FailureKind::Failed,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<WallError> for Failure {
    fn from(error: WallError) -> Self {
        use WallError as E;
        let kind = match &error {
            E::NotFound => FailureKind::NotFound,
            E::Days | E::Reason | E::TooMany | E::TooLarge => FailureKind::Refused,
            E::Record | E::Store(_) | E::Commit(_) => FailureKind::Failed,
        };
        Self::new(kind, with_source(&error))
    }
}

/// An error with what caused it, in one line.
fn with_source(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Why the control socket cannot be served.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The socket could not be made.
    #[error("cannot make the control socket {}: {error}", path.display())]
    Bind {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Another daemon answers there.
    #[error("another Wardpost is running on {}", .0.display())]
    Running(PathBuf),
}
