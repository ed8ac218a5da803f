//! A world that keeps note of what it is asked, and browsers before the pages.

use super::super::*;
use crate::answers::{Answers, Practice};
use crate::seat::Done;
use crate::world::{Disk, DomainLook, NotApplied, RelayLook, World};
use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};
use tokio::sync::Semaphore;
use tower::ServiceExt;
use wardpost_directory::second_factor;
use wardpost_keys::RecoveryCertificate;
use wardpost_pins::Smarthost;
use wardpost_web::Connection;

pub(super) const PASSWORD: &str = "three blind mice on a bus";
pub(super) const DISK_KEY: &str = "bcdefghi-jklnrtuv";

/// A world in which everything is as it is set.
pub(super) struct Fake {
    pub(super) look: DomainLook,
    pub(super) relay_works: bool,
    pub(super) online: bool,
    pub(super) free: u64,
    pub(super) disk: bool,
    pub(super) unlock: Option<&'static str>,
    pub(super) takes: Duration,
    pub(super) refuses: Mutex<Option<String>>,
    pub(super) applied: Mutex<Vec<(Answers, bool)>>,
    /// How often the network is asked until it makes whoever asks wait.
    pub(super) answers: Semaphore,
    /// How often it was asked.
    pub(super) asked: AtomicUsize,
}

impl Fake {
    pub(super) fn new() -> Self {
        Self {
            look: DomainLook::Free,
            relay_works: true,
            online: true,
            free: 100 << 30,
            disk: false,
            unlock: None,
            takes: Duration::ZERO,
            refuses: Mutex::default(),
            applied: Mutex::default(),
            answers: Semaphore::new(1000),
            asked: AtomicUsize::new(0),
        }
    }
}

impl Fake {
    async fn network(&self) {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.answers.acquire().await.unwrap().forget();
    }

    /// Until the network was asked so often.
    pub(super) async fn is_asked(&self, times: usize) {
        while self.asked.load(Ordering::SeqCst) < times {
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl World for Fake {
    async fn domain(&self, _: &Practice) -> DomainLook {
        self.network().await;
        self.look.clone()
    }

    async fn relay(&self, _: &Practice, _: &Smarthost) -> RelayLook {
        self.network().await;
        let says = if self.relay_works { "It works." } else { "It does not answer." };
        RelayLook { works: self.relay_works, says: says.into() }
    }

    async fn is_online(&self) -> bool {
        self.network().await;
        self.online
    }

    fn free_space(&self) -> Option<u64> {
        Some(self.free)
    }

    fn disk(&self) -> Disk {
        let recovery_key = self.disk.then(|| Secret::new(DISK_KEY.to_owned()));
        Disk { recovery_key, unlock: self.unlock.map(str::to_owned), ..Disk::default() }
    }

    fn fetches_certificates(&self) -> bool {
        true
    }

    async fn apply(
        &self,
        answers: &Answers,
        _: &RecoveryCertificate,
        disk_key_confirmed: bool,
    ) -> Result<(), NotApplied> {
        if let Some(why) = self.refuses.lock().take() {
            return Err(NotApplied(why));
        }
        tokio::time::sleep(self.takes).await;
        self.applied.lock().push((answers.clone(), disk_key_confirmed));
        Ok(())
    }
}

/// A browser with its cookies.
pub(super) struct Browser {
    pub(super) set_up: Arc<SetUp>,
    pub(super) cookies: Vec<(String, String)>,
}

/// What came back.
pub(super) struct Came {
    pub(super) status: u16,
    pub(super) location: Option<String>,
    pub(super) text: String,
}

impl Browser {
    pub(super) fn new(set_up: &Arc<SetUp>) -> Self {
        Self { set_up: Arc::clone(set_up), cookies: Vec::new() }
    }

    pub(super) async fn ask(
        &mut self,
        request: axum::http::request::Builder,
        body: String,
    ) -> Came {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.header(header::COOKIE, cookies.join("; "));
        let mut request = request.body(Body::from(body)).unwrap();
        let peer = [127, 0, 0, 1].into();
        request.extensions_mut().insert(Connection { peer, tls: None });
        let response = self.set_up.router().oneshot(request).await.unwrap();
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let text = cookie.to_str().unwrap();
            assert!(text.contains("Secure; HttpOnly; SameSite=Strict"), "{text}");
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
        let status = response.status().as_u16();
        let location = response.headers().get(header::LOCATION);
        let location = location.map(|path| path.to_str().unwrap().to_owned());
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        Came { status, location, text: String::from_utf8(body.to_vec()).unwrap() }
    }

    pub(super) async fn get(&mut self, path: &str) -> Came {
        self.ask(Request::get(path), String::new()).await
    }

    /// Fills in the form of a page, hidden fields included.
    pub(super) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Came {
        let page = self.get(path).await;
        let token = hidden(&page.text, "form_token").unwrap_or_default();
        let mut fields = fields.to_vec();
        fields.push(("form_token", &token));
        self.post_raw(path, &fields).await
    }

    pub(super) async fn post_raw(&mut self, path: &str, fields: &[(&str, &str)]) -> Came {
        let encode = |text: &str| -> String { text.bytes().map(|b| format!("%{b:02X}")).collect() };
        let body: Vec<String> =
            fields.iter().map(|(name, text)| format!("{name}={}", encode(text))).collect();
        let request =
            Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.ask(request, body.join("&")).await
    }

    pub(super) async fn sit_down(&mut self) {
        let code = self.set_up.status().code;
        let came = self.post(START, &[("code", code.expose())]).await;
        assert_eq!(came.location.as_deref(), Some(START));
    }

    /// All answers, up to the sheet.
    pub(super) async fn answer_all(&mut self) {
        for (step, fields) in ANSWERS {
            let came = self.post(step.path(), fields).await;
            assert_eq!(came.status, 303, "{step:?}: {}", came.text);
            if *step == Step::Administrator {
                self.prove().await;
            }
        }
    }

    pub(super) async fn prove(&mut self) {
        let code = {
            let shared = self.set_up.peek();
            second_factor::code(shared.factor(), SystemTime::now())
        };
        let came = self.post(Step::SecondFactor.path(), &[("code", code.expose())]).await;
        assert_eq!(came.status, 303);
    }

    pub(super) fn kit_end(&self) -> String {
        let shared = self.set_up.peek();
        let kit = shared.kit().map(|kit| kit.secret.clone());
        kit.map(|kit| crate::paper::last_groups(&kit).1.to_owned()).unwrap_or_default()
    }
}

pub(super) const ANSWERS: &[(Step, &[(&str, &str)])] = &[
    (Step::Practice, &[("name", "Elm Street Clinic"), ("domain", "clinic.test")]),
    (
        Step::Administrator,
        &[("name", "Dana"), ("address", "dana"), ("password", PASSWORD), ("again", PASSWORD)],
    ),
    (Step::Notices, &[("phone", "555 0100"), ("contact", "office@clinic.test")]),
    (Step::Outgoing, &[("way", "direct")]),
    (Step::Backups, &[("destination", "")]),
    (Step::Review, &[]),
];

pub(super) fn hidden(html: &str, name: &str) -> Option<String> {
    let rest = html.split(&format!("name=\"{name}\" value=\"")).nth(1)?;
    rest.split('"').next().map(str::to_owned)
}

pub(super) fn set_up(world: Fake) -> (Arc<SetUp>, Arc<Fake>) {
    let world = Arc::new(world);
    (SetUp::over(Arc::clone(&world) as Arc<dyn World>, "0.1.0").unwrap(), world)
}

pub(super) async fn done(set_up: &SetUp) -> Option<Done> {
    tokio::time::timeout(Duration::from_millis(10), set_up.done()).await.ok()
}
