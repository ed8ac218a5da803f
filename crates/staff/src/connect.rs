//! Bringing an app password to a phone: a link, shown as a QR code, that is opened once.
//!
//! Following the link uses nothing up: phones and scanners look at links by themselves. Pressing its
//! button opens it for the browser that did, and for no other, until its ten minutes are over.

use crate::form::Filled;
use crate::signin::with_cookie;
use crate::{Settings, Staff};
use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use parking_lot::Mutex;
use std::sync::Arc;
use wardpost_directory::Account;
use wardpost_mail::{AccountId, Secret};
use wardpost_web::{Cookie, Shell, is_same, page, random, with_script};

/// The cookie of the browser that opened a link.
const COOKIE: Cookie = Cookie::for_paths("__Secure-connect");
/// What makes a phone take a file as settings.
const PROFILE_TYPE: HeaderValue = HeaderValue::from_static("application/x-apple-aspen-config");

/// An app password on its way to a device.
pub(crate) struct Link {
    pub(crate) account: AccountId,
    /// What its owner calls the device.
    pub(crate) name: String,
    pub(crate) password: Secret<String>,
    /// The cookie of the browser that opened the link.
    opened_by: Mutex<Option<String>>,
}

impl Link {
    pub(crate) fn new(account: AccountId, name: String, password: Secret<String>) -> Self {
        Self { account, name, password, opened_by: Mutex::default() }
    }

    pub(crate) fn is_opened(&self) -> bool {
        self.opened_by.lock().is_some()
    }

    /// Opens the link for one browser, which keeps the answer as a cookie; not a second time.
    fn open(&self) -> Option<String> {
        let mut opened_by = self.opened_by.lock();
        match *opened_by {
            Some(_) => None,
            None => Some(opened_by.insert(random(16)).clone()),
        }
    }

    fn is_opened_by(&self, headers: &HeaderMap) -> bool {
        let opened_by = self.opened_by.lock();
        opened_by.as_ref().is_some_and(|by| COOKIE.values(headers).any(|value| is_same(value, by)))
    }
}

/// What a person types into a mail program.
pub(crate) struct MailSettings<'a> {
    pub(crate) address: String,
    pub(crate) name: &'a str,
    pub(crate) host: &'a str,
    pub(crate) imap: Option<u16>,
    /// The port for sending, and whether it is in TLS from the first byte.
    pub(crate) smtp: Option<(u16, bool)>,
    pub(crate) password: &'a str,
}

impl<'a> MailSettings<'a> {
    pub(crate) fn new(
        settings: &'a Settings,
        account: &'a Account,
        password: &'a Secret<String>,
    ) -> Self {
        let ports = settings.ports;
        let in_tls = ports.submissions.map(|port| (port, true));
        Self {
            address: account.address.to_string(),
            name: &account.name,
            host: settings.hostname.as_str(),
            imap: ports.imaps,
            smtp: in_tls.or(ports.submission.map(|port| (port, false))),
            password: password.expose(),
        }
    }
}

#[derive(Template)]
#[template(path = "connect.html")]
struct Ask<'a> {
    shell: &'a Shell,
    form_token: String,
}

#[derive(Template)]
#[template(path = "connect_settings.html")]
struct Show<'a> {
    shell: &'a Shell,
    mail: MailSettings<'a>,
    /// Where a file with these settings is, for devices that take one.
    profile: Option<String>,
}

/// The page that a link leads to: the same for a link that works and one that does not.
pub(crate) async fn ask(State(staff): State<Arc<Staff>>, headers: HeaderMap) -> Response {
    let (form_token, cookie) = staff.forms.token(&headers);
    let page = page(StatusCode::OK, &Ask { shell: &staff.shell, form_token });
    with_cookie(page, cookie)
}

/// Opens the link for this browser.
pub(crate) async fn open(
    State(staff): State<Arc<Staff>>,
    Path(token): Path<String>,
    headers: HeaderMap,
    Filled(form): Filled,
) -> Response {
    if !staff.forms.is_ours(&headers, &form.form_token) {
        return staff.refused();
    }
    let settings = format!("/staff/connect/{token}/settings");
    let Some(link) = staff.links.look(&token, |_| true) else { return over(&staff) };
    if link.is_opened_by(&headers) {
        return Redirect::to(&settings).into_response();
    }
    let Some(browser) = link.open() else { return over(&staff) };
    tracing::info!(account = %link.account, "staff: a link to connect a device was opened");
    let cookie = COOKIE.set(&format!("/staff/connect/{token}"), &browser);
    with_cookie(Redirect::to(&settings).into_response(), Some(cookie))
}

fn over(staff: &Staff) -> Response {
    let text = "It works once, on one device, for ten minutes. To connect this device, make a new link: \
                sign in to these pages on your computer and choose “Phone and computer”. If you have not \
                opened this link before, take the device away there, because somebody else has.";
    staff.plain(StatusCode::GONE, "This link works no longer", text)
}

/// What the browser that opened a link may see.
fn opened(staff: &Staff, token: &str, headers: &HeaderMap) -> Option<(Arc<Link>, Account)> {
    let link = staff.links.look(token, |link| link.is_opened_by(headers))?;
    let account = staff.parts.directory.account(link.account)?;
    Some((link, account))
}

/// The settings, on the phone.
pub(crate) async fn settings(
    State(staff): State<Arc<Staff>>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some((link, account)) = opened(&staff, &token, &headers) else { return over(&staff) };
    let takes_profiles = staff.parts.profiles.is_some() && is_apple(&headers);
    let profile = takes_profiles.then(|| format!("/staff/connect/{token}/mail.mobileconfig"));
    let mail = MailSettings::new(&staff.settings, &account, &link.password);
    with_script(page(StatusCode::OK, &Show { shell: &staff.shell, mail, profile }))
}

/// The settings as a file that an iPhone, an iPad or a Mac takes.
pub(crate) async fn profile(
    State(staff): State<Arc<Staff>>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some((link, account)) = opened(&staff, &token, &headers) else { return over(&staff) };
    let Some(profiles) = staff.parts.profiles.clone() else { return staff.trouble() };
    let made = tokio::task::spawn_blocking(move || profiles.profile(&account, &link.password));
    match made.await.ok().flatten() {
        Some(file) => {
            let kind = [(header::CONTENT_TYPE, PROFILE_TYPE)];
            (kind, file.expose().clone()).into_response()
        }
        None => staff.trouble(),
    }
}

/// Whether a browser says that it is on a device that takes configuration profiles.
fn is_apple(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let agent = agent.unwrap_or_default();
    ["iPhone", "iPad", "Macintosh"].iter().any(|device| agent.contains(device))
}
