//! Opening parcels: with link and code, or with a link and a key that is open already.

use crate::link::Token;
use crate::parcels::{Inner, blocking, run_to_end};
use crate::record::{self, Content, ParcelRecord, RecipientKey, Tries, millis, time};
use crate::throttle::{PARCEL_TRIES, RECIPIENT_TRIES, wait_after};
use crate::{Glance, OtherParcel, ParcelError, ParcelId, ParcelState, Parcels, code};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use wardpost_keys::{UnlockError, Unlocked};
use wardpost_mail::{AccountId, Address, Secret};
use wardpost_store::{Batch, Column, Committed};

/// A recipient's opened key: opens further links of the same recipient without the code.
#[derive(Clone)]
pub struct RecipientKeys {
    recipient: RecipientKey,
    generation: u32,
    unlocked: Arc<Unlocked>,
}

impl fmt::Debug for RecipientKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecipientKeys(…)")
    }
}

/// A parcel that was opened.
pub struct OpenedParcel {
    /// The parcel.
    pub id: ParcelId,
    /// Whose message it is: who gets the answer.
    pub sender: AccountId,
    /// For whom.
    pub recipient: Address,
    /// The message.
    pub message: Vec<u8>,
    /// When it was made.
    pub created: SystemTime,
    /// When it is deleted.
    pub expires: SystemTime,
    /// The recipient has no passphrase yet: offer to set one.
    pub with_code: bool,
    /// Other parcels that wait for the same recipient, newest first.
    pub others: Vec<OtherParcel>,
    /// The recipient's key; drop it when the visit ends.
    pub keys: RecipientKeys,
}

impl fmt::Debug for OpenedParcel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenedParcel").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A parcel to which the link is known to be right.
struct Located {
    token: Token,
    id: ParcelId,
    record: ParcelRecord,
}

impl Parcels {
    /// What a link leads to. Changes nothing, tells nothing to somebody without a right link, and
    /// serves GET and HEAD.
    ///
    /// # Errors
    /// [`ParcelError::NotFound`], [`ParcelError::Expired`], [`ParcelError::Recalled`],
    /// [`ParcelError::Superseded`].
    pub fn peek(&self, token: &str) -> Result<Glance, ParcelError> {
        let inner = &self.inner;
        let located = inner.locate(token)?;
        located.record.check_alive(inner.now())?;
        let recipient = inner.recipient(located.record.recipient_key)?;
        let (_, locked) = inner.tries(located.id, located.record.recipient_key)?;
        Ok(Glance {
            id: located.id,
            sender: located.record.sender,
            expires: time(located.record.expires),
            has_passphrase: recipient.is_some_and(|(_, record)| record.has_passphrase),
            locked,
        })
    }

    /// Opens a parcel with its link and the recipient's code or passphrase. A code is taken with or
    /// without dash and spaces. What became of a parcel that is gone is told only to somebody with the
    /// right code.
    ///
    /// # Errors
    /// [`ParcelError::NotFound`], [`ParcelError::WrongCode`], [`ParcelError::SlowDown`],
    /// [`ParcelError::Locked`] and, given the right code, what [`Parcels::peek`] says.
    pub async fn open_with_code(
        &self,
        token: &str,
        code: &Secret<String>,
        peer: IpAddr,
    ) -> Result<OpenedParcel, ParcelError> {
        let inner = &self.inner;
        let code = code::normalise(code);
        inner.peers().charge(peer, inner.now()).map_err(ParcelError::SlowDown)?;
        let located = match inner.locate(token) {
            Err(ParcelError::NotFound) => {
                let decoy = inner.clone();
                inner.with_kdf(move || decoy.try_decoy(&code)).await?;
                return Err(ParcelError::NotFound);
            }
            located => located?,
        };
        let (id, recipient) = (located.id, located.record.recipient_key);
        let charging = inner.clone();
        let tries_left = run_to_end(async move { charging.charge(id, recipient).await }).await?;
        let keys = inner.unlock(recipient, code, tries_left).await?;
        inner.peers().refund(peer);
        if let Err(gone) = located.record.check_alive(inner.now()) {
            let inner = inner.clone();
            run_to_end(async move { inner.forget_tries(id, recipient).await }).await?;
            return Err(gone);
        }
        inner.open(located, keys, true).await
    }

    /// Opens a further parcel, or the same one again, for somebody whose key is open from
    /// [`Parcels::open_with_code`]. `new_view` says whether to count it as another opening.
    ///
    /// # Errors
    /// [`ParcelError::NotFound`] also when the parcel is somebody else's, and what
    /// [`Parcels::peek`] says.
    pub async fn open_with_keys(
        &self,
        token: &str,
        keys: &RecipientKeys,
        new_view: bool,
    ) -> Result<OpenedParcel, ParcelError> {
        let located = self.inner.locate(token)?;
        if located.record.recipient_key != keys.recipient {
            return Err(ParcelError::NotFound);
        }
        located.record.check_alive(self.inner.now())?;
        self.inner.open(located, keys.clone(), new_view).await
    }

    /// Replaces the code by a passphrase of the recipient's own. The code note goes with the code.
    ///
    /// # Errors
    /// [`ParcelError::Passphrase`] when it is too easy, [`ParcelError::Superseded`] when the practice
    /// issued a new code meanwhile.
    pub async fn set_passphrase(
        &self,
        keys: &RecipientKeys,
        passphrase: &Secret<String>,
    ) -> Result<Committed, ParcelError> {
        code::check_passphrase(passphrase)?;
        let passphrase = code::normalise(passphrase);
        let (inner, keys) = (self.inner.clone(), keys.clone());
        run_to_end(async move {
            let _editing = inner.edit.lock().await;
            let (before, mut record) =
                inner.recipient(keys.recipient)?.ok_or(ParcelError::Superseded)?;
            if record.generation != keys.generation {
                return Err(ParcelError::Superseded);
            }
            let cost = inner.options.kdf_cost;
            let unlocked = keys.unlocked.clone();
            let record = inner
                .with_kdf(move || {
                    record.keys.set_password(&unlocked, &passphrase, cost)?;
                    record.has_passphrase = true;
                    Ok(record)
                })
                .await?;
            let mut batch = Batch::new();
            batch
                .require_value(Column::Parcel, keys.recipient.record(), before)
                .put(Column::Parcel, keys.recipient.record(), record::encode(&record))
                .delete(Column::Parcel, keys.recipient.note());
            Ok(inner.store.commit(batch).await?)
        })
        .await
    }
}

impl Inner {
    /// Finds the parcel of a link, and makes sure that the link is right in both halves.
    fn locate(&self, token: &str) -> Result<Located, ParcelError> {
        let token = Token::parse(token).ok_or(ParcelError::NotFound)?;
        let id = ParcelId::of(&self.store, &token.id);
        let record: Option<ParcelRecord> = record::read(&self.store, &id.record())?;
        let record = record.filter(|record| token.matches(&record.link_check));
        Ok(Located { token, id, record: record.ok_or(ParcelError::NotFound)? })
    }

    /// The parcel's count of wrong codes, and whether it is locked.
    pub(crate) fn tries(
        &self,
        id: ParcelId,
        recipient: RecipientKey,
    ) -> Result<(Tries, bool), ParcelError> {
        let parcel: Tries = record::read(&self.store, &id.tries())?.unwrap_or_default();
        let all: Tries = record::read(&self.store, &recipient.tries())?.unwrap_or_default();
        let locked = parcel.wrong >= PARCEL_TRIES || all.wrong >= RECIPIENT_TRIES;
        Ok((parcel, locked))
    }

    /// Charges a try before it is made, synced to disk. Returns how many are left after it.
    async fn charge(&self, id: ParcelId, recipient: RecipientKey) -> Result<u32, ParcelError> {
        let _editing = self.edit.lock().await;
        let now = self.now();
        let mut parcel: Tries = record::read(&self.store, &id.tries())?.unwrap_or_default();
        let mut all: Tries = record::read(&self.store, &recipient.tries())?.unwrap_or_default();
        if parcel.wrong >= PARCEL_TRIES || all.wrong >= RECIPIENT_TRIES {
            return Err(ParcelError::Locked);
        }
        let not_before = parcel.not_before.max(all.not_before);
        if now < not_before {
            return Err(ParcelError::SlowDown(Duration::from_millis(not_before - now)));
        }
        parcel.wrong += 1;
        parcel.not_before = now + millis_of(wait_after(parcel.wrong));
        all.wrong += 1;
        all.not_before = parcel.not_before;
        let mut batch = Batch::new();
        batch.put(Column::Parcel, id.tries(), record::encode(&parcel)).put(
            Column::Parcel,
            recipient.tries(),
            record::encode(&all),
        );
        self.store.commit(batch).await?;
        Ok((PARCEL_TRIES - parcel.wrong).min(RECIPIENT_TRIES - all.wrong))
    }

    /// Tries a code on the recipient's key.
    async fn unlock(
        &self,
        recipient: RecipientKey,
        code: Secret<String>,
        tries_left: u32,
    ) -> Result<RecipientKeys, ParcelError> {
        let (_, record) = self.recipient(recipient)?.ok_or(ParcelError::Damaged)?;
        let generation = record.generation;
        let unlocked = self
            .with_kdf(move || match record.keys.unlock_with_password(&code) {
                Ok(unlocked) => Ok(Arc::new(unlocked)),
                Err(UnlockError::WrongCredential) => Err(ParcelError::WrongCode { tries_left }),
                Err(damaged) => Err(damaged.into()),
            })
            .await?;
        Ok(RecipientKeys { recipient, generation, unlocked })
    }

    /// Forgets wrong codes: the last one was right.
    async fn forget_tries(&self, id: ParcelId, recipient: RecipientKey) -> Result<(), ParcelError> {
        let _editing = self.edit.lock().await;
        let mut batch = Batch::new();
        batch.delete(Column::Parcel, id.tries()).delete(Column::Parcel, recipient.tries());
        self.store.commit(batch).await?;
        Ok(())
    }

    /// Opens a parcel's message and notes that it was opened.
    async fn open(
        self: &Arc<Self>,
        located: Located,
        keys: RecipientKeys,
        new_view: bool,
    ) -> Result<OpenedParcel, ParcelError> {
        if located.record.generation != keys.generation {
            // A new code came in between.
            return Err(ParcelError::Superseded);
        }
        let id = located.id;
        let inner = self.clone();
        let unlocked = keys.unlocked.clone();
        let message = blocking(move || inner.open_message(&located, &unlocked)).await?;
        let inner = self.clone();
        let record = run_to_end(async move { inner.note_opening(id, new_view).await }).await?;
        let recipient = self.recipient(keys.recipient)?;
        Ok(OpenedParcel {
            id,
            sender: record.sender,
            message,
            created: time(record.created),
            expires: time(record.expires),
            with_code: recipient.is_some_and(|(_, record)| !record.has_passphrase),
            others: self.others(keys.recipient, id)?,
            recipient: record.recipient,
            keys,
        })
    }

    /// Takes off both layers.
    fn open_message(&self, located: &Located, keys: &Unlocked) -> Result<Vec<u8>, ParcelError> {
        let Some(body) = self.store.get(Column::Parcel, &located.id.body())? else {
            // Deleted since the record was read: say why.
            let record: Option<ParcelRecord> = record::read(&self.store, &located.id.record())?;
            record.ok_or(ParcelError::NotFound)?.check_alive(self.now())?;
            return Err(ParcelError::Damaged);
        };
        let content: Content = record::decode(&located.token.open(located.id, &body)?)?;
        let session = keys.unwrap_packet(&content.packet).map_err(|_| ParcelError::Damaged)?;
        session.open_body(&content.body).map_err(|_| ParcelError::Damaged)
    }

    /// Notes an opening and forgets the wrong codes before it.
    async fn note_opening(
        &self,
        id: ParcelId,
        new_view: bool,
    ) -> Result<ParcelRecord, ParcelError> {
        let _editing = self.edit.lock().await;
        let now = self.now();
        let record: Option<ParcelRecord> = record::read(&self.store, &id.record())?;
        let mut record = record.ok_or(ParcelError::NotFound)?;
        record.check_alive(now)?;
        if new_view {
            record.opened(now);
            let mut batch = Batch::new();
            batch
                .put(Column::Parcel, id.record(), record::encode(&record))
                .delete(Column::Parcel, id.tries())
                .delete(Column::Parcel, record.recipient_key.tries());
            self.store.commit(batch).await?;
        }
        Ok(record)
    }

    /// The recipient's other parcels that can still be opened.
    fn others(
        &self,
        recipient: RecipientKey,
        except: ParcelId,
    ) -> Result<Vec<OtherParcel>, ParcelError> {
        let now = self.now();
        let mut others = Vec::new();
        for (id, record) in self.parcels_of(recipient)? {
            let state = record.state(now);
            if id != except && record.check_alive(now).is_ok() {
                others.push(OtherParcel {
                    sender: record.sender,
                    created: time(record.created),
                    expires: time(record.expires),
                    opened: state != ParcelState::Waiting,
                });
            }
        }
        others.sort_by_key(|other| std::cmp::Reverse(millis(other.created)));
        Ok(others)
    }
}

fn millis_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
