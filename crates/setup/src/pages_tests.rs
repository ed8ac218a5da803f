//! The pages as a browser sees them, over a world that keeps note of what it is asked.

use super::*;
use crate::answers::{Answers, Practice};
use crate::seat::Done;
use crate::world::{Disk, DomainLook, NotApplied, RelayLook, World};
use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use parking_lot::Mutex;
use proptest::prelude::*;
use std::time::{Duration, SystemTime};
use tower::ServiceExt;
use wardpost_directory::second_factor;
use wardpost_keys::RecoveryCertificate;
use wardpost_mail::Domain;
use wardpost_pins::Smarthost;
use wardpost_web::Connection;

const PASSWORD: &str = "three blind mice on a bus";
const DISK_KEY: &str = "bcdefghi-jklnrtuv";

/// A world in which everything is as it is set.
struct Fake {
    look: DomainLook,
    relay_works: bool,
    online: bool,
    free: u64,
    disk: bool,
    unlock: Option<&'static str>,
    takes: Duration,
    refuses: Mutex<Option<String>>,
    applied: Mutex<Vec<(Answers, bool)>>,
}

impl Fake {
    fn new() -> Self {
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
        }
    }
}

#[async_trait]
impl World for Fake {
    async fn domain(&self, _: &Practice) -> DomainLook {
        self.look.clone()
    }

    async fn relay(&self, _: &Practice, _: &Smarthost) -> RelayLook {
        let says = if self.relay_works { "It works." } else { "It does not answer." };
        RelayLook { works: self.relay_works, says: says.into() }
    }

    async fn is_online(&self) -> bool {
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
struct Browser {
    set_up: Arc<SetUp>,
    cookies: Vec<(String, String)>,
}

/// What came back.
struct Came {
    status: u16,
    location: Option<String>,
    text: String,
}

impl Browser {
    fn new(set_up: &Arc<SetUp>) -> Self {
        Self { set_up: Arc::clone(set_up), cookies: Vec::new() }
    }

    async fn ask(&mut self, request: axum::http::request::Builder, body: String) -> Came {
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

    async fn get(&mut self, path: &str) -> Came {
        self.ask(Request::get(path), String::new()).await
    }

    /// Fills in the form of a page, hidden fields included.
    async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Came {
        let page = self.get(path).await;
        let token = hidden(&page.text, "form_token").unwrap_or_default();
        let mut fields = fields.to_vec();
        fields.push(("form_token", &token));
        self.post_raw(path, &fields).await
    }

    async fn post_raw(&mut self, path: &str, fields: &[(&str, &str)]) -> Came {
        let encode = |text: &str| -> String { text.bytes().map(|b| format!("%{b:02X}")).collect() };
        let body: Vec<String> =
            fields.iter().map(|(name, text)| format!("{name}={}", encode(text))).collect();
        let request =
            Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.ask(request, body.join("&")).await
    }

    async fn sit_down(&mut self) {
        let code = self.set_up.status().code;
        let came = self.post(START, &[("code", code.expose())]).await;
        assert_eq!(came.location.as_deref(), Some(START));
    }

    /// All answers, up to the sheet.
    async fn answer_all(&mut self) {
        for (step, fields) in ANSWERS {
            let came = self.post(step.path(), fields).await;
            assert_eq!(came.status, 303, "{step:?}: {}", came.text);
            if *step == Step::Administrator {
                self.prove().await;
            }
        }
    }

    async fn prove(&mut self) {
        let code = {
            let shared = self.set_up.shared();
            second_factor::code(shared.flow.factor(), SystemTime::now())
        };
        let came = self.post(Step::SecondFactor.path(), &[("code", code.expose())]).await;
        assert_eq!(came.status, 303);
    }

    fn kit_end(&self) -> String {
        let shared = self.set_up.shared();
        let kit = shared.flow.kit().map(|kit| kit.secret.clone());
        kit.map(|kit| crate::flow::last_groups(&kit).1.to_owned()).unwrap_or_default()
    }
}

const ANSWERS: &[(Step, &[(&str, &str)])] = &[
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

fn hidden(html: &str, name: &str) -> Option<String> {
    let rest = html.split(&format!("name=\"{name}\" value=\"")).nth(1)?;
    rest.split('"').next().map(str::to_owned)
}

fn set_up(world: Fake) -> (Arc<SetUp>, Arc<Fake>) {
    let world = Arc::new(world);
    (SetUp::new(Arc::clone(&world) as Arc<dyn World>, "0.1.0").unwrap(), world)
}

async fn done(set_up: &SetUp) -> Option<Done> {
    tokio::time::timeout(Duration::from_millis(10), set_up.done()).await.ok()
}

#[tokio::test]
async fn from_the_code_to_the_end() {
    let (set_up, world) = set_up(Fake { disk: true, ..Fake::new() });
    let mut dana = Browser::new(&set_up);
    assert_eq!(dana.get("/").await.location.as_deref(), Some(START));
    dana.sit_down().await;
    assert_eq!(dana.get(START).await.location.as_deref(), Some("/set-up/practice"));
    dana.answer_all().await;
    let sheet = dana.get(Step::Sheet.path()).await.text;
    assert!(sheet.contains(DISK_KEY) && sheet.contains("Elm Street Clinic"));
    assert!(sheet.contains(&dana.kit_end()));
    let end = dana.kit_end();
    let came = dana.post(Step::Sheet.path(), &[("kit", &end), ("disk", "wrong")]).await;
    assert_eq!(came.status, 422);
    assert!(came.text.contains("id=\"disk-error\"") && !came.text.contains("id=\"kit-error\""));
    assert!(world.applied.lock().is_empty() && done(&set_up).await.is_none());

    let came = dana.post(Step::Sheet.path(), &[("kit", &end), ("disk", "jklnrtuv")]).await;
    assert_eq!(came.status, 200, "{}", came.text);
    let done = done(&set_up).await.unwrap();
    assert!(came.text.contains(&format!("/staff/welcome/{}", done.token.expose())));
    assert_eq!(done.address.to_string(), "dana@clinic.test");
    let applied = world.applied.lock().clone();
    assert_eq!(applied.len(), 1);
    assert!(applied[0].1, "the disk's key was confirmed");
    // Loading any page again shows the same end, and does nothing a second time.
    let again = dana.post_raw(Step::Sheet.path(), &[("kit", &end), ("disk", "jklnrtuv")]).await;
    assert!(again.text.contains(done.token.expose()));
    assert_eq!(world.applied.lock().len(), 1);
    // Nobody else gets the last link.
    let stranger = Browser::new(&set_up).get(Step::Sheet.path()).await;
    assert_eq!(stranger.location.as_deref(), Some(START));
}

#[tokio::test]
async fn no_page_ever_shows_a_password() {
    let (set_up, _) = set_up(Fake { relay_works: false, ..Fake::new() });
    let mut dana = Browser::new(&set_up);
    dana.sit_down().await;
    dana.answer_all().await;
    let relay =
        [("way", "smarthost"), ("host", "smtp.isp.test"), ("user", "u"), ("password", "CANARY")];
    let mut pages = vec![dana.post(Step::Outgoing.path(), &relay).await.text];
    let wrong =
        [("name", ""), ("address", "?"), ("password", "CANARY one"), ("again", "CANARY two")];
    pages.push(dana.post(Step::Administrator.path(), &wrong).await.text);
    for step in Step::ALL {
        pages.push(dana.get(step.path()).await.text);
    }
    for page in pages {
        assert!(!page.contains("CANARY") && !page.contains(PASSWORD), "{page}");
    }
}

#[tokio::test]
async fn strangers_see_only_where_the_code_goes() {
    let (set_up, _) = set_up(Fake::new());
    let mut dana = Browser::new(&set_up);
    dana.sit_down().await;
    dana.answer_all().await;
    let mut stranger = Browser::new(&set_up);
    stranger.cookies.push(("__Host-set-up".into(), "A".repeat(43)));
    for step in Step::ALL {
        for came in [
            stranger.get(step.path()).await,
            stranger.post_raw(step.path(), &[("name", "Mallory"), ("kit", "x")]).await,
        ] {
            assert_eq!(came.location.as_deref(), Some(START), "{step:?}");
            assert!(came.text.is_empty());
        }
    }
    let page = stranger.get(START).await.text;
    assert!(!page.contains(set_up.status().code.expose()));
}

#[tokio::test]
async fn guessing_the_code_leads_nowhere() {
    let (set_up, _) = set_up(Fake::new());
    let mut guesser = Browser::new(&set_up);
    let first = set_up.status().code.expose().clone();
    for n in 1..=10 {
        let came = guesser.post(START, &[("code", &format!("BCDF-GH{n:02}"))]).await;
        assert_eq!(came.status, 403);
        let words = if n < 10 { "That is not the code" } else { "has made a new one" };
        assert!(came.text.contains(words), "{n}: {}", came.text);
    }
    let second = set_up.status();
    assert_ne!(second.code.expose(), &first);
    assert!(second.pause.is_some());
    let came = guesser.post(START, &[("code", second.code.expose())]).await;
    assert!(came.text.contains("Please wait"), "{}", came.text);
    assert!(!set_up.status().begun);
}

#[tokio::test]
async fn a_second_browser_with_the_code_takes_over() {
    let (set_up, world) = set_up(Fake::new());
    let (mut first, mut second) = (Browser::new(&set_up), Browser::new(&set_up));
    first.sit_down().await;
    first.answer_all().await;
    first.get(Step::Sheet.path()).await;
    let printed = first.kit_end();
    second.sit_down().await;
    assert_eq!(first.get(Step::Notices.path()).await.location.as_deref(), Some(START));
    assert!(first.get(START).await.text.contains("begun in another browser"));
    let came = first.post_raw(Step::Sheet.path(), &[("kit", &printed)]).await;
    assert_eq!(came.location.as_deref(), Some(START));
    // What was typed is not lost, but no password, app or sheet of somebody else counts.
    assert_eq!(second.get(START).await.location.as_deref(), Some(Step::Administrator.path()));
    let page = second.get(Step::Administrator.path()).await.text;
    assert!(page.contains("value=\"Dana\"") && !page.contains(PASSWORD));
    let fields = [("name", "Dana"), ("address", "dana"), ("password", ""), ("again", "")];
    assert_eq!(second.post(Step::Administrator.path(), &fields).await.status, 422);
    second.post(Step::Administrator.path(), ANSWERS[1].1).await;
    second.prove().await;
    assert!(second.get(Step::Notices.path()).await.text.contains("555 0100"));
    second.post(Step::Review.path(), &[]).await;
    second.get(Step::Sheet.path()).await;
    if printed != second.kit_end() {
        let came = second.post(Step::Sheet.path(), &[("kit", &printed)]).await;
        assert_eq!(came.status, 422);
    }
    let end = second.kit_end();
    assert_eq!(second.post(Step::Sheet.path(), &[("kit", &end)]).await.status, 200);
    assert_eq!(world.applied.lock().len(), 1);
}

/// Whoever presses the button twice, or loads a page meanwhile, waits; and it is done once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pressing_twice_does_it_once() {
    let (set_up, world) = set_up(Fake { takes: Duration::from_millis(300), ..Fake::new() });
    let mut dana = Browser::new(&set_up);
    dana.sit_down().await;
    dana.answer_all().await;
    let page = dana.get(Step::Sheet.path()).await;
    let (end, token) = (dana.kit_end(), hidden(&page.text, "form_token").unwrap());
    let press = |cookies: Vec<(String, String)>, kit: String| {
        let (mut browser, token) =
            (Browser { set_up: Arc::clone(&set_up), cookies }, token.clone());
        tokio::spawn(async move {
            browser.post_raw(Step::Sheet.path(), &[("kit", &kit), ("form_token", &token)]).await
        })
    };
    let presses = [
        press(dana.cookies.clone(), end.clone()),
        press(dana.cookies.clone(), end.clone()),
        press(dana.cookies.clone(), "a slip".to_owned()),
    ];
    let all = async {
        for press in presses {
            assert!([200, 422].contains(&press.await.unwrap().status));
        }
        assert!(dana.get(Step::Sheet.path()).await.text.contains("/staff/welcome/"));
    };
    tokio::time::timeout(Duration::from_secs(20), all).await.expect("nobody waits for himself");
    assert_eq!(world.applied.lock().len(), 1);
    assert!(done(&set_up).await.is_some());
}

#[tokio::test]
async fn an_encrypted_disk_without_a_recovery_key_ends_no_set_up() {
    let (set_up, world) = set_up(Fake { unlock: Some("tpm"), ..Fake::new() });
    let mut dana = Browser::new(&set_up);
    dana.sit_down().await;
    dana.answer_all().await;
    dana.get(Step::Sheet.path()).await;
    let end = dana.kit_end();
    let came = dana.post(Step::Sheet.path(), &[("kit", &end)]).await;
    assert!(came.text.contains("could not make the recovery key"), "{}", came.text);
    assert!(world.applied.lock().is_empty() && done(&set_up).await.is_none());
}

#[tokio::test]
async fn forms_of_other_pages_are_refused() {
    let (set_up, _) = set_up(Fake::new());
    let mut dana = Browser::new(&set_up);
    dana.sit_down().await;
    let fields = [("name", "Elm"), ("domain", "clinic.test"), ("form_token", "forged")];
    let came = dana.post_raw(Step::Practice.path(), &fields).await;
    assert_eq!(came.status, 403);
    assert!(set_up.shared().flow.practice().is_none());
    // A form that is none.
    let request = Request::post(Step::Practice.path()).header(header::CONTENT_TYPE, "text/plain");
    assert_eq!(dana.ask(request, "x".into()).await.status, 403);
}

#[tokio::test]
async fn what_the_network_says_is_told_once_and_may_be_overruled() {
    let elsewhere = DomainLook::Elsewhere(vec![Domain::parse("mx.old.test").unwrap()]);
    for (look, words) in [(elsewhere, "mx.old.test"), (DomainLook::Missing, "no domain called")] {
        let (set_up, _) = set_up(Fake { look, ..Fake::new() });
        let mut dana = Browser::new(&set_up);
        dana.sit_down().await;
        let fields = [("name", "Elm"), ("domain", "clinic.test")];
        let came = dana.post(Step::Practice.path(), &fields).await;
        assert_eq!(came.status, 200);
        assert!(came.text.contains(words) && came.text.contains("value=\"clinic.test\""));
        let agreed = hidden(&came.text, "agreed").unwrap();
        // Agreed to one domain is not agreed to another.
        let other = [("name", "Elm"), ("domain", "elm.test"), ("agreed", &*agreed)];
        assert_eq!(dana.post(Step::Practice.path(), &other).await.status, 200);
        let same = [("name", "Elm"), ("domain", "clinic.test"), ("agreed", &*agreed)];
        assert_eq!(dana.post(Step::Practice.path(), &same).await.status, 303);
    }
    let (set_up, _) = set_up(Fake { relay_works: false, ..Fake::new() });
    let mut dana = Browser::new(&set_up);
    dana.sit_down().await;
    dana.answer_all().await;
    let fields = [("way", "smarthost"), ("host", "smtp.isp.test"), ("port", "465")];
    let came = dana.post(Step::Outgoing.path(), &fields).await;
    assert!(came.text.contains("It does not answer."), "{}", came.text);
    let agreed = hidden(&came.text, "agreed").unwrap();
    let fields = [fields[0], fields[1], fields[2], ("agreed", &*agreed)];
    assert_eq!(dana.post(Step::Outgoing.path(), &fields).await.status, 303);
    assert!(dana.get(Step::Review.path()).await.text.contains("It does not answer."));
}

#[tokio::test]
async fn a_small_disk_and_no_network_are_told_and_stop_nobody() {
    let (set_up, world) =
        set_up(Fake { online: false, free: 2 << 30, look: DomainLook::Unknown, ..Fake::new() });
    let mut dana = Browser::new(&set_up);
    let page = dana.get(START).await.text;
    assert!(
        page.contains("does not reach the Internet") && page.contains("2.0 GiB free"),
        "{page}"
    );
    dana.sit_down().await;
    dana.answer_all().await;
    let end = {
        dana.get(Step::Sheet.path()).await;
        dana.kit_end()
    };
    assert_eq!(dana.post(Step::Sheet.path(), &[("kit", &end)]).await.status, 200);
    assert_eq!(world.applied.lock().len(), 1);
}

#[tokio::test]
async fn what_could_not_be_done_is_told_and_tried_again() {
    let (set_up, world) = set_up(Fake::new());
    *world.refuses.lock() = Some("The disk is full. Make space.".into());
    let mut dana = Browser::new(&set_up);
    dana.sit_down().await;
    dana.answer_all().await;
    dana.get(Step::Sheet.path()).await;
    let end = dana.kit_end();
    let came = dana.post(Step::Sheet.path(), &[("kit", &end)]).await;
    assert!(came.text.contains("The disk is full. Make space."), "{}", came.text);
    assert!(done(&set_up).await.is_none());
    assert_eq!(dana.kit_end(), end, "the sheet on paper still counts");
    assert_eq!(dana.post(Step::Sheet.path(), &[("kit", &end)]).await.status, 200);
    assert!(done(&set_up).await.is_some());
}

/// What a browser may do, in any order.
#[derive(Debug, Clone)]
enum Act {
    Code(bool),
    Get(usize),
    Post(usize, bool),
    Prove,
    Forge(usize),
    Finish(bool),
}

fn act() -> impl Strategy<Value = Act> {
    let post = (0..ANSWERS.len(), prop::bool::weighted(0.85));
    prop_oneof![
        1 => any::<bool>().prop_map(Act::Code),
        1 => (0..Step::ALL.len()).prop_map(Act::Get),
        5 => post.prop_map(|(n, good)| Act::Post(n, good)),
        1 => Just(Act::Prove),
        1 => (0..Step::ALL.len()).prop_map(Act::Forge),
        1 => any::<bool>().prop_map(Act::Finish),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// However two browsers jump about, what is put to work was answered in full, by whoever held the code,
    /// and confirmed; and it is put to work once.
    #[test]
    fn no_sequence_of_requests_gets_round_a_question(
        acts in prop::collection::vec((any::<bool>(), act()), 0..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (set_up, world) = set_up(Fake::new());
            let mut browsers = [Browser::new(&set_up), Browser::new(&set_up)];
            let mut holder = None;
            for (second, act) in acts {
                let who = usize::from(second);
                let browser = &mut browsers[who];
                let before = world.applied.lock().len();
                let mut confirmed = false;
                match act {
                    Act::Code(true) => {
                        let code = set_up.status().code;
                        let came = browser.post(START, &[("code", code.expose())]).await;
                        if came.status == 303 && holder != Some(who) {
                            holder = Some(who);
                        }
                    }
                    Act::Code(false) => drop(browser.post(START, &[("code", "nonsense")]).await),
                    Act::Get(n) => drop(browser.get(Step::ALL[n].path()).await),
                    Act::Post(n, good) => {
                        let (step, fields) = ANSWERS[n];
                        let wrong: Vec<_> = fields.iter().map(|(name, _)| (*name, "?")).collect();
                        let fields = if good { fields } else { &wrong };
                        drop(browser.post(step.path(), fields).await);
                    }
                    Act::Prove => {
                        let code = {
                            let shared = set_up.shared();
                            second_factor::code(shared.flow.factor(), SystemTime::now())
                        };
                        let path = Step::SecondFactor.path();
                        drop(browser.post(path, &[("code", code.expose())]).await);
                    }
                    Act::Forge(n) => {
                        drop(browser.post_raw(Step::ALL[n].path(), &[("form_token", "x")]).await);
                    }
                    Act::Finish(right) => {
                        drop(browser.get(Step::Sheet.path()).await);
                        let end = if right { browser.kit_end() } else { "wrong".into() };
                        confirmed = right && !end.is_empty();
                        drop(browser.post(Step::Sheet.path(), &[("kit", &end)]).await);
                    }
                }
                let applied = world.applied.lock();
                assert!(applied.len() <= 1);
                if applied.len() > before {
                    assert!(confirmed && holder == Some(who));
                    let (answers, _) = &applied[0];
                    assert_eq!(answers.practice.domain.as_str(), "clinic.test");
                    assert_eq!(answers.administrator.address.to_string(), "dana@clinic.test");
                    assert_eq!(answers.administrator.password.expose(), PASSWORD);
                    assert_eq!(answers.notices.phone, "555 0100");
                }
                drop(applied);
                assert_eq!(set_up.end().is_some(), world.applied.lock().len() == 1);
            }
        });
    }
}
