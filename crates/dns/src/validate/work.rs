//! How much one look-up may cost.
//!
//! Answers come from strangers, and some have been made to be expensive: thousands of keys with one
//! tag, signatures without end, delegations that lead on and on (KeyTrap, NSEC3 floods). "The resolver
//! MUST bound the work it puts into answering any particular query" (RFC 4035 §5.4).

use crate::DnsError;
use std::time::{SystemTime, UNIX_EPOCH};

/// Questions asked for one look-up: two a zone on the way, one a label between zones, one an alias.
const MAX_QUESTIONS: u32 = 64;
/// Signatures verified for one look-up.
const MAX_SIGNATURES: u32 = 96;

/// What is left for one look-up, and its time.
#[derive(Debug)]
pub(super) struct Work {
    questions: u32,
    signatures: u32,
    /// The time by which signatures are judged, in seconds as in RRSIG records (RFC 4034 §3.1.5).
    pub(super) now: u32,
}

impl Work {
    pub(super) fn new() -> Self {
        // A clock before 1970 makes every signature invalid, as it should.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        // Serial number arithmetic: the upper bits fall off (RFC 4034 §3.1.5).
        Self::at((now & u64::from(u32::MAX)).try_into().unwrap_or_default())
    }

    /// By another clock.
    pub(super) fn at(now: u32) -> Self {
        Self { questions: MAX_QUESTIONS, signatures: MAX_SIGNATURES, now }
    }

    pub(super) fn question(&mut self) -> Result<(), DnsError> {
        spend(&mut self.questions)
    }

    pub(super) fn signature(&mut self) -> Result<(), DnsError> {
        spend(&mut self.signatures)
    }
}

fn spend(left: &mut u32) -> Result<(), DnsError> {
    let error = || DnsError::Temporary("the answer takes too much work to validate".into());
    *left = left.checked_sub(1).ok_or_else(error)?;
    Ok(())
}
