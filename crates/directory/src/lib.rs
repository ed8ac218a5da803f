//! People, addresses, domains and credentials.
//!
//! A practice has a few dozen people at most, so the whole directory is in memory; `Column::Directory`
//! keeps it: one record each for the system, every account (with its [`AccountKeys`]), every alias and
//! every domain (with its DKIM keys). Accounts are kept under their number, aliases and domains under
//! keyed hashes. Changes go one at a time: the record is committed first, then shown.
//!
//! [`Directory::authenticate`] is the only way to an [`Unlocked`] handle besides the recovery kit: a
//! password opens its slot by Argon2id, an app password by a fast hash. Guessing is slowed for each
//! pair of account and network (`throttle`). While somebody is logged in, and for a short grace after,
//! the account stays unlocked and credentials already proven are recognised at once (`unlocked`).
//!
//! An account may have a second factor (`second_factor`): pages then want a code from an authenticator
//! app after the password, and mail programs, which cannot ask for one, need app passwords. Wrong codes are
//! counted for the account, wherever they come from (`codes`).
//!
//! Taking a credential away is felt at once: it is not recognised any more, and the sessions that it
//! opened are told by their [`Revocation`].
//!
//! Left out on purpose: groups (an alias with several targets does), roles beyond administrators (who
//! may use the pages about the box; whoever may use the control socket administers in any case),
//! external directories.
//!
//! [`AccountKeys`]: wardpost_keys::AccountKeys

mod book;
mod codes;
mod dkim;
mod error;
mod invitations;
mod login;
mod password;
mod records;
mod removal;
mod rotation;
pub mod second_factor;
mod throttle;
mod types;
mod unlocked;

#[cfg(test)]
mod tests;

pub use error::{AuthError, DirectoryError};
pub use login::Revocation;
pub use removal::{FakeRemoval, Removal, Removed};
pub use types::{
    Account, Alias, AppPassword, DirectoryStats, DkimAlgorithm, DkimKey, DkimLook, DkimPair,
    DkimStage, Invitation, Login, NewAccount, Options, Resolution, Way, WrongCodes,
};

use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::RwLock;
use tokio::sync::Mutex as AsyncMutex;
use wardpost_keys::{
    AccountCertificate, AccountKeys, RecoveryCertificate, RecoveryKit, SealError, SlotKind,
    UnlockError, Unlocked,
};
use wardpost_mail::{AccountId, Address, Domain, Secret};
use wardpost_store::{Batch, Column, Store};

use crate::book::{Book, Person};
use crate::invitations::delete_invitations;
use crate::login::Logins;
use crate::records::{
    AccountRecord, AliasRecord, RemovedRecord, SYSTEM, account_key, alias_key, decode, domain_key,
    encode, encode_account, removed_key,
};
use crate::rotation::DomainKeys;
use crate::throttle::Target;

/// Longest name or label, in characters.
const MAX_NAME: usize = 200;

struct Inner {
    store: Store,
    main: Domain,
    options: Options,
    book: RwLock<Book>,
    /// Held by whoever changes the directory.
    writer: Arc<AsyncMutex<()>>,
    logins: Arc<Logins>,
}

/// The directory. Clones share everything.
#[derive(Clone)]
pub struct Directory(Arc<Inner>);

impl Directory {
    /// Opens the directory kept in `store`; `domain` is the main domain, which is added, with its DKIM
    /// keys, when missing.
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
        store: Store,
        domain: &Domain,
        options: Options,
    ) -> Result<Self, DirectoryError> {
        let reading = store.clone();
        let book = blocking(move || Book::read(&reading)).await?;
        let logins = Logins::new(options.clone())
            .map_err(|_| DirectoryError::Keys("no random numbers".to_owned()))?;
        let logins = Arc::new(logins);
        let directory = Self(Arc::new(Inner {
            store,
            main: domain.clone(),
            options,
            book: RwLock::new(book),
            writer: Arc::default(),
            logins,
        }));
        directory.add_domain(domain).await?;
        let inner = Arc::downgrade(&directory.0);
        let sweep_every = (directory.0.options.grace / 4)
            .clamp(Duration::from_millis(20), Duration::from_secs(5));
        tokio::spawn(sweep(inner, sweep_every));
        Ok(directory)
    }

    /// First-run set-up: makes the practice's recovery certificate. The kit, whose secret half is kept
    /// nowhere, is handed out exactly once; afterwards the answer is `None`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn initialise(&self) -> Result<Option<RecoveryKit>, DirectoryError> {
        if self.is_initialised() {
            return Ok(None);
        }
        let kit = blocking(|| Ok(RecoveryKit::generate()?)).await?;
        Ok(self.initialise_with(&kit.certificate).await?.then_some(kit))
    }

    /// [`Directory::initialise`] with a kit that is on paper already: whether it was taken, or there was
    /// one before.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn initialise_with(
        &self,
        certificate: &RecoveryCertificate,
    ) -> Result<bool, DirectoryError> {
        let certificate = certificate.clone();
        self.write(move |directory| async move {
            let mut system = directory.book.read().system.clone();
            if system.recovery.is_some() {
                return Ok(false);
            }
            system.recovery = Some(certificate);
            let mut batch = Batch::new();
            batch.put(Column::Directory, SYSTEM, encode(&system));
            directory.store.commit(batch).await?;
            directory.book.write().system = system;
            tracing::info!("recovery certificate made");
            Ok(true)
        })
        .await
    }

    /// Whether the recovery certificate was made.
    pub fn is_initialised(&self) -> bool {
        self.0.book.read().system.recovery.is_some()
    }

    /// The domains served here, the main one first.
    pub fn domains(&self) -> Vec<Domain> {
        let mut domains: Vec<Domain> = self.0.book.read().domains.keys().cloned().collect();
        domains.sort_by_key(|domain| *domain != self.0.main);
        domains
    }

    /// Whether mail for `domain` is ours.
    pub fn is_ours(&self, domain: &Domain) -> bool {
        self.0.book.read().domains.contains_key(domain)
    }

    /// Adds a domain and makes its DKIM keys. A domain that is there already is left as it is.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn add_domain(&self, domain: &Domain) -> Result<(), DirectoryError> {
        let domain = domain.clone();
        self.write(|directory| async move {
            if directory.book.read().domains.contains_key(&domain) {
                return Ok(());
            }
            let removed = removed_key(&directory.store, &domain);
            let generation = match directory.store.get(Column::Directory, &removed)? {
                Some(bytes) => decode::<RemovedRecord>(&bytes, "removed domain")?.next_generation,
                None => 1,
            };
            let keys = blocking(move || DomainKeys::first(generation, now())).await?;
            let mut batch = Batch::new();
            batch.delete(Column::Directory, removed);
            directory.replace_domain(batch, domain, keys).await
        })
        .await
    }

    /// Removes a domain with its DKIM keys and the invitations to it.
    ///
    /// # Errors
    /// [`DirectoryError::DomainInUse`] while an account or alias is in it, or when it is the main domain.
    pub async fn remove_domain(&self, domain: &Domain) -> Result<(), DirectoryError> {
        let domain = domain.clone();
        self.write(|directory| async move {
            let (next_generation, invitations) = {
                let book = directory.book.read();
                let Some(keys) = book.domains.get(&domain) else {
                    return Err(DirectoryError::NoSuchDomain);
                };
                let people = book.people.values().map(|person| &person.account.address);
                let in_use = people.chain(book.aliases.keys()).any(|a| *a.domain() == domain);
                if in_use || domain == directory.main {
                    return Err(DirectoryError::DomainInUse);
                }
                let invitations = book.invitations_where(|guest| guest.address.domain() == &domain);
                (keys.next_generation, invitations)
            };
            let mut batch = Batch::new();
            batch.delete(Column::Directory, domain_key(&directory.store, &domain));
            let removed = RemovedRecord { next_generation };
            batch.put(Column::Directory, removed_key(&directory.store, &domain), encode(&removed));
            delete_invitations(&mut batch, &invitations);
            directory.store.commit(batch).await?;
            let mut book = directory.book.write();
            book.domains.remove(&domain);
            book.remove_invitations(&invitations);
            Ok(())
        })
        .await
    }

    /// The keys that sign mail from `domain`; empty when the domain is not ours.
    pub fn dkim_keys(&self, domain: &Domain) -> Vec<DkimKey> {
        self.0.book.read().domains.get(domain).map(DomainKeys::signing).unwrap_or_default()
    }

    /// Adds an account with fresh keys. An invitation to its address ends.
    ///
    /// # Errors
    /// When the address is taken or not in our domains, the password is weak, or the store fails.
    pub async fn add_account(&self, new: NewAccount) -> Result<AccountId, DirectoryError> {
        self.create_account(new, None).await
    }

    /// Adds an account, because of an invitation if there is one. Every invitation to the address is used
    /// up: none makes the account once more after it was removed.
    async fn create_account(
        &self,
        new: NewAccount,
        invitation: Option<Vec<u8>>,
    ) -> Result<AccountId, DirectoryError> {
        let address = new.address.folded();
        check_name(&new.name)?;
        password::check(new.password.expose(), &address)?;
        self.write(move |directory| async move {
            let (mut system, invitations) = {
                let book = directory.book.read();
                if !book.domains.contains_key(address.domain()) {
                    return Err(DirectoryError::NotOurDomain);
                }
                if book.is_taken(&address) {
                    return Err(DirectoryError::AddressTaken);
                }
                // Withdrawn or used meanwhile.
                if invitation.as_ref().is_some_and(|key| !book.invitations.contains_key(key)) {
                    return Err(DirectoryError::NoSuchInvitation);
                }
                let invitations = book.invitations_where(|guest| guest.address == address);
                (book.system.clone(), invitations)
            };
            let recovery = system.recovery.clone().ok_or(DirectoryError::NotInitialised)?;
            let id = AccountId(system.next_account);
            system.next_account += 1;
            let (label, cost) = (format!("account {id}"), directory.options.kdf_cost);
            let keys = directory
                .hash(move || AccountKeys::generate(&label, &new.password, Some(&recovery), cost))
                .await?;
            let record = AccountRecord {
                address,
                name: new.name,
                created: now(),
                keys,
                administrator: new.administrator,
                second_factor: None,
            };
            let mut batch = Batch::new();
            batch.put(Column::Directory, account_key(id), encode_account(&record));
            batch.put(Column::Directory, SYSTEM, encode(&system));
            delete_invitations(&mut batch, &invitations);
            directory.store.commit(batch).await?;
            let mut book = directory.book.write();
            book.remove_invitations(&invitations);
            book.system = system;
            book.put_person(id, record);
            tracing::info!(account = %id, "account added");
            Ok(id)
        })
        .await
    }

    /// Removes an account and, with it, every way to open its mail. Its sessions are revoked; aliases
    /// lose it as a target, and those that reach nobody else are removed.
    ///
    /// # Errors
    /// When there is no such account, it is the only administrator's, or the store fails.
    pub async fn remove_account(&self, id: AccountId) -> Result<(), DirectoryError> {
        self.write(move |directory| async move {
            directory.keep_an_administrator(id)?;
            let mut batch = Batch::new();
            batch.delete(Column::Directory, account_key(id));
            let mut aliases = directory.book.read().aliases.clone();
            for (address, targets) in aliases.iter_mut().filter(|(_, t)| t.contains(&id)) {
                targets.retain(|target| *target != id);
                directory.put_alias(&mut batch, address, targets);
            }
            aliases.retain(|_, targets| !targets.is_empty());
            directory.store.commit(batch).await?;
            {
                let mut book = directory.book.write();
                book.remove_person(id);
                book.aliases = aliases;
            }
            directory.logins.forget(id);
            tracing::info!(account = %id, "account removed");
            Ok(())
        })
        .await
    }

    /// All accounts, by id.
    pub fn accounts(&self) -> Vec<Account> {
        self.0.book.read().people.values().map(|person| person.account.clone()).collect()
    }

    /// One account.
    pub fn account(&self, id: AccountId) -> Option<Account> {
        self.0.book.read().people.get(&id).map(|person| person.account.clone())
    }

    /// Whether this was an account, and is none any more. It never will be again: no number is given
    /// twice, and an account that is just being made was none before.
    pub fn was_removed(&self, id: AccountId) -> bool {
        let book = self.0.book.read();
        (1..book.system.next_account).contains(&id.0) && !book.people.contains_key(&id)
    }

    /// The account whose own address this is (aliases are not looked at).
    pub fn account_by_address(&self, address: &Address) -> Option<Account> {
        self.0.book.read().by_address(&address.folded()).map(|person| person.account.clone())
    }

    /// Points an address at accounts, in place of what it pointed at before.
    ///
    /// # Errors
    /// When the address is an account's, a target does not exist, or the store fails.
    pub async fn add_alias(
        &self,
        address: &Address,
        mut targets: Vec<AccountId>,
    ) -> Result<(), DirectoryError> {
        let address = address.folded();
        targets.sort_unstable();
        targets.dedup();
        self.write(|directory| async move {
            {
                let book = directory.book.read();
                if !book.domains.contains_key(address.domain()) {
                    return Err(DirectoryError::NotOurDomain);
                }
                if book.by_address(&address).is_some() {
                    return Err(DirectoryError::AddressTaken);
                }
                if !targets.iter().all(|id| book.people.contains_key(id)) {
                    return Err(DirectoryError::NoSuchAccount);
                }
            }
            if targets.is_empty() {
                return Err(DirectoryError::NoTargets);
            }
            let mut batch = Batch::new();
            directory.put_alias(&mut batch, &address, &targets);
            directory.store.commit(batch).await?;
            directory.book.write().aliases.insert(address, targets);
            Ok(())
        })
        .await
    }

    /// Removes an alias.
    ///
    /// # Errors
    /// When there is no such alias or the store fails.
    pub async fn remove_alias(&self, address: &Address) -> Result<(), DirectoryError> {
        let address = address.folded();
        self.write(|directory| async move {
            if !directory.book.read().aliases.contains_key(&address) {
                return Err(DirectoryError::NoSuchAlias);
            }
            let mut batch = Batch::new();
            directory.put_alias(&mut batch, &address, &[]);
            directory.store.commit(batch).await?;
            directory.book.write().aliases.remove(&address);
            Ok(())
        })
        .await
    }

    /// All aliases, by address.
    pub fn aliases(&self) -> Vec<Alias> {
        let book = self.0.book.read();
        let alias = |(address, targets): (&Address, &Vec<AccountId>)| Alias {
            address: address.clone(),
            targets: targets.clone(),
        };
        book.aliases.iter().map(alias).collect()
    }

    /// Whom an address reaches: case and sub-address (`+detail`) do not matter, and `postmaster`
    /// always reaches someone (RFC 5321 §4.5.1).
    pub fn resolve(&self, address: &Address) -> Resolution {
        self.0.book.read().resolve(address)
    }

    /// The certificate an account's mail is sealed to.
    pub fn certificate(&self, id: AccountId) -> Option<AccountCertificate> {
        self.0.book.read().people.get(&id).map(|person| person.keys.certificate().clone())
    }

    /// Whether an account may put `address` into MAIL FROM and From: its own address, with or without
    /// a sub-address, and the aliases that reach it.
    pub fn may_send_as(&self, id: AccountId, address: &Address) -> bool {
        self.0.book.read().may_send_as(id, address)
    }

    /// Logs in. `login` is a full address, or the local part of one in the main domain. On a page, an
    /// account with a second factor is not logged in before [`Directory::check_second_factor`] says so,
    /// too.
    ///
    /// # Errors
    /// See [`AuthError`]. An unknown account costs as much time as a wrong password.
    pub async fn authenticate(
        &self,
        login: &str,
        password: &Secret<String>,
        peer: IpAddr,
        way: Way,
    ) -> Result<Login, AuthError> {
        let Inner { logins, book, main, .. } = &*self.0;
        logins.authenticate(book, main, login, password, peer, way).await
    }

    /// Whether this is an administrator, and nobody else is: then they stay one, and their account stays.
    pub fn is_only_administrator(&self, id: AccountId) -> bool {
        self.0.book.read().is_only_administrator(id)
    }

    /// Makes somebody an administrator, or takes that away.
    ///
    /// # Errors
    /// When there is no such account, it is the only administrator's and is to be one no longer, or the
    /// store fails.
    pub async fn set_administrator(
        &self,
        id: AccountId,
        administrator: bool,
    ) -> Result<(), DirectoryError> {
        self.write(move |directory| async move {
            if !administrator {
                directory.keep_an_administrator(id)?;
            }
            let mut record = directory.person(id)?.record();
            record.administrator = administrator;
            directory.replace_account(id, record).await?;
            tracing::info!(account = %id, administrator, "administrator's right changed");
            Ok(())
        })
        .await
    }

    /// Gives an account a second factor (a secret of [`second_factor::new_secret`], once its owner
    /// proved that the app has it), another one, or none. With one, what mail programs opened with the
    /// password ends; app passwords stay.
    ///
    /// # Errors
    /// When there is no such account or the store fails.
    pub async fn set_second_factor(
        &self,
        id: AccountId,
        secret: Option<Secret<Vec<u8>>>,
    ) -> Result<(), DirectoryError> {
        self.write(move |directory| async move {
            let person = directory.person(id)?;
            let mut record = person.record();
            let on = secret.is_some();
            record.second_factor = secret.map(|secret| secret.expose().clone());
            directory.replace_account(id, record).await?;
            directory.logins.codes.lock().forget(id);
            // What mail programs tried in vain may count again.
            directory.logins.throttle.lock().forget_wrong(Target::from(id.0));
            if on {
                let mut unlocked = directory.logins.unlocked.lock();
                for slot in person.keys.slots().filter(|slot| slot.kind == SlotKind::Password) {
                    unlocked.end_sessions(id, slot.id, Way::MailProgram);
                }
            }
            tracing::info!(account = %id, on, "second factor changed");
            Ok(())
        })
        .await
    }

    /// Checks a code of an account's second factor: the one that the app shows at `now`, before or
    /// after. Each counts once. Wrong ones slow the account down, from wherever they come, until a right
    /// one; the answer is what was tried before it, for the account's owner.
    ///
    /// # Errors
    /// See [`AuthError`]; [`AuthError::Rejected`] also when the account has no second factor.
    pub fn check_second_factor(
        &self,
        id: AccountId,
        code: &str,
        now: SystemTime,
    ) -> Result<Option<WrongCodes>, AuthError> {
        let person = self.0.person(id).map_err(|_| AuthError::Rejected)?;
        self.0.logins.check_second_factor(&person, code, now)
    }

    /// Sets a new password for an account whose keys are open. Sessions opened with the old password
    /// are revoked; app passwords stay.
    ///
    /// # Errors
    /// When the password is weak, there is no such account, or the store fails.
    pub async fn change_password(
        &self,
        id: AccountId,
        unlocked: &Arc<Unlocked>,
        new: &Secret<String>,
    ) -> Result<(), DirectoryError> {
        password::check(new.expose(), &self.0.person(id)?.account.address)?;
        let (unlocked, new) = (unlocked.clone(), new.clone());
        self.write(move |directory| async move {
            let mut keys = directory.person(id)?.keys.clone();
            let cost = directory.options.kdf_cost;
            let keys = directory
                .hash(move || {
                    keys.set_password(&unlocked, &new, cost)?;
                    Ok(keys)
                })
                .await?;
            directory.replace_keys(id, keys).await?;
            directory.logins.throttle.lock().forget_wrong(Target::from(id.0));
            directory.logins.codes.lock().let_go(id);
            tracing::info!(account = %id, "password changed");
            Ok(())
        })
        .await
    }

    /// [`Directory::change_password`], proving the current password first.
    ///
    /// # Errors
    /// [`DirectoryError::WrongSecret`] when `current` is wrong; else as for `change_password`.
    pub async fn change_password_with(
        &self,
        id: AccountId,
        current: &Secret<String>,
        new: &Secret<String>,
    ) -> Result<(), DirectoryError> {
        let unlocked = self.unlock(id, current).await?;
        self.change_password(id, &unlocked, new).await
    }

    /// Sets a new password with the secret of the practice's recovery kit.
    ///
    /// # Errors
    /// [`DirectoryError::WrongSecret`] when the kit's secret does not open the account.
    pub async fn reset_with_recovery(
        &self,
        id: AccountId,
        kit: &Secret<String>,
        new: &Secret<String>,
    ) -> Result<(), DirectoryError> {
        let unlocked = self.unlock_with_recovery(id, kit).await?;
        self.change_password(id, &unlocked, new).await
    }

    /// Opens an account with the secret of the practice's recovery kit: for a forgotten password or a
    /// lost second factor.
    ///
    /// # Errors
    /// [`DirectoryError::WrongSecret`] when the kit's secret does not open the account.
    pub async fn unlock_with_recovery(
        &self,
        id: AccountId,
        kit: &Secret<String>,
    ) -> Result<Arc<Unlocked>, DirectoryError> {
        let (person, kit) = (self.0.person(id)?, kit.clone());
        let unlocked = blocking(move || Ok(person.keys.unlock_with_recovery(&kit)?)).await?;
        tracing::warn!(account = %id, "unlocked with the recovery kit");
        Ok(Arc::new(unlocked))
    }

    /// Makes an app password; it is shown once and kept nowhere.
    ///
    /// # Errors
    /// When there is no such account, the label is too long, or the store fails.
    pub async fn add_app_password(
        &self,
        id: AccountId,
        unlocked: &Arc<Unlocked>,
        label: &str,
    ) -> Result<Secret<String>, DirectoryError> {
        check_name(label)?;
        let (unlocked, label) = (unlocked.clone(), label.to_owned());
        self.write(move |directory| async move {
            let mut keys = directory.person(id)?.keys.clone();
            let (_, password) = keys.add_app_password(&unlocked, &label)?;
            directory.replace_keys(id, keys).await?;
            tracing::info!(account = %id, "app password made");
            Ok(password)
        })
        .await
    }

    /// Opens an account with its password, for administration (an app password is to be made, mail
    /// to be exported). Not throttled and not counted as a log-in: for the local socket only.
    ///
    /// # Errors
    /// [`DirectoryError::WrongSecret`] when the password is wrong.
    pub async fn unlock(
        &self,
        id: AccountId,
        password: &Secret<String>,
    ) -> Result<Arc<Unlocked>, DirectoryError> {
        let (person, password) = (self.0.person(id)?, password.clone());
        let opened = self.0.hash(move || Ok(person.keys.unlock_with_password(&password))).await?;
        Ok(Arc::new(opened?))
    }

    /// An account's app passwords.
    pub fn app_passwords(&self, id: AccountId) -> Vec<AppPassword> {
        let Ok(person) = self.0.person(id) else { return Vec::new() };
        let app = |slot: &&wardpost_keys::SlotInfo| slot.kind == SlotKind::AppPassword;
        let show = |slot: &wardpost_keys::SlotInfo| AppPassword {
            slot: slot.id,
            label: slot.label.clone(),
            created: slot.created,
        };
        person.keys.slots().filter(app).map(show).collect()
    }

    /// Takes an app password away and revokes the sessions opened with it.
    ///
    /// # Errors
    /// When there is no such account or slot, or the store fails.
    pub async fn remove_app_password(
        &self,
        id: AccountId,
        slot: u32,
    ) -> Result<(), DirectoryError> {
        self.write(move |directory| async move {
            let mut keys = directory.person(id)?.keys.clone();
            let is_app_password =
                keys.slots().any(|s| s.id == slot && s.kind == SlotKind::AppPassword);
            if !is_app_password {
                return Err(DirectoryError::NoSuchAppPassword);
            }
            keys.remove_slot(slot);
            directory.replace_keys(id, keys).await?;
            tracing::info!(account = %id, "app password removed");
            Ok(())
        })
        .await
    }

    /// Takes all of an account's app passwords away and revokes every session, those of its password
    /// too. The password itself stays.
    ///
    /// # Errors
    /// When there is no such account or the store fails.
    pub async fn cut_off(&self, id: AccountId) -> Result<(), DirectoryError> {
        self.write(move |directory| async move {
            let person = directory.person(id)?;
            let mut keys = person.keys.clone();
            let app = |slot: &&wardpost_keys::SlotInfo| slot.kind == SlotKind::AppPassword;
            for slot in person.keys.slots().filter(app) {
                keys.remove_slot(slot.id);
            }
            directory.replace_keys(id, keys).await?;
            let mut unlocked = directory.logins.unlocked.lock();
            for slot in person.keys.slots() {
                unlocked.revoke(id, slot.id);
            }
            tracing::warn!(account = %id, "signed out everywhere, all app passwords removed");
            Ok(())
        })
        .await
    }

    /// When a mail program last logged in with an account's password itself, Unix seconds; nothing if
    /// none has since the start.
    pub fn password_used_by_mail_program(&self, id: AccountId) -> Option<i64> {
        self.0.logins.by_password(id)
    }

    /// How many accounts have their keys in memory.
    pub fn unlocked_count(&self) -> usize {
        self.0.logins.unlocked.lock().len()
    }

    /// Counters for the metrics page.
    pub fn stats(&self) -> DirectoryStats {
        self.0.logins.stats(self.0.book.read().people.len())
    }

    /// Runs a change alone and to its end, also when the caller goes away: so memory never falls behind
    /// the store.
    async fn write<T, F>(
        &self,
        change: impl FnOnce(Arc<Inner>) -> F + Send + 'static,
    ) -> Result<T, DirectoryError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, DirectoryError>> + Send,
    {
        let inner = self.0.clone();
        let task = tokio::spawn(async move {
            let _writer = inner.writer.clone().lock_owned().await;
            change(inner).await
        });
        task.await.unwrap_or(Err(DirectoryError::Interrupted))
    }
}

impl Inner {
    fn person(&self, id: AccountId) -> Result<Arc<Person>, DirectoryError> {
        self.book.read().people.get(&id).cloned().ok_or(DirectoryError::NoSuchAccount)
    }

    /// Refuses what would leave the box without anybody who may look after it. The caller holds `writer`.
    fn keep_an_administrator(&self, id: AccountId) -> Result<(), DirectoryError> {
        let book = self.book.read();
        if !book.people.contains_key(&id) {
            return Err(DirectoryError::NoSuchAccount);
        }
        match book.is_only_administrator(id) {
            true => Err(DirectoryError::LastAdministrator),
            false => Ok(()),
        }
    }

    /// Runs a password hash when its turn comes.
    async fn hash<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, SealError> + Send + 'static,
    ) -> Result<T, DirectoryError> {
        let permit = self.logins.gate.clone().acquire_owned().await;
        let permit = permit.map_err(|_| DirectoryError::Interrupted)?;
        blocking(move || {
            let _permit = permit;
            Ok(work()?)
        })
        .await
    }

    /// Commits an account's changed keys, then shows them; slots that are gone are revoked. The caller
    /// holds `writer`.
    async fn replace_keys(&self, id: AccountId, keys: AccountKeys) -> Result<(), DirectoryError> {
        let old = self.person(id)?;
        let kept: Vec<u32> = keys.slots().map(|slot| slot.id).collect();
        self.replace_account(id, AccountRecord { keys, ..old.record() }).await?;
        let mut unlocked = self.logins.unlocked.lock();
        for slot in old.keys.slots().filter(|slot| !kept.contains(&slot.id)) {
            unlocked.revoke(id, slot.id);
        }
        Ok(())
    }

    /// Commits an account's changed record, then shows it. The caller holds `writer`.
    async fn replace_account(
        &self,
        id: AccountId,
        record: AccountRecord,
    ) -> Result<(), DirectoryError> {
        let mut batch = Batch::new();
        batch.put(Column::Directory, account_key(id), encode_account(&record));
        self.store.commit(batch).await?;
        self.book.write().put_person(id, record);
        Ok(())
    }

    fn put_alias(&self, batch: &mut Batch, address: &Address, targets: &[AccountId]) {
        let key = alias_key(&self.store, address);
        if targets.is_empty() {
            batch.delete(Column::Directory, key.as_slice());
        } else {
            let record = AliasRecord { address: address.clone(), targets: targets.to_vec() };
            batch.put(Column::Directory, key, encode(&record));
        }
    }
}

impl From<UnlockError> for DirectoryError {
    fn from(error: UnlockError) -> Self {
        match error {
            UnlockError::WrongCredential => Self::WrongSecret,
            UnlockError::Damaged => Self::Record("account keys"),
        }
    }
}

/// Whether a password may be set for an address: long, and not what is tried first.
///
/// # Errors
/// [`DirectoryError::WeakPassword`], with words.
pub fn check_password(password: &Secret<String>, address: &Address) -> Result<(), DirectoryError> {
    password::check(password.expose(), address)
}

async fn sweep(directory: Weak<Inner>, every: Duration) {
    // Without the directory itself, and with it the store: whoever drops them waits for nobody's keys.
    let logins = directory.upgrade().map(|directory| Arc::clone(&directory.logins));
    if let Some(logins) = logins {
        // Made early, so that the first unknown name takes no longer than the second.
        let _ = logins.nobody().await;
    }
    loop {
        tokio::time::sleep(every).await;
        let Some(directory) = directory.upgrade() else { return };
        directory.logins.sweep();
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DirectoryError> + Send + 'static,
) -> Result<T, DirectoryError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(DirectoryError::Interrupted))
}

fn check_name(name: &str) -> Result<(), DirectoryError> {
    if name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(DirectoryError::BadName);
    }
    Ok(())
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64)
}
