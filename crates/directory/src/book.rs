//! The directory in memory: a practice has few people.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use wardpost_keys::AccountKeys;
use wardpost_mail::{AccountId, Address, Domain, Secret};
use wardpost_store::{Column, Store};

use crate::error::DirectoryError;
use crate::invitations::{INVITATIONS, InvitationRecord};
use crate::records::{
    ACCOUNTS, ALIASES, AccountRecord, AliasRecord, DOMAINS, SYSTEM, SystemRecord, decode,
    decode_account, decode_domain,
};
use crate::rotation::DomainKeys;
use crate::types::{Account, Resolution};

/// The one address that every domain has (RFC 5321 §4.5.1).
const POSTMASTER: &str = "postmaster";

/// An account with its keys.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) account: Account,
    pub(crate) keys: AccountKeys,
    /// The secret that the authenticator app has, too.
    pub(crate) second_factor: Option<Secret<Vec<u8>>>,
}

impl Person {
    /// The record that says all this.
    pub(crate) fn record(&self) -> AccountRecord {
        let Account { address, name, created, administrator, .. } = self.account.clone();
        let second_factor = self.second_factor.as_ref().map(|secret| secret.expose().clone());
        let keys = self.keys.clone();
        AccountRecord { address, name, created, keys, administrator, second_factor }
    }
}

/// Everything, by every way it is looked for.
#[derive(Default)]
pub(crate) struct Book {
    pub(crate) system: SystemRecord,
    pub(crate) people: BTreeMap<AccountId, Arc<Person>>,
    pub(crate) aliases: BTreeMap<Address, Vec<AccountId>>,
    pub(crate) domains: BTreeMap<Domain, DomainKeys>,
    /// By their key in the store.
    pub(crate) invitations: BTreeMap<Vec<u8>, InvitationRecord>,
    addresses: HashMap<Address, AccountId>,
}

impl Book {
    /// Reads everything from the store.
    pub(crate) fn read(store: &Store) -> Result<Self, DirectoryError> {
        let mut book = Self::default();
        if let Some(bytes) = store.get(Column::Directory, SYSTEM)? {
            book.system = decode(&bytes, "system")?;
        }
        visit(store, ACCOUNTS, |key, bytes| {
            let id = key.get(1..5).and_then(|id| id.try_into().ok());
            let id = AccountId(u32::from_be_bytes(id.ok_or(DirectoryError::Record("account"))?));
            book.put_person(id, decode_account(&bytes)?);
            Ok(())
        })?;
        visit(store, ALIASES, |_, bytes| {
            let record: AliasRecord = decode(&bytes, "alias")?;
            book.aliases.insert(record.address, record.targets);
            Ok(())
        })?;
        visit(store, DOMAINS, |_, bytes| {
            let record = decode_domain(&bytes)?;
            book.domains.insert(record.domain.clone(), DomainKeys::from(record));
            Ok(())
        })?;
        visit(store, INVITATIONS, |key, bytes| {
            book.invitations.insert(key.to_vec(), decode(&bytes, "invitation")?);
            Ok(())
        })?;
        Ok(book)
    }

    pub(crate) fn put_person(&mut self, id: AccountId, record: AccountRecord) {
        let AccountRecord { address, name, created, keys, administrator, second_factor } = record;
        self.addresses.insert(address.clone(), id);
        let second_factor = second_factor.map(Secret::new);
        let account = Account {
            id,
            address,
            name,
            created,
            administrator,
            second_factor: second_factor.is_some(),
        };
        self.people.insert(id, Arc::new(Person { account, keys, second_factor }));
    }

    pub(crate) fn remove_person(&mut self, id: AccountId) {
        if let Some(person) = self.people.remove(&id) {
            self.addresses.remove(&person.account.address);
        }
    }

    /// Whether nobody else may look after the box.
    pub(crate) fn is_only_administrator(&self, id: AccountId) -> bool {
        let mut people = self.people.values().map(|person| &person.account);
        let is = self.people.get(&id).is_some_and(|person| person.account.administrator);
        is && !people.any(|other| other.administrator && other.id != id)
    }

    /// The account whose own address this is, in folded form.
    pub(crate) fn by_address(&self, folded: &Address) -> Option<&Arc<Person>> {
        self.people.get(self.addresses.get(folded)?)
    }

    /// Whether an address, in folded form, is somebody's.
    pub(crate) fn is_taken(&self, folded: &Address) -> bool {
        self.addresses.contains_key(folded) || self.aliases.contains_key(folded)
    }

    /// Whom an address reaches.
    pub(crate) fn resolve(&self, address: &Address) -> Resolution {
        if !self.domains.contains_key(address.domain()) {
            return Resolution::NotOurs;
        }
        let exact = address.folded();
        if let Some(found) = self.reached(&exact) {
            return Resolution::Accounts(found);
        }
        let plain = exact.without_detail();
        if let Some(found) = self.reached(&plain) {
            return Resolution::Accounts(found);
        }
        match self.people.keys().next() {
            Some(first) if plain.local() == POSTMASTER => Resolution::Accounts(vec![*first]),
            _ => Resolution::Unknown,
        }
    }

    fn reached(&self, folded: &Address) -> Option<Vec<AccountId>> {
        if let Some(id) = self.addresses.get(folded) {
            return Some(vec![*id]);
        }
        self.aliases.get(folded).cloned()
    }

    /// Whether an account may write under an address: whoever mail to exactly it reaches, and only if
    /// that is nobody, whoever it reaches without its detail (RFC 5233).
    pub(crate) fn may_send_as(&self, id: AccountId, address: &Address) -> bool {
        if !self.people.contains_key(&id) {
            return false;
        }
        let exact = address.folded();
        self.reached(&exact)
            .or_else(|| self.reached(&exact.without_detail()))
            .is_some_and(|reached| reached.contains(&id))
    }
}

fn visit(
    store: &Store,
    prefix: &[u8],
    mut read: impl FnMut(&[u8], Vec<u8>) -> Result<(), DirectoryError>,
) -> Result<(), DirectoryError> {
    let mut outcome = Ok(());
    store.for_each(Column::Directory, prefix, &mut |key, value| {
        outcome = read(key, value);
        if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    outcome
}
