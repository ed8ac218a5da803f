//! The pages: one file for each question, and what they share.

mod backups;
mod begin;
mod end;
mod notices;
mod outgoing;
mod person;
mod practice;
mod review;
mod sheet;

use crate::check::Errors;
use crate::flow::Step;
use crate::seat::{Held, NotHeld, SetUp};
use crate::world::ENOUGH_SPACE;
use askama::Template;
use axum::Router;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use wardpost_mail::Secret;
use wardpost_web::{Shell, page, plain};

/// Where the set-up begins.
const START: &str = "/set-up";

/// Without it, a new mainboard or a cleared TPM would take all mail along.
const NO_DISK_KEY: &str = "The disk is encrypted, but this machine could not make the recovery key for it, which \
    belongs on the recovery sheet. Nothing was set up, and nothing can be before that key is there. Please restart \
    the machine (switch it off and on), and begin again with the new code on its screen. If this comes back, clear \
    the TPM in the firmware's settings, or write the image to the disk anew.";

/// All pages of the set-up.
pub(crate) fn router(set_up: Arc<SetUp>) -> Router {
    let to = |step: Step| step.path();
    let begin = || get(|| async { Redirect::to(START) });
    Router::new()
        // Whatever somebody looks for, there is nothing else yet.
        .route("/", begin())
        .route("/{*elsewhere}", begin())
        .route(START, get(begin::show).post(begin::code))
        .route(to(Step::Practice), get(practice::show).post(practice::answer))
        .route(to(Step::Administrator), get(person::show).post(person::answer))
        .route(to(Step::SecondFactor), get(person::show_factor).post(person::prove))
        .route(to(Step::Notices), get(notices::show).post(notices::answer))
        .route(to(Step::Outgoing), get(outgoing::show).post(outgoing::answer))
        .route(to(Step::Backups), get(backups::show).post(backups::answer))
        .route(to(Step::Review), get(review::show).post(review::answer))
        .route(to(Step::Sheet), get(sheet::show).post(sheet::finish))
        .route("/set-up.css", get(style))
        .route("/print.js", get(script))
        .with_state(set_up)
}

/// What is answered at the same addresses afterwards.
pub(crate) fn afterwards(shell: Shell) -> Router {
    let gone = move || {
        let shell = shell.clone();
        async move { page(StatusCode::OK, &end::After { shell }) }
    };
    let route = || get(gone.clone()).post(gone.clone());
    Router::new().route(START, route()).route("/set-up/{*page}", route())
}

async fn style() -> Response {
    let css = include_str!("../../assets/set-up.css");
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], css).into_response()
}

async fn script() -> Response {
    let script = include_str!("../../assets/print.js");
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], script).into_response()
}

/// What stands around and above every question.
pub(crate) struct Frame {
    /// The form's token.
    token: String,
    /// The number of the question; 0 for what is none.
    number: u8,
    /// The page before.
    back: Option<&'static str>,
    /// What holds for all pages and should be known.
    remarks: Vec<String>,
    version: &'static str,
    cookie: Option<HeaderValue>,
}

/// A secret that came with a form.
pub(crate) struct Typed(Secret<String>);

impl Default for Typed {
    fn default() -> Self {
        Self(Secret::new(String::new()))
    }
}

impl<'de> Deserialize<'de> for Typed {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

/// The passwords of a form.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Secrets {
    password: Typed,
    again: Typed,
}

/// What every form of ours sends.
#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    form_token: String,
}

/// The browser that gave the code, at a page that it may see: everything that a page needs.
pub(crate) struct Visit {
    pub(crate) set_up: Arc<SetUp>,
    headers: HeaderMap,
    step: Step,
}

impl FromRequestParts<Arc<SetUp>> for Visit {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        set_up: &Arc<SetUp>,
    ) -> Result<Self, Self::Rejection> {
        let path = parts.uri.path();
        let step = Step::ALL.into_iter().find(|step| step.path() == path);
        let step = step.ok_or_else(|| Redirect::to(START).into_response())?;
        let visit = Self { set_up: Arc::clone(set_up), headers: parts.headers.clone(), step };
        visit.hold().map_err(IntoResponse::into_response)?;
        Ok(visit)
    }
}

/// A visit that sends a form of ours.
pub(crate) struct Sent<T>(pub(crate) Visit, pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<SetUp>> for Sent<T> {
    type Rejection = Response;

    async fn from_request(request: Request, set_up: &Arc<SetUp>) -> Result<Self, Self::Rejection> {
        let (mut parts, body) = request.into_parts();
        let visit = Visit::from_request_parts(&mut parts, set_up).await?;
        let bytes =
            axum::body::Bytes::from_request(Request::from_parts(parts.clone(), body), set_up);
        let bytes = bytes.await.map_err(IntoResponse::into_response)?;
        let token = form::<Token>(&parts, &bytes, set_up).await?;
        if !set_up.forms.is_ours(&visit.headers, &token.form_token) {
            return Err(old_page(set_up));
        }
        let form = form::<T>(&parts, &bytes, set_up).await?;
        Ok(Self(visit, form))
    }
}

async fn form<T: DeserializeOwned>(
    parts: &Parts,
    bytes: &axum::body::Bytes,
    set_up: &Arc<SetUp>,
) -> Result<T, Response> {
    let request = Request::from_parts(parts.clone(), axum::body::Body::from(bytes.clone()));
    let form: Result<Form<T>, FormRejection> = Form::from_request(request, set_up).await;
    form.map(|Form(form)| form).map_err(|_| old_page(set_up))
}

/// A form that is none of ours, or of before a restart.
fn old_page(set_up: &SetUp) -> Response {
    let text = "This page was open for too long, so nothing was done. Please go back, load the page again \
                and repeat the last answer.";
    plain(&shell(set_up), StatusCode::FORBIDDEN, "Please try again", text, false)
}

/// The frame around the pages: the practice's name as soon as there is one.
pub(crate) fn shell(set_up: &SetUp) -> Shell {
    let practice = set_up.practice();
    Shell::new(practice.as_ref().map_or("Your new mail server", |practice| &practice.name), None)
}

/// What a browser gets that cannot get at the answers.
pub(crate) struct TurnedAway(Box<Response>);

impl From<Response> for TurnedAway {
    fn from(response: Response) -> Self {
        Self(Box::new(response))
    }
}

impl IntoResponse for TurnedAway {
    fn into_response(self) -> Response {
        *self.0
    }
}

/// A page, or what there is instead of it.
pub(crate) type Answered = Result<Response, TurnedAway>;

/// What somebody sees who cannot get at the answers.
fn elsewhere(set_up: &SetUp, why: &NotHeld) -> Response {
    match why {
        NotHeld::Former | NotHeld::Stranger => Redirect::to(START).into_response(),
        NotHeld::Busy => end::wait(set_up),
        NotHeld::Over(done) => end::page(set_up, done),
    }
}

impl Visit {
    /// The answers, if this browser still has the seat and may see this page: to be asked for after every wait,
    /// and not to be kept while a page is made of anything else.
    pub(crate) fn hold(&self) -> Result<Held<'_>, TurnedAway> {
        let held = self.set_up.hold(&self.headers);
        let held = held.map_err(|why| elsewhere(&self.set_up, &why))?;
        if held.may_see(self.step) {
            return Ok(held);
        }
        Err(Redirect::to(held.next().path()).into_response().into())
    }

    pub(crate) fn shell(&self) -> Shell {
        shell(&self.set_up)
    }

    pub(crate) fn frame(&self) -> Frame {
        Frame {
            number: self.step.number(),
            back: self.step.before().map(Step::path),
            ..bare_frame(&self.set_up, &self.headers)
        }
    }

    /// On to the next page that wants something, or to the one after this.
    pub(crate) fn go_on(&self) -> Answered {
        let next = self.hold()?.next();
        let after = Step::ALL.iter().position(|step| *step == self.step).map(|at| at + 1);
        let after = after.and_then(|at| Step::ALL.get(at)).copied().unwrap_or(next);
        // Whoever changes one answer goes back to the overview, not through all the others.
        let target =
            if next > Step::Backups && self.step < Step::Review { Step::Review } else { after };
        Ok(Redirect::to(target.min(next).path()).into_response())
    }
}

fn bare_frame(set_up: &SetUp, headers: &HeaderMap) -> Frame {
    let (token, cookie) = set_up.forms.token(headers);
    let remarks = remarks(set_up);
    Frame { token, number: 0, back: None, remarks, version: set_up.version, cookie }
}

/// What should be known on every page.
fn remarks(set_up: &SetUp) -> Vec<String> {
    let mut remarks = Vec::new();
    // Before anybody answers anything: without that key the set-up comes to no end.
    if set_up.world.disk().lacks_key() {
        remarks.push(NO_DISK_KEY.to_owned());
    }
    if !set_up.is_online() {
        remarks.push(
            "This server does not reach the Internet at the moment. You can answer all the questions; only \
             the checks of your domain and of a provider’s server are left out. Mail goes out and comes in as \
             soon as the connection is there: please look at the network cable and at the settings of your \
             router."
                .to_owned(),
        );
    }
    if let Some(free) = set_up.world.free_space().filter(|free| *free < ENOUGH_SPACE) {
        let tenths = free / ((1 << 30) / 10);
        remarks.push(format!(
            "The disk of this server has only {}.{} GiB free. That is enough to try it out, but not for a \
             practice’s mail: please give it a disk with at least 8 GiB free before you go on.",
            tenths / 10,
            tenths % 10
        ));
    }
    remarks
}

/// A page of the set-up; with mistakes in it, it says so in its status, too.
fn show(frame: &Frame, errors: &Errors, template: &impl Template) -> Response {
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let mut response = page(status, template);
    if let Some(cookie) = &frame.cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie.clone());
    }
    response
}

#[cfg(test)]
#[path = "../pages_tests.rs"]
mod tests;
