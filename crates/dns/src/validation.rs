//! Whether to validate, and by which keys.

use crate::answer::absent;
use crate::live::{builder, built};
use crate::{DnsError, TrustAnchor};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::NameServerConfig;
use hickory_resolver::proto::dnssec::rdata::{DNSKEY, DNSSECRData};
use hickory_resolver::proto::dnssec::{Proof, TrustAnchors};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::RwLock;

/// How long servers that pass no signatures on are left alone before they are tried again.
const AGAIN: Duration = Duration::from_secs(300);
/// The same when there was no answer at all.
const AGAIN_SOON: Duration = Duration::from_secs(15);
/// How long one such try may hold up a look-up.
const TRY: Duration = Duration::from_secs(6);
/// How long the absence of a record is kept. Hickory has no TTL for a validated absence, so this
/// stands in for it; short, because people mend their zones while we wait.
const ABSENCE: Duration = Duration::from_secs(10);

/// The validating resolver, from the time that there is one.
pub(crate) struct Validation {
    servers: Vec<NameServerConfig>,
    anchor: Option<TrustAnchor>,
    state: RwLock<State>,
}

enum State {
    /// Nothing is known yet, or it is time to look again.
    Unknown,
    /// The servers were seen to pass no signatures on: not before then.
    Not(Instant),
    /// Every answer is validated, from now on.
    On(Box<TokioResolver>),
}

impl Validation {
    /// Without an anchor of the administrator's own, the root's built-in keys are used if they can.
    pub(crate) fn new(servers: Vec<NameServerConfig>, anchor: Option<TrustAnchor>) -> Self {
        Self { servers, anchor, state: RwLock::new(State::Unknown) }
    }

    /// The resolver to ask; `None` when nothing can be validated and nothing has to be.
    pub(crate) async fn resolver(
        &self,
        plain: &TokioResolver,
    ) -> Result<Option<TokioResolver>, DnsError> {
        if let Some(known) = self.state.read().await.known() {
            return Ok(known);
        }
        let mut state = self.state.write().await;
        if let Some(known) = state.known() {
            return Ok(known);
        }
        let (found, again) = match &self.anchor {
            Some(anchor) => {
                let fetched = fetch(plain, &anchor.unknown_zones()).await?;
                // None of the zone's keys is the one that was named: that may mend itself, too.
                let keys = anchor.keys(&fetched).ok_or(DnsError::Bogus)?;
                (Some(self.validating(keys)?), AGAIN)
            }
            None => {
                let candidate = self.validating(TrustAnchors::default())?;
                let (passes, again) = passes_signatures(&candidate).await;
                (passes.then_some(candidate), again)
            }
        };
        *state = match &found {
            Some(resolver) => State::On(Box::new(resolver.clone())),
            None => State::Not(Instant::now() + again),
        };
        Ok(found)
    }

    fn validating(&self, keys: TrustAnchors) -> Result<TokioResolver, DnsError> {
        let mut builder = builder(&self.servers)?.with_trust_anchor(Arc::new(keys));
        builder.options_mut().negative_min_ttl = Some(ABSENCE);
        built(builder)
    }
}

impl State {
    fn known(&self) -> Option<Option<TokioResolver>> {
        match self {
            Self::On(resolver) => Some(Some(TokioResolver::clone(resolver))),
            Self::Not(until) if Instant::now() < *until => Some(None),
            Self::Unknown | Self::Not(_) => None,
        }
    }
}

/// Whether the root's own keys validate as these servers give them, and if not, when to ask again.
async fn passes_signatures(candidate: &TokioResolver) -> (bool, Duration) {
    let looking = candidate.lookup(Name::root(), RecordType::DNSKEY);
    let proven = |record: &Record| {
        record.record_type() == RecordType::DNSKEY && record.proof == Proof::Secure
    };
    match tokio::time::timeout(TRY, looking).await {
        Ok(Ok(lookup)) => (lookup.answers().iter().any(proven), AGAIN),
        Ok(Err(error)) => match absent(&error, true) {
            Err(DnsError::Temporary(_)) => (false, AGAIN_SOON),
            _ => (false, AGAIN),
        },
        Err(_) => (false, AGAIN_SOON),
    }
}

/// The keys that zones show, not validated: whoever asks compares them with digests.
async fn fetch(plain: &TokioResolver, zones: &[Name]) -> Result<Vec<(Name, DNSKEY)>, DnsError> {
    let mut keys = Vec::new();
    for zone in zones {
        match plain.lookup(zone.clone(), RecordType::DNSKEY).await {
            Ok(lookup) => keys.extend(lookup.answers().iter().filter_map(|r| match &r.data {
                RData::DNSSEC(DNSSECRData::DNSKEY(key)) => Some((zone.clone(), key.clone())),
                _ => None,
            })),
            // A zone without keys, or that is not there, has nothing that could be trusted.
            Err(error) => match absent(&error, false) {
                Err(error) if error.is_temporary() => return Err(error),
                _ => {}
            },
        }
    }
    Ok(keys)
}
