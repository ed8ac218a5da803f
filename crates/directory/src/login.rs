//! Logging in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::{hmac, rand};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Mutex as AsyncMutex, OnceCell, Semaphore, watch};
use tokio::time::timeout;
use wardpost_keys::{AccountKeys, KdfCost, SlotKind, UnlockError, Unlocked};
use wardpost_mail::{AccountId, Address, Domain, Secret};

use crate::book::{Book, Person};
use crate::codes::{CodeBook, Outcome};
use crate::error::AuthError;
use crate::second_factor;
use crate::throttle::{Fingerprint, Judgement, Network, Target, Throttle};
use crate::types::{DirectoryStats, Login, Options, Way, WrongCodes};
use crate::unlocked::UnlockedAccounts;

/// How long a log-in waits for its turn at the password hash before it is told to come again.
const LONGEST_QUEUE: Duration = Duration::from_secs(20);
/// Set in the [`Target`] of names that nobody has.
const NOBODY: Target = 1 << 127;
/// Set in the [`Target`] of an account's second factor.
const SECOND_FACTOR: Target = 1 << 126;
/// How many turns are kept before finished ones are cleared away.
const MAX_TURNS: usize = 1_000;

/// Whose turn it is to try.
type Turn = AsyncMutex<()>;

/// Tells a session that the credential it was opened with is gone (account removed, password changed,
/// app password revoked). Cheap to clone.
#[derive(Debug, Clone)]
pub struct Revocation(watch::Receiver<bool>);

impl Revocation {
    pub(crate) fn new(receiver: watch::Receiver<bool>) -> Self {
        Self(receiver)
    }

    /// Whether the credential is gone.
    pub fn is_revoked(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the credential is gone; for a credential that stays, for ever.
    pub async fn revoked(&mut self) {
        if self.0.wait_for(|gone| *gone).await.is_err() {
            // Nobody is left who could revoke it.
            std::future::pending::<()>().await;
        }
    }
}

/// Everything that log-ins need besides the book.
pub(crate) struct Logins {
    options: Options,
    /// For fingerprints of credentials; new in every process, kept nowhere.
    key: hmac::Key,
    pub(crate) throttle: Mutex<Throttle>,
    pub(crate) unlocked: Mutex<UnlockedAccounts>,
    /// One try at a time for an account from a network: when a client opens five connections at once,
    /// four of them find the first one's proof.
    turns: Mutex<HashMap<(Target, Network), Weak<Turn>>>,
    /// Password hashes take 64 MiB each.
    pub(crate) gate: Arc<Semaphore>,
    /// Keys of nobody: an unknown name costs as much as a wrong password.
    nobody: OnceCell<Arc<AccountKeys>>,
    /// Codes of second factors.
    pub(crate) codes: Mutex<CodeBook>,
    /// When a mail program last logged in with an account's password itself, Unix seconds.
    by_password: Mutex<HashMap<AccountId, i64>>,
    ok: AtomicU64,
    failed: AtomicU64,
    slowed: AtomicU64,
    hashes: AtomicU64,
}

impl Logins {
    pub(crate) fn new(options: Options) -> Result<Self, aws_lc_rs::error::Unspecified> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new())?;
        Ok(Self {
            gate: Arc::new(Semaphore::new(options.hashes_at_once.max(1))),
            options,
            key,
            throttle: Mutex::default(),
            unlocked: Mutex::default(),
            turns: Mutex::default(),
            nobody: OnceCell::new(),
            codes: Mutex::default(),
            by_password: Mutex::default(),
            ok: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            slowed: AtomicU64::new(0),
            hashes: AtomicU64::new(0),
        })
    }

    /// Drops accounts that nobody uses any more.
    pub(crate) fn sweep(&self) {
        self.unlocked.lock().sweep(Instant::now(), self.options.grace);
    }

    pub(crate) fn stats(&self, accounts: usize) -> DirectoryStats {
        DirectoryStats {
            logins_ok: self.ok.load(Ordering::Relaxed),
            logins_failed: self.failed.load(Ordering::Relaxed),
            logins_slowed: self.slowed.load(Ordering::Relaxed),
            hashes: self.hashes.load(Ordering::Relaxed),
            unlocked: self.unlocked.lock().len(),
            accounts,
        }
    }

    /// Logs in and counts how it went.
    pub(crate) async fn authenticate(
        &self,
        book: &RwLock<Book>,
        main: &Domain,
        login: &str,
        password: &Secret<String>,
        peer: IpAddr,
        way: Way,
    ) -> Result<Login, AuthError> {
        let name = login_name(login, main);
        let person = name.as_ref().and_then(|name| book.read().by_address(name).cloned());
        let outcome = if AccountKeys::is_app_password(password.expose()) {
            match &person {
                Some(person) if way == Way::MailProgram => {
                    self.with_app_password(book, person, password)
                }
                // On a page it would get round the second factor.
                _ => Err(AuthError::Rejected),
            }
        } else {
            let target = match &person {
                Some(person) => Target::from(person.account.id.0),
                None => self.target_of_nobody(login),
            };
            // A mail program cannot ask for the second factor. Whether the password was right is not
            // told, and takes as long to say as for a name that nobody has.
            let person = person.filter(|person| !is_halved(person, way));
            let outcome = self.with_password(book, person, target, password, (peer, way)).await;
            if let (Ok(login), Way::MailProgram) = (&outcome, way) {
                self.by_password.lock().insert(login.account.id, unix(SystemTime::now()));
            }
            outcome
        };
        let counter = match &outcome {
            Ok(_) => &self.ok,
            Err(AuthError::SlowDown(_)) => &self.slowed,
            Err(AuthError::Rejected | AuthError::Unavailable) => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        outcome
    }

    /// 128 bits are not guessed: no throttle, and no slow hash.
    fn with_app_password(
        &self,
        book: &RwLock<Book>,
        person: &Person,
        password: &Secret<String>,
    ) -> Result<Login, AuthError> {
        let fingerprint = self.fingerprint(Target::from(person.account.id.0), password);
        let id = person.account.id;
        if let Some(login) = self.recognise(book, id, &fingerprint, Way::MailProgram) {
            return Ok(login);
        }
        let (slot, keys) = open_app_password(&person.keys, password).ok_or(AuthError::Rejected)?;
        self.admit(book, id, fingerprint, slot, keys, Way::MailProgram)
    }

    async fn with_password(
        &self,
        book: &RwLock<Book>,
        person: Option<Arc<Person>>,
        target: Target,
        password: &Secret<String>,
        (peer, way): (IpAddr, Way),
    ) -> Result<Login, AuthError> {
        let fingerprint = self.fingerprint(target, password);
        // What a mail program may not use is not wrong on a page.
        let tried = self.tried(&fingerprint, way);
        let turn = self.turn(target, peer);
        let _turn = turn.lock().await;
        let judgement = self.throttle.lock().begin(target, peer, &tried, Instant::now());
        match judgement {
            Judgement::Check => {}
            Judgement::KnownWrong => return Err(AuthError::Rejected),
            Judgement::Wait(wait) => return Err(AuthError::SlowDown(wait)),
        }
        let id = person.as_ref().map(|person| person.account.id);
        if let Some(login) = id.and_then(|id| self.recognise(book, id, &fingerprint, way)) {
            self.throttle.lock().succeeded(target, peer, Instant::now());
            return Ok(login);
        }
        let outcome = match self.hash(person.clone(), password).await {
            Ok((slot, keys)) => match id {
                Some(id) => self.admit(book, id, fingerprint, slot, keys, way),
                None => Err(AuthError::Rejected),
            },
            Err(error) => Err(error),
        };
        let mut throttle = self.throttle.lock();
        match outcome {
            Ok(_) => throttle.succeeded(target, peer, Instant::now()),
            Err(AuthError::Rejected) if is_current(book, person.as_ref()) => {
                throttle.failed(target, peer, tried);
            }
            // The password was changed meanwhile, and this one may be the new one. It counts, but is
            // not remembered as wrong.
            Err(AuthError::Rejected) => {}
            Err(_) => throttle.undecided(target, peer),
        }
        outcome
    }

    /// Tries the password slot, of nobody if need be. Slow.
    async fn hash(
        &self,
        person: Option<Arc<Person>>,
        password: &Secret<String>,
    ) -> Result<(u32, Unlocked), AuthError> {
        let nobody = match person {
            Some(_) => None,
            None => Some(self.nobody().await?),
        };
        let permit = timeout(LONGEST_QUEUE, self.gate.clone().acquire_owned()).await;
        let Ok(Ok(permit)) = permit else { return Err(AuthError::Unavailable) };
        self.hashes.fetch_add(1, Ordering::Relaxed);
        let password = password.clone();
        let work = move || {
            // Kept until the hash is done, even when the caller has gone.
            let _permit = permit;
            let keys = match (&person, &nobody) {
                (Some(person), _) => &person.keys,
                (None, Some(nobody)) => nobody,
                (None, None) => return Err(UnlockError::WrongCredential),
            };
            let slot = keys.slots().find(|slot| slot.kind == SlotKind::Password).map(|s| s.id);
            let unlocked = keys.unlock_with_password(&password)?;
            Ok((slot.ok_or(UnlockError::Damaged)?, unlocked))
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(opened)) => Ok(opened),
            Ok(Err(UnlockError::WrongCredential)) => Err(AuthError::Rejected),
            Ok(Err(error @ UnlockError::Damaged)) => {
                tracing::error!(%error, "an account cannot be unlocked");
                Err(AuthError::Unavailable)
            }
            Err(_) => Err(AuthError::Unavailable),
        }
    }

    /// Makes the keys of nobody, once.
    pub(crate) async fn nobody(&self) -> Result<Arc<AccountKeys>, AuthError> {
        let cost = self.options.kdf_cost;
        let made = self.nobody.get_or_try_init(|| async move {
            let gate = self.gate.clone().acquire_owned().await;
            let work = move || {
                let _permit = gate;
                keys_of_nobody(cost)
            };
            match tokio::task::spawn_blocking(work).await {
                Ok(Some(keys)) => Ok(Arc::new(keys)),
                Ok(None) | Err(_) => Err(AuthError::Unavailable),
            }
        });
        made.await.cloned()
    }

    /// Checks a code of the second factor, slowed by the wrong ones before it.
    pub(crate) fn check_second_factor(
        &self,
        person: &Person,
        code: &str,
        now: SystemTime,
    ) -> Result<Option<WrongCodes>, AuthError> {
        let Some(secret) = &person.second_factor else { return Err(AuthError::Rejected) };
        let id = person.account.id;
        // The same digits may be right in another half minute.
        let typed = Secret::new(format!("{} {code}", second_factor::step(now)));
        let fingerprint = self.fingerprint(Target::from(id.0) | SECOND_FACTOR, &typed);
        let step = || second_factor::proves(secret, code, now);
        // Locked throughout, so that many at once gain nothing.
        let times = (Instant::now(), unix(now));
        let outcome = self.codes.lock().judge(id, fingerprint, times, step);
        match outcome {
            Outcome::Right(wrong) => Ok(wrong),
            Outcome::Wrong(wrong) => {
                tracing::warn!(account = %id, wrong, "a wrong code of a second factor");
                Err(AuthError::Rejected)
            }
            Outcome::Repeated => Err(AuthError::Rejected),
            Outcome::Wait(wait) => Err(AuthError::SlowDown(wait)),
        }
    }

    /// When a mail program last logged in with the password itself.
    pub(crate) fn by_password(&self, id: AccountId) -> Option<i64> {
        self.by_password.lock().get(&id).copied()
    }

    /// The account is gone.
    pub(crate) fn forget(&self, id: AccountId) {
        self.unlocked.lock().remove(id);
        self.codes.lock().forget(id);
        self.by_password.lock().remove(&id);
    }

    /// Recognises a credential that was proven, if it counts still: a log-in that waited for its turn
    /// may have begun before it was taken away.
    fn recognise(
        &self,
        book: &RwLock<Book>,
        id: AccountId,
        fingerprint: &Fingerprint,
        way: Way,
    ) -> Option<Login> {
        // Held until the session is noted, so that whoever takes its credential away finds it. Always
        // locked before the table.
        let book = book.read();
        let person = book.people.get(&id)?;
        let recognised = self.unlocked.lock().recognise(id, fingerprint, way);
        let (slot, unlocked, revocation) = recognised?;
        let login = Login { account: person.account.clone(), unlocked, revocation };
        counts(person, slot, way).then_some(login)
    }

    /// Admits a credential that opened its slot, unless the slot was taken away meanwhile.
    fn admit(
        &self,
        book: &RwLock<Book>,
        id: AccountId,
        fingerprint: Fingerprint,
        slot: u32,
        keys: Unlocked,
        way: Way,
    ) -> Result<Login, AuthError> {
        // Held until the credential is noted, so that whoever takes it away finds it.
        let book = book.read();
        let person = book.people.get(&id).ok_or(AuthError::Rejected)?;
        if !counts(person, slot, way) {
            return Err(AuthError::Rejected);
        }
        let (unlocked, revocation) = self.unlocked.lock().admit(id, fingerprint, slot, keys, way);
        Ok(Login { account: person.account.clone(), unlocked, revocation })
    }

    fn turn(&self, target: Target, peer: IpAddr) -> Arc<Turn> {
        let mut turns = self.turns.lock();
        if turns.len() > MAX_TURNS {
            turns.retain(|_, turn| turn.strong_count() > 0);
        }
        let place = turns.entry((target, Network::of(peer))).or_default();
        place.upgrade().unwrap_or_else(|| {
            let turn = Arc::default();
            *place = Arc::downgrade(&turn);
            turn
        })
    }

    fn fingerprint(&self, target: Target, password: &Secret<String>) -> Fingerprint {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&target.to_be_bytes());
        context.update(password.expose().as_bytes());
        self.finish(&context)
    }

    /// What the throttle knows a credential by.
    fn tried(&self, fingerprint: &Fingerprint, way: Way) -> Fingerprint {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(fingerprint);
        context.update(if way == Way::Page { b"page" } else { b"mail" });
        self.finish(&context)
    }

    fn target_of_nobody(&self, login: &str) -> Target {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(login.to_lowercase().as_bytes());
        let hash = self.finish(&context);
        let mut number = [0; 16];
        number.copy_from_slice(&hash[..16]);
        Target::from_be_bytes(number) | NOBODY
    }

    fn finish(&self, context: &hmac::Context) -> Fingerprint {
        let mut fingerprint = Fingerprint::default();
        fingerprint.copy_from_slice(context.clone().sign().as_ref());
        fingerprint
    }
}

fn unix(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs().cast_signed())
}

/// Whether an account's password is only half of what it takes, where the other half cannot be asked for.
fn is_halved(person: &Person, way: Way) -> bool {
    way == Way::MailProgram && person.account.second_factor
}

/// Whether whoever opened a slot may come in by that way: the slot is still there, and not halved.
fn counts(person: &Person, slot: u32, way: Way) -> bool {
    let slot = person.keys.slots().find(|known| known.id == slot);
    slot.is_some_and(|slot| slot.kind != SlotKind::Password || !is_halved(person, way))
}

/// Whether these are still the keys that a credential has to open. Asked while the throttle is locked,
/// whose memory of wrong passwords is cleared after the keys were changed.
fn is_current(book: &RwLock<Book>, person: Option<&Arc<Person>>) -> bool {
    person.is_none_or(|person| {
        let book = book.read();
        book.people.get(&person.account.id).is_some_and(|now| Arc::ptr_eq(now, person))
    })
}

/// The address that a log-in name means, in folded form.
fn login_name(login: &str, main: &Domain) -> Option<Address> {
    let login = login.trim();
    let parsed = if login.contains('@') {
        Address::parse(login)
    } else {
        Address::parse(&format!("{login}@{main}"))
    };
    parsed.ok().map(|address| address.folded())
}

/// Opens with an app password, and finds out which slot it was by trying each on its own.
fn open_app_password(keys: &AccountKeys, password: &Secret<String>) -> Option<(u32, Unlocked)> {
    let slots: Vec<u32> = keys.slots().map(|slot| slot.id).collect();
    let app = keys.slots().filter(|slot| slot.kind == SlotKind::AppPassword).map(|slot| slot.id);
    for id in app {
        let mut alone = keys.clone();
        for other in slots.iter().filter(|other| **other != id) {
            alone.remove_slot(*other);
        }
        if let Ok(unlocked) = alone.unlock_with_app_password(password) {
            return Some((id, unlocked));
        }
    }
    None
}

fn keys_of_nobody(cost: KdfCost) -> Option<AccountKeys> {
    let mut random = [0; 32];
    rand::fill(&mut random).ok()?;
    let password = Secret::new(data_encoding::BASE64.encode(&random));
    AccountKeys::generate("nobody", &password, None, cost).ok()
}
