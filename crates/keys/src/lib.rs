//! The key hierarchy: who can open what.
//!
//! ```text
//! SystemKey (a file or a systemd credential; never on the data disk)
//!  └─ Keyring (random roots, wrapped by the system key) ─ DataKey, IndexKey: one a column of the store
//! AccountCertificate (OpenPGP, public: anybody can seal to it at any time)
//!  └─ AccountKeys: its secret half under an account key, the account key in slots, one a credential
//!      └─ Unlocked: minted by a credential only, wiped when dropped
//! message: Sealed<Body> (one encryption) + a KeyPacket for each recipient
//! ```
//!
//! Plaintext becomes storable only as [`Sealed`], and only functions of this crate make one from
//! plaintext. Nothing here does I/O except reading and writing the system key's file.

mod account;
mod aead;
mod certificate;
mod error;
mod exchange;
mod keyring;
mod link;
mod message;
mod paper;
mod sealed;
mod slot;
mod system;

pub use account::{AccountKeys, Unlocked};
pub use certificate::{AccountCertificate, RecoveryCertificate, RecoveryKit};
pub use error::{KeyringError, OpenError, SealError, SystemKeyError, UnlockError};
pub use keyring::{DataKey, IndexKey, Keyring};
pub use link::LinkKey;
pub use message::{KeyPacket, SealedMessage, SessionKey, seal_message, to_openpgp};
pub use sealed::{Body, Index, Name, Record, Sealed};
pub use slot::{KdfCost, SlotInfo, SlotKind};
pub use system::SystemKey;
