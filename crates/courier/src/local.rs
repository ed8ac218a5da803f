//! The local route: sealed into mailboxes here.

use crate::courier::Courier;
use crate::fate::{Fate, Word};
use std::sync::Arc;
use std::time::SystemTime;
use wardpost_directory::Resolution;
use wardpost_mail::{Address, EnhancedStatus, Reply};
use wardpost_mailbox::{Delivery, Destination, SpecialUse};
use wardpost_message::headers;
use wardpost_queue::{Evidence, Work};

impl Courier {
    /// Seals the message for the accounts that the recipients of `work` reach, for each account once;
    /// one fate for each recipient. The fates hold when the delivery is committed, which is left to
    /// the record of the attempt: delivered and recorded is one thing.
    pub(crate) async fn try_local(
        &self,
        work: &Work,
        message: &[u8],
    ) -> (Vec<Fate>, Option<Delivery>) {
        let mut destinations: Vec<Destination> = Vec::new();
        let reached: Vec<bool> = work
            .recipients
            .iter()
            .map(|to| self.add_destinations(&to.recipient.address, &mut destinations))
            .collect();
        let prepared = if destinations.is_empty() {
            Ok(None)
        } else {
            // RFC 5321 §4.4: final delivery notes the reverse-path.
            let raw = headers::prepend(&[&headers::return_path(&work.envelope.from)], message);
            let received = unix(SystemTime::now());
            self.parts.mailboxes.prepare(Arc::new(raw), &destinations, received).await.map(Some)
        };
        if let Err(error) = &prepared {
            tracing::warn!(queue_id = %work.id, %error, "local delivery failed");
        }
        let fate = |reached: &bool| match (reached, &prepared) {
            (false, _) => {
                let text = "nobody here has this address any more";
                Fate::of_ours(Reply::new(550, EnhancedStatus::new(5, 1, 1), text))
            }
            (true, Ok(_)) => Fate {
                word: Word::Done { dsn_passed_on: false },
                evidence: Evidence::new(SystemTime::now(), "delivered to the mailbox here"),
            },
            (true, Err(_)) => {
                let text = "the mailbox could not be written";
                Fate::of_ours(Reply::new(451, EnhancedStatus::new(4, 3, 0), text))
            }
        };
        (reached.iter().map(fate).collect(), prepared.ok().flatten())
    }

    /// Adds the accounts that an address reaches; false when it reaches nobody.
    fn add_destinations(&self, address: &Address, to: &mut Vec<Destination>) -> bool {
        let Resolution::Accounts(accounts) = self.parts.directory.resolve(address) else {
            return false;
        };
        let mut reached = false;
        for account in accounts {
            if to.iter().any(|known| known.account == account) {
                reached = true;
            } else if let Some(certificate) = self.parts.directory.certificate(account) {
                to.push(Destination { account, certificate, mailbox: SpecialUse::Inbox });
                reached = true;
            }
        }
        reached
    }
}

/// Seconds since 1970.
pub(crate) fn unix(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_secs().cast_signed()
}
