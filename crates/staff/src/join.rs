//! The link of an invitation: whoever has it chooses a password, and has an account.

use crate::Staff;
use crate::form::Filled;
use crate::signin::with_cookie;
use askama::Template;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use std::sync::Arc;
use wardpost_directory::{DirectoryError, Invitation, Way};
use wardpost_mail::{Address, Secret};
use wardpost_web::{Connection, Shell, page};

#[derive(Template)]
#[template(path = "join.html")]
struct Join<'a> {
    shell: &'a Shell,
    form_token: String,
    address: &'a Address,
    name: &'a str,
    error: Option<String>,
}

/// The form. Uses nothing up.
pub(crate) async fn ask(
    State(staff): State<Arc<Staff>>,
    Path(link): Path<String>,
    headers: HeaderMap,
) -> Response {
    match staff.parts.directory.invited(&Secret::new(link)) {
        Some(invitation) => staff.join_page(&headers, StatusCode::OK, &invitation, None),
        None => staff.no_invitation(),
    }
}

/// Makes the account and signs its owner in.
pub(crate) async fn join(
    State(staff): State<Arc<Staff>>,
    Path(link): Path<String>,
    Extension(connection): Extension<Connection>,
    headers: HeaderMap,
    Filled(form): Filled,
) -> Response {
    let (link, directory) = (Secret::new(link), &staff.parts.directory);
    let Some(invitation) = directory.invited(&link) else { return staff.no_invitation() };
    let again = |status, error: String| staff.join_page(&headers, status, &invitation, Some(error));
    if !staff.forms.is_ours(&headers, &form.form_token) {
        let text = "This page was open for too long, or your browser keeps no cookies. Please try once \
                    more.";
        return again(StatusCode::FORBIDDEN, text.to_owned());
    }
    if form.password.expose() != form.again.expose() {
        let text = "The two passwords are not the same. Please enter both again.";
        return again(StatusCode::UNPROCESSABLE_ENTITY, text.to_owned());
    }
    match directory.accept_invitation(&link, form.password.clone()).await {
        Ok(_) => {}
        Err(DirectoryError::WeakPassword(why)) => {
            let text = format!("Please choose another password: {why}.");
            return again(StatusCode::UNPROCESSABLE_ENTITY, text);
        }
        Err(DirectoryError::NoSuchInvitation | DirectoryError::AddressTaken) => {
            return staff.no_invitation();
        }
        Err(error) => return staff.broken("an invitation could not be accepted", &error),
    }
    let name = invitation.address.to_string();
    match directory.authenticate(&name, &form.password, connection.peer, Way::Page).await {
        Ok(login) => {
            let cookie = staff.begin_session(login, None);
            with_cookie(Redirect::to("/staff").into_response(), Some(cookie))
        }
        // The account is there; only the way in is the ordinary one.
        Err(_) => Redirect::to("/staff").into_response(),
    }
}

impl Staff {
    fn join_page(
        &self,
        headers: &HeaderMap,
        status: StatusCode,
        invitation: &Invitation,
        error: Option<String>,
    ) -> Response {
        let (form_token, cookie) = self.forms.token(headers);
        let Invitation { address, name, .. } = invitation;
        let form = Join { shell: &self.shell, form_token, address, name, error };
        with_cookie(page(status, &form), cookie)
    }

    fn no_invitation(&self) -> Response {
        let text = "This invitation was used already, was taken back, or its week is over. If you have \
                    chosen a password with it, sign in with that. If not, ask whoever looks after the \
                    mail server for another invitation.";
        self.plain(StatusCode::GONE, "This invitation counts no longer", text)
    }
}
