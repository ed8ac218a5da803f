//! Changing one's own password.

use crate::Staff;
use crate::form::Sent;
use crate::session::SignedIn;
use crate::signin::{not_admitted, retry_after, with_cookie};
use askama::Template;
use axum::extract::{Extension, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use std::sync::Arc;
use wardpost_directory::{DirectoryError, Way};
use wardpost_web::{Connection, Shell, page};

const HERE: &str = "/staff/password";

#[derive(Template)]
#[template(path = "password.html")]
struct Password<'a> {
    shell: &'a Shell,
    who: &'a SignedIn,
    here: &'static str,
    done: bool,
    error: Option<String>,
}

/// What an address may tell the page.
#[derive(Deserialize)]
pub(crate) struct Said {
    done: Option<String>,
}

/// The form.
pub(crate) async fn show(
    State(staff): State<Arc<Staff>>,
    Query(said): Query<Said>,
    who: SignedIn,
) -> Response {
    staff.password_page(&who, StatusCode::OK, said.done.is_some(), None)
}

/// Sets the new password. Whatever the old one opened ends; this browser stays signed in.
pub(crate) async fn change(
    State(staff): State<Arc<Staff>>,
    Extension(connection): Extension<Connection>,
    Sent(who, form): Sent<SignedIn>,
) -> Response {
    let again = |status, error| staff.password_page(&who, status, false, Some(error));
    let odd = |text: &str| again(StatusCode::UNPROCESSABLE_ENTITY, text.to_owned());
    if form.new.expose() != form.again.expose() {
        return odd("The two new passwords are not the same. Please enter both again.");
    }
    if form.new.expose() == form.password.expose() {
        return odd("The new password is the old one. Please choose another.");
    }
    let (directory, address) = (&staff.parts.directory, who.account.address.to_string());
    // Slowed like signing in.
    let old = directory.authenticate(&address, &form.password, connection.peer, Way::Page).await;
    let old = match old {
        Ok(login) => login,
        Err(error) => {
            let wrong = "The first one is not your password, so nothing was changed. Please try again. An \
                         app password does not work here.";
            let (status, text) = not_admitted(error, wrong);
            return retry_after(error, again(status, text));
        }
    };
    match directory.change_password(who.account.id, &old.unlocked, &form.new).await {
        Ok(()) => {}
        Err(DirectoryError::WeakPassword(why)) => {
            return odd(&format!("Please choose another password: {why}."));
        }
        Err(error) => return staff.broken("a password could not be changed", &error),
    }
    staff.end_sessions(who.account.id, None);
    match directory.authenticate(&address, &form.new, connection.peer, Way::Page).await {
        Ok(login) => {
            let cookie = staff.go_on(login, &who);
            with_cookie(Redirect::to("/staff/password?done").into_response(), Some(cookie))
        }
        // The new password is set; only the way in is the ordinary one.
        Err(_) => {
            let text = "Please sign in with it.";
            staff.plain(StatusCode::OK, "Your new password is set", text)
        }
    }
}

impl Staff {
    fn password_page(
        &self,
        who: &SignedIn,
        status: StatusCode,
        done: bool,
        error: Option<String>,
    ) -> Response {
        page(status, &Password { shell: &self.shell, who, here: HERE, done, error })
    }
}
