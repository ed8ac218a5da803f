//! How the daemon is, and its first-run set-up.

use super::Admin;
use crate::error::{Failure, FailureKind};
use crate::views::{Answer, StatusView, time_text};

impl Admin {
    pub(super) fn status(&self) -> Result<Answer, Failure> {
        let parts = &self.parts;
        let directory = parts.directory.stats();
        let queue = parts.queue.stats();
        let parcels = parts.parcels.stats()?;
        Ok(Answer::Status(StatusView {
            version: parts.host.version().to_owned(),
            hostname: parts.host.hostname().clone(),
            started: time_text(parts.host.started()),
            listeners: parts.host.listeners(),
            certificate: parts.host.certificate(),
            dns: parts.host.dns(),
            mta_sts: self.sts_policy().map(|policy| policy.mode_name().to_owned()),
            warnings: self.warnings(),
            domains: parts.directory.domains(),
            accounts: directory.accounts,
            unlocked: directory.unlocked,
            queue_messages: queue.items,
            queue_oldest_seconds: queue.oldest_age.map(|age| age.as_secs()),
            parcels_waiting: parcels.waiting,
            parcels_opened: parcels.opened,
            parcels_locked: parcels.locked,
        }))
    }

    /// What is not as it should be with what we publish.
    fn warnings(&self) -> Vec<String> {
        let notes = self.parts.directory.domains().into_iter();
        let mut warnings: Vec<String> = notes.filter_map(|domain| self.sts_note(&domain)).collect();
        // The same certificate is the reason for all of them.
        warnings.dedup();
        warnings.extend(self.key_warning());
        warnings
    }

    /// Examines the server.
    pub(super) async fn doctor(&self, boot: bool) -> Result<Answer, Failure> {
        let examiner = self.parts.host.examiner().ok_or_else(|| {
            Failure::new(FailureKind::Refused, "the server is just starting: try again in a moment")
        })?;
        Ok(Answer::Health(match boot {
            true => examiner.examine_boot().await,
            false => (*examiner.examine_anew().await).clone(),
        }))
    }

    pub(super) async fn setup(&self) -> Result<Answer, Failure> {
        self.initialise().await?;
        Ok(Answer::Done)
    }
}
