//! Who sits before the set-up, and what they all share.

use crate::answers::Practice;
use crate::code::{Code, Tried};
use crate::flow::Flow;
use crate::machine::Machine;
use crate::pages;
use crate::world::World;
use axum::Router;
use axum::http::HeaderMap;
use parking_lot::{Mutex, MutexGuard};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use wardpost_directory::DirectoryError;
use wardpost_mail::{Address, Secret};
use wardpost_web::{Cookie, FormSeal, is_same, random};

/// The cookie of the browser that gave the code.
pub(crate) const SEAT: Cookie = Cookie::for_host("__Host-set-up");
/// How often it is looked whether the Internet can be reached.
const LOOKS: Duration = Duration::from_secs(20);
/// And how long that may take before it counts as no.
const LOOK: Duration = Duration::from_secs(8);

/// What whoever stands before the machine may know.
#[derive(Debug, Clone)]
pub struct Status {
    /// The one-time code.
    pub code: Secret<String>,
    /// For how long no code is taken.
    pub pause: Option<Duration>,
    /// Whether a browser has given the code.
    pub begun: bool,
    /// How the disk opens, where the machine says.
    pub unlock: Option<String>,
}

/// The set-up is over: what it takes to go on.
#[derive(Debug, Clone)]
pub struct Done {
    /// The first administrator.
    pub address: Address,
    /// The password, to open the account once more.
    pub password: Secret<String>,
    /// What the last link of the set-up proves itself with.
    pub token: Secret<String>,
}

/// The set-up and its pages.
pub struct SetUp {
    pub(crate) world: Arc<dyn World>,
    pub(crate) version: &'static str,
    pub(crate) forms: FormSeal,
    shared: Mutex<Shared>,
    online: AtomicBool,
    done: watch::Sender<Option<Done>>,
}

/// What requests change. Outside of here it is reached through [`Held`] alone.
struct Shared {
    code: Code,
    seat: Option<String>,
    flow: Flow,
    /// The answers are being put to work.
    busy: bool,
}

/// The answers, in the hands of the browser that has the seat: nobody takes it over as long as this lives. So
/// it is asked for again after every wait, and there is no other way to read or write an answer.
pub(crate) struct Held<'a>(MutexGuard<'a, Shared>);

impl Held<'_> {
    /// Begins to put the answers to work: from now on nobody has the seat until that ended.
    pub(crate) fn begin_work(&mut self, set_up: &Arc<SetUp>) -> Work {
        self.0.busy = true;
        Work(Arc::clone(set_up))
    }
}

impl Deref for Held<'_> {
    type Target = Flow;

    fn deref(&self) -> &Flow {
        &self.0.flow
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Flow {
        &mut self.0.flow
    }
}

/// The answers are being put to work, until this is dropped: also when that breaks off.
pub(crate) struct Work(Arc<SetUp>);

impl Work {
    /// It is done, for good.
    pub(crate) fn finished(self, done: Done) {
        self.0.done.send_replace(Some(done));
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.0.shared.lock().busy = false;
    }
}

/// Why somebody cannot get at the answers.
#[derive(Debug, Clone)]
pub(crate) enum NotHeld {
    /// This browser gave the code before another did, or before a restart.
    Former,
    /// It never did.
    Stranger,
    /// It has the seat, and the answers are being put to work.
    Busy,
    /// It has the seat, and the set-up is over.
    Over(Done),
}

/// What became of a code.
#[derive(Debug)]
pub(crate) enum Seating {
    /// The browser has the seat: the value of its cookie.
    Taken(String),
    /// It was the code, but the answers are being put to work, or were: nobody goes on in another's place.
    TooLate,
    /// It was not the code.
    Refused(Tried),
}

impl SetUp {
    /// A set-up of this machine in which nothing was answered. `version` is the program's.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn new(machine: Machine, version: &'static str) -> Result<Arc<Self>, DirectoryError> {
        Self::over(Arc::new(machine), version)
    }

    pub(crate) fn over(
        world: Arc<dyn World>,
        version: &'static str,
    ) -> Result<Arc<Self>, DirectoryError> {
        if world.disk().lacks_key() {
            tracing::error!("set-up: the disk is encrypted, and there is no recovery key for it");
        }
        let shared = Shared { code: Code::new(), seat: None, flow: Flow::new()?, busy: false };
        Ok(Arc::new(Self {
            world,
            version,
            forms: FormSeal::new(),
            shared: Mutex::new(shared),
            // Until something else is known: nobody is told to look after a cable for nothing.
            online: AtomicBool::new(true),
            done: watch::Sender::new(None),
        }))
    }

    /// Looks again and again whether the Internet can be reached, so that no page has to wait for it.
    pub async fn watch_network(&self) {
        loop {
            self.look(LOOK).await;
            tokio::time::sleep(LOOKS).await;
        }
    }

    pub(crate) async fn look(&self, patience: Duration) {
        let look = tokio::time::timeout(patience, self.world.is_online()).await;
        self.online.store(look.unwrap_or(false), Ordering::Relaxed);
    }

    /// What whoever stands before the machine may know. Show it nowhere else.
    pub fn status(&self) -> Status {
        let shared = self.shared.lock();
        Status {
            code: shared.code.shown(),
            pause: shared.code.pause(Instant::now()),
            begun: shared.seat.is_some(),
            unlock: self.world.disk().unlock,
        }
    }

    /// Waits until everything is done.
    pub async fn done(&self) -> Done {
        let mut done = self.done.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        match done.wait_for(Option::is_some).await.map(|done| done.clone()) {
            Ok(Some(done)) => done,
            _ => std::future::pending().await,
        }
    }

    /// All pages.
    pub fn router(self: &Arc<Self>) -> Router {
        pages::router(Arc::clone(self))
    }

    /// What is answered at the set-up's addresses once there is nothing to set up any more.
    pub fn afterwards(shell: wardpost_web::Shell) -> Router {
        pages::afterwards(shell)
    }

    /// A page's name for metrics.
    pub fn page_name(path: &str) -> Option<&'static str> {
        path.starts_with("/set-up").then_some("set-up")
    }

    /// The answers, for the browser that gave the code last.
    pub(crate) fn hold(&self, headers: &HeaderMap) -> Result<Held<'_>, NotHeld> {
        let mut values = SEAT.values(headers).peekable();
        if values.peek().is_none() {
            return Err(NotHeld::Stranger);
        }
        let shared = self.shared.lock();
        let holds = |value| shared.seat.as_ref().is_some_and(|seat| is_same(seat, value));
        if !values.any(holds) {
            return Err(NotHeld::Former);
        }
        // In this order: the end is told before the work counts as over.
        if shared.busy {
            return Err(NotHeld::Busy);
        }
        let done = self.done.borrow().clone();
        done.map_or(Ok(Held(shared)), |done| Err(NotHeld::Over(done)))
    }

    /// Who the practice is, as soon as that was answered: it stands on pages that anybody may see.
    pub(crate) fn practice(&self) -> Option<Practice> {
        self.shared.lock().flow.practice().cloned()
    }

    /// Tries the code; the right one gives the seat.
    pub(crate) fn sit_down(&self, typed: &str) -> Seating {
        let mut shared = self.shared.lock();
        let tried = shared.code.attempt(typed, Instant::now());
        if tried != Tried::Right {
            tracing::info!(?tried, "set-up: not the code");
            return Seating::Refused(tried);
        }
        if shared.busy || self.done.borrow().is_some() {
            return Seating::TooLate;
        }
        let seat = random(32);
        if shared.seat.replace(seat.clone()).is_some() {
            tracing::warn!("set-up: taken over by another browser");
            shared.flow.hand_over();
        } else {
            tracing::info!("set-up: the code was given");
        }
        Seating::Taken(seat)
    }

    /// Whether the Internet could be reached a moment ago.
    pub(crate) fn is_online(&self) -> bool {
        self.online.load(Ordering::Relaxed)
    }

    /// Whether the answers are being put to work.
    #[cfg(test)]
    pub(crate) fn is_busy(&self) -> bool {
        self.shared.lock().busy
    }

    /// Whether the end was reached.
    #[cfg(test)]
    pub(crate) fn is_over(&self) -> bool {
        self.done.borrow().is_some()
    }

    /// The answers, whoever has the seat.
    #[cfg(test)]
    pub(crate) fn peek(&self) -> Held<'_> {
        Held(self.shared.lock())
    }
}
