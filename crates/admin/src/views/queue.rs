//! The queue, as shown.

use super::path::PathView;
use super::{size_text, table, time_text};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use wardpost_mail::{Address, QueueId, TlsGrade};
use wardpost_queue::{Evidence, ItemView, RecipientState, RecipientView};

/// A message that waits to go out, without the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueItemView {
    /// Its number.
    pub id: QueueId,
    /// `mail`, `notice` or `report`.
    pub kind: String,
    /// The envelope's sender; empty for reports.
    pub from: String,
    /// When it was taken, RFC 3339.
    pub created: String,
    /// When it is given up, RFC 3339.
    pub expires: String,
    /// When its last recipient ended, RFC 3339: what is shown then is its history.
    pub ended: Option<String>,
    /// Octets.
    pub size: u64,
    /// Every recipient, ended ones included.
    pub recipients: Vec<QueueRecipientView>,
}

/// One recipient of a waiting message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueRecipientView {
    /// Who.
    pub address: Address,
    /// How: `local`, `direct (at least T3)`, `pickup`, …
    pub route: String,
    /// `waiting`, `in-progress`, `held`, `delivered`, `parcel` or `failed`.
    pub state: String,
    /// When it is tried next, RFC 3339.
    pub next_attempt: Option<String>,
    /// Attempts made.
    pub attempts: u32,
    /// What they saw, oldest first.
    pub history: Vec<EvidenceView>,
}

/// What one attempt saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceView {
    /// When, RFC 3339.
    pub at: String,
    /// The host spoken to.
    pub host: Option<String>,
    /// Its address.
    pub peer: Option<IpAddr>,
    /// How good the path was.
    pub grade: Option<TlsGrade>,
    /// TLS version and suite.
    pub tls: Option<String>,
    /// Why the grade is not better.
    pub reasons: Vec<String>,
    /// The host's answer.
    pub reply: Option<String>,
    /// What happened, in a line.
    pub summary: String,
    /// The host's certificate.
    pub certificate: Option<String>,
    /// The facts and the judgement in full. Lists leave them out.
    pub path: Option<PathView>,
}

impl From<ItemView> for QueueItemView {
    fn from(item: ItemView) -> Self {
        Self {
            id: item.id,
            kind: item.kind.name().to_owned(),
            from: item.from.to_string(),
            created: time_text(item.created),
            expires: time_text(item.expires),
            ended: item.ended.map(time_text),
            size: item.size,
            recipients: item.recipients.into_iter().map(QueueRecipientView::from).collect(),
        }
    }
}

impl QueueItemView {
    /// The same without what only matters when one item is looked at.
    #[must_use]
    pub fn for_list(mut self) -> Self {
        for recipient in &mut self.recipients {
            recipient.history.iter_mut().for_each(|seen| seen.path = None);
        }
        self
    }
}

impl From<RecipientView> for QueueRecipientView {
    fn from(recipient: RecipientView) -> Self {
        let (state, next_attempt) = match recipient.state {
            RecipientState::Waiting { next_due } => ("waiting", Some(time_text(next_due))),
            RecipientState::InProgress => ("in-progress", None),
            RecipientState::Held => ("held", None),
            RecipientState::Delivered => ("delivered", None),
            RecipientState::Parcel => ("parcel", None),
            RecipientState::Failed => ("failed", None),
        };
        Self {
            address: recipient.address,
            route: recipient.route.to_string(),
            state: state.to_owned(),
            next_attempt,
            attempts: recipient.attempts,
            history: recipient.history.into_iter().map(EvidenceView::from).collect(),
        }
    }
}

impl From<Evidence> for EvidenceView {
    fn from(evidence: Evidence) -> Self {
        Self {
            at: time_text(evidence.at),
            host: evidence.host,
            peer: evidence.peer,
            grade: evidence.grade,
            tls: evidence.tls,
            reasons: evidence.reasons,
            reply: evidence.reply.map(|reply| reply.to_string().trim_end().to_owned()),
            summary: evidence.summary,
            certificate: evidence.certificate,
            path: evidence.path.map(|path| PathView::from(*path)),
        }
    }
}

pub(super) fn items(items: &[QueueItemView], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut rows = Vec::new();
    for item in items {
        for recipient in &item.recipients {
            let last = recipient.history.last().map(|seen| seen.summary.clone());
            rows.push([
                item.id.to_string(),
                item.kind.clone(),
                item.created.clone(),
                size_text(item.size),
                recipient.address.to_string(),
                recipient.state.clone(),
                recipient.next_attempt.clone().unwrap_or_default(),
                last.unwrap_or_default(),
            ]);
        }
    }
    let header = ["ITEM", "KIND", "SINCE", "SIZE", "RECIPIENT", "STATE", "NEXT TRY", "LAST SEEN"];
    table::write(f, header, &rows)
}

impl fmt::Display for QueueItemView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "item {} ({}, {})", self.id, self.kind, size_text(self.size))?;
        writeln!(f, "  from     <{}>", self.from)?;
        writeln!(f, "  since    {}", self.created)?;
        match &self.ended {
            Some(ended) => writeln!(f, "  ended    {ended}")?,
            None => writeln!(f, "  given up {}", self.expires)?,
        }
        self.recipients.iter().try_for_each(|recipient| recipient.fmt(f))
    }
}

impl fmt::Display for QueueRecipientView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  to {}: {}, {}", self.address, self.route, self.state)?;
        if let Some(next) = &self.next_attempt {
            write!(f, ", tried again {next}")?;
        }
        writeln!(f)?;
        for seen in &self.history {
            write!(f, "    {} {}", seen.at, seen.summary)?;
            if let Some(grade) = seen.grade {
                write!(f, " [{grade}: {}]", grade.explain())?;
            }
            writeln!(f)?;
            match &seen.path {
                Some(path) => {
                    for (label, text) in path.lines() {
                        writeln!(f, "      {label:<12} {text}")?;
                    }
                }
                None => {
                    seen.reasons.iter().try_for_each(|reason| writeln!(f, "      {reason}"))?;
                }
            }
        }
        Ok(())
    }
}
