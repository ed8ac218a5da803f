//! Whether to validate, and by which keys.

use crate::anchor::Anchors;
use crate::validate::Validator;
use crate::{DnsError, TrustAnchor};
use hickory_resolver::config::NameServerConfig;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long servers that pass no signatures on are left alone before they are tried again.
const AGAIN: Duration = Duration::from_secs(300);
/// The same when there was no answer at all.
const AGAIN_SOON: Duration = Duration::from_secs(15);
/// How long one such try may hold up a look-up.
const TRY: Duration = Duration::from_secs(6);

/// How a resolver validates its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValidatedBy {
    /// By the administrator's own trust anchor, always.
    Anchor,
    /// By the root's keys: the servers have shown a root zone that validates, and from then on there
    /// is no way back.
    Root,
    /// By the root's keys, if the servers turn out to pass signatures on; nothing was asked yet.
    Undecided,
    /// Not at all so far: the servers have never shown a root zone that validates.
    Stripped,
    /// Not at all, by decision.
    Nothing,
}

impl fmt::Display for ValidatedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anchor => "validated by the configured trust anchor",
            Self::Root => "validated by the root's keys",
            Self::Undecided => {
                "not asked yet; validated by the root's keys if signatures come along"
            }
            Self::Stripped => "not validated: the servers pass no signatures on",
            Self::Nothing => "not validated",
        })
    }
}

/// The validator, from the time that it is known to be of use.
pub(crate) struct Validation {
    validator: Validator,
    state: Mutex<State>,
    /// Held by whoever tries the servers.
    trying: tokio::sync::Mutex<()>,
    by: watch::Sender<ValidatedBy>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Nothing is known yet.
    Unknown,
    /// The servers were seen to pass no signatures on: not before then.
    Not(Instant),
    /// Every answer is validated, from now on.
    On,
}

impl Validation {
    /// Without an anchor of the administrator's own, the root's built-in keys are used if they can.
    pub(crate) fn new(
        servers: &[NameServerConfig],
        anchor: Option<TrustAnchor>,
    ) -> Result<Self, DnsError> {
        match anchor {
            Some(own) => {
                Self::by_anchors(servers, Anchors::Own(own), State::On, ValidatedBy::Anchor)
            }
            None => Self::if_it_can(servers, Anchors::root()),
        }
    }

    fn if_it_can(servers: &[NameServerConfig], anchors: Anchors) -> Result<Self, DnsError> {
        Self::by_anchors(servers, anchors, State::Unknown, ValidatedBy::Undecided)
    }

    fn by_anchors(
        servers: &[NameServerConfig],
        anchors: Anchors,
        state: State,
        by: ValidatedBy,
    ) -> Result<Self, DnsError> {
        Ok(Self {
            validator: Validator::new(servers, anchors)?,
            state: Mutex::new(state),
            trying: tokio::sync::Mutex::default(),
            by: watch::Sender::new(by),
        })
    }

    /// Validates from the first question on.
    pub(crate) fn insist(&self) {
        if !matches!(self.state(), State::On) {
            self.set(State::On, ValidatedBy::Root);
        }
    }

    pub(crate) fn by(&self) -> watch::Receiver<ValidatedBy> {
        self.by.subscribe()
    }

    /// The validator to ask; `None` when nothing can be validated and nothing has to be.
    pub(crate) async fn validator(&self) -> Option<&Validator> {
        if let Some(known) = self.known() {
            return known;
        }
        let _trying = self.trying.lock().await;
        if let Some(known) = self.known() {
            return known;
        }
        let again = match tokio::time::timeout(TRY, self.validator.knows_the_root()).await {
            Ok(Ok(true)) => {
                self.set(State::On, ValidatedBy::Root);
                return Some(&self.validator);
            }
            Ok(Ok(false)) => AGAIN,
            Ok(Err(_)) | Err(_) => AGAIN_SOON,
        };
        self.set(State::Not(Instant::now() + again), ValidatedBy::Stripped);
        None
    }

    /// What is known without asking.
    fn known(&self) -> Option<Option<&Validator>> {
        match self.state() {
            State::On => Some(Some(&self.validator)),
            State::Not(until) if Instant::now() < until => Some(None),
            State::Unknown | State::Not(_) => None,
        }
    }

    fn state(&self) -> State {
        // A panic elsewhere leaves a state that is still a state.
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: State, by: ValidatedBy) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
        self.by.send_replace(by);
    }
}

#[cfg(test)]
#[path = "../tests/lab/mod.rs"]
#[allow(clippy::unwrap_used, reason = "the lab of the integration tests")]
mod lab;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::lab::Lab;
    use super::lab::forger::forge;
    use super::*;
    use crate::live::server;
    use hickory_resolver::proto::rr::{Name, RecordType};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[tokio::test]
    async fn once_the_root_has_validated_there_is_no_way_back() {
        let lab = Lab::shared();
        let stripping = Arc::new(AtomicBool::new(true));
        let strips = Arc::clone(&stripping);
        let address = forge(lab.address, move |_, mut reply, _| {
            if strips.load(Ordering::Relaxed) {
                for section in [&mut reply.answers, &mut reply.authorities] {
                    section.retain(|record| record.record_type() != RecordType::RRSIG);
                }
            }
            reply
        });
        let anchors = Anchors::Own(lab.root_ds().parse().unwrap());
        let validation = Validation::if_it_can(&[server(&address)], anchors).unwrap();
        let by = validation.by();
        assert_eq!(*by.borrow(), ValidatedBy::Undecided);
        assert!(validation.validator().await.is_none());
        assert_eq!(*by.borrow(), ValidatedBy::Stripped);
        // Not asked again at once; when the time is over, it is.
        stripping.store(false, Ordering::Relaxed);
        assert!(validation.validator().await.is_none());
        validation.set(State::Not(Instant::now()), ValidatedBy::Stripped);
        assert!(validation.validator().await.is_some());
        assert_eq!(*by.borrow(), ValidatedBy::Root);
        stripping.store(true, Ordering::Relaxed);
        let validator = validation.validator().await.unwrap();
        let name = Name::from_ascii("secure.test.").unwrap();
        assert_eq!(validator.look(&name, RecordType::MX).await, Err(DnsError::Bogus));
        assert_eq!(*by.borrow(), ValidatedBy::Root);
    }
}
