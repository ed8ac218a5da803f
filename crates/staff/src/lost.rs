//! What was lost, and how the practice's recovery kit helps.
//!
//! Whoever has the kit can open every account, as the law's emergency access wants it; so this page
//! gives nothing away that the kit does not. Every answer takes the same time, at least, so that it does
//! not tell who has an account.

use crate::Staff;
use crate::form::Filled;
use crate::signin::with_cookie;
use askama::Template;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wardpost_directory::{Account, DirectoryError};
use wardpost_keys::Unlocked;
use wardpost_mail::{Address, Secret};
use wardpost_web::{Connection, Shell, page};

/// What every answer takes.
const PACE: Duration = Duration::from_secs(1);

/// What was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    Phone,
    Password,
}

#[derive(Template)]
#[template(path = "lost.html")]
struct Choose<'a> {
    shell: &'a Shell,
}

#[derive(Template)]
#[template(path = "recover.html")]
struct Recover<'a> {
    shell: &'a Shell,
    form_token: String,
    lost: Lost,
    address: &'a str,
    error: Option<String>,
}

/// Asks what was lost.
pub(crate) async fn choose(State(staff): State<Arc<Staff>>) -> Response {
    page(StatusCode::OK, &Choose { shell: &staff.shell })
}

/// The form for a lost phone.
pub(crate) async fn ask_phone(State(staff): State<Arc<Staff>>, headers: HeaderMap) -> Response {
    staff.recover_page(&headers, StatusCode::OK, Lost::Phone, "", None)
}

/// The form for a lost password.
pub(crate) async fn ask_password(State(staff): State<Arc<Staff>>, headers: HeaderMap) -> Response {
    staff.recover_page(&headers, StatusCode::OK, Lost::Password, "", None)
}

/// Takes the second factor away.
pub(crate) async fn phone(
    State(staff): State<Arc<Staff>>,
    Extension(connection): Extension<Connection>,
    headers: HeaderMap,
    form: Filled,
) -> Response {
    recover(&staff, &connection, &headers, form, Lost::Phone).await
}

/// Sets another password.
pub(crate) async fn password(
    State(staff): State<Arc<Staff>>,
    Extension(connection): Extension<Connection>,
    headers: HeaderMap,
    form: Filled,
) -> Response {
    recover(&staff, &connection, &headers, form, Lost::Password).await
}

/// Why nothing was recovered.
enum Failed {
    /// For the form.
    Say(StatusCode, String),
    /// Something of ours is broken: what could not be done, and why.
    Trouble(&'static str, DirectoryError),
}

async fn recover(
    staff: &Staff,
    connection: &Connection,
    headers: &HeaderMap,
    Filled(form): Filled,
    lost: Lost,
) -> Response {
    let again =
        |status, error| staff.recover_page(headers, status, lost, &form.address, Some(error));
    if !staff.forms.is_ours(headers, &form.form_token) {
        let text = "This page was open for too long, or your browser keeps no cookies. Please try once \
                    more.";
        return again(StatusCode::FORBIDDEN, text.to_owned());
    }
    if form.address.trim().is_empty() || form.kit.expose().trim().is_empty() {
        let text = "Please enter your address and the words of the recovery kit.";
        return again(StatusCode::UNPROCESSABLE_ENTITY, text.to_owned());
    }
    if lost == Lost::Password && form.password.expose() != form.again.expose() {
        let text = "The two passwords are not the same. Please enter both again.";
        return again(StatusCode::UNPROCESSABLE_ENTITY, text.to_owned());
    }
    if !staff.recovery_pace.admit(connection.peer, Instant::now()) {
        let text = "There were many tries from your network. Please wait an hour, then try again.";
        return again(StatusCode::TOO_MANY_REQUESTS, text.to_owned());
    }
    let Ok(_place) = staff.recoveries.try_acquire() else {
        let text = "Others are doing the same at this moment. Please try again in a minute.";
        return again(StatusCode::SERVICE_UNAVAILABLE, text.to_owned());
    };
    let until = tokio::time::Instant::now() + PACE;
    let outcome = staff.recover(&form.address, &form.kit, &form.password, lost).await;
    tokio::time::sleep_until(until).await;
    match (outcome, lost) {
        (Ok(()), Lost::Phone) => {
            let text = "Signing in asks for your password only, for now. Please sign in, set up two-step \
                        sign-in with your new phone, and take away the app password of the phone that \
                        was lost.";
            staff.plain(StatusCode::OK, "The lost phone counts no longer", text)
        }
        (Ok(()), Lost::Password) => {
            let text = "Please sign in with it. Mail programs that used the old password need the new \
                        one; devices with an app password go on as before. If somebody else knew the old one, look \
                        through your devices under “Phone and computer”, and take away what is not yours.";
            staff.plain(StatusCode::OK, "Your new password is set", text)
        }
        (Err(Failed::Say(status, error)), _) => again(status, error),
        (Err(Failed::Trouble(what, error)), _) => staff.broken(what, &error),
    }
}

impl Staff {
    fn recover_page(
        &self,
        headers: &HeaderMap,
        status: StatusCode,
        lost: Lost,
        address: &str,
        error: Option<String>,
    ) -> Response {
        let (form_token, cookie) = self.forms.token(headers);
        let shell = &self.shell;
        with_cookie(page(status, &Recover { shell, form_token, lost, address, error }), cookie)
    }

    async fn recover(
        &self,
        address: &str,
        kit: &Secret<String>,
        password: &Secret<String>,
        lost: Lost,
    ) -> Result<(), Failed> {
        let (account, unlocked) = self.open_with_kit(address, kit).await?;
        let directory = &self.parts.directory;
        let done = match lost {
            Lost::Phone => directory.set_second_factor(account.id, None).await,
            Lost::Password => directory.change_password(account.id, &unlocked, password).await,
        };
        match done {
            Ok(()) => {
                tracing::warn!(account = %account.id, ?lost, "staff: the recovery kit was used");
                self.end_sessions(account.id, None);
                Ok(())
            }
            Err(DirectoryError::WeakPassword(why)) => {
                let text = format!("Please choose another password: {why}.");
                Err(Failed::Say(StatusCode::UNPROCESSABLE_ENTITY, text))
            }
            Err(error) => Err(Failed::Trouble("an account could not be recovered", error)),
        }
    }

    async fn open_with_kit(
        &self,
        address: &str,
        kit: &Secret<String>,
    ) -> Result<(Account, Arc<Unlocked>), Failed> {
        let wrong = || {
            let text = "This address and this recovery kit do not belong together. Please check both: \
                        the kit is in groups of four letters and digits, and none may be left out.";
            Failed::Say(StatusCode::FORBIDDEN, text.to_owned())
        };
        let directory = &self.parts.directory;
        let account = self.whole_address(address);
        let account = account.and_then(|address| directory.account_by_address(&address));
        let account = account.ok_or_else(wrong)?;
        match directory.unlock_with_recovery(account.id, kit).await {
            Ok(unlocked) => Ok((account, unlocked)),
            Err(DirectoryError::WrongSecret | DirectoryError::NoSuchAccount) => Err(wrong()),
            Err(error) => Err(Failed::Trouble("the recovery kit could not be tried", error)),
        }
    }

    /// An address as it is typed on the sign-in page, too: what comes before the @ is enough in the main
    /// domain.
    pub(crate) fn whole_address(&self, typed: &str) -> Option<Address> {
        let typed = typed.trim();
        if typed.contains('@') {
            return Address::parse(typed).ok();
        }
        let main = self.parts.records.domains().into_iter().next()?;
        Address::parse(&format!("{typed}@{main}")).ok()
    }
}
