//! Making parcels. Opening them is in `opening`, looking after them in `keeping`.

use crate::link::Token;
use crate::record::{self, Content, ParcelRecord, RecipientKey, RecipientRecord, millis, time};
use crate::throttle::Peers;
use crate::{ParcelError, ParcelId, code};
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, SystemTime};
use tokio::sync::{OnceCell, Semaphore};
use wardpost_keys::{AccountCertificate, AccountKeys, KdfCost, seal_message};
use wardpost_mail::{AccountId, Address, Secret};
use wardpost_store::{Batch, Column, CommitError, Committed, Store};

/// What the recipients' certificates are labelled with: nothing that names anybody.
const CERTIFICATE_LABEL: &str = "Wardpost parcel";
/// Argon2 computations at once; each takes 64 MiB.
const CONCURRENT_KDF: usize = 2;
/// How often [`Parcels::create`] starts over when the recipient's record changes under it.
const CREATE_ATTEMPTS: u32 = 5;

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

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("kdf_cost", &self.kdf_cost)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
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

/// A parcel that was made, or will be once the batch it went into is committed. Keep it until then:
/// meanwhile other parcels for the same newcomer are sealed to the same new key.
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
    newcomer: Option<Arc<OnceCell<Newcomer>>>,
}

/// A recipient's keys that are made and not yet committed.
struct Newcomer {
    record: Vec<u8>,
    certificate: AccountCertificate,
    code: Secret<String>,
}

impl fmt::Debug for Newcomer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Newcomer(…)")
    }
}

/// All parcels. Clones are handles on the same ones.
#[derive(Clone)]
pub struct Parcels {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) options: Options,
    /// Held from reading a record to the commit that changes it.
    pub(crate) edit: tokio::sync::Mutex<()>,
    newcomers: Mutex<HashMap<RecipientKey, Weak<OnceCell<Newcomer>>>>,
    peers: Mutex<Peers>,
    kdf: Semaphore,
    /// Keys of nobody, to try codes on when there is no parcel.
    decoy: OnceLock<AccountKeys>,
}

/// What a parcel is sealed to.
struct Addressee {
    certificate: AccountCertificate,
    generation: u32,
    credential: Credential,
    /// The recipient's record, which must be the same when the parcel is committed.
    known: Option<Vec<u8>>,
    newcomer: Option<Arc<OnceCell<Newcomer>>>,
}

impl Parcels {
    /// Opens the parcels that lie in `store`.
    pub fn open(store: Store, options: Options) -> Self {
        let inner = Inner {
            store,
            options,
            edit: tokio::sync::Mutex::new(()),
            newcomers: Mutex::default(),
            peers: Mutex::default(),
            kdf: Semaphore::new(CONCURRENT_KDF),
            decoy: OnceLock::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Makes a parcel without writing it: its records go into `batch`, to be committed together with
    /// whatever else must happen or not happen with it (the notice, the queue's record). A conflict
    /// on that commit means that the recipient's record changed meanwhile: prepare again.
    ///
    /// # Errors
    /// When sealing fails or the store cannot be read. The batch is as it was then.
    pub async fn prepare(
        &self,
        new: NewParcel<'_>,
        batch: &mut Batch,
    ) -> Result<Created, ParcelError> {
        let inner = &self.inner;
        let now = inner.now();
        let expires = new.expires.map_or_else(|| now + millis_of(inner.options.lifetime), millis);
        if expires <= now {
            return Err(ParcelError::AlreadyOver);
        }
        let recipient_key = RecipientKey::of(&inner.store, new.recipient);
        let addressee = inner.addressee(recipient_key).await?;
        let token = Token::generate()?;
        let id = ParcelId::of(&inner.store, &token.id);
        let record = ParcelRecord {
            sender: new.sender,
            recipient: new.recipient.clone(),
            recipient_key,
            generation: addressee.generation,
            link_check: token.check_value(),
            created: now,
            expires,
            size: new.message.len() as u64,
            opened_at: Vec::new(),
            views: 0,
            answered: None,
            end: None,
        };
        let created = Created {
            id,
            link_token: token.show(),
            credential: addressee.credential,
            expires: time(expires),
            newcomer: addressee.newcomer,
        };
        let message = Secret::new(new.message.to_vec());
        let certificate = addressee.certificate;
        let body = blocking(move || seal(&token, id, &message, &certificate)).await?;
        let record = record::encode(&record);
        let recipient = recipient_key.record();
        match (addressee.known, created.newcomer.as_ref().and_then(|cell| cell.get())) {
            (Some(known), _) => batch.require_value(Column::Parcel, recipient, known),
            (None, Some(newcomer)) => batch.require_absent(Column::Parcel, recipient.clone()).put(
                Column::Parcel,
                recipient,
                &newcomer.record,
            ),
            (None, None) => return Err(ParcelError::Damaged),
        };
        batch.put(Column::Parcel, id.record(), record).put(Column::Parcel, id.body(), body).put(
            Column::Parcel,
            recipient_key.parcel(id),
            [],
        );
        Ok(created)
    }

    /// Makes a parcel.
    ///
    /// # Errors
    /// As [`Parcels::prepare`], or when the store cannot write.
    pub async fn create(&self, new: NewParcel<'_>) -> Result<(Created, Committed), ParcelError> {
        let mut attempts = 0;
        loop {
            let mut batch = Batch::new();
            let created = self.prepare(new, &mut batch).await?;
            attempts += 1;
            match self.inner.store.commit(batch).await {
                Err(CommitError::Conflict) if attempts < CREATE_ATTEMPTS => {}
                outcome => return Ok((created, outcome?)),
            }
        }
    }
}

/// Both layers over a message; see the crate's text.
fn seal(
    token: &Token,
    id: ParcelId,
    message: &Secret<Vec<u8>>,
    certificate: &AccountCertificate,
) -> Result<Vec<u8>, ParcelError> {
    let sealed = seal_message(message.expose(), &[certificate])?;
    let packet = sealed.packets.into_iter().next().ok_or(ParcelError::Damaged)?;
    token.seal(id, record::encode(&Content { packet, body: sealed.body }))
}

impl Inner {
    /// Now, in milliseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        millis((self.options.clock)())
    }

    /// Limits on peers. No operation on them panics half-way, so a poisoned lock is still sound.
    pub(crate) fn peers(&self) -> MutexGuard<'_, Peers> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A recipient's record as it lies in the store, and read.
    pub(crate) fn recipient(
        &self,
        key: RecipientKey,
    ) -> Result<Option<(Vec<u8>, RecipientRecord)>, ParcelError> {
        let Some(bytes) = self.store.get(Column::Parcel, &key.record())? else { return Ok(None) };
        let record = record::decode(&bytes)?;
        Ok(Some((bytes, record)))
    }

    /// What a parcel for this recipient is to be sealed to: the known key, one that is being made for
    /// another parcel at this moment, or a new one.
    async fn addressee(&self, key: RecipientKey) -> Result<Addressee, ParcelError> {
        if let Some((bytes, record)) = self.recipient(key)? {
            return Ok(Addressee {
                certificate: record.keys.certificate().clone(),
                generation: record.generation,
                credential: if record.has_passphrase {
                    Credential::Passphrase
                } else {
                    Credential::EarlierCode
                },
                known: Some(bytes),
                newcomer: None,
            });
        }
        let cell = self.newcomer_cell(key);
        let newcomer = cell.get_or_try_init(|| self.make_newcomer()).await?;
        Ok(Addressee {
            certificate: newcomer.certificate.clone(),
            generation: 0,
            credential: Credential::NewCode(newcomer.code.clone()),
            known: None,
            newcomer: Some(cell.clone()),
        })
    }

    fn newcomer_cell(&self, key: RecipientKey) -> Arc<OnceCell<Newcomer>> {
        let mut newcomers = self.newcomers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = newcomers.get(&key).and_then(Weak::upgrade) {
            return cell;
        }
        newcomers.retain(|_, cell| cell.strong_count() > 0);
        let cell = Arc::new(OnceCell::new());
        newcomers.insert(key, Arc::downgrade(&cell));
        cell
    }

    async fn make_newcomer(&self) -> Result<Newcomer, ParcelError> {
        let (keys, code) = self.make_keys().await?;
        let certificate = keys.certificate().clone();
        let record = RecipientRecord { keys, generation: 0, has_passphrase: false };
        Ok(Newcomer { record: record::encode(&record), certificate, code })
    }

    /// Makes a key for a recipient, and the code that opens it.
    pub(crate) async fn make_keys(&self) -> Result<(AccountKeys, Secret<String>), ParcelError> {
        let cost = self.options.kdf_cost;
        self.with_kdf(move || {
            let code = code::generate()?;
            let slot = code::normalise(&code);
            let keys = AccountKeys::generate(CERTIFICATE_LABEL, &slot, None, cost)?;
            Ok((keys, code))
        })
        .await
    }

    /// Runs something that costs an Argon2, few at a time and off the async threads.
    pub(crate) async fn with_kdf<T: Send + 'static>(
        &self,
        task: impl FnOnce() -> Result<T, ParcelError> + Send + 'static,
    ) -> Result<T, ParcelError> {
        let _permit = self.kdf.acquire().await.map_err(|_| ParcelError::ShuttingDown)?;
        blocking(task).await
    }

    /// Spends what trying a wrong code costs.
    pub(crate) fn try_decoy(&self, typed: &Secret<String>) -> Result<(), ParcelError> {
        let keys = match self.decoy.get() {
            Some(keys) => keys,
            None => {
                let code = code::generate()?;
                let cost = self.options.kdf_cost;
                let keys = AccountKeys::generate(CERTIFICATE_LABEL, &code, None, cost)?;
                self.decoy.get_or_init(|| keys)
            }
        };
        // Whatever comes of it, nobody gets in: the keys open nothing.
        let _ = keys.unlock_with_password(typed);
        Ok(())
    }
}

fn millis_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Runs `task` on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    task: impl FnOnce() -> Result<T, ParcelError> + Send + 'static,
) -> Result<T, ParcelError> {
    tokio::task::spawn_blocking(task).await.unwrap_or(Err(ParcelError::ShuttingDown))
}

/// Runs `task` to its end even if the caller stops waiting for it: what holds the edit lock must hold
/// it until its commit is through, or a caller that hangs up would gain a free try.
pub(crate) async fn run_to_end<T: Send + 'static>(
    task: impl Future<Output = Result<T, ParcelError>> + Send + 'static,
) -> Result<T, ParcelError> {
    tokio::spawn(task).await.unwrap_or(Err(ParcelError::ShuttingDown))
}
