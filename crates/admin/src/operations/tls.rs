//! The key of our certificate, and its roll-over.

use super::Admin;
use crate::error::{Failure, FailureKind};
use crate::request::TlsRequest;
use crate::views::{AcmeView, Answer, NextKeyView, TlsKeyView, TlsView, time_text, unix_text};
use std::time::{Duration, SystemTime};
use wardpost_mail::Domain;
use wardpost_publish::records::tlsa_record;
use wardpost_publish::{Keys, OwnPolicy, PlanError, PlannedKey, Readiness, Stage};

impl Admin {
    pub(super) async fn tls(&self, request: TlsRequest) -> Result<Answer, Failure> {
        match request {
            TlsRequest::Show => {
                // Without an answer from the DNS what was seen last is shown, with its date.
                let _ = self.look_at_keys().await;
                self.tls_view().map(Answer::Tls)
            }
            TlsRequest::NextKey { csr, replace } => self.next_key(csr, replace).await,
            TlsRequest::Roll { force } => self.roll(force).await,
            TlsRequest::Renew { new_account } => self.renew(new_account).await,
        }
    }

    async fn look_at_keys(&self) -> Result<(), PlanError> {
        let parts = &self.parts;
        parts.keys.look(&*parts.own, parts.host.hostname(), SystemTime::now()).await
    }

    async fn next_key(&self, csr: bool, replace: bool) -> Result<Answer, Failure> {
        if self.parts.keys.make_next(replace, SystemTime::now()).await? {
            tracing::info!("the next TLS key was made");
        }
        // To learn how long others keep the records as they are now.
        let _ = self.look_at_keys().await;
        let mut view = self.tls_view()?;
        if csr {
            let key = self.parts.keys.next_key()?.ok_or_else(no_next_key)?;
            view.csr =
                Some(key.signing_request(&self.certificate_names()).map_err(PlanError::from)?);
        }
        Ok(Answer::Tls(view))
    }

    /// Asks the authority for a certificate now.
    async fn renew(&self, new_account: bool) -> Result<Answer, Failure> {
        let certifier = self.parts.certifier.as_ref().ok_or_else(|| {
            Failure::new(
                FailureKind::Refused,
                "no authority is configured: set up [acme], or renew the certificate files yourself",
            )
        })?;
        let before = certifier.status();
        done(&before, certifier.renew(false, new_account).await.as_ref())?;
        self.tls_view().map(Answer::Tls)
    }

    /// Puts the next key to use, or gives it out to be put to use with the certificate made for it.
    async fn roll(&self, force: bool) -> Result<Answer, Failure> {
        let parts = &self.parts;
        let key = parts.keys.next_key()?.ok_or_else(no_next_key)?;
        if force {
            tracing::warn!("the next TLS key is used without a look at the DNS, as was asked for");
        } else {
            self.look_at_keys().await?;
            ready(parts.keys.readiness(SystemTime::now()), parts.host.hostname())?;
        }
        if let Some(certifier) = &parts.certifier {
            let before = certifier.status();
            done(&before, certifier.renew(true, false).await.as_ref())?;
            return self.tls_view().map(Answer::Tls);
        }
        let Some(key_file) = parts.host.key_file() else {
            let (tls, public_key) = (parts.host.tls().clone(), key.public_key_info());
            let replacing = tokio::task::spawn_blocking(move || tls.replace_key(&key));
            replacing.await.map_err(Failure::failed)?.map_err(PlanError::from)?;
            parts.keys.observe(&public_key, SystemTime::now()).await?;
            tracing::info!("the next TLS key is in use");
            return self.tls_view().map(Answer::Tls);
        };
        let mut view = self.tls_view()?;
        view.next_key = Some(NextKeyView { key_file, pem: key.pem() });
        Ok(Answer::Tls(view))
    }

    /// The names that our certificate should have.
    fn certificate_names(&self) -> Vec<Domain> {
        let parts = &self.parts;
        let mut names = vec![parts.host.hostname().clone()];
        if parts.host.mta_sts().is_some() {
            let hosts = parts.directory.domains().into_iter();
            let hosts = hosts.filter_map(|domain| OwnPolicy::policy_host(&domain));
            names.extend(hosts.filter(|host| host != parts.host.hostname()));
        }
        names
    }

    fn tls_view(&self) -> Result<TlsView, Failure> {
        let (parts, now) = (&self.parts, SystemTime::now());
        let (hostname, tls) = (parts.host.hostname(), parts.host.tls());
        let certificate = tls.certificate();
        let wanted = self.certificate_names();
        let keys = parts.keys.keys(now);
        Ok(TlsView {
            hostname: hostname.clone(),
            self_signed: certificate.self_issued,
            expires: time_text(tls.expires_at()),
            missing_names: wanted.into_iter().filter(|name| !certificate.covers(name)).collect(),
            next_steps: self.next_steps(&keys, now),
            keys: keys.keys.iter().map(|key| key_view(hostname, key)).collect(),
            names: certificate.names,
            dane_seen: keys.looked.map(|_| keys.published),
            looked: keys.looked.map(unix_text),
            ttl_seconds: (keys.ttl > Duration::ZERO).then_some(keys.ttl.as_secs()),
            acme: parts.certifier.as_ref().map(|certifier| Box::new(certifier.status())),
            csr: None,
            next_key: None,
        })
    }

    /// Whether the key in use is one that servers that use DANE cannot know.
    pub(super) fn key_warning(&self) -> Option<String> {
        let keys = self.parts.keys.keys(SystemTime::now());
        let unannounced =
            |key: &PlannedKey| matches!(key.stage, Stage::Current { announced: false, .. });
        (keys.published && keys.keys.iter().any(unannounced)).then(|| {
            "URGENT: the key in use has no TLSA record, so servers that use DANE cannot deliver to \
             us. Publish the record of the current key (`wardpost tls show`) now."
                .to_owned()
        })
    }

    fn next_steps(&self, keys: &Keys, now: SystemTime) -> Vec<String> {
        let mut steps: Vec<String> = self.key_warning().into_iter().collect();
        steps.push(match self.parts.keys.readiness(now) {
            Readiness::NoNextKey => "Publish the TLSA record of the current key. Before the key is to \
                                     change, make the next one with `wardpost tls next-key`. Renewing \
                                     a certificate with the same key changes nothing."
                .to_owned(),
            Readiness::NotPublished => {
                "Publish the TLSA record of the next key beside the current one.".to_owned()
            }
            Readiness::Wait { until } => format!(
                "The next key's record was seen. Servers may use what they read before it was there \
                 until {}: wait for that.",
                unix_text(until)
            ),
            Readiness::Ready if self.parts.certifier.is_some() => {
                "The next key is published everywhere: the next certificate has it, within minutes."
                    .to_owned()
            }
            Readiness::Ready => {
                "The next key is published everywhere: put it to use with `wardpost tls roll`."
                    .to_owned()
            }
        });
        let old = |key: &PlannedKey| matches!(key.stage, Stage::Old { .. });
        if keys.keys.iter().any(old) {
            steps.push("Leave the records of old keys until the time shown with them.".to_owned());
        }
        steps
    }
}

fn key_view(hostname: &Domain, key: &PlannedKey) -> TlsKeyView {
    let (role, seen_since, until) = match key.stage {
        Stage::Current { .. } => ("current", None, None),
        Stage::Next { seen_since } => ("next", seen_since, None),
        Stage::Old { until } => ("old", None, Some(until)),
    };
    let announced = match key.stage {
        Stage::Current { announced, .. } => announced,
        _ => true,
    };
    TlsKeyView {
        role: role.to_owned(),
        record: tlsa_record(hostname, key),
        since: unix_text(key.since),
        announced,
        seen: match key.stage {
            Stage::Current { seen, .. } => Some(seen),
            Stage::Next { seen_since } => Some(seen_since.is_some()),
            Stage::Old { .. } => None,
        },
        seen_since: seen_since.map(unix_text),
        until: until.map(unix_text),
    }
}

fn no_next_key() -> Failure {
    Failure::new(
        FailureKind::Refused,
        "there is no next key: make it with `wardpost tls next-key`, and publish its record",
    )
}

/// Whether a certificate came of it; if not, why.
fn done(before: &AcmeView, after: Option<&AcmeView>) -> Result<(), Failure> {
    let Some(after) = after else {
        let text = "the certificate authority takes its time. The order goes on by itself, and nothing needs to \
                    be done; look with `wardpost tls show` in a few minutes how it went";
        return Err(Failure::new(FailureKind::Unfinished, text));
    };
    if let Some(refused) = &after.refused {
        return Err(Failure::new(FailureKind::Refused, refused.clone()));
    }
    match &after.last_failure {
        None => Ok(()),
        Some(failed) => {
            let again = after.next_try.as_deref().unwrap_or_default();
            let waits = before.last_failure.as_ref() == Some(failed);
            let asked = if waits { "; it asked to wait, and was not asked now" } else { "" };
            let text = format!(
                "no certificate{asked}. {} {} It is tried again by itself at {again}.",
                failed.says, failed.to_do
            );
            Err(Failure::new(FailureKind::Refused, text))
        }
    }
}

/// Why the next key may not be used yet.
fn ready(readiness: Readiness, hostname: &Domain) -> Result<(), Failure> {
    let reason = match readiness {
        Readiness::Ready => return Ok(()),
        Readiness::NoNextKey => return Err(no_next_key()),
        Readiness::NotPublished => format!(
            "the next key's TLSA record is not in the DNS at _25._tcp.{hostname}: publish it (`wardpost \
             tls show`). If you publish no TLSA records at all, --force does no harm; otherwise it \
             keeps mail away"
        ),
        Readiness::Wait { until } => format!(
            "the next key's TLSA record is there, but servers may use what they read before it was \
             until {}: try again then (--force keeps their mail away for that long)",
            unix_text(until)
        ),
    };
    Err(Failure::new(FailureKind::Refused, reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::AcmeFailureView;

    fn standing() -> AcmeView {
        AcmeView {
            directory: "https://ca.test/".to_owned(),
            since: None,
            renewal: None,
            working: false,
            failures: 0,
            last_failure: None,
            next_try: None,
            left_out: Vec::new(),
            refused: None,
        }
    }

    fn failed() -> AcmeView {
        let last_failure = AcmeFailureView {
            when: "2016-04-02T12:00:00Z".to_owned(),
            kind: "dns".to_owned(),
            says: "It could not find the name.".to_owned(),
            to_do: "Make the record.".to_owned(),
        };
        AcmeView { failures: 1, last_failure: Some(last_failure), ..standing() }
    }

    #[test]
    fn an_order_that_takes_long_is_neither_done_nor_failed() {
        for before in [standing(), failed()] {
            let goes_on = done(&before, None).unwrap_err();
            assert_eq!(goes_on.kind, FailureKind::Unfinished);
            assert!(goes_on.message.contains("goes on by itself"), "{goes_on}");
            assert!(goes_on.message.contains("`wardpost tls show`"), "{goes_on}");
            assert!(!goes_on.message.contains("no certificate"), "{goes_on}");
        }
        let refused = AcmeView { refused: Some("too often".to_owned()), ..standing() };
        for (after, kind) in [(failed(), "no certificate"), (refused, "too often")] {
            let failure = done(&standing(), Some(&after)).unwrap_err();
            assert_eq!(failure.kind, FailureKind::Refused);
            assert!(failure.message.contains(kind), "{failure}");
        }
        // What came of it counts, even if the next one is on its way already.
        assert_eq!(done(&failed(), Some(&AcmeView { working: true, ..standing() })), Ok(()));
    }
}
