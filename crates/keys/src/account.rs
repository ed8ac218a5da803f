//! An account's keys, and the handle that opens its mail.
//!
//! The certificate's secret half is sealed under a random account key. The account key sits in
//! slots, one a credential, so a changed password re-wraps 32 bytes and no mail. Below the account
//! key hang, by HKDF, the keys for folded session keys, for records and for blind hashes.

use crate::aead::{Aead, HashKey, derive, random, take_key};
use crate::certificate::{self, AccountCertificate, RecoveryCertificate, openpgp_failed};
use crate::error::{OpenError, SealError, UnlockError};
use crate::exchange::ExchangeKey;
use crate::message::{KeyPacket, SessionKey};
use crate::sealed::{Record, Sealed};
use crate::slot::{self, KdfCost, Slot, SlotInfo, SlotKind};
use sequoia_openpgp as openpgp;

use openpgp::Packet;
use openpgp::cert::Cert;
use openpgp::cert::amalgamation::key::PrimaryKey as _;
use openpgp::parse::Parse;
use openpgp::serialize::SerializeInto;
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};
use wardpost_mail::Secret;
use zeroize::Zeroizing;

/// First byte of what is sealed under the account key.
const VERSION: u8 = 1;

/// An account's certificate, its wrapped secret half and its key slots. Holds no secret in the clear.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccountKeys {
    certificate: AccountCertificate,
    /// The X25519 secret (32 bytes), then the transferable secret key.
    secret_half: Sealed<Record>,
    slots: Vec<Slot>,
    next_slot: u32,
}

impl AccountKeys {
    /// Makes a new certificate with a password slot and, when given, a recovery slot.
    /// `label` becomes the certificate's user id. Slow (Argon2id): call it off the async threads.
    pub fn generate(
        label: &str,
        password: &Secret<String>,
        recovery: Option<&RecoveryCertificate>,
        cost: KdfCost,
    ) -> Result<Self, SealError> {
        let generated = certificate::generate(label)?;
        let account_key = Secret::new(random());
        let secret = [&generated.exchange.expose()[..], &generated.transferable].concat();
        let secret = Zeroizing::new(secret);
        let certificate = generated.certificate;
        let sealed = secret_half_key(&account_key).seal(&[VERSION], certificate.id(), &secret);
        let mut keys = Self {
            certificate,
            secret_half: Sealed::from_encryption(sealed),
            slots: Vec::new(),
            next_slot: 1,
        };
        keys.put_password(&account_key, password, cost)?;
        if let Some(recovery) = recovery {
            let info = keys.new_slot(SlotKind::Recovery, "");
            keys.slots.push(Slot::recovery(info, &account_key, recovery)?);
        }
        Ok(keys)
    }

    /// The public half.
    pub fn certificate(&self) -> &AccountCertificate {
        &self.certificate
    }

    /// What slots there are.
    pub fn slots(&self) -> impl Iterator<Item = &SlotInfo> {
        self.slots.iter().map(|slot| &slot.info)
    }

    /// Whether this text has the form of an app password (and so needs no Argon2id).
    pub fn is_app_password(text: &str) -> bool {
        slot::read_app_password(text).is_some()
    }

    /// Unlocks with the person's password. Slow (Argon2id): call it off the async threads.
    pub fn unlock_with_password(&self, password: &Secret<String>) -> Result<Unlocked, UnlockError> {
        self.unlock(SlotKind::Password, |slot| slot.open_password(&self.certificate, password))
    }

    /// Unlocks with an app password: fast.
    pub fn unlock_with_app_password(
        &self,
        password: &Secret<String>,
    ) -> Result<Unlocked, UnlockError> {
        let secret =
            slot::read_app_password(password.expose()).ok_or(UnlockError::WrongCredential)?;
        self.unlock(SlotKind::AppPassword, |slot| {
            slot.open_app_password(&self.certificate, &secret)
        })
    }

    /// Unlocks with the secret of the recovery kit, as printed (case and spacing do not matter).
    pub fn unlock_with_recovery(&self, secret: &Secret<String>) -> Result<Unlocked, UnlockError> {
        let secret =
            slot::read_recovery_secret(secret.expose()).ok_or(UnlockError::WrongCredential)?;
        self.unlock(SlotKind::Recovery, |slot| slot.open_recovery(&secret))
    }

    /// Tries the slots of one kind.
    fn unlock(
        &self,
        kind: SlotKind,
        open: impl Fn(&Slot) -> Result<Secret<[u8; 32]>, UnlockError>,
    ) -> Result<Unlocked, UnlockError> {
        let mut outcome = UnlockError::WrongCredential;
        for slot in self.slots.iter().filter(|slot| slot.info.kind == kind) {
            match open(slot) {
                Ok(key) => return Unlocked::new(self, key),
                Err(UnlockError::WrongCredential) => {}
                Err(damaged) => outcome = damaged,
            }
        }
        Err(outcome)
    }

    /// Replaces the password slot; no mail is rewritten. Slow (Argon2id).
    pub fn set_password(
        &mut self,
        unlocked: &Unlocked,
        password: &Secret<String>,
        cost: KdfCost,
    ) -> Result<(), SealError> {
        self.check_owner(unlocked)?;
        self.put_password(&unlocked.account_key, password, cost)
    }

    fn put_password(
        &mut self,
        key: &Secret<[u8; 32]>,
        password: &Secret<String>,
        cost: KdfCost,
    ) -> Result<(), SealError> {
        let info = self.new_slot(SlotKind::Password, "");
        let slot = Slot::password(info, &self.certificate, key, password, cost)?;
        self.slots.retain(|slot| slot.info.kind != SlotKind::Password);
        self.slots.push(slot);
        Ok(())
    }

    /// Adds a generated app password and returns its slot's number and the password: the only time
    /// that it can be seen.
    pub fn add_app_password(
        &mut self,
        unlocked: &Unlocked,
        label: &str,
    ) -> Result<(u32, Secret<String>), SealError> {
        self.check_owner(unlocked)?;
        let info = self.new_slot(SlotKind::AppPassword, label);
        let id = info.id;
        let (slot, text) = Slot::app_password(info, &self.certificate, &unlocked.account_key);
        self.slots.push(slot);
        Ok((id, text))
    }

    /// Removes a slot; `false` when there is none of that number.
    pub fn remove_slot(&mut self, id: u32) -> bool {
        let before = self.slots.len();
        self.slots.retain(|slot| slot.info.id != id);
        self.slots.len() < before
    }

    fn new_slot(&mut self, kind: SlotKind, label: &str) -> SlotInfo {
        let id = self.next_slot;
        self.next_slot += 1;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Seconds since 1970 fit for the next 292 thousand million years.
        SlotInfo { id, kind, label: label.to_owned(), created: now.as_secs() as i64 }
    }

    fn check_owner(&self, unlocked: &Unlocked) -> Result<(), SealError> {
        if unlocked.certificate == self.certificate { Ok(()) } else { Err(SealError::WrongAccount) }
    }
}

fn secret_half_key(account_key: &Secret<[u8; 32]>) -> Aead {
    Aead::new(derive(account_key.expose(), &[b"wardpost secret half v1"]).expose())
}

/// An unlocked account: the only thing that opens its mail. Not `Clone`: share it in an `Arc`; the
/// last one dropped wipes the keys.
///
/// ```compile_fail
/// fn copy(unlocked: &wardpost_keys::Unlocked) -> wardpost_keys::Unlocked {
///     unlocked.clone()
/// }
/// ```
pub struct Unlocked {
    certificate: AccountCertificate,
    account_key: Secret<[u8; 32]>,
    exchange: ExchangeKey,
    sessions: Aead,
    records: Aead,
    blind: HashKey,
    secret_half: Sealed<Record>,
}

impl Unlocked {
    fn new(keys: &AccountKeys, account_key: Secret<[u8; 32]>) -> Result<Self, UnlockError> {
        let secret = open_secret_half(&keys.certificate, &account_key, &keys.secret_half)
            .map_err(|_| UnlockError::Damaged)?;
        let exchange = secret.first_chunk::<32>().ok_or(UnlockError::Damaged)?;
        let exchange = ExchangeKey::new(exchange).map_err(|_| UnlockError::Damaged)?;
        if exchange.public() != keys.certificate.public() {
            return Err(UnlockError::Damaged);
        }
        let key = |purpose: &[u8]| derive(account_key.expose(), &[purpose]);
        Ok(Self {
            certificate: keys.certificate.clone(),
            exchange,
            sessions: Aead::new(key(b"wardpost session keys v1").expose()),
            records: Aead::new(key(b"wardpost records v1").expose()),
            blind: HashKey::new(key(b"wardpost blind hashes v1").expose()),
            secret_half: keys.secret_half.clone(),
            account_key,
        })
    }

    /// The public half.
    pub fn certificate(&self) -> &AccountCertificate {
        &self.certificate
    }

    /// Unwraps a message's session key: asymmetric, so do it once a message and then fold it with
    /// [`Unlocked::wrap_session_key`].
    pub fn unwrap_packet(&self, packet: &KeyPacket) -> Result<SessionKey, OpenError> {
        let (ephemeral, wrapped) = self.certificate.read_packet(packet).ok_or(OpenError::Format)?;
        self.exchange.unwrap(&ephemeral, &wrapped).map(SessionKey::from_secret)
    }

    /// Wraps a session key under the account key, bound to `context`.
    pub fn wrap_session_key(&self, key: &SessionKey, context: &[u8]) -> Vec<u8> {
        self.sessions.seal(&[VERSION], context, key.secret().expose())
    }

    /// Opens what [`Unlocked::wrap_session_key`] made.
    pub fn open_session_key(
        &self,
        wrapped: &[u8],
        context: &[u8],
    ) -> Result<SessionKey, OpenError> {
        check_version(wrapped)?;
        let plain = self.sessions.open(wrapped, 1, context)?;
        take_key(plain).map(SessionKey::from_secret)
    }

    /// Seals a record under the account key, bound to `context`.
    pub fn seal<T>(&self, context: &[u8], plain: &[u8]) -> Sealed<T> {
        Sealed::from_encryption(self.records.seal(&[VERSION], context, plain))
    }

    /// Opens what [`Unlocked::seal`] made under the same context.
    pub fn open<T>(&self, context: &[u8], sealed: &Sealed<T>) -> Result<Vec<u8>, OpenError> {
        check_version(sealed.as_bytes())?;
        self.records.open(sealed.as_bytes(), 1, context)
    }

    /// A hash under the account key, for store keys that only the owner can compute.
    pub fn blind(&self, parts: &[&[u8]]) -> [u8; 16] {
        self.blind.hash(parts)
    }

    /// The secret key as armored standard OpenPGP (a transferable secret key, RFC 9580 §10.2),
    /// under a passphrase. Any tool that knows RFC 9580 opens exported mail with it.
    pub fn export_secret(&self, passphrase: &Secret<String>) -> Result<Vec<u8>, SealError> {
        let secret = open_secret_half(&self.certificate, &self.account_key, &self.secret_half)
            .map_err(|error| SealError::OpenPgp(error.to_string()))?;
        // The X25519 secret in front was checked when the account was unlocked.
        let cert =
            Cert::from_bytes(secret.get(32..).unwrap_or_default()).map_err(openpgp_failed)?;
        let passphrase = openpgp::crypto::Password::from(passphrase.expose().as_str());
        let mut locked: Vec<Packet> = Vec::new();
        for key in cert.keys().secret() {
            let primary = key.primary();
            let key = key.key().clone().encrypt_secret(&passphrase).map_err(openpgp_failed)?;
            locked.push(if primary {
                Packet::from(key.role_into_primary())
            } else {
                Packet::from(key.role_into_subordinate())
            });
        }
        let (cert, _) = cert.insert_packets(locked).map_err(openpgp_failed)?;
        SerializeInto::to_vec(&cert.as_tsk().armored()).map_err(openpgp_failed)
    }
}

fn open_secret_half(
    certificate: &AccountCertificate,
    account_key: &Secret<[u8; 32]>,
    sealed: &Sealed<Record>,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    check_version(sealed.as_bytes())?;
    let key = secret_half_key(account_key);
    key.open(sealed.as_bytes(), 1, certificate.id()).map(Zeroizing::new)
}

fn check_version(sealed: &[u8]) -> Result<(), OpenError> {
    if sealed.first() == Some(&VERSION) { Ok(()) } else { Err(OpenError::Format) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::RecoveryKit;
    use crate::message::seal_message;
    use crate::sealed::Name;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    fn account(recovery: Option<&RecoveryCertificate>) -> AccountKeys {
        AccountKeys::generate("account 1", &secret("a long password"), recovery, KdfCost::Test)
            .expect("generated")
    }

    fn stored(keys: &AccountKeys) -> AccountKeys {
        let bytes = postcard::to_stdvec(keys).expect("serialised");
        postcard::from_bytes(&bytes).expect("read")
    }

    #[test]
    fn each_credential_opens_its_slot_and_no_other_does() {
        let kit = RecoveryKit::generate().expect("kit");
        let mut keys = account(Some(&kit.certificate));
        let unlocked = keys.unlock_with_password(&secret("a long password")).expect("opens");
        let (id, app) = keys.add_app_password(&unlocked, "phone").expect("added");
        let keys = stored(&keys);
        assert!(AccountKeys::is_app_password(app.expose()));
        assert!(!AccountKeys::is_app_password("a long password"));
        assert!(!AccountKeys::is_app_password(kit.secret.expose()));
        let message = seal_message(b"to all", &[keys.certificate()]).expect("sealed");
        let app_typed = secret(&app.expose().to_uppercase().replace('-', " "));
        let kit_typed = secret(&kit.secret.expose().replace('-', ""));
        for unlocked in [
            keys.unlock_with_password(&secret("a long password")),
            keys.unlock_with_app_password(&app_typed),
            keys.unlock_with_recovery(&kit_typed),
        ] {
            let key = unlocked.expect("unlocked").unwrap_packet(&message.packets[0]);
            let opened = key.expect("unwrapped").open_body(&message.body);
            assert_eq!(opened.as_deref(), Ok(&b"to all"[..]));
        }
        let wrong = UnlockError::WrongCredential;
        assert_eq!(keys.unlock_with_password(&secret("a long passwore")).err(), Some(wrong));
        assert_eq!(keys.unlock_with_password(&app).err(), Some(wrong));
        assert_eq!(keys.unlock_with_app_password(&secret("a long password")).err(), Some(wrong));
        let other = RecoveryKit::generate().expect("kit");
        assert_eq!(keys.unlock_with_recovery(&other.secret).err(), Some(wrong));
        let mut keys = keys;
        assert!(keys.remove_slot(id));
        assert!(!keys.remove_slot(id));
        assert_eq!(keys.unlock_with_app_password(&app).err(), Some(wrong));
    }

    #[test]
    fn a_new_password_replaces_the_old_and_keeps_the_rest() {
        let mut keys = account(None);
        let unlocked = keys.unlock_with_password(&secret("a long password")).expect("opens");
        let (_, app) = keys.add_app_password(&unlocked, "tablet").expect("added");
        let sealed: Sealed<Name> = unlocked.seal(b"mailbox 1", b"Patients");
        keys.set_password(&unlocked, &secret("another one"), KdfCost::Test).expect("set");
        assert!(keys.unlock_with_password(&secret("a long password")).is_err());
        let again = keys.unlock_with_password(&secret("another one")).expect("opens");
        assert_eq!(again.open(b"mailbox 1", &sealed).as_deref(), Ok(&b"Patients"[..]));
        assert!(keys.unlock_with_app_password(&app).is_ok());
        let ids: Vec<_> = keys.slots().map(|slot| (slot.id, slot.kind)).collect();
        assert_eq!(ids, [(2, SlotKind::AppPassword), (3, SlotKind::Password)]);
        let stranger = account(None);
        let stranger = stranger.unlock_with_password(&secret("a long password")).expect("opens");
        let refused = keys.set_password(&stranger, &secret("mine now"), KdfCost::Test);
        assert!(matches!(refused, Err(SealError::WrongAccount)));
    }

    #[test]
    fn folded_keys_and_records_are_bound_to_account_and_context() {
        let (mine, other) = (account(None), account(None));
        let open = |keys: &AccountKeys| {
            keys.unlock_with_password(&secret("a long password")).expect("opens")
        };
        let (mine, other) = (open(&mine), open(&other));
        let message = seal_message(b"body", &[mine.certificate()]).expect("sealed");
        assert_eq!(other.unwrap_packet(&message.packets[0]).err(), Some(OpenError::Format));
        let folded = mine.wrap_session_key(&message.session_key, b"uid 1");
        let key = mine.open_session_key(&folded, b"uid 1").expect("opens");
        assert_eq!(key.open_body(&message.body).as_deref(), Ok(&b"body"[..]));
        let failed = Some(OpenError::NotAuthentic);
        assert_eq!(mine.open_session_key(&folded, b"uid 2").err(), failed);
        assert_eq!(other.open_session_key(&folded, b"uid 1").err(), failed);
        let record: Sealed<Record> = mine.seal(b"a", b"text");
        assert_eq!(mine.open(b"b", &record).err(), failed);
        assert_eq!(other.open(b"a", &record).err(), failed);
        assert_eq!(mine.open_session_key(record.as_bytes(), b"a").err(), failed);
        assert_ne!(mine.blind(&[b"x"]), other.blind(&[b"x"]));
    }

    #[test]
    fn a_record_holds_no_secret_in_the_clear() {
        let keys = account(None);
        let unlocked = keys.unlock_with_password(&secret("a long password")).expect("opens");
        let bytes = postcard::to_stdvec(&keys).expect("serialised");
        let inside = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        assert!(inside(unlocked.certificate.public()), "the test must be able to find something");
        assert!(!inside(unlocked.account_key.expose()));
        assert!(!inside(b"a long password"));
        let half = open_secret_half(&keys.certificate, &unlocked.account_key, &keys.secret_half);
        assert!(!inside(&half.expect("opens")[..32]));
    }
}
