//! The last link of set-up: whoever has it is signed in once, without typing what was just chosen.

use crate::Staff;
use crate::form::Filled;
use crate::signin::with_cookie;
use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wardpost_directory::Login;
use wardpost_mail::Secret;
use wardpost_web::{Shell, is_same};

/// How long the link can be used.
const HOLDS: Duration = Duration::from_secs(10 * 60);

/// The one link that is waited for, if any.
#[derive(Default)]
pub(crate) struct Welcomes(Mutex<Option<Waiting>>);

struct Waiting {
    token: Secret<String>,
    login: Login,
    until: Instant,
}

impl Welcomes {
    pub(crate) fn expect(&self, token: &Secret<String>, login: Login) {
        let waiting = Waiting { token: token.clone(), login, until: Instant::now() + HOLDS };
        // An empty token would be everybody's.
        *self.0.lock() = (!token.expose().is_empty()).then_some(waiting);
    }

    /// Uses the link up.
    fn take(&self, token: &str) -> Option<Login> {
        let mut waiting = self.0.lock();
        waiting.take_if(|waiting| waiting.until < Instant::now());
        waiting.take_if(|waiting| is_same(waiting.token.expose(), token)).map(|it| it.login)
    }
}

#[derive(Template)]
#[template(path = "welcome.html")]
struct Welcome<'a> {
    shell: &'a Shell,
    form_token: String,
}

/// The page that the link leads to. It looks at nothing and uses nothing up.
pub(crate) async fn ask(State(staff): State<Arc<Staff>>, headers: HeaderMap) -> Response {
    let (form_token, cookie) = staff.forms.token(&headers);
    let page = wardpost_web::page(StatusCode::OK, &Welcome { shell: &staff.shell, form_token });
    with_cookie(page, cookie)
}

/// Signs in.
pub(crate) async fn enter(
    State(staff): State<Arc<Staff>>,
    Path(token): Path<String>,
    headers: HeaderMap,
    Filled(form): Filled,
) -> Response {
    if !staff.forms.is_ours(&headers, &form.form_token) {
        return staff.refused();
    }
    match staff.welcome.take(&token) {
        Some(login) if !login.revocation.is_revoked() => {
            let cookie = staff.begin_session(login);
            with_cookie(Redirect::to("/admin").into_response(), Some(cookie))
        }
        _ => {
            let text = "This link was used already, or its ten minutes are over. Nothing is lost: \
                        please sign in with your address and the password that you chose.";
            staff.plain(StatusCode::GONE, "Please sign in", text)
        }
    }
}
