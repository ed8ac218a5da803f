//! A practice with two people, and a browser.

use crate::{MailPorts, Parts, Profiles, Settings, Staff, Watching};
use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;
use tower::ServiceExt;
use wardpost_directory::{
    Account, AuthError, Directory, FakeRemoval, Login, NewAccount, Options, Way, second_factor,
};
use wardpost_health::{Examiner, Finding, Report, State as Health};
use wardpost_mail::{AccountId, Address, Domain, Secret};
use wardpost_net::ServerTls;
use wardpost_publish::records::{Facts, Listing, Services, Source, records};
use wardpost_store::Store;
use wardpost_web::{Connection, Redirects, Shell, Site};

pub(crate) const DANA: &str = "dana@clinic.test";
pub(crate) const ROBIN: &str = "robin@clinic.test";
pub(crate) const PASSWORD: &str = "correct battery of staples";
pub(crate) const OTHER: &str = "three blind mice on a bus";

/// Dana is an administrator, Robin is not.
pub(crate) struct House {
    pub(crate) staff: Arc<Staff>,
    pub(crate) site: Arc<Site>,
    pub(crate) directory: Directory,
    pub(crate) examiner: Arc<Examined>,
    pub(crate) kit: Secret<String>,
    pub(crate) dana: AccountId,
    pub(crate) robin: AccountId,
    pub(crate) tls: ServerTls,
    pub(crate) removal: FakeRemoval,
    pub(crate) dir: tempfile::TempDir,
}

/// An examiner that finds what it is told.
#[derive(Default)]
pub(crate) struct Examined {
    pub(crate) finds: Mutex<Vec<Finding>>,
    pub(crate) report: Mutex<Option<Arc<Report>>>,
}

#[async_trait]
impl Examiner for Examined {
    async fn examine(&self) -> Arc<Report> {
        let report = Report { when: crate::words::now(), findings: self.finds.lock().clone() };
        Arc::clone(self.report.lock().insert(Arc::new(report)))
    }

    fn latest(&self) -> Option<Arc<Report>> {
        self.report.lock().clone()
    }
}

pub(crate) fn finding(check: &str, state: Health) -> Finding {
    Finding {
        check: check.into(),
        about: String::new(),
        title: format!("Title of {check}"),
        state,
        says: format!("Seen of {check}."),
        to_do: format!("Mend {check}."),
    }
}

/// The records of two domains, as the program makes them.
struct Published;

impl Source for Published {
    fn domains(&self) -> Vec<Domain> {
        ["clinic.test", "second.test"].map(|name| Domain::parse(name).unwrap()).to_vec()
    }

    fn listing(&self, domain: &Domain) -> Option<Listing> {
        let domains = self.domains();
        let facts = Facts {
            hostname: Domain::parse("mail.clinic.test").unwrap(),
            addresses: Vec::new(),
            services: Services { imaps: Some(993), ..Services::default() },
            policy: None,
            keys: Vec::new(),
            authorities: Vec::new(),
            domains: domains.clone(),
        };
        domains.contains(domain).then(|| Listing {
            domain: domain.clone(),
            records: records(&facts, domain, &[]),
            notes: vec!["The reverse record is missing.".into()],
        })
    }
}

struct Files;

impl Profiles for Files {
    fn profile(&self, account: &Account, app_password: &Secret<String>) -> Option<Secret<Vec<u8>>> {
        let file = format!("PROFILE {} {}", account.address, app_password.expose());
        Some(Secret::new(file.into_bytes()))
    }
}

pub(crate) fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::on(true).await
    }

    /// On a machine that may be told to switch itself off, or not.
    pub(crate) async fn on(appliance: bool) -> Self {
        let domain = Domain::parse("clinic.test").unwrap();
        let store = Store::in_memory();
        let directory = Directory::open_with(store, &domain, Options::for_tests()).await.unwrap();
        let kit = directory.initialise().await.unwrap().unwrap().secret;
        let add = async |address: &str, name: &str, administrator| {
            let address = Address::parse(address).unwrap();
            let (name, password) = (name.to_owned(), secret(PASSWORD));
            let new = NewAccount { address, name, password, administrator };
            directory.add_account(new).await.unwrap()
        };
        let dana = add(DANA, "Dana Lee, MD", true).await;
        let robin = add(ROBIN, "", false).await;
        let dir = tempfile::tempdir().unwrap();
        let hostname = Domain::parse("mail.clinic.test").unwrap();
        let tls = ServerTls::self_signed(dir.path(), &hostname).unwrap();
        let token_file = dir.path().join("token");
        std::fs::write(&token_file, "CANARY-TOKEN\n").unwrap();
        let settings = Settings {
            url: "https://mail.clinic.test".into(),
            practice: "Elm Street Practice".into(),
            phone: Some("+1 555 0100".into()),
            hostname,
            ports: MailPorts { imaps: Some(993), submissions: Some(465), submission: Some(587) },
            watching: Watching {
                addresses: vec!["0.0.0.0:9464".parse().unwrap()],
                token_file: Some(token_file),
                client_certificates: false,
            },
            power: appliance.then(|| dir.path().to_owned()),
        };
        let examiner = Arc::new(Examined::default());
        let removal = FakeRemoval::new(directory.clone());
        let parts = Parts {
            directory: directory.clone(),
            examiner: Arc::<Examined>::clone(&examiner),
            records: Arc::new(Published),
            tls: tls.clone(),
            profiles: Some(Arc::new(Files)),
            removal: Arc::new(removal.clone()),
        };
        let staff = Staff::new(settings, parts);
        let site = Site::builder(
            Shell::new("Elm Street Practice", None),
            Redirects::To("https://mail.clinic.test".into()),
        );
        let site = site.pages(staff.router(), Staff::page_name).build(&tls).unwrap();
        Self { staff, site, directory, examiner, kit, dana, robin, tls, removal, dir }
    }

    /// Gives somebody a second factor.
    pub(crate) async fn with_factor(&self, id: AccountId) -> Secret<Vec<u8>> {
        let factor = second_factor::new_secret().unwrap();
        self.directory.set_second_factor(id, Some(factor.clone())).await.unwrap();
        factor
    }

    /// Whoever is signed in has been for a while.
    pub(crate) fn time_passes(&self) {
        self.staff.sessions.end(|visitor| {
            *visitor.proven.lock() = None;
            false
        });
    }

    /// What a mail program gets with a password.
    pub(crate) async fn mail_login(&self, who: &str, password: &str) -> Result<Login, AuthError> {
        let peer = "192.0.2.9".parse().unwrap();
        self.directory.authenticate(who, &secret(password), peer, Way::MailProgram).await
    }

    pub(crate) fn browser(&self) -> Browser<'_> {
        Browser {
            house: self,
            cookies: BTreeMap::new(),
            peer: "192.0.2.77".parse().unwrap(),
            agent: "Mozilla/5.0 (X11; Linux x86_64)",
        }
    }

    /// A browser in which somebody without a second factor has signed in.
    pub(crate) async fn signed_in(&self, who: &str) -> Browser<'_> {
        let mut browser = self.browser();
        let page = browser.sign_in(who, PASSWORD).await;
        assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "/staff"));
        browser
    }
}

/// The code that an app shows now.
pub(crate) fn code(factor: &Secret<Vec<u8>>) -> String {
    second_factor::code(factor, SystemTime::now()).expose().clone()
}

/// Keeps cookies, and sends them where they belong.
#[derive(Clone)]
pub(crate) struct Browser<'a> {
    house: &'a House,
    /// By name: value and path.
    pub(crate) cookies: BTreeMap<String, (String, String)>,
    pub(crate) peer: IpAddr,
    pub(crate) agent: &'static str,
}

impl Browser<'_> {
    pub(crate) async fn get(&mut self, path: &str) -> Page {
        self.ask(Request::get(path), path, Body::empty()).await
    }

    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin");
        self.ask(request, path, Body::from(form(fields))).await
    }

    /// Fills in the form of the page at `path` and sends it to `action`.
    pub(crate) async fn fill(&mut self, path: &str, action: &str, fields: &[(&str, &str)]) -> Page {
        let token = self.get(path).await.form_token();
        let mut all = vec![("form_token", token.as_str())];
        all.extend(fields);
        self.post(action, &all).await
    }

    pub(crate) async fn sign_in(&mut self, address: &str, password: &str) -> Page {
        self.fill("/staff", "/staff", &[("address", address), ("password", password)]).await
    }

    async fn ask(&mut self, request: axum::http::request::Builder, path: &str, body: Body) -> Page {
        let sent = self.cookies.iter().filter(|(_, (_, below))| is_below(path, below));
        let sent: Vec<String> = sent.map(|(name, (value, _))| format!("{name}={value}")).collect();
        let request = request
            .header(header::COOKIE, sent.join("; "))
            .header(header::USER_AGENT, self.agent)
            .extension(Connection { peer: self.peer, tls: None });
        let router = self.house.site.router();
        let response = router.oneshot(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        for cookie in parts.headers.get_all(header::SET_COOKIE) {
            self.keep(cookie.to_str().unwrap());
        }
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let body = String::from_utf8_lossy(&body).into_owned();
        Page { status: parts.status, headers: parts.headers, body }
    }

    fn keep(&mut self, cookie: &str) {
        for attribute in ["Secure", "HttpOnly", "SameSite=Strict"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        let (pair, rest) = cookie.split_once(';').unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        let path = rest.split("Path=").nth(1).unwrap().split(';').next().unwrap();
        if rest.contains("Max-Age=0") {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.to_owned(), (value.to_owned(), path.to_owned()));
        }
    }
}

fn is_below(path: &str, below: &str) -> bool {
    path.strip_prefix(below.trim_end_matches('/'))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
}

fn form(fields: &[(&str, &str)]) -> String {
    let encode = |text: &str| -> String {
        text.bytes()
            .map(|b| {
                if b.is_ascii_alphanumeric() {
                    char::from(b).to_string()
                } else {
                    format!("%{b:02X}")
                }
            })
            .collect()
    };
    let pairs = fields.iter().map(|(name, value)| format!("{name}={}", encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Page {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn location(&self) -> &str {
        self.header("location")
    }

    pub(crate) fn form_token(&self) -> String {
        let at = self.body.split("name=\"form_token\" value=\"").nth(1);
        at.unwrap_or_else(|| panic!("no form: {}", self.body)).split('"').next().unwrap().to_owned()
    }

    /// The text of the element with this id.
    pub(crate) fn text_of(&self, id: &str) -> String {
        let rest = self.body.split(&format!("id=\"{id}\"")).nth(1).unwrap();
        let text = rest.split_once('>').unwrap().1.split('<').next().unwrap();
        text.trim().replace("&#38;", "&")
    }

    pub(crate) fn has(&self, text: &str) -> bool {
        self.body.contains(text)
    }
}
