//! What comes of an attempt: a certificate that is kept and used, or a pause.

use crate::AcmeError;
use crate::attempt::Outcome;
use crate::kept::Kept;
use crate::parts::Wish;
use crate::records::Progress;
use crate::schedule;
use crate::status::Failed;
use crate::trouble::{Kind, Trouble};
use crate::words;
use crate::worker::{Acme, now};
use std::time::Instant;

impl Acme {
    /// One attempt, and what comes of it. Why there was none, if somebody asked for it.
    pub(crate) async fn attempt(&self, wish: Option<Wish>) -> Option<String> {
        let _one = self.0.attempting.lock().await;
        match wish {
            // Whoever was before us may have done it.
            None if !self.may_be_due(now()) => return None,
            None => {}
            Some(wish) => {
                let unkept = self.0.state.lock().unkept.is_some();
                // There is a new one already; it only has to be written down.
                if unkept && (!self.keep_or_say().await || wish == Wish::default()) {
                    return None;
                }
                let from = schedule::may_ask_from(&self.0.state.lock().asked, now());
                if let Some(from) = from {
                    return Some(words::asked_too_often(from));
                }
            }
        }
        self.0.state.lock().working = true;
        let outcome = self.order(wish).await;
        self.0.state.lock().working = false;
        match outcome {
            Ok(outcome) => self.succeeded(outcome, wish.is_some()).await,
            Err(trouble) => self.failed(trouble).await,
        }
        self.standing();
        None
    }

    pub(crate) async fn succeeded(&self, outcome: Outcome, asked: bool) {
        let Outcome { record, left_out, way } = outcome;
        let now = now();
        {
            let mut state = self.0.state.lock();
            let issued = schedule::lately(&state.progress.issued, now).chain([now]).collect();
            let today = schedule::today(&state.asked, now).chain(asked.then_some(now)).collect();
            state.asked = today;
            state.progress = Progress {
                left_out,
                issued,
                works: Some(way),
                ask_window: now,
                ..Progress::default()
            };
            state.kept = Kept::of(&record);
            state.got = Some(Instant::now());
            state.unkept = Some(record);
        }
        self.0.metrics.issued();
        if self.keep_or_say().await {
            let left_out = self.progress().left_out.len();
            tracing::info!(left_out, "acme: a new certificate is in use");
        }
    }

    /// Tries once more to keep a certificate that could not be kept, if there is one.
    pub(crate) async fn keep_again(&self) {
        let _one = self.0.attempting.lock().await;
        if self.0.state.lock().unkept.is_some() && self.keep_or_say().await {
            tracing::info!("acme: the new certificate is kept now");
            self.standing();
        }
    }

    /// Keeps the new certificate and uses it. If that fails, says so, and it is tried again: the authority
    /// would count another.
    async fn keep_or_say(&self) -> bool {
        let Err(error) = self.keep().await else { return true };
        tracing::error!(%error, "acme: a new certificate could not be kept");
        let says = format!(
            "There is a new certificate, and it is used as far as possible; but it could not be kept on this \
             machine: {error}."
        );
        let mut progress = self.progress();
        progress.failures = 1;
        let pause = schedule::pause(Kind::Here, progress.failures, None, rand::random());
        progress.next_try = Some(now().saturating_add(pause));
        let to_do = words::to_do(Kind::Here).to_owned();
        progress.last_failure = Some(Failed { when: now(), kind: Kind::Here, says, to_do });
        self.set(&progress, None);
        self.0.metrics.failed(Kind::Here);
        false
    }

    /// Keeps the certificate, uses it, and notes its key, in this order.
    async fn keep(&self) -> Result<(), AcmeError> {
        let (record, progress, asked) = {
            let state = self.0.state.lock();
            let Some(record) = state.unkept.clone() else { return Ok(()) };
            let (failures, last_failure, next_try) = (0, None, None);
            let progress = Progress { failures, last_failure, next_try, ..state.progress.clone() };
            (record, progress, state.asked.clone())
        };
        let kept = self.0.records.keep_certificate(&record, &progress, &asked).await;
        // Used all the same.
        self.install(record).await.and(kept)?;
        let mut state = self.0.state.lock();
        (state.progress, state.unkept) = (progress, None);
        Ok(())
    }

    async fn failed(&self, trouble: Trouble) {
        let mut progress = self.progress();
        progress.failures = progress.failures.saturating_add(1);
        let pause = schedule::pause(trouble.kind, progress.failures, trouble.wait, rand::random());
        progress.next_try = Some(now().saturating_add(pause));
        let reason = trouble.kind.name();
        tracing::warn!(
            reason,
            failures = progress.failures,
            again_in_seconds = pause,
            "acme: no certificate (see `wardpost tls show`)"
        );
        self.0.metrics.failed(trouble.kind);
        progress.leads_nowhere =
            trouble.kind == Kind::Dns && self.leads_nowhere(&self.0.settings.host).await;
        let Trouble { kind, says, to_do, .. } = trouble;
        progress.last_failure = Some(Failed { when: now(), kind, says, to_do });
        // What is known counts even if it cannot be written.
        self.set(&progress, None);
        if let Err(error) = self.0.records.keep_progress(&progress).await {
            tracing::error!(%error, "acme: what came of an order could not be kept");
        }
    }
}
