//! The way in: the one-time code.

use super::{Frame, START, bare_frame, elsewhere, end, shell};
use crate::check::Errors;
use crate::code::Tried;
use crate::seat::{NotHeld, SEAT, Seating, SetUp};
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
    let why = match set_up.hold(&headers) {
        Ok(held) => return Redirect::to(held.next().path()).into_response(),
        Err(why) => why,
    };
    match why {
        NotHeld::Former | NotHeld::Stranger => {
            ask(&set_up, &headers, Errors::none(), matches!(why, NotHeld::Former))
        }
        NotHeld::Busy | NotHeld::Over(_) => elsewhere(&set_up, &why),
    }
}

fn ask(set_up: &SetUp, headers: &HeaderMap, errors: Errors, former: bool) -> Response {
    let frame = bare_frame(set_up, headers);
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
        return ask(&set_up, &headers, errors, false);
    }
    let sentence = match set_up.sit_down(&form.code) {
        Seating::Taken(seat) => {
            let cookie = SEAT.set("/", &seat);
            return ([(header::SET_COOKIE, cookie)], Redirect::to(START)).into_response();
        }
        Seating::TooLate => return end::wait(&set_up),
        Seating::Refused(Tried::Right | Tried::Wrong) => {
            "That is not the code. Please look at the server’s screen and type the eight letters and \
             digits as they stand there. Each start of the server has a new one."
                .to_owned()
        }
        Seating::Refused(Tried::Renewed) => {
            "That was the tenth wrong code, so the server has made a new one. Please wait a minute, read \
             it on the server’s screen, and type it here."
                .to_owned()
        }
        Seating::Refused(Tried::Wait(left)) => format!(
            "There were too many wrong codes. Please wait {} seconds, and then type the code that the \
             server’s screen shows now.",
            left.as_secs() + 1
        ),
    };
    ask(&set_up, &headers, Errors::one("code", sentence), false)
}
