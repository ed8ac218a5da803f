//! People, addresses, domains and credentials.

mod error;
mod login;
mod types;

pub use error::{AuthError, DirectoryError};
pub use login::Revocation;
pub use types::{
    Account, Alias, AppPassword, DirectoryStats, DkimAlgorithm, DkimKey, Login, NewAccount,
    Options, Resolution,
};

use std::net::IpAddr;
use std::sync::Arc;

use wardpost_keys::{AccountCertificate, RecoveryKit, Unlocked};
use wardpost_mail::{AccountId, Address, Domain, Secret};
use wardpost_store::Store;

struct Inner {}

/// The directory. Clones share everything.
#[derive(Clone)]
pub struct Directory(#[allow(dead_code)] Arc<Inner>);

impl Directory {
    /// Opens the directory kept in `store`; `domain` is the main domain, which is added when missing.
    ///
    /// # Errors
    /// When the store fails or a record cannot be read.
    pub async fn open(store: Store, domain: &Domain) -> Result<Self, DirectoryError> {
        Self::open_with(store, domain, Options::default()).await
    }

    /// [`Directory::open`] with options.
    ///
    /// # Errors
    /// When the store fails or a record cannot be read.
    pub async fn open_with(
        _store: Store,
        _domain: &Domain,
        _options: Options,
    ) -> Result<Self, DirectoryError> {
        unimplemented!()
    }

    /// First-run set-up: makes the practice's recovery certificate. The kit, whose secret half is kept
    /// nowhere, is handed out exactly once; afterwards the answer is `None`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn initialise(&self) -> Result<Option<RecoveryKit>, DirectoryError> {
        unimplemented!()
    }

    /// The domains served here, the main one first.
    pub fn domains(&self) -> Vec<Domain> {
        unimplemented!()
    }

    /// Whether mail for `domain` is ours.
    pub fn is_ours(&self, _domain: &Domain) -> bool {
        unimplemented!()
    }

    /// Adds a domain and makes its DKIM keys. A domain that is there already is left as it is.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn add_domain(&self, _domain: &Domain) -> Result<(), DirectoryError> {
        unimplemented!()
    }

    /// Removes a domain and its DKIM keys.
    ///
    /// # Errors
    /// [`DirectoryError::DomainInUse`] while an account or alias is in it, or when it is the main domain.
    pub async fn remove_domain(&self, _domain: &Domain) -> Result<(), DirectoryError> {
        unimplemented!()
    }

    /// The keys that sign mail from `domain`; empty when the domain is not ours.
    pub fn dkim_keys(&self, _domain: &Domain) -> Vec<DkimKey> {
        unimplemented!()
    }

    /// Adds an account with fresh keys.
    ///
    /// # Errors
    /// When the address is taken or not in our domains, the password is weak, or the store fails.
    pub async fn add_account(&self, _new: NewAccount) -> Result<AccountId, DirectoryError> {
        unimplemented!()
    }

    /// Removes an account and, with it, every way to open its mail. Its aliases lose it as a target.
    ///
    /// # Errors
    /// When there is no such account or the store fails.
    pub async fn remove_account(&self, _id: AccountId) -> Result<(), DirectoryError> {
        unimplemented!()
    }

    /// All accounts, by id.
    pub fn accounts(&self) -> Vec<Account> {
        unimplemented!()
    }

    /// One account.
    pub fn account(&self, _id: AccountId) -> Option<Account> {
        unimplemented!()
    }

    /// The account whose own address this is (aliases are not looked at).
    pub fn account_by_address(&self, _address: &Address) -> Option<Account> {
        unimplemented!()
    }

    /// Points an address at accounts, in place of what it pointed at before.
    ///
    /// # Errors
    /// When the address is an account's, a target does not exist, or the store fails.
    pub async fn add_alias(
        &self,
        _address: &Address,
        _targets: Vec<AccountId>,
    ) -> Result<(), DirectoryError> {
        unimplemented!()
    }

    /// Removes an alias.
    ///
    /// # Errors
    /// When there is no such alias or the store fails.
    pub async fn remove_alias(&self, _address: &Address) -> Result<(), DirectoryError> {
        unimplemented!()
    }

    /// All aliases, by address.
    pub fn aliases(&self) -> Vec<Alias> {
        unimplemented!()
    }

    /// Whom an address reaches: case and sub-address (`+detail`) do not matter, and `postmaster`
    /// always reaches someone (RFC 5321 §4.5.1).
    pub fn resolve(&self, _address: &Address) -> Resolution {
        unimplemented!()
    }

    /// The certificate an account's mail is sealed to.
    pub fn certificate(&self, _id: AccountId) -> Option<AccountCertificate> {
        unimplemented!()
    }

    /// Whether an account may put `address` into MAIL FROM and From: its own address, with or without
    /// a sub-address, and the aliases that reach it.
    pub fn may_send_as(&self, _id: AccountId, _address: &Address) -> bool {
        unimplemented!()
    }

    /// Logs in. `login` is a full address, or the local part of one in the main domain.
    ///
    /// # Errors
    /// See [`AuthError`]. An unknown account costs as much time as a wrong password.
    pub async fn authenticate(
        &self,
        _login: &str,
        _password: &Secret<String>,
        _peer: IpAddr,
    ) -> Result<Login, AuthError> {
        unimplemented!()
    }

    /// Sets a new password for an account whose keys are open. Sessions opened with the old password
    /// are revoked; app passwords stay.
    ///
    /// # Errors
    /// When the password is weak, there is no such account, or the store fails.
    pub async fn change_password(
        &self,
        _id: AccountId,
        _unlocked: &Unlocked,
        _new: &Secret<String>,
    ) -> Result<(), DirectoryError> {
        unimplemented!()
    }

    /// [`Directory::change_password`], proving the current password first.
    ///
    /// # Errors
    /// [`DirectoryError::WrongSecret`] when `current` is wrong; else as for `change_password`.
    pub async fn change_password_with(
        &self,
        _id: AccountId,
        _current: &Secret<String>,
        _new: &Secret<String>,
    ) -> Result<(), DirectoryError> {
        unimplemented!()
    }

    /// Sets a new password with the secret of the practice's recovery kit.
    ///
    /// # Errors
    /// [`DirectoryError::WrongSecret`] when the kit's secret does not open the account.
    pub async fn reset_with_recovery(
        &self,
        _id: AccountId,
        _kit: &Secret<String>,
        _new: &Secret<String>,
    ) -> Result<(), DirectoryError> {
        unimplemented!()
    }

    /// Makes an app password; it is shown once and kept nowhere.
    ///
    /// # Errors
    /// When there is no such account, the label is too long, or the store fails.
    pub async fn add_app_password(
        &self,
        _id: AccountId,
        _unlocked: &Unlocked,
        _label: &str,
    ) -> Result<Secret<String>, DirectoryError> {
        unimplemented!()
    }

    /// Opens an account with its password, for administration (an app password is to be made, mail
    /// to be exported). Not throttled and not counted as a log-in: for the local socket only.
    ///
    /// # Errors
    /// [`DirectoryError::WrongSecret`] when the password is wrong.
    pub async fn unlock(
        &self,
        _id: AccountId,
        _password: &Secret<String>,
    ) -> Result<Arc<Unlocked>, DirectoryError> {
        unimplemented!()
    }

    /// An account's app passwords.
    pub fn app_passwords(&self, _id: AccountId) -> Vec<AppPassword> {
        unimplemented!()
    }

    /// Takes an app password away and revokes the sessions opened with it.
    ///
    /// # Errors
    /// When there is no such account or slot, or the store fails.
    pub async fn remove_app_password(
        &self,
        _id: AccountId,
        _slot: u32,
    ) -> Result<(), DirectoryError> {
        unimplemented!()
    }

    /// How many accounts have their keys in memory.
    pub fn unlocked_count(&self) -> usize {
        unimplemented!()
    }

    /// Counters for the metrics page.
    pub fn stats(&self) -> DirectoryStats {
        unimplemented!()
    }
}
