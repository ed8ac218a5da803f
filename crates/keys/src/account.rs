//! An account's keys, and the handle that opens its mail.

use crate::certificate::{AccountCertificate, RecoveryCertificate};
use crate::error::{OpenError, SealError, UnlockError};
use crate::message::{KeyPacket, SessionKey};
use crate::sealed::Sealed;
use crate::slot::{KdfCost, SlotInfo};
use serde::{Deserialize, Serialize};
use wardpost_mail::Secret;

/// An account's certificate, its wrapped secret half and its key slots. Holds no secret in the clear.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccountKeys {
    certificate: AccountCertificate,
}

impl AccountKeys {
    /// Makes a new certificate with a password slot and, when given, a recovery slot.
    /// Slow (Argon2id): call it off the async threads.
    pub fn generate(
        label: &str,
        password: &Secret<String>,
        recovery: Option<&RecoveryCertificate>,
        cost: KdfCost,
    ) -> Result<Self, SealError> {
        let _ = (label, password, recovery, cost);
        unimplemented!()
    }

    /// The public half.
    pub fn certificate(&self) -> &AccountCertificate {
        &self.certificate
    }

    /// What slots there are.
    pub fn slots(&self) -> impl Iterator<Item = &SlotInfo> {
        std::iter::empty()
    }

    /// Whether this text has the form of an app password (and so needs no Argon2id).
    pub fn is_app_password(text: &str) -> bool {
        let _ = text;
        unimplemented!()
    }

    /// Unlocks with the person's password. Slow (Argon2id): call it off the async threads.
    pub fn unlock_with_password(&self, password: &Secret<String>) -> Result<Unlocked, UnlockError> {
        let _ = password;
        unimplemented!()
    }

    /// Unlocks with an app password: fast.
    pub fn unlock_with_app_password(
        &self,
        password: &Secret<String>,
    ) -> Result<Unlocked, UnlockError> {
        let _ = password;
        unimplemented!()
    }

    /// Unlocks with the secret of the recovery kit, as printed (case and spacing do not matter).
    pub fn unlock_with_recovery(&self, secret: &Secret<String>) -> Result<Unlocked, UnlockError> {
        let _ = secret;
        unimplemented!()
    }

    /// Replaces the password slot; no mail is rewritten. Slow (Argon2id).
    pub fn set_password(
        &mut self,
        unlocked: &Unlocked,
        password: &Secret<String>,
        cost: KdfCost,
    ) -> Result<(), SealError> {
        let _ = (unlocked, password, cost);
        unimplemented!()
    }

    /// Adds a generated app password and returns it: the only time it can be seen.
    pub fn add_app_password(
        &mut self,
        unlocked: &Unlocked,
        label: &str,
    ) -> Result<(u32, Secret<String>), SealError> {
        let _ = (unlocked, label);
        unimplemented!()
    }

    /// Removes a slot; `false` when there is none of that number.
    pub fn remove_slot(&mut self, id: u32) -> bool {
        let _ = id;
        unimplemented!()
    }
}

/// An unlocked account: the only thing that opens its mail. Not `Clone`: share it in an `Arc`; the
/// last one dropped wipes the keys.
pub struct Unlocked {}

impl Unlocked {
    /// The public half.
    pub fn certificate(&self) -> &AccountCertificate {
        unimplemented!()
    }

    /// Unwraps a message's session key: asymmetric, so do it once a message and then fold it with
    /// [`Unlocked::wrap_session_key`].
    pub fn unwrap_packet(&self, packet: &KeyPacket) -> Result<SessionKey, OpenError> {
        let _ = packet;
        unimplemented!()
    }

    /// Wraps a session key under the account key, bound to `context`.
    pub fn wrap_session_key(&self, key: &SessionKey, context: &[u8]) -> Vec<u8> {
        let _ = (key, context);
        unimplemented!()
    }

    /// Opens what [`Unlocked::wrap_session_key`] made.
    pub fn open_session_key(
        &self,
        wrapped: &[u8],
        context: &[u8],
    ) -> Result<SessionKey, OpenError> {
        let _ = (wrapped, context);
        unimplemented!()
    }

    /// Seals a record under the account key, bound to `context`.
    pub fn seal<T>(&self, context: &[u8], plain: &[u8]) -> Sealed<T> {
        let _ = (context, plain);
        unimplemented!()
    }

    /// Opens what [`Unlocked::seal`] made under the same context.
    pub fn open<T>(&self, context: &[u8], sealed: &Sealed<T>) -> Result<Vec<u8>, OpenError> {
        let _ = (context, sealed);
        unimplemented!()
    }

    /// A hash under the account key, for store keys that only the owner can compute.
    pub fn blind(&self, parts: &[&[u8]]) -> [u8; 16] {
        let _ = parts;
        unimplemented!()
    }

    /// The secret key as armored standard OpenPGP, under a passphrase.
    pub fn export_secret(&self, passphrase: &Secret<String>) -> Result<Vec<u8>, SealError> {
        let _ = passphrase;
        unimplemented!()
    }
}
