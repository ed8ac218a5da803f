//! Key slots: one a credential, each holding the account key.

use serde::{Deserialize, Serialize};

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
    /// Argon2id with 64 MiB and 3 passes: about a quarter of a second.
    #[default]
    Interactive,
    /// Argon2id with 8 KiB and 1 pass: for tests only.
    Test,
}
