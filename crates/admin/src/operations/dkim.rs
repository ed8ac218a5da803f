//! The rotation of a domain's DKIM keys.

use super::Admin;
use super::domain::unix_now;
use crate::error::{Failure, FailureKind};
use crate::views::{Answer, DkimPairView, DkimView, unix_text};
use std::time::SystemTime;
use wardpost_directory::{DkimLook, DkimPair, DkimStage};
use wardpost_mail::Domain;

impl Admin {
    pub(super) fn dkim_show(&self, domain: Domain) -> Result<Answer, Failure> {
        Ok(Answer::Dkim(self.dkim_view(domain)))
    }

    /// Makes the next keys if none wait. Signing goes over to them now if they are published (`now`) or
    /// in any case (`force`), and else when the daemon has seen their records.
    pub(super) async fn dkim_rotate(
        &self,
        domain: Domain,
        look_now: bool,
        force: bool,
    ) -> Result<Answer, Failure> {
        let (directory, now) = (&self.parts.directory, SystemTime::now());
        directory.rotate_dkim(&domain, now).await?;
        if force {
            directory.switch_dkim(&domain, now).await?;
        } else if look_now {
            match directory.look_for_dkim(&domain, &*self.parts.own, now).await? {
                DkimLook::Published { .. } => directory.switch_dkim(&domain, now).await?,
                // Somebody else switched meanwhile.
                DkimLook::NothingWaits => {}
                DkimLook::Missing(names) => return Err(missing(&domain, &names)),
            }
        }
        self.dkim_show(domain)
    }

    fn dkim_view(&self, domain: Domain) -> DkimView {
        let pairs = self.parts.directory.dkim_pairs(&domain);
        let now = unix_now();
        let next_step = next_step(&domain, &pairs, now);
        DkimView {
            pairs: pairs.iter().map(|pair| pair_view(pair, now)).collect(),
            records: self.dkim_records(&domain),
            next_step,
            domain,
        }
    }
}

fn missing(domain: &Domain, names: &[String]) -> Failure {
    Failure::new(
        FailureKind::Refused,
        format!(
            "the new keys wait: no record with the new key was found at {}. Publish what `wardpost \
             domain dkim {domain} show` lists, and try again when the zone's servers have it",
            names.join(" and ")
        ),
    )
}

fn pair_view(pair: &DkimPair, now: i64) -> DkimPairView {
    let (stage, since, until) = match pair.stage {
        DkimStage::Waiting { made, .. } => ("waiting", made, None),
        DkimStage::Signing { since } => ("signing", since, None),
        DkimStage::Retired { since, until } if until > now => ("retired", since, Some(until)),
        DkimStage::Retired { since, until } => ("may-be-removed", since, Some(until)),
    };
    let seen_since = match pair.stage {
        DkimStage::Waiting { seen_since, .. } => seen_since,
        _ => None,
    };
    DkimPairView {
        selectors: pair.keys.iter().map(|key| key.selector.clone()).collect(),
        stage: stage.to_owned(),
        // Keys from before rotation was known have no date.
        since: (since > 0).then(|| unix_text(since)),
        seen_since: seen_since.map(unix_text),
        until: until.map(unix_text),
    }
}

fn next_step(domain: &Domain, pairs: &[DkimPair], now: i64) -> String {
    let waiting = pairs.iter().find_map(|pair| match pair.stage {
        DkimStage::Waiting { seen_since, .. } => Some(seen_since),
        _ => None,
    });
    match waiting {
        Some(None) => format!(
            "Publish the records of the waiting keys. Signing goes over to them by itself within two \
             hours of their being seen, or at once with `wardpost domain dkim {domain} rotate --now`."
        ),
        Some(Some(_)) => "The records of the waiting keys were seen: signing goes over to them by \
                          itself within two hours. Leave all records where they are."
            .to_owned(),
        None if pairs.iter().any(|pair| may_go(pair, now)) => {
            "The records of keys that may be removed can be taken out, or published empty to say that \
             the keys are revoked."
                .to_owned()
        }
        None => format!(
            "Nothing has to be done. Once or twice a year, make new keys with `wardpost domain dkim \
             {domain} rotate`."
        ),
    }
}

fn may_go(pair: &DkimPair, now: i64) -> bool {
    matches!(pair.stage, DkimStage::Retired { until, .. } if until <= now)
}
