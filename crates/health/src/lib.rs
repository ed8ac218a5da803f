//! Judging the box: what is wrong with it, from facts, in words, and what to do about it. Pure.
//!
//! A [`Finding`] is one sentence for a person without Unix knowledge, and one that says what to do. The
//! daemon examines the box now and then, and whenever somebody looks; the command line, the pages, the
//! console and the metrics all show the same [`Report`]. docs/doctor.md has a section for each [`Check`].

mod certificate;
mod check;
pub mod facts;
mod judge;
mod machine;
mod network;
mod records;
mod render;
mod words;

pub use check::Check;
pub use judge::judge;
pub use words::{time, wrap};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How something is. Ordered: the worst counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As it should be.
    Good,
    /// It could not be found out, or does not apply yet.
    Unknown,
    /// It works, but something should be done.
    Warning,
    /// Mail is lost, late or unsafe until something is done.
    Bad,
}

impl State {
    /// All of them, best first.
    pub const ALL: [Self; 4] = [Self::Good, Self::Unknown, Self::Warning, Self::Bad];

    /// The state's name in JSON and in metric labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which check, for programs and metric labels: `dns-mx`, `clock`. Never holds a name or an address.
    pub check: String,
    /// The domain of ours that it is about, where it is about one; empty otherwise.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// What the check is called on a page: "Mail comes to this server (MX record)".
    pub title: String,
    /// How it is.
    pub state: State,
    /// What was seen, in a sentence.
    pub says: String,
    /// What to do about it, in a sentence or a few; empty when there is nothing to do.
    pub to_do: String,
}

/// All findings of one examination.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When it was made, Unix seconds.
    pub when: i64,
    /// Worst first.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The worst state of all; `Unknown` when nothing was looked at.
    pub fn worst(&self) -> State {
        self.findings.iter().map(|finding| finding.state).max().unwrap_or(State::Unknown)
    }

    /// The worst state of one check, over all domains; `Unknown` when nothing was looked at.
    pub fn state_of(&self, check: Check) -> State {
        let findings = self.findings.iter().filter(|finding| finding.check == check.id());
        findings.map(|finding| finding.state).max().unwrap_or(State::Unknown)
    }
}

/// Whoever can examine the box.
#[async_trait]
pub trait Examiner: Send + Sync {
    /// Looks now. An examination under way is shared; one just made is not repeated.
    async fn examine(&self) -> Arc<Report>;
    /// Looks now, whatever was seen a moment ago: for somebody who has just mended something. An
    /// examination under way is shared.
    async fn examine_anew(&self) -> Arc<Report> {
        self.examine().await
    }
    /// Whether this machine itself came up well, without a look at the internet.
    async fn examine_boot(&self) -> Report {
        (*self.examine().await).clone()
    }
    /// The last report, if there was one.
    fn latest(&self) -> Option<Arc<Report>>;
}
