//! The way in: the one-time code.

use super::{Frame, START, bare_frame, shell};
use crate::check::Errors;
use crate::code::Tried;
use crate::seat::{SEAT, SetUp, Who};
use askama::Template;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use std::sync::Arc;
use wardpost_web::Shell;

#[derive(Template)]
#[template(path = "begin.html")]
struct Begin {
    shell: Shell,
    frame: Frame,
    errors: Errors,
    former: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct CodeForm {
    code: String,
    form_token: String,
}

/// The page that asks for the code, or for whoever gave it the page to go on with.
pub(crate) async fn show(State(set_up): State<Arc<SetUp>>, headers: HeaderMap) -> Response {
    match set_up.who(&headers) {
        Who::Holder => {
            let next = set_up.shared().flow.next();
            Redirect::to(next.path()).into_response()
        }
        who => ask(&set_up, &headers, Errors::none(), who == Who::Former).await,
    }
}

async fn ask(set_up: &SetUp, headers: &HeaderMap, errors: Errors, former: bool) -> Response {
    let frame = bare_frame(set_up, headers).await;
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::FORBIDDEN };
    let template = Begin { shell: shell(set_up), frame, errors, former };
    let mut response = super::show(&template.frame, &template.errors, &template);
    *response.status_mut() = status;
    response
}

/// Takes the code.
pub(crate) async fn code(
    State(set_up): State<Arc<SetUp>>,
    headers: HeaderMap,
    form: Result<Form<CodeForm>, axum::extract::rejection::FormRejection>,
) -> Response {
    let form = form.map(|Form(form)| form).unwrap_or_default();
    if !set_up.forms.is_ours(&headers, &form.form_token) {
        return super::old_page(&set_up);
    }
    if form.code.trim().is_empty() {
        let errors = Errors::one("code", "Please type the code that the server’s screen shows.");
        return ask(&set_up, &headers, errors, false).await;
    }
    let sentence = match set_up.sit_down(&form.code) {
        (Tried::Right, Some(seat)) => {
            let cookie = SEAT.set("/", &seat);
            return ([(header::SET_COOKIE, cookie)], Redirect::to(START)).into_response();
        }
        (Tried::Right | Tried::Wrong, _) => {
            "That is not the code. Please look at the server’s screen and type the eight letters and \
             digits as they stand there. Each start of the server has a new one."
                .to_owned()
        }
        (Tried::Renewed, _) => {
            "That was the tenth wrong code, so the server has made a new one. Please wait a minute, read \
             it on the server’s screen, and type it here."
                .to_owned()
        }
        (Tried::Wait(left), _) => format!(
            "There were too many wrong codes. Please wait {} seconds, and then type the code that the \
             server’s screen shows now.",
            left.as_secs() + 1
        ),
    };
    ask(&set_up, &headers, Errors::one("code", sentence), false).await
}
