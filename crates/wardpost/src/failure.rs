//! Why a command did not succeed, and its exit code.

use std::fmt;
use std::process::ExitCode;
use thiserror::Error;
use wardpost_admin::{ClientError, FailureKind};
use wardpost_config::ConfigError;

/// Why a command did not succeed.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The configuration has mistakes. Counts as wrong usage.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The command cannot be meant like this.
    #[error("{0}")]
    Usage(String),
    /// The daemon did not do it.
    #[error("{0}")]
    Daemon(#[from] ClientError),
    /// What is wrong was said already.
    #[error("")]
    Said,
    /// Anything else, in words for a person.
    #[error("{0}")]
    Failed(String),
}

impl Failure {
    /// A failure from any error, with the errors that caused it.
    pub(crate) fn from_error(error: impl std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.contains(&cause_text) {
                text = format!("{text}: {cause_text}");
            }
            source = cause.source();
        }
        Self::Failed(text)
    }

    /// As [`Failure::from_error`], saying what was being done.
    pub(crate) fn during(doing: impl fmt::Display) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::Failed(format!("{doing}: {error}"))
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) | Self::Usage(_) => ExitCode::from(2),
            Self::Daemon(ClientError::Refused(why)) if why.kind == FailureKind::Unfinished => {
                ExitCode::from(3)
            }
            Self::Daemon(_) | Self::Said | Self::Failed(_) => ExitCode::from(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_told_from_what_failed() {
        let said = |kind| {
            let why = wardpost_admin::Failure { kind, message: String::new() };
            Failure::Daemon(ClientError::Refused(why)).exit_code()
        };
        assert_eq!(said(FailureKind::Unfinished), ExitCode::from(3));
        assert_eq!(said(FailureKind::Refused), ExitCode::from(1));
    }
}
