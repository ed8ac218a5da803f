//! What the status screen shows.

use crate::secret_text;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;
use wardpost_health::{Report, State};
use wardpost_mail::{Domain, Secret};

/// What somebody who stands before the machine may know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConsoleView {
    /// The program's version.
    pub version: String,
    /// Where the pages are.
    pub https: Vec<SocketAddr>,
    /// The SHA-256 fingerprint of the certificate that browsers get to see, in groups.
    pub fingerprint: String,
    /// What the program is doing.
    pub stage: Stage,
}

/// What the program is doing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// It asks its first questions.
    SetUp(SetUpView),
    /// It serves mail.
    Serving(ServingView),
}

/// The set-up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetUpView {
    /// The one-time code that the page asks for.
    #[serde(with = "secret_text")]
    pub code: Secret<String>,
    /// For how long no code is taken, because too many were wrong.
    pub pause_seconds: u64,
    /// Whether a browser has given the code.
    pub begun: bool,
    /// How the encrypted disk opens (`tpm`, `passphrase`, `none`), where the machine says.
    pub unlock: Option<String>,
}

/// The mail server at work.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServingView {
    /// Our mail host name.
    pub hostname: Domain,
    /// The certificate is one that we made ourselves.
    pub self_signed: bool,
    /// Messages that wait to go out.
    pub queue_messages: usize,
    /// How long the oldest of them has waited, in seconds.
    pub queue_oldest_seconds: Option<u64>,
    /// What was found at the last look, if there was one.
    pub health: Option<Report>,
}

impl ServingView {
    /// How the server is, in a sentence, and what most needs doing, worst first.
    pub fn health_words(&self) -> (String, Vec<&str>) {
        let Some(report) = &self.health else {
            return ("The server has not looked at itself yet.".to_owned(), Vec::new());
        };
        let wrong = report.findings.iter().filter(|finding| finding.state >= State::Warning);
        let wrong: Vec<&str> = wrong.map(|finding| finding.says.as_str()).collect();
        let words = match (report.worst(), wrong.len()) {
            (_, 0) => "All is well.".to_owned(),
            (State::Bad, 1) => "One thing needs to be done soon:".to_owned(),
            (State::Bad, n) => format!("{n} things need to be done, the first of them soon:"),
            (_, 1) => "It works. One thing should be done:".to_owned(),
            (_, n) => format!("It works. {n} things should be done:"),
        };
        (words, wrong)
    }
}

/// Plain lines, for whoever is not on a terminal.
impl fmt::Display for ConsoleView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Wardpost {}", self.version)?;
        match &self.stage {
            Stage::SetUp(view) => {
                writeln!(f, "  set-up       waits to be done in a browser")?;
                match view.pause_seconds {
                    0 => writeln!(f, "  code         {}", view.code.expose())?,
                    n => writeln!(f, "  code         none for {n} s: too many were wrong")?,
                }
            }
            Stage::Serving(view) => {
                writeln!(f, "  host name    {}", view.hostname)?;
                let (words, wrong) = view.health_words();
                writeln!(f, "  health       {words}")?;
                wrong.iter().try_for_each(|says| writeln!(f, "               - {says}"))?;
                writeln!(f, "  waiting      {} messages", view.queue_messages)?;
            }
        }
        for address in &self.https {
            writeln!(f, "  pages        https://{address}/")?;
        }
        writeln!(f, "  fingerprint  {}", self.fingerprint)
    }
}
