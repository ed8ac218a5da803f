//! Mail to the addresses that take reports about us, and what is told to others about theirs.
//!
//! `tls-reports@` and `dmarc-reports@` exist in every domain of ours without an account; an account or alias
//! of that name comes first. The mail is judged like any other. What it reports is kept, the mail is not.

use crate::{Facts, Mx};
use std::net::IpAddr;
use wardpost_directory::{Directory, Resolution};
use wardpost_mail::{
    Address, DMARC_REPORTS, Domain, EnhancedStatus, Envelope, Reply, ReversePath, TLS_REPORTS,
};
use wardpost_policy::{DkimResult, DmarcResult, Folder};
use wardpost_reports::{self as reports, Arrived, Disposition, IntakeError, ReportKind};
use wardpost_store::Committed;

/// Which kind of report an address takes; `None` when it is no report address of ours, or somebody's own.
pub(crate) fn kind(directory: &Directory, address: &Address) -> Option<ReportKind> {
    let kind = match address.folded().local() {
        TLS_REPORTS => ReportKind::Tls,
        DMARC_REPORTS => ReportKind::Dmarc,
        _ => return None,
    };
    matches!(directory.resolve(address), Resolution::Unknown).then_some(kind)
}

/// What of a message's recipients takes reports.
pub(crate) struct Reported {
    kinds: Vec<ReportKind>,
    /// All of them do: it goes to nobody.
    pub(crate) is_all: bool,
}

impl Reported {
    pub(crate) fn of(directory: &Directory, envelope: &Envelope) -> Self {
        let kinds = envelope.to.iter().map(|to| kind(directory, &to.address));
        let mut kinds: Vec<Option<ReportKind>> = kinds.collect();
        kinds.sort_unstable();
        kinds.dedup();
        let is_all = kinds.iter().all(Option::is_some);
        Self { kinds: kinds.into_iter().flatten().collect(), is_all }
    }

    /// Takes in the report in a message, if it was sent to a report address. The reply, if that is the end
    /// of it: where it goes to `people`, too, they get it, report or not.
    pub(crate) async fn take(
        &self,
        mx: &Mx,
        facts: &Facts,
        message: &[u8],
        people: bool,
    ) -> Option<Reply> {
        if self.kinds.is_empty() {
            return None;
        }
        match self.take_in(mx, facts, message).await {
            Err(error) if !people || error.is_temporary() => {
                mx.metrics.message("refused");
                Some(refusal(&error))
            }
            Ok(committed) if !people => {
                mx.metrics.message("report");
                tracing::info!(size = message.len(), "report taken in");
                Some(taken(committed))
            }
            Ok(_) | Err(_) => None,
        }
    }

    async fn take_in(
        &self,
        mx: &Mx,
        facts: &Facts,
        message: &[u8],
    ) -> Result<Committed, IntakeError> {
        let passed = facts.evidence.dkim.iter().filter(|dkim| dkim.result == DkimResult::Pass);
        let signed_by: Vec<Domain> =
            passed.filter_map(|dkim| Domain::parse(&dkim.domain).ok()).collect();
        let ours = mx.directory.domains();
        let mut outcome = Err(IntakeError::Form);
        for kind in &self.kinds {
            let arrived = Arrived {
                kind: *kind,
                message,
                signed_by: &signed_by,
                dmarc_passed: facts.inbound.dmarc == DmarcResult::Pass,
                ours: &ours,
            };
            match mx.reports.take_in(arrived).await {
                Err(error) if error.is_temporary() => return Err(error),
                // Addressed as both kinds it is one of them.
                taken @ Ok(_) => outcome = taken,
                Err(error) if outcome.is_err() => outcome = Err(error),
                Err(_) => {}
            }
        }
        outcome
    }
}

/// 250 is said of what is on disk.
fn taken(_: Committed) -> Reply {
    Reply::new(250, EnhancedStatus::new(2, 0, 0), "The report is taken")
}

/// What is said when a report was not taken.
fn refusal(error: &IntakeError) -> Reply {
    if error.is_temporary() {
        tracing::error!(%error, "report not kept");
        let text = "The report cannot be kept now; try again later";
        return Reply::new(451, EnhancedStatus::new(4, 3, 0), text);
    }
    // RFC 3463 §3.7: a problem with the content. It is the reporter's server that hears of it, and
    // nobody else.
    Reply::new(554, EnhancedStatus::new(5, 6, 0), format!("Not taken: {error}"))
}

/// Counts a message for the report that its author's domain asks for. Mail that only brings reports is not
/// counted, or two servers would report on each other's reports for ever.
pub(crate) fn tell(
    mx: &Mx,
    facts: &Facts,
    source: IpAddr,
    sender: &ReversePath,
    folder: Option<Folder>,
) {
    let done = match folder {
        Some(Folder::Inbox) => Disposition::None,
        Some(Folder::Junk) => Disposition::Quarantine,
        None => Disposition::Reject,
    };
    if let Some(result) = reports::DmarcResult::of(&facts.evidence, source, sender, done) {
        mx.reports.record_dmarc(result);
    }
}
