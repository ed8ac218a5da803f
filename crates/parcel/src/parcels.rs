//! Making, opening and ending parcels.

use crate::{Glance, OtherParcel, ParcelError, ParcelId, ParcelStats, ParcelView, Purged};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use wardpost_keys::{KdfCost, Unlocked};
use wardpost_mail::{AccountId, Address, Secret};
use wardpost_store::{Batch, Committed, Store};

/// What can be set.
#[derive(Clone)]
pub struct Options {
    /// What a try of a code costs.
    pub kdf_cost: KdfCost,
    /// How long a parcel waits when its maker says nothing.
    pub lifetime: Duration,
    /// The clock.
    pub clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kdf_cost: KdfCost::Interactive,
            lifetime: Duration::from_secs(30 * 24 * 3600),
            clock: Arc::new(SystemTime::now),
        }
    }
}

/// A parcel to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewParcel<'a> {
    /// Whose message it is.
    pub sender: AccountId,
    /// For whom.
    pub recipient: &'a Address,
    /// The message as the recipient is to see it.
    pub message: &'a [u8],
    /// When it is deleted; `None` for the default lifetime.
    pub expires: Option<SystemTime>,
}

/// How a recipient proves to be the one.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A code made with this parcel. Tell it to the sender: nobody can ask for it later.
    NewCode(Secret<String>),
    /// A code made earlier; see [`Parcels::code_note`].
    EarlierCode,
    /// A passphrase of the recipient's own. Nobody needs to be told anything.
    Passphrase,
}

/// A parcel that was made, or will be once the batch it came with is committed.
#[derive(Debug)]
pub struct Created {
    /// The parcel.
    pub id: ParcelId,
    /// The token for the link: 43 characters, base64url. In no record; this is the only copy.
    pub link_token: Secret<String>,
    /// What the recipient opens it with.
    pub credential: Credential,
    /// When it is deleted.
    pub expires: SystemTime,
}

/// A recipient's opened key: opens further links of the same recipient without the code.
#[derive(Clone)]
pub struct RecipientKeys {
    _unlocked: Arc<Unlocked>,
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
    /// It was opened with a code: offer to set a passphrase.
    pub with_code: bool,
    /// Other parcels that wait for the same recipient.
    pub others: Vec<OtherParcel>,
    /// The recipient's key; drop it when the visit ends.
    pub keys: RecipientKeys,
}

/// All parcels. Clones are handles on the same ones.
#[derive(Clone)]
pub struct Parcels {
    _store: Store,
}

impl Parcels {
    /// Opens the parcels that lie in `store`.
    pub fn open(store: Store, options: Options) -> Self {
        let _ = (store, options);
        unimplemented!()
    }

    /// Makes a parcel without writing it: the batch is to be committed together with whatever else
    /// must happen or not happen with it (the notice, the queue's record). A conflict on that commit
    /// means that the recipient's record changed meanwhile: prepare again.
    ///
    /// # Errors
    /// When sealing fails or the store cannot be read.
    pub async fn prepare(&self, new: NewParcel<'_>) -> Result<(Created, Batch), ParcelError> {
        let _ = new;
        unimplemented!()
    }

    /// Makes a parcel.
    ///
    /// # Errors
    /// As [`Parcels::prepare`], or when the store cannot write.
    pub async fn create(&self, new: NewParcel<'_>) -> Result<(Created, Committed), ParcelError> {
        let _ = new;
        unimplemented!()
    }

    /// What a link leads to. Changes nothing, tells nothing to somebody without a right link, and
    /// serves GET and HEAD.
    ///
    /// # Errors
    /// [`ParcelError::NotFound`], [`ParcelError::Expired`], [`ParcelError::Recalled`],
    /// [`ParcelError::Superseded`].
    pub fn peek(&self, token: &str) -> Result<Glance, ParcelError> {
        let _ = token;
        unimplemented!()
    }

    /// Opens a parcel with its link and the recipient's code or passphrase. A code is taken with or
    /// without dash and spaces.
    ///
    /// # Errors
    /// [`ParcelError::NotFound`], [`ParcelError::WrongCode`], [`ParcelError::SlowDown`],
    /// [`ParcelError::Locked`] and what [`Parcels::peek`] says.
    pub async fn open_with_code(
        &self,
        token: &str,
        code: &Secret<String>,
        peer: IpAddr,
    ) -> Result<OpenedParcel, ParcelError> {
        let _ = (token, code, peer);
        unimplemented!()
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
        let _ = (token, keys, new_view);
        unimplemented!()
    }

    /// Replaces the code by a passphrase of the recipient's own.
    ///
    /// # Errors
    /// [`ParcelError::Passphrase`] when it is too easy, [`ParcelError::Superseded`] when the practice
    /// issued a new code meanwhile.
    pub async fn set_passphrase(
        &self,
        keys: &RecipientKeys,
        passphrase: &Secret<String>,
    ) -> Result<Committed, ParcelError> {
        let _ = (keys, passphrase);
        unimplemented!()
    }

    /// Notes that the recipient answered.
    ///
    /// # Errors
    /// [`ParcelError::NotFound`], or when the store cannot write.
    pub async fn mark_answered(&self, id: ParcelId) -> Result<Committed, ParcelError> {
        let _ = id;
        unimplemented!()
    }

    /// All parcels, or one sender's, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn list(&self, sender: Option<AccountId>) -> Result<Vec<ParcelView>, ParcelError> {
        let _ = sender;
        unimplemented!()
    }

    /// One parcel.
    ///
    /// # Errors
    /// [`ParcelError::NotFound`], or when the store cannot be read.
    pub fn show(&self, id: ParcelId) -> Result<ParcelView, ParcelError> {
        let _ = id;
        unimplemented!()
    }

    /// Takes a parcel back: its message is deleted.
    ///
    /// # Errors
    /// [`ParcelError::NotFound`], or when the store cannot write.
    pub async fn recall(&self, id: ParcelId) -> Result<ParcelView, ParcelError> {
        let _ = id;
        unimplemented!()
    }

    /// Lets a locked parcel, and its recipient, be tried again with the same code: for somebody who
    /// has the code and mistyped it.
    ///
    /// # Errors
    /// [`ParcelError::NotFound`], or when the store cannot write.
    pub async fn unlock(&self, id: ParcelId) -> Result<Committed, ParcelError> {
        let _ = id;
        unimplemented!()
    }

    /// Makes a new code, and with it a new key, for a recipient. Returns the code, and the parcels
    /// that are lost by it: their senders have to send them again.
    ///
    /// # Errors
    /// [`ParcelError::NotFound`] when the recipient never had a parcel.
    pub async fn new_code(
        &self,
        recipient: &Address,
    ) -> Result<(Secret<String>, Vec<ParcelView>), ParcelError> {
        let _ = recipient;
        unimplemented!()
    }

    /// Keeps, with a recipient, what lets other staff learn the code: bytes that the caller sealed to
    /// them. They mean nothing here. Dropped when the code is replaced.
    pub fn set_code_note(&self, batch: &mut Batch, recipient: &Address, note: &[u8]) {
        let _ = (batch, recipient, note);
        unimplemented!()
    }

    /// What [`Parcels::set_code_note`] kept.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn code_note(&self, recipient: &Address) -> Result<Option<Vec<u8>>, ParcelError> {
        let _ = recipient;
        unimplemented!()
    }

    /// Deletes the messages of parcels whose time is over, and in time their records. Call it every
    /// few minutes.
    ///
    /// # Errors
    /// When the store fails; what was done stays done.
    pub async fn expire(&self) -> Result<Purged, ParcelError> {
        unimplemented!()
    }

    /// Numbers for metrics. Reads every parcel's record: call it a few times a minute at most.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn stats(&self) -> Result<ParcelStats, ParcelError> {
        unimplemented!()
    }
}
