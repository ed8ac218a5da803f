//! Two-step sign-in: setting it up, or moving it to another phone.

use crate::Staff;
use crate::form::Sent;
use crate::session::SignedIn;
use crate::signin::{not_admitted, retry_after};
use askama::Template;
use axum::extract::{Extension, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use std::sync::Arc;
use std::time::SystemTime;
use wardpost_directory::{Way, second_factor};
use wardpost_mail::Secret;
use wardpost_web::{Connection, Shell, page, qr_svg, with_script};

const HERE: &str = "/staff/second-factor";

#[derive(Template)]
#[template(path = "factor.html")]
struct Factor<'a> {
    shell: &'a Shell,
    who: &'a SignedIn,
    here: &'static str,
    done: bool,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "factor_new.html")]
struct New<'a> {
    shell: &'a Shell,
    who: &'a SignedIn,
    here: &'static str,
    qr: String,
    uri: Secret<String>,
    written: Secret<String>,
    error: Option<&'static str>,
}

/// What an address may tell the page.
#[derive(Deserialize)]
pub(crate) struct Said {
    done: Option<String>,
}

/// Whether there is one, and the form that begins to set one up.
pub(crate) async fn show(
    State(staff): State<Arc<Staff>>,
    Query(said): Query<Said>,
    who: SignedIn,
) -> Response {
    staff.factor_page(&who, StatusCode::OK, said.done.is_some(), None)
}

impl Staff {
    fn factor_page(
        &self,
        who: &SignedIn,
        status: StatusCode,
        done: bool,
        error: Option<String>,
    ) -> Response {
        page(status, &Factor { shell: &self.shell, who, here: HERE, done, error })
    }

    fn new_factor_page(
        &self,
        who: &SignedIn,
        status: StatusCode,
        secret: &Secret<Vec<u8>>,
        error: Option<&'static str>,
    ) -> Response {
        let address = who.account.address.to_string();
        let uri = second_factor::uri(secret, &self.settings.practice, &address);
        let qr = qr_svg(uri.expose(), "Code for the authenticator app");
        let written = second_factor::written(secret);
        let new = New { shell: &self.shell, who, here: HERE, qr, uri, written, error };
        with_script(page(status, &new))
    }
}

/// Takes the password again, because whoever sits at an open page may be somebody else.
pub(crate) async fn begin(
    State(staff): State<Arc<Staff>>,
    Extension(connection): Extension<Connection>,
    Sent(who, form): Sent<SignedIn>,
) -> Response {
    let login = who.account.address.to_string();
    let directory = &staff.parts.directory;
    let login = directory.authenticate(&login, &form.password, connection.peer, Way::Page).await;
    if let Err(error) = login {
        let wrong =
            "That is not your password. Please try again. An app password does not work here.";
        let (status, text) = not_admitted(error, wrong);
        return retry_after(error, staff.factor_page(&who, status, false, Some(text)));
    }
    match second_factor::new_secret() {
        Ok(secret) => {
            *who.visitor.new_factor.lock() = Some(secret);
            Redirect::to("/staff/second-factor/new").into_response()
        }
        Err(error) => staff.broken("a second factor could not be made", &error),
    }
}

/// Shows the new secret, and asks for the code that proves that an app has it.
pub(crate) async fn ask(State(staff): State<Arc<Staff>>, who: SignedIn) -> Response {
    let secret = who.visitor.new_factor.lock().clone();
    match secret {
        Some(secret) => staff.new_factor_page(&who, StatusCode::OK, &secret, None),
        None => Redirect::to(HERE).into_response(),
    }
}

/// Takes the code; from now on signing in asks for one.
pub(crate) async fn finish(
    State(staff): State<Arc<Staff>>,
    Sent(who, form): Sent<SignedIn>,
) -> Response {
    let secret = who.visitor.new_factor.lock().clone();
    let Some(secret) = secret else { return Redirect::to(HERE).into_response() };
    if second_factor::proves(&secret, &form.code, SystemTime::now()).is_none() {
        let error = "That code is not right, so nothing was changed. Please enter the one that the app \
                     shows now. If it stays wrong, check that the phone’s clock is right.";
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return staff.new_factor_page(&who, status, &secret, Some(error));
    }
    match staff.parts.directory.set_second_factor(who.account.id, Some(secret)).await {
        Ok(()) => {
            *who.visitor.new_factor.lock() = None;
            staff.end_sessions(who.account.id, Some(&who));
            Redirect::to("/staff/second-factor?done").into_response()
        }
        Err(error) => staff.broken("a second factor could not be set", &error),
    }
}
