//! Key slots: one a credential, each holding the account key.

use crate::aead::{Aead, derive_salted, random, take_key};
use crate::certificate::{AccountCertificate, RecoveryCertificate, read_recovery};
use crate::error::{OpenError, SealError, UnlockError};
use crate::exchange::ExchangeKey;
use crate::message::KeyPacket;
use crate::paper;
use crate::sealed::Sealed;
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use wardpost_mail::Secret;

/// What an app password's checksum is bound to.
const APP_PASSWORD: &str = "wardpost app password v1";
/// The most memory that a slot may ask for, in KiB: damage must not ask for more.
const MAX_MEMORY: u32 = 1024 * 1024;

/// What kind of credential opens a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SlotKind {
    /// A password that a person chose: Argon2id.
    Password,
    /// A generated password of 128 bits for one program or device: HKDF.
    AppPassword,
    /// The practice's recovery certificate.
    Recovery,
}

/// What may be told about a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotInfo {
    /// Number of the slot, unique within the account and never used again.
    pub id: u32,
    /// What opens it.
    pub kind: SlotKind,
    /// What its owner calls it.
    pub label: String,
    /// When it was made, in seconds since 1970.
    pub created: i64,
}

/// How much work a guess at a password costs; written into each slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KdfCost {
    /// Argon2id with 64 MiB and 3 passes: about a quarter of a second (RFC 9106 §4, second
    /// recommendation, on one lane).
    #[default]
    Interactive,
    /// Argon2id with 8 KiB and 1 pass: for tests only.
    Test,
}

impl KdfCost {
    /// Memory in KiB and passes.
    const fn parameters(self) -> (u32, u32) {
        match self {
            Self::Interactive => (64 * 1024, 3),
            Self::Test => (8, 1),
        }
    }
}

/// A slot as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Slot {
    pub(crate) info: SlotInfo,
    lock: Lock,
}

/// The account key, locked.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Lock {
    /// Argon2id, one lane.
    Password { memory_kib: u32, passes: u32, salt: [u8; 16], wrapped: Sealed<Lock> },
    /// HKDF-SHA256.
    AppPassword { salt: [u8; 16], wrapped: Sealed<Lock> },
    /// X25519: the account key as a session key for the recovery certificate.
    Recovery { packet: KeyPacket },
}

impl Slot {
    /// Locks the account key with a password.
    pub(crate) fn password(
        info: SlotInfo,
        account: &AccountCertificate,
        key: &Secret<[u8; 32]>,
        password: &Secret<String>,
        cost: KdfCost,
    ) -> Result<Self, SealError> {
        let (memory_kib, passes) = cost.parameters();
        let salt = random();
        let kek = argon2id(password, &salt, memory_kib, passes)
            .ok_or_else(|| SealError::OpenPgp("Argon2id failed".to_owned()))?;
        let wrapped = wrap(&kek, account, &info, key);
        Ok(Self { info, lock: Lock::Password { memory_kib, passes, salt, wrapped } })
    }

    /// Locks the account key with a new app password.
    pub(crate) fn app_password(
        info: SlotInfo,
        account: &AccountCertificate,
        key: &Secret<[u8; 32]>,
    ) -> (Self, Secret<String>) {
        let secret = Secret::new(random::<16>());
        let salt = random();
        let wrapped = wrap(&app_key(&secret, &salt), account, &info, key);
        let text = paper::write(APP_PASSWORD, secret.expose());
        (Self { info, lock: Lock::AppPassword { salt, wrapped } }, text)
    }

    /// Locks the account key for the recovery certificate.
    pub(crate) fn recovery(
        info: SlotInfo,
        key: &Secret<[u8; 32]>,
        recovery: &RecoveryCertificate,
    ) -> Result<Self, SealError> {
        let packet = recovery.certificate().wrap(key)?;
        Ok(Self { info, lock: Lock::Recovery { packet } })
    }

    /// The account key, when this is a password slot and the password opens it.
    pub(crate) fn open_password(
        &self,
        account: &AccountCertificate,
        password: &Secret<String>,
    ) -> Result<Secret<[u8; 32]>, UnlockError> {
        let Lock::Password { memory_kib, passes, salt, wrapped } = &self.lock else {
            return Err(UnlockError::WrongCredential);
        };
        let kek = argon2id(password, salt, *memory_kib, *passes).ok_or(UnlockError::Damaged)?;
        unwrap(&kek, account, &self.info, wrapped)
    }

    /// The account key, when this is an app password's slot and the secret opens it.
    pub(crate) fn open_app_password(
        &self,
        account: &AccountCertificate,
        secret: &Secret<[u8; 16]>,
    ) -> Result<Secret<[u8; 32]>, UnlockError> {
        let Lock::AppPassword { salt, wrapped } = &self.lock else {
            return Err(UnlockError::WrongCredential);
        };
        unwrap(&app_key(secret, salt), account, &self.info, wrapped)
    }

    /// The account key, when this is a recovery slot and the secret opens it. The packet's
    /// addressee need not be looked up: the secret fits or does not.
    pub(crate) fn open_recovery(
        &self,
        secret: &Secret<[u8; 32]>,
    ) -> Result<Secret<[u8; 32]>, UnlockError> {
        let Lock::Recovery { packet } = &self.lock else {
            return Err(UnlockError::WrongCredential);
        };
        let key = ExchangeKey::new(secret.expose()).map_err(|_| UnlockError::WrongCredential)?;
        let (ephemeral, wrapped) = packet.parts().ok_or(UnlockError::Damaged)?;
        key.unwrap(&ephemeral, &wrapped).map_err(|_| UnlockError::WrongCredential)
    }
}

/// Reads an app password; `None` when the text has not its form.
pub(crate) fn read_app_password(text: &str) -> Option<Secret<[u8; 16]>> {
    paper::read(APP_PASSWORD, text)
}

/// Reads the recovery kit's secret.
pub(crate) fn read_recovery_secret(text: &str) -> Option<Secret<[u8; 32]>> {
    read_recovery(text)
}

fn argon2id(
    password: &Secret<String>,
    salt: &[u8; 16],
    memory_kib: u32,
    passes: u32,
) -> Option<Secret<[u8; 32]>> {
    if memory_kib > MAX_MEMORY {
        return None;
    }
    let parameters = Params::new(memory_kib, passes, 1, Some(32)).ok()?;
    let mut key = Secret::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
        .hash_password_into(password.expose().as_bytes(), salt, key.expose_mut())
        .ok()?;
    Some(key)
}

fn app_key(secret: &Secret<[u8; 16]>, salt: &[u8; 16]) -> Secret<[u8; 32]> {
    derive_salted(secret.expose(), salt, &[b"wardpost app password v1"])
}

/// What a wrapped account key is bound to: the account, the slot and its kind.
fn context(account: &AccountCertificate, info: &SlotInfo) -> Vec<u8> {
    let kind = match info.kind {
        SlotKind::Password => 1,
        SlotKind::AppPassword => 2,
        SlotKind::Recovery => 3,
    };
    [account.id(), &info.id.to_be_bytes(), &[kind]].concat()
}

fn wrap(
    kek: &Secret<[u8; 32]>,
    account: &AccountCertificate,
    info: &SlotInfo,
    key: &Secret<[u8; 32]>,
) -> Sealed<Lock> {
    let sealed = Aead::new(kek.expose()).seal(b"", &context(account, info), key.expose());
    Sealed::from_encryption(sealed)
}

fn unwrap(
    kek: &Secret<[u8; 32]>,
    account: &AccountCertificate,
    info: &SlotInfo,
    wrapped: &Sealed<Lock>,
) -> Result<Secret<[u8; 32]>, UnlockError> {
    Aead::new(kek.expose())
        .open(wrapped.as_bytes(), 0, &context(account, info))
        .and_then(take_key)
        .map_err(|error| match error {
            OpenError::NotAuthentic => UnlockError::WrongCredential,
            OpenError::Format | OpenError::UnknownKey => UnlockError::Damaged,
        })
}
