//! What the directory tells about people, addresses and keys.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wardpost_keys::{KdfCost, Unlocked};
use wardpost_mail::{AccountId, Address, Domain, Secret};

use crate::login::Revocation;

/// How the directory is run. The defaults are the product's.
#[derive(Debug, Clone)]
pub struct Options {
    /// Cost of new password slots.
    pub kdf_cost: KdfCost,
    /// How long an account stays unlocked after its last session ended.
    pub grace: Duration,
    /// How many password hashes (64 MiB each) may run at once.
    pub hashes_at_once: usize,
    /// How long the records of DKIM keys stay published after their last signature: mail may be under
    /// way, wait in queues, and be verified again by whoever forwards it.
    pub dkim_overlap: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kdf_cost: KdfCost::Interactive,
            grace: Duration::from_secs(60),
            hashes_at_once: 2,
            dkim_overlap: Duration::from_secs(12 * 24 * 3600),
        }
    }
}

impl Options {
    /// Cheap password hashing, for tests only.
    pub fn for_tests() -> Self {
        Self { kdf_cost: KdfCost::Test, ..Self::default() }
    }
}

/// A person, or a shared account, as others may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The number the account's records are kept under. Never reused.
    pub id: AccountId,
    /// The account's own address, in folded form.
    pub address: Address,
    /// The name shown to people ("Dana Lee, MD"). May be empty.
    pub name: String,
    /// When the account was made, Unix seconds.
    pub created: i64,
    /// Whether this person may look after the box.
    pub administrator: bool,
    /// Whether signing in on a page wants a code from an authenticator app, too. Mail programs then
    /// need app passwords.
    pub second_factor: bool,
}

impl Account {
    /// What to call the person: the name, or the address if there is none.
    pub fn called(&self) -> Cow<'_, str> {
        match self.name.trim() {
            "" => self.address.to_string().into(),
            name => name.into(),
        }
    }
}

/// What it takes to make an account.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// The address; its domain must be one of ours.
    pub address: Address,
    /// The name shown to people. May be empty.
    pub name: String,
    /// The first password.
    pub password: Secret<String>,
    /// Whether this person may look after the box.
    pub administrator: bool,
}

/// Where somebody logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// A mail program (IMAP, submission). It cannot ask for a second factor: where the account has one,
    /// only app passwords count.
    MailProgram,
    /// A page in a browser. App passwords do not count there, and the password is only half of it where
    /// the account has a second factor: see [`Directory::check_second_factor`].
    ///
    /// [`Directory::check_second_factor`]: crate::Directory::check_second_factor
    Page,
}

/// Wrong codes of an account's second factor since the last right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongCodes {
    /// How many.
    pub count: u32,
    /// When the first of them was tried, Unix seconds.
    pub since: i64,
}

/// Somebody who was invited, and has not chosen a password yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The address that the account will have, in folded form.
    pub address: Address,
    /// The name shown to people. May be empty.
    pub name: String,
    /// When the invitation was made, Unix seconds.
    pub made: i64,
    /// Until when it holds, Unix seconds.
    pub ends: i64,
}

/// Several people behind one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The address, in folded form.
    pub address: Address,
    /// Whom it reaches.
    pub targets: Vec<AccountId>,
}

/// An app password, without the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppPassword {
    /// The slot's number within the account.
    pub slot: u32,
    /// What its owner calls it ("iPhone").
    pub label: String,
    /// When it was made, Unix seconds.
    pub created: i64,
}

/// Whom an address reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// These accounts, at least one, each once.
    Accounts(Vec<AccountId>),
    /// The domain is ours, but nobody has the address.
    Unknown,
    /// The domain is not ours.
    NotOurs,
}

/// Which algorithm a DKIM key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DkimAlgorithm {
    /// `ed25519-sha256` (RFC 8463).
    Ed25519,
    /// `rsa-sha256` with 2048 bits (RFC 6376, RFC 8301).
    Rsa2048,
}

/// A domain's key for signing outgoing mail.
#[derive(Debug, Clone)]
pub struct DkimKey {
    /// The selector: the record stands at `<selector>._domainkey.<domain>`.
    pub selector: String,
    /// What the key is for.
    pub algorithm: DkimAlgorithm,
    /// The private key, PKCS#8 DER. Empty once the key signs no more.
    pub private_pkcs8: Secret<Vec<u8>>,
    /// The text of the TXT record to publish (RFC 6376 §3.6.1).
    pub public_record: String,
}

impl DkimKey {
    /// The name the public record is published under.
    pub fn record_name(&self, domain: &Domain) -> String {
        format!("{}._domainkey.{domain}", self.selector)
    }
}

/// The keys of a domain that sign together, one of each algorithm.
#[derive(Debug, Clone)]
pub struct DkimPair {
    /// Counts up, and is never used again in the domain; the selectors are made from it.
    pub generation: u32,
    /// Where the pair stands.
    pub stage: DkimStage,
    /// The keys.
    pub keys: Vec<DkimKey>,
}

/// Where a pair of DKIM keys stands. Times are Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DkimStage {
    /// Made, to be published, and used for signing only when it is.
    Waiting {
        /// When it was made.
        made: i64,
        /// Since when its records were there at every look.
        seen_since: Option<i64>,
    },
    /// Signs outgoing mail.
    Signing {
        /// Since when.
        since: i64,
    },
    /// Signs no more. Its private keys are gone.
    Retired {
        /// Since when.
        since: i64,
        /// How long its records stay; after that they may go.
        until: i64,
    },
}

/// What was seen of the records of a pair that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DkimLook {
    /// No pair waits.
    NothingWaits,
    /// Under these names no record with the key was found.
    Missing(Vec<String>),
    /// All are there, and were at every look since (Unix seconds).
    Published {
        /// Since when.
        since: i64,
    },
}

/// A successful log-in. While any clone of `unlocked` lives, the account stays unlocked.
#[derive(Clone)]
pub struct Login {
    /// Who it is.
    pub account: Account,
    /// The account's keys.
    pub unlocked: Arc<Unlocked>,
    /// Tells when the credential behind this log-in was taken away: end the session then.
    pub revocation: Revocation,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("account", &self.account.id).finish_non_exhaustive()
    }
}

/// Counters since the start, and what is unlocked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DirectoryStats {
    /// Log-ins that succeeded.
    pub logins_ok: u64,
    /// Log-ins refused for a wrong or unknown credential.
    pub logins_failed: u64,
    /// Log-ins turned away without a look, because too many failed before.
    pub logins_slowed: u64,
    /// Log-ins that ran a full password hash.
    pub hashes: u64,
    /// Accounts whose keys are in memory.
    pub unlocked: usize,
    /// Accounts in the directory.
    pub accounts: usize,
}
