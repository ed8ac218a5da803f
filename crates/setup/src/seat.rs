//! Who sits before the set-up, and what they all share.

use crate::code::{Code, Tried};
use crate::flow::Flow;
use crate::pages;
use crate::world::World;
use axum::Router;
use axum::http::HeaderMap;
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use wardpost_directory::DirectoryError;
use wardpost_mail::{Address, Secret};
use wardpost_web::{Cookie, FormSeal, is_same, random};

/// The cookie of the browser that gave the code.
pub(crate) const SEAT: Cookie = Cookie::for_host("__Host-set-up");
/// How long it counts that the Internet could be reached, or not.
const ONLINE_FOR: Duration = Duration::from_secs(20);

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
    online: tokio::sync::Mutex<Option<(Instant, bool)>>,
    done: watch::Sender<Option<Done>>,
}

/// What requests change.
pub(crate) struct Shared {
    code: Code,
    seat: Option<String>,
    pub(crate) flow: Flow,
    /// The answers are being put to work.
    pub(crate) busy: bool,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// The browser that gave the code last.
    Holder,
    /// One that gave it before, or before a restart.
    Former,
    /// One that never did.
    Stranger,
}

impl SetUp {
    /// A set-up in which nothing was answered. `version` is the program's.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn new(world: Arc<dyn World>, version: &'static str) -> Result<Arc<Self>, DirectoryError> {
        let shared = Shared { code: Code::new(), seat: None, flow: Flow::new()?, busy: false };
        Ok(Arc::new(Self {
            world,
            version,
            forms: FormSeal::new(),
            shared: Mutex::new(shared),
            online: tokio::sync::Mutex::default(),
            done: watch::Sender::new(None),
        }))
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

    pub(crate) fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock()
    }

    pub(crate) fn who(&self, headers: &HeaderMap) -> Who {
        let shared = self.shared.lock();
        let mut values = SEAT.values(headers).peekable();
        if values.peek().is_none() {
            return Who::Stranger;
        }
        let holds = |value| shared.seat.as_ref().is_some_and(|seat| is_same(seat, value));
        if values.any(holds) { Who::Holder } else { Who::Former }
    }

    /// Tries the code; the right one gives a seat, the value of its cookie.
    pub(crate) fn sit_down(&self, typed: &str) -> (Tried, Option<String>) {
        let mut shared = self.shared.lock();
        let tried = shared.code.attempt(typed, Instant::now());
        if tried != Tried::Right {
            tracing::info!(?tried, "set-up: not the code");
            return (tried, None);
        }
        let seat = random(32);
        if shared.seat.replace(seat.clone()).is_some() {
            tracing::warn!("set-up: taken over by another browser");
            shared.flow.hand_over();
        } else {
            tracing::info!("set-up: the code was given");
        }
        (tried, Some(seat))
    }

    pub(crate) fn finished(&self, done: Done) {
        self.done.send_replace(Some(done));
    }

    /// The end, if it was reached.
    pub(crate) fn end(&self) -> Option<Done> {
        self.done.borrow().clone()
    }

    /// Whether the Internet can be reached; asked anew only now and then.
    pub(crate) async fn is_online(&self) -> bool {
        let mut last = self.online.lock().await;
        if let Some((when, online)) = *last
            && when.elapsed() < ONLINE_FOR
        {
            return online;
        }
        let online = self.world.is_online().await;
        *last = Some((Instant::now(), online));
        online
    }
}
