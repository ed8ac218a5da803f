//! Accounts whose keys are in memory.
//!
//! Clients reconnect all the time. While an account is unlocked, a credential that was proven is
//! recognised by a keyed hash, under a key that lives only in this process; that spares Argon2id. The
//! directory holds an unlocked account while anybody else does, and for a grace period after.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use tokio::sync::watch;
use wardpost_keys::Unlocked;
use wardpost_mail::AccountId;

use crate::login::Revocation;
use crate::throttle::Fingerprint;

/// How many different credentials are remembered for an account.
const MAX_PROVEN: usize = 64;

/// A credential that opened the account.
struct Proven {
    fingerprint: Fingerprint,
    slot: u32,
    /// Tells its sessions when it is taken away.
    gone: watch::Sender<bool>,
}

struct Entry {
    keys: Arc<Unlocked>,
    idle_since: Option<Instant>,
    proven: Vec<Proven>,
}

/// The table of unlocked accounts.
#[derive(Default)]
pub(crate) struct UnlockedAccounts(HashMap<AccountId, Entry>);

impl UnlockedAccounts {
    /// The keys of an account that is unlocked, if this credential was proven for it.
    pub(crate) fn recognise(
        &mut self,
        id: AccountId,
        fingerprint: &Fingerprint,
    ) -> Option<(Arc<Unlocked>, Revocation)> {
        let entry = self.0.get_mut(&id)?;
        let same =
            |proven: &&Proven| verify_slices_are_equal(&proven.fingerprint, fingerprint).is_ok();
        let proven = entry.proven.iter().find(same)?;
        entry.idle_since = None;
        Some((entry.keys.clone(), Revocation::new(proven.gone.subscribe())))
    }

    /// Notes a credential that opened an account. Keys that are there already are shared.
    pub(crate) fn admit(
        &mut self,
        id: AccountId,
        fingerprint: Fingerprint,
        slot: u32,
        keys: Unlocked,
    ) -> (Arc<Unlocked>, Revocation) {
        let entry = self.0.entry(id).or_insert_with(|| Entry {
            keys: Arc::new(keys),
            idle_since: None,
            proven: Vec::new(),
        });
        entry.idle_since = None;
        let known = entry.proven.iter().find(|p| p.slot == slot && p.fingerprint == fingerprint);
        let gone = match known {
            Some(proven) => proven.gone.subscribe(),
            None => {
                if entry.proven.len() == MAX_PROVEN {
                    // Its sessions go on; they only cannot be told any more.
                    entry.proven.remove(0);
                }
                let gone = watch::Sender::new(false);
                let receiver = gone.subscribe();
                entry.proven.push(Proven { fingerprint, slot, gone });
                receiver
            }
        };
        (entry.keys.clone(), Revocation::new(gone))
    }

    /// A credential was taken away: its sessions are told, and it is not recognised any more.
    pub(crate) fn revoke(&mut self, id: AccountId, slot: u32) {
        if let Some(entry) = self.0.get_mut(&id) {
            entry.proven.retain(|proven| {
                if proven.slot == slot {
                    proven.gone.send_replace(true);
                }
                proven.slot != slot
            });
        }
    }

    /// The account is gone: all its sessions are told, and the keys dropped.
    pub(crate) fn remove(&mut self, id: AccountId) {
        if let Some(entry) = self.0.remove(&id) {
            for proven in entry.proven {
                proven.gone.send_replace(true);
            }
        }
    }

    /// Drops accounts that nobody has used for the grace period.
    pub(crate) fn sweep(&mut self, now: Instant, grace: Duration) {
        self.0.retain(|_, entry| {
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
        self.0.len()
    }
}
