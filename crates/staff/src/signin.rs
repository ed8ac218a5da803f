//! Signing in and out.

use crate::Staff;
use crate::form::Filled;
use crate::session::{SignedIn, known_page};
use crate::words;
use askama::Template;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use parking_lot::Mutex;
use serde::Deserialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};
use wardpost_directory::{AuthError, Login, Way, WrongCodes};
use wardpost_health::State as Health;
use wardpost_web::{Connection, Cookie, Shell, page};

/// The cookie between the password and the code.
const COOKIE: Cookie = Cookie::for_paths("__Secure-code");
const CODE_PATH: &str = "/staff/code";
/// Wrong codes before the password is asked for again.
const MOST_CODES: u32 = 10;
/// Wrong codes that nobody need look into.
const MISTYPED: u32 = 3;
/// From here on somebody who waits is told what else there is to do.
const LONG_WAIT: Duration = Duration::from_secs(60);

/// Somebody who gave the right password and owes the code.
pub(crate) struct Pending {
    login: Mutex<Option<Login>>,
    next: &'static str,
    wrong: AtomicU32,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn<'a> {
    shell: &'a Shell,
    form_token: String,
    address: &'a str,
    next: &'static str,
    ended: bool,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "start.html")]
struct Start<'a> {
    shell: &'a Shell,
    who: &'a SignedIn,
    here: &'static str,
    devices: usize,
    health: Option<Health>,
    wrong_codes: Option<Tried>,
    has_power: bool,
}

/// Wrong codes, as their owner is told of them.
struct Tried {
    count: u32,
    since: String,
}

impl From<WrongCodes> for Tried {
    fn from(wrong: WrongCodes) -> Self {
        Self { count: wrong.count, since: words::moment(wrong.since) }
    }
}

#[derive(Template)]
#[template(path = "code.html")]
struct Code<'a> {
    shell: &'a Shell,
    form_token: String,
    error: Option<String>,
}

/// What an address may tell the sign-in page.
#[derive(Deserialize)]
pub(crate) struct Said {
    #[serde(default)]
    next: String,
    ended: Option<String>,
}

/// The first page: to sign in, or what there is for somebody who is.
pub(crate) async fn start(
    State(staff): State<Arc<Staff>>,
    Query(said): Query<Said>,
    headers: HeaderMap,
) -> Response {
    if let Some(who) = staff.signed_in(&headers, true) {
        let devices = staff.parts.directory.app_passwords(who.account.id).len();
        let health = staff.parts.examiner.latest().map(|report| report.worst());
        let wrong_codes = (*who.visitor.wrong_codes.lock()).map(Tried::from);
        let start = Start {
            shell: &staff.shell,
            who: &who,
            here: "/staff",
            devices,
            health,
            wrong_codes,
            has_power: staff.settings.power.is_some(),
        };
        return page(StatusCode::OK, &start);
    }
    let next = known_page(&said.next).unwrap_or("/staff");
    let form = SignIn {
        shell: &staff.shell,
        form_token: String::new(),
        address: "",
        next,
        ended: said.ended.is_some(),
        error: None,
    };
    staff.sign_in_page(&headers, StatusCode::OK, form)
}

impl Staff {
    fn sign_in_page(&self, headers: &HeaderMap, status: StatusCode, form: SignIn<'_>) -> Response {
        let (form_token, cookie) = self.forms.token(headers);
        with_cookie(page(status, &SignIn { form_token, ..form }), cookie)
    }

    fn code_page(
        &self,
        headers: &HeaderMap,
        status: StatusCode,
        error: Option<String>,
    ) -> Response {
        let (form_token, cookie) = self.forms.token(headers);
        with_cookie(page(status, &Code { shell: &self.shell, form_token, error }), cookie)
    }
}

pub(crate) fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Takes address and password.
pub(crate) async fn sign_in(
    State(staff): State<Arc<Staff>>,
    Extension(connection): Extension<Connection>,
    headers: HeaderMap,
    Filled(form): Filled,
) -> Response {
    let next = known_page(&form.next).unwrap_or("/staff");
    let again = |status, error: String| {
        let (shell, address) = (&staff.shell, form.address.as_str());
        let (form_token, error) = (String::new(), Some(error));
        let form = SignIn { shell, form_token, address, next, ended: false, error };
        staff.sign_in_page(&headers, status, form)
    };
    if !staff.forms.is_ours(&headers, &form.form_token) {
        return again(StatusCode::FORBIDDEN, OLD_FORM.to_owned());
    }
    if form.address.trim().is_empty() || form.password.expose().is_empty() {
        let text = "Please enter your address and your password.";
        return again(StatusCode::UNPROCESSABLE_ENTITY, text.to_owned());
    }
    let directory = &staff.parts.directory;
    let login =
        directory.authenticate(&form.address, &form.password, connection.peer, Way::Page).await;
    match login {
        Ok(login) if login.account.second_factor => {
            let login = Mutex::new(Some(login));
            let pending = Pending { login, next, wrong: AtomicU32::new(0) };
            let ticket = staff.pending.begin(Arc::new(pending), 1);
            let cookie = COOKIE.set(CODE_PATH, &ticket);
            with_cookie(Redirect::to(CODE_PATH).into_response(), Some(cookie))
        }
        Ok(login) => {
            let cookie = staff.begin_session(login, None);
            with_cookie(Redirect::to(next).into_response(), Some(cookie))
        }
        Err(error) => {
            staff.metrics.signed_in(Err(error));
            let wrong = "This address and this password do not belong together. Please check both. An \
                         app password does not work here: it is for mail programs.";
            let (status, text) = not_admitted(error, wrong);
            retry_after(error, again(status, text))
        }
    }
}

const OLD_FORM: &str = "This page was open for too long, or your browser keeps no cookies. Please try \
                        once more.";

/// What to say to somebody who was not let in.
pub(crate) fn not_admitted(error: AuthError, wrong: &str) -> (StatusCode, String) {
    match error {
        AuthError::Rejected => (StatusCode::FORBIDDEN, wrong.to_owned()),
        AuthError::SlowDown(wait) => {
            let wait = words::span(wait);
            let text =
                format!("There were several wrong tries. Please wait {wait}, then try again.");
            (StatusCode::TOO_MANY_REQUESTS, text)
        }
        AuthError::Unavailable => {
            let text = "The server is very busy just now. Please try again in a minute.";
            (StatusCode::SERVICE_UNAVAILABLE, text.to_owned())
        }
    }
}

/// What to say of a wrong code. When codes stay wrong it is a clock, and it may be this machine's.
fn wrong_code(tries: u32) -> String {
    let mut text = String::from(
        "That code is not right. Each code is good for half a minute and counts once: please enter the one \
         that the app shows now.",
    );
    if tries > 1 {
        let clock = words::utc();
        text.push_str(&format!(
            " (This server’s clock says {clock} UTC; if that is wrong, or the phone’s clock is, no code fits.)"
        ));
    }
    text
}

/// What to say when so many codes were wrong that somebody else must have tried them.
pub(crate) fn codes_slowed(error: AuthError) -> Option<String> {
    let AuthError::SlowDown(wait) = error else { return None };
    (wait >= LONG_WAIT).then(|| {
        let wait = words::span(wait);
        format!(
            "There were too many wrong codes for this account. Please wait {wait}, then try again. If it \
             was not you, somebody knows your password: set another one with the recovery kit, under “I \
             have lost my phone or forgotten my password”. Then the wait is over."
        )
    })
}

/// Tells programs, too, how long to wait.
pub(crate) fn retry_after(error: AuthError, mut response: Response) -> Response {
    if let AuthError::SlowDown(wait) = error {
        response.headers_mut().insert(header::RETRY_AFTER, wait.as_secs().max(1).into());
    }
    response
}

fn pending(staff: &Staff, headers: &HeaderMap) -> Option<Arc<Pending>> {
    let ticket = COOKIE.value(headers)?;
    staff.pending.find(ticket, |pending| pending.login.lock().is_some())
}

/// The page for the code.
pub(crate) async fn ask_code(State(staff): State<Arc<Staff>>, headers: HeaderMap) -> Response {
    match pending(&staff, &headers) {
        Some(_) => staff.code_page(&headers, StatusCode::OK, None),
        None => Redirect::to("/staff").into_response(),
    }
}

/// Takes the code.
pub(crate) async fn take_code(
    State(staff): State<Arc<Staff>>,
    headers: HeaderMap,
    Filled(form): Filled,
) -> Response {
    let Some(pending) = pending(&staff, &headers) else {
        return Redirect::to("/staff?ended").into_response();
    };
    if !staff.forms.is_ours(&headers, &form.form_token) {
        return staff.code_page(&headers, StatusCode::FORBIDDEN, Some(OLD_FORM.to_owned()));
    }
    let Some(login) = pending.login.lock().clone() else {
        return Redirect::to("/staff").into_response();
    };
    let (id, directory) = (login.account.id, &staff.parts.directory);
    let wrong = match directory.check_second_factor(id, &form.code, SystemTime::now()) {
        Ok(wrong) => wrong,
        Err(error) => {
            staff.metrics.signed_in(Err(error));
            let tries = pending.wrong.fetch_add(1, Ordering::Relaxed) + 1;
            if tries >= MOST_CODES {
                *pending.login.lock() = None;
            }
            let (status, text) = not_admitted(error, &wrong_code(tries));
            let text = codes_slowed(error).unwrap_or(text);
            return retry_after(error, staff.code_page(&headers, status, Some(text)));
        }
    };
    // The password was changed, or the person removed, between the two steps.
    if login.revocation.is_revoked() {
        return Redirect::to("/staff?ended").into_response();
    }
    *pending.login.lock() = None;
    staff.pending.end(|other| other.login.lock().is_none());
    // More than people mistype: their owner is to see it.
    let tried = wrong.is_some_and(|wrong| wrong.count > MISTYPED);
    let next = if tried { "/staff" } else { pending.next };
    let mut response = Redirect::to(next).into_response();
    response.headers_mut().append(header::SET_COOKIE, staff.begin_session(login, wrong));
    response.headers_mut().append(header::SET_COOKIE, COOKIE.remove(CODE_PATH));
    response
}

/// Signs out.
pub(crate) async fn leave(
    State(staff): State<Arc<Staff>>,
    headers: HeaderMap,
    Filled(form): Filled,
) -> Response {
    let Some(who) = staff.signed_in(&headers, true) else {
        return Redirect::to("/staff/left").into_response();
    };
    if !who.is_our_form(&form.form_token) {
        return staff.refused();
    }
    let cookie = staff.end_session(&who);
    with_cookie(Redirect::to("/staff/left").into_response(), Some(cookie))
}

/// Says that somebody is signed out.
pub(crate) async fn left(State(staff): State<Arc<Staff>>) -> Response {
    let text = "You may close this window now.";
    staff.plain(StatusCode::OK, "You are signed out", text)
}
