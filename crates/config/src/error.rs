//! What can be wrong with a configuration file, in words for whoever edits it.

use std::fmt;
use std::path::PathBuf;
use thiserror::Error;

/// Why a configuration cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file is not there or may not be read.
    #[error("{}: cannot read the configuration: {error}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The file was read and has mistakes; shown one a line, as `FILE:LINE: …`.
    #[error("{}", Listing(file, problems))]
    Invalid {
        /// The file.
        file: PathBuf,
        /// The mistakes, in the order of their lines; never empty.
        problems: Vec<Problem>,
    },
}

/// One mistake in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1; none when the file as a whole lacks something.
    pub line: Option<usize>,
    /// What is wrong and, where possible, what to do.
    pub text: String,
}

struct Listing<'a>(&'a PathBuf, &'a [Problem]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.1.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            let file = self.0.display();
            match problem.line {
                Some(line) => write!(f, "{newline}{file}:{line}: {}", problem.text)?,
                None => write!(f, "{newline}{file}: {}", problem.text)?,
            }
        }
        Ok(())
    }
}
