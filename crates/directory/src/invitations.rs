//! Invitations: how somebody gets an account without anybody else ever knowing their password.
//!
//! The administrator names an address and hands over a link. Whoever opens it chooses the password, and
//! only then the account and its keys are made, in the same step that uses the invitation up. The link's
//! secret is kept nowhere; its keyed hash finds the invitation. An invitation ends, too, when its address
//! becomes an account's in another way, or its domain goes.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use wardpost_mail::{AccountId, Address, Secret};
use wardpost_store::{Batch, Column, Store};

use crate::book::Book;
use crate::error::DirectoryError;
use crate::records::encode;
use crate::types::{Invitation, NewAccount};
use crate::{Directory, check_name, now};

/// Invitations: this and a keyed hash of the link's secret.
pub(crate) const INVITATIONS: &[u8] = b"i";
/// How long an invitation holds.
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);
/// How many octets of randomness are in a link.
const OCTETS: usize = 16;
/// How many invitations may be open: more than a practice has people.
const MAX: usize = 200;

/// An invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InvitationRecord {
    /// In folded form.
    pub(crate) address: Address,
    pub(crate) name: String,
    pub(crate) made: i64,
}

impl InvitationRecord {
    fn ends(&self) -> i64 {
        self.made.saturating_add(LIFETIME.as_secs().cast_signed())
    }

    /// One from the future holds: the clock was set back, and whoever is invited cannot help it.
    fn holds(&self, now: i64) -> bool {
        now < self.ends()
    }

    fn seen(&self) -> Invitation {
        let Self { address, name, made } = self.clone();
        Invitation { address, name, made, ends: self.ends() }
    }
}

impl Book {
    /// The keys of the invitations that `which` says yes to.
    pub(crate) fn invitations_where(
        &self,
        which: impl Fn(&InvitationRecord) -> bool,
    ) -> Vec<Vec<u8>> {
        let found = self.invitations.iter().filter(|(_, record)| which(record));
        found.map(|(key, _)| key.clone()).collect()
    }

    /// Forgets invitations that are no longer in the store.
    pub(crate) fn remove_invitations(&mut self, keys: &[Vec<u8>]) {
        for key in keys {
            self.invitations.remove(key);
        }
    }
}

/// Has invitations deleted with what else a batch does.
pub(crate) fn delete_invitations(batch: &mut Batch, keys: &[Vec<u8>]) {
    for key in keys {
        batch.delete(Column::Directory, key.as_slice());
    }
}

/// The key that a link's secret leads to.
fn key(store: &Store, secret: &str) -> Vec<u8> {
    let hash = store.name_key(Column::Directory, &[INVITATIONS, secret.as_bytes()]);
    [INVITATIONS, &hash].concat()
}

impl Directory {
    /// Invites somebody to an address; the answer is the secret of the link, which is kept nowhere. An
    /// earlier invitation to the same address ends.
    ///
    /// # Errors
    /// When the address is taken or not in our domains, too many invitations are open, or the store
    /// fails.
    pub async fn invite(
        &self,
        address: &Address,
        name: &str,
    ) -> Result<Secret<String>, DirectoryError> {
        check_name(name)?;
        let record =
            InvitationRecord { address: address.folded(), name: name.to_owned(), made: now() };
        let mut octets = Secret::new([0; OCTETS]);
        aws_lc_rs::rand::fill(octets.expose_mut())
            .map_err(|_| DirectoryError::Keys("no random numbers".to_owned()))?;
        let secret = Secret::new(BASE64URL_NOPAD.encode(octets.expose()));
        let key = key(&self.0.store, secret.expose());
        self.write(move |directory| async move {
            let gone = {
                let book = directory.book.read();
                if !book.domains.contains_key(record.address.domain()) {
                    return Err(DirectoryError::NotOurDomain);
                }
                if book.is_taken(&record.address) {
                    return Err(DirectoryError::AddressTaken);
                }
                book.invitations_where(|old| {
                    old.address == record.address || !old.holds(record.made)
                })
            };
            if directory.book.read().invitations.len() - gone.len() >= MAX {
                return Err(DirectoryError::TooManyInvitations);
            }
            let mut batch = Batch::new();
            delete_invitations(&mut batch, &gone);
            batch.put(Column::Directory, key.as_slice(), encode(&record));
            directory.store.commit(batch).await?;
            let mut book = directory.book.write();
            book.remove_invitations(&gone);
            book.invitations.insert(key, record);
            Ok(())
        })
        .await?;
        tracing::info!("invitation made");
        Ok(secret)
    }

    /// The invitations that hold, by address.
    pub fn invitations(&self) -> Vec<Invitation> {
        let now = now();
        let book = self.0.book.read();
        let holding = book.invitations.values().filter(|record| record.holds(now));
        let mut seen: Vec<_> = holding.map(InvitationRecord::seen).collect();
        seen.sort_by(|one, other| one.address.cmp(&other.address));
        seen
    }

    /// The invitation that a link's secret leads to, if it holds. Nothing is used up.
    pub fn invited(&self, secret: &Secret<String>) -> Option<Invitation> {
        let key = key(&self.0.store, secret.expose());
        let book = self.0.book.read();
        book.invitations.get(&key).filter(|record| record.holds(now())).map(InvitationRecord::seen)
    }

    /// Takes an invitation back.
    ///
    /// # Errors
    /// When there is none for that address or the store fails.
    pub async fn withdraw_invitation(&self, address: &Address) -> Result<(), DirectoryError> {
        let address = address.folded();
        self.write(move |directory| async move {
            let key = {
                let book = directory.book.read();
                let found = book.invitations.iter().find(|(_, record)| record.address == address);
                found.map(|(key, _)| key.clone()).ok_or(DirectoryError::NoSuchInvitation)?
            };
            let mut batch = Batch::new();
            batch.delete(Column::Directory, key.as_slice());
            directory.store.commit(batch).await?;
            directory.book.write().invitations.remove(&key);
            Ok(())
        })
        .await
    }

    /// Makes the account that a link's secret invites to, with the password that its owner chose. The
    /// invitation is used up in the same step; when this fails, it is not.
    ///
    /// # Errors
    /// [`DirectoryError::NoSuchInvitation`] when the secret leads to none that holds; and as
    /// [`Directory::add_account`].
    pub async fn accept_invitation(
        &self,
        secret: &Secret<String>,
        password: Secret<String>,
    ) -> Result<AccountId, DirectoryError> {
        let Invitation { address, name, .. } =
            self.invited(secret).ok_or(DirectoryError::NoSuchInvitation)?;
        let new = NewAccount { address, name, password, administrator: false };
        self.create_account(new, Some(key(&self.0.store, secret.expose()))).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::decode;

    #[test]
    fn the_record_is_frozen_and_ends_after_a_week() {
        let address = Address::parse("a@b.test").unwrap();
        let record = InvitationRecord { address, name: "A".to_owned(), made: 300 };
        let bytes = b"\x01\x08a@b.test\x01A\xd8\x04";
        assert_eq!(encode(&record), bytes);
        assert_eq!(decode::<InvitationRecord>(bytes, "invitation").unwrap(), record);
        assert!(record.holds(300 + 7 * 86_400 - 1) && !record.holds(300 + 7 * 86_400));
        assert!(record.holds(0), "the clock was set back");
    }
}
