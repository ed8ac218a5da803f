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
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use wardpost_directory::Login;
use wardpost_mail::Secret;
use wardpost_web::{Shell, is_same};

/// How long the link can be used.
const HOLDS: Duration = Duration::from_secs(10 * 60);

/// The one link that is waited for, if any.
#[derive(Default)]
pub(crate) struct Welcomes(Arc<Mutex<Option<Waiting>>>);

struct Waiting {
    token: Secret<String>,
    login: Login,
    until: Instant,
}

impl Welcomes {
    /// Waits for whoever opens the link. Needs a tokio runtime.
    pub(crate) fn expect(&self, token: &Secret<String>, login: Login) {
        self.expect_for(token, login, HOLDS);
    }

    fn expect_for(&self, token: &Secret<String>, login: Login, holds: Duration) {
        let until = Instant::now() + holds;
        let waiting = Waiting { token: token.clone(), login, until };
        // An empty token would be everybody's.
        *self.0.lock() = (!token.expose().is_empty()).then_some(waiting);
        // The account's keys are in memory no longer than that, whether somebody comes or not.
        let there = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            sleep_until(until).await;
            if let Some(there) = there.upgrade() {
                there.lock().take_if(|waiting| waiting.until <= until);
            }
        });
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
            let cookie = staff.begin_session(login, None);
            with_cookie(Redirect::to("/admin").into_response(), Some(cookie))
        }
        _ => {
            let text = "This link was used already, or its ten minutes are over. Nothing is lost: \
                        please sign in with your address and the password that you chose.";
            staff.plain(StatusCode::GONE, "Please sign in", text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wardpost_directory::{Directory, NewAccount, Options, Way};
    use wardpost_mail::{Address, Domain};
    use wardpost_store::Store;

    #[tokio::test]
    async fn the_keys_wait_no_longer_than_the_link() {
        let domain = Domain::parse("clinic.test").unwrap();
        let options = Options { grace: Duration::from_millis(20), ..Options::for_tests() };
        let directory = Directory::open_with(Store::in_memory(), &domain, options).await.unwrap();
        directory.initialise().await.unwrap();
        let password = Secret::new("correct battery of staples".to_owned());
        let new = NewAccount {
            address: Address::parse("dana@clinic.test").unwrap(),
            name: String::new(),
            password: password.clone(),
            administrator: true,
        };
        directory.add_account(new).await.unwrap();
        let peer = "127.0.0.1".parse().unwrap();
        let login = directory.authenticate("dana", &password, peer, Way::Page).await.unwrap();
        let welcomes = Welcomes::default();
        welcomes.expect_for(&Secret::new("x".to_owned()), login, Duration::from_millis(300));
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(directory.unlocked_count(), 1);
        let gone = async {
            while directory.unlocked_count() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap();
        assert!(welcomes.0.lock().is_none());
    }
}
