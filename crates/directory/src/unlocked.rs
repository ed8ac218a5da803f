//! Accounts whose keys are in memory.
//!
//! Clients reconnect all the time. While an account is unlocked, a credential that was proven is
//! recognised by a keyed hash, under a key that lives only in this process; that spares Argon2id. The
//! directory holds an unlocked account while anybody else does, and for a grace period after.
//!
//! One credential can be typed in many ways (an app password, with or without its hyphens), so what is
//! recognised is bounded and may be forgotten. Whom to tell that a credential is gone is kept by slot
//! and never forgotten: no session outlives its credential.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use tokio::sync::watch;
use wardpost_keys::Unlocked;
use wardpost_mail::AccountId;

use crate::login::Revocation;
use crate::throttle::Fingerprint;
use crate::types::Way;

/// How many credentials, in how many spellings, are recognised for an account.
const MAX_PROVEN: usize = 64;

/// A credential that opened the account, as it was typed.
struct Proven {
    fingerprint: Fingerprint,
    slot: u32,
}

struct Entry {
    keys: Arc<Unlocked>,
    idle_since: Option<Instant>,
    proven: Vec<Proven>,
}

/// The table of unlocked accounts.
#[derive(Default)]
pub(crate) struct UnlockedAccounts {
    entries: HashMap<AccountId, Entry>,
    /// For each slot that has sessions, and each way that they came by: tells them when it is taken
    /// away. Apart from the keys, because a session may have given those back.
    gone: HashMap<(AccountId, u32, Way), watch::Sender<bool>>,
}

impl UnlockedAccounts {
    /// The keys of an account that is unlocked and the slot, if this credential was proven for it.
    pub(crate) fn recognise(
        &mut self,
        id: AccountId,
        fingerprint: &Fingerprint,
        way: Way,
    ) -> Option<(u32, Arc<Unlocked>, Revocation)> {
        let entry = self.entries.get_mut(&id)?;
        let same =
            |proven: &&Proven| verify_slices_are_equal(&proven.fingerprint, fingerprint).is_ok();
        let slot = entry.proven.iter().find(same)?.slot;
        entry.idle_since = None;
        let keys = entry.keys.clone();
        Some((slot, keys, self.revocation(id, slot, way)))
    }

    fn revocation(&mut self, id: AccountId, slot: u32, way: Way) -> Revocation {
        let gone = self.gone.entry((id, slot, way)).or_insert_with(|| watch::Sender::new(false));
        Revocation::new(gone.subscribe())
    }

    /// Notes a credential that opened an account. Keys that are there already are shared.
    pub(crate) fn admit(
        &mut self,
        id: AccountId,
        fingerprint: Fingerprint,
        slot: u32,
        keys: Unlocked,
        way: Way,
    ) -> (Arc<Unlocked>, Revocation) {
        let entry = self.entries.entry(id).or_insert_with(|| Entry {
            keys: Arc::new(keys),
            idle_since: None,
            proven: Vec::new(),
        });
        if !entry.proven.iter().any(|p| p.slot == slot && p.fingerprint == fingerprint) {
            if entry.proven.len() == MAX_PROVEN {
                entry.proven.remove(0);
            }
            entry.proven.push(Proven { fingerprint, slot });
        }
        entry.idle_since = None;
        let keys = entry.keys.clone();
        (keys, self.revocation(id, slot, way))
    }

    /// A credential was taken away: its sessions are told, and it is not recognised any more.
    pub(crate) fn revoke(&mut self, id: AccountId, slot: u32) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.proven.retain(|proven| proven.slot != slot);
        }
        self.end_sessions(id, slot, Way::MailProgram);
        self.end_sessions(id, slot, Way::Page);
    }

    /// Tells the sessions that a credential opened by one way that it counts there no more.
    pub(crate) fn end_sessions(&mut self, id: AccountId, slot: u32, way: Way) {
        if let Some(gone) = self.gone.remove(&(id, slot, way)) {
            gone.send_replace(true);
        }
    }

    /// The account is gone: all its sessions are told, and the keys dropped.
    pub(crate) fn remove(&mut self, id: AccountId) {
        self.entries.remove(&id);
        for (_, gone) in self.gone.extract_if(|(account, ..), _| *account == id) {
            gone.send_replace(true);
        }
    }

    /// Drops accounts that nobody has used for the grace period.
    pub(crate) fn sweep(&mut self, now: Instant, grace: Duration) {
        self.gone.retain(|_, gone| gone.receiver_count() > 0);
        self.entries.retain(|_, entry| {
            if Arc::strong_count(&entry.keys) > 1 {
                entry.idle_since = None;
                return true;
            }
            let since = *entry.idle_since.get_or_insert(now);
            now.duration_since(since) < grace
        });
    }

    /// How many accounts are unlocked.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}
