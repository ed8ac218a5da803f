//! What the practice has decided about single domains.
//!
//! A [`Pin`] is a rule for a domain, for all domains below one, or for everybody: how good TLS to it
//! must be, that its mail is always picked up, which certificates are trusted, which smarthost passes
//! its mail on, or that a partner who cannot do better gets unverified TLS for a while. An
//! administrator sets it; nothing on the network can.
//!
//! **One rule holds for a domain**, whole: the most specific one that has not ended. `lab.example`
//! beats `*.example`, which beats `*`; nothing of the others is mixed in, so that what
//! `wardpost pin show` prints is all there is to know.
//!
//! **What lowers must be owned up to.** A rule that asks for less than the practice's floor, or trusts
//! a smarthost with the way onward, has a reason; one that lets unverified TLS pass has an end as
//! well, a year away at most. Cleartext cannot be asked for. [`Pin::new`] sees to all of it, and there
//! is no other way to a [`Pin`] but the store.
//!
//! **Never less than the domain itself asks for.** A rule stands in place of the practice's default;
//! what the domain publishes (DANE, enforced MTA-STS) raises it all the same
//! ([`Floors::demand`](wardpost_verdict::Floors::demand)).
//!
//! ```text
//! Column::Trust   b'p' + keyed hash of the pattern  →  1 + the rule (postcard)
//! ```
//! Rules are few and asked for with every recipient, so all are in memory; a change is committed first
//! and shown then. A rule that has ended counts for nothing from that second on; it is listed for some
//! months more, so that somebody may see why mail goes another way now, and then deleted.

mod error;
mod pattern;
mod pem;
mod pin;
mod record;

#[cfg(test)]
mod tests;

pub use error::{LoginError, PinError, PinsError};
pub use pattern::Pattern;
pub use pem::{PemError, authorities_from_pem, fingerprint_from_pem};
pub use pin::{Draft, Login, MAX_EXCEPTION, Pin, Smarthost};

use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::Mutex;
use wardpost_mail::Domain;
use wardpost_store::{Batch, Column, Store};

/// Most rules kept.
const MAX_PINS: usize = 10_000;
/// How long a rule that has ended is still listed.
const SHOWN_AFTER_END: Duration = Duration::from_secs(180 * 24 * 3600);

type Book = BTreeMap<Pattern, Arc<Pin>>;

struct Inner {
    store: Store,
    book: ArcSwap<Book>,
    /// Held by whoever changes the rules.
    writer: Mutex<()>,
}

/// All rules. Clones share everything.
#[derive(Clone)]
pub struct Pins(Arc<Inner>);

impl Pins {
    /// Reads the rules kept in `store`. May block on the disk.
    ///
    /// # Errors
    /// When the store fails or a rule cannot be read: to go on without it could send mail over a path
    /// that the practice has ruled out.
    pub fn open(store: Store) -> Result<Self, PinsError> {
        let mut book = Book::new();
        let mut outcome = Ok(());
        store.for_each(
            Column::Trust,
            record::PINS,
            &mut |_, bytes| match record::decode(&bytes) {
                Ok(pin) => {
                    book.insert(pin.pattern().clone(), Arc::new(pin));
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    outcome = Err(error);
                    ControlFlow::Break(())
                }
            },
        )?;
        outcome?;
        let book = ArcSwap::from_pointee(book);
        Ok(Self(Arc::new(Inner { store, book, writer: Mutex::default() })))
    }

    /// The rule that holds for a domain now: its own, else the nearest above, else the one for
    /// everybody. Rules that have ended are passed over.
    pub fn of(&self, domain: &Domain) -> Option<Arc<Pin>> {
        self.of_at(domain, SystemTime::now())
    }

    /// As [`Pins::of`], at another time.
    pub fn of_at(&self, domain: &Domain, now: SystemTime) -> Option<Arc<Pin>> {
        let book = self.0.book.load();
        if book.is_empty() {
            return None;
        }
        let holds = |pattern: &Pattern| book.get(pattern).filter(|pin| !pin.has_ended(now));
        Pattern::that_cover(domain).find_map(|pattern| holds(&pattern).cloned())
    }

    /// The rule with this pattern, ended or not.
    pub fn get(&self, pattern: &Pattern) -> Option<Arc<Pin>> {
        self.0.book.load().get(pattern).cloned()
    }

    /// All rules by pattern, those that ended lately too.
    pub fn list(&self) -> Vec<Arc<Pin>> {
        self.0.book.load().values().cloned().collect()
    }

    /// Keeps a rule, in place of the one with the same pattern; that one is returned.
    ///
    /// # Errors
    /// When there are too many rules or the store fails; nothing has changed then.
    pub async fn set(&self, pin: Pin) -> Result<Option<Arc<Pin>>, PinsError> {
        let inner = &self.0;
        let _writing = inner.writer.lock().await;
        let mut book = Book::clone(&inner.book.load());
        let mut batch = Batch::new();
        inner.clear_ended(&mut book, &mut batch);
        let pattern = pin.pattern().clone();
        batch.put(Column::Trust, record::key(&inner.store, &pattern), record::encode(&pin));
        let old = book.insert(pattern, Arc::new(pin));
        if book.len() > MAX_PINS {
            return Err(PinsError::TooMany(MAX_PINS));
        }
        inner.store.commit(batch).await?;
        inner.book.store(Arc::new(book));
        Ok(old)
    }

    /// Removes the rule with this pattern, and returns it.
    ///
    /// # Errors
    /// When there is none, or the store fails; nothing has changed then.
    pub async fn remove(&self, pattern: &Pattern) -> Result<Arc<Pin>, PinsError> {
        let inner = &self.0;
        let _writing = inner.writer.lock().await;
        let mut book = Book::clone(&inner.book.load());
        let pin = book.remove(pattern).ok_or_else(|| PinsError::NotFound(pattern.clone()))?;
        let mut batch = Batch::new();
        batch.delete(Column::Trust, record::key(&inner.store, pattern));
        inner.clear_ended(&mut book, &mut batch);
        inner.store.commit(batch).await?;
        inner.book.store(Arc::new(book));
        Ok(pin)
    }
}

impl Inner {
    /// Drops the rules that ended long ago.
    fn clear_ended(&self, book: &mut Book, batch: &mut Batch) {
        let now = SystemTime::now();
        let gone = |pin: &Pin| pin.expires().is_some_and(|end| end + SHOWN_AFTER_END <= now);
        book.retain(|pattern, pin| {
            let goes = gone(pin);
            if goes {
                batch.delete(Column::Trust, record::key(&self.store, pattern));
            }
            !goes
        });
    }
}
