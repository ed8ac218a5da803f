//! Opening a message with its link and the code; choosing a password; signing out.

use crate::pages::{self, plain};
use crate::visit::Visit;
use crate::{Portal, reading};
use askama::Template;
use axum::extract::rejection::FormRejection;
use axum::extract::{Extension, Form, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use wardpost_mail::Secret;
use wardpost_parcel::ParcelError;
use wardpost_web::{Connection, Shell, page};

/// Fewest characters of a password (NIST SP 800-63B-4 §3.1.1.2, single factor).
const MIN_PASSWORD: usize = 15;
/// Most characters of a password; more is not refused for strength but for work.
const MAX_PASSWORD: usize = 256;

#[derive(Template)]
#[template(path = "ask.html")]
struct Ask {
    shell: Shell,
    typed: Typed,
    error: Option<String>,
    offer_phone: bool,
}

/// What somebody tried to open a message with: the page goes on with that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Typed {
    Code,
    Password,
}

impl Typed {
    fn word(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Password => "password",
        }
    }
}

/// What the form for the code sends.
#[derive(Deserialize)]
pub(crate) struct CodeForm {
    #[serde(default)]
    code: String,
    #[serde(default)]
    password: String,
}

/// The page a link leads to. It looks at nothing, not even at the link: whoever has only the link
/// learns nothing from it, and a scanner that follows it changes nothing.
pub(crate) async fn ask(State(portal): State<Arc<Portal>>) -> Response {
    ask_again(&portal, Typed::Code, StatusCode::OK, None, false)
}

fn ask_again(
    portal: &Portal,
    typed: Typed,
    status: StatusCode,
    error: Option<String>,
    offer_phone: bool,
) -> Response {
    page(status, &Ask { shell: portal.shell.clone(), typed, error, offer_phone })
}

/// Takes the code, opens the parcel and begins a visit.
pub(crate) async fn open(
    State(portal): State<Arc<Portal>>,
    Extension(connection): Extension<Connection>,
    Path(token): Path<String>,
    form: Result<Form<CodeForm>, FormRejection>,
) -> Response {
    let nothing = || {
        let text = Some(NOTHING_GIVEN.to_owned());
        ask_again(&portal, Typed::Code, StatusCode::BAD_REQUEST, text, false)
    };
    let Ok(Form(form)) = form else { return nothing() };
    let (typed, given) = match form.password.is_empty() {
        true => (Typed::Code, form.code),
        false => (Typed::Password, form.password),
    };
    if given.trim().is_empty() || given.len() > 4 * MAX_PASSWORD {
        return nothing();
    }
    match portal.parcels.open_with_code(&token, &Secret::new(given), connection.peer).await {
        Ok(opened) => {
            portal.metrics.opens.inc();
            tracing::info!(parcel = %opened.id, "portal: parcel opened");
            begin_visit(&portal, opened).await
        }
        Err(error) => not_opened(&portal, typed, &error),
    }
}

const NOTHING_GIVEN: &str = "Please enter your code, or the password you have chosen.";

async fn begin_visit(portal: &Portal, opened: wardpost_parcel::OpenedParcel) -> Response {
    // Decoding and sanitising a large message takes a while.
    let Ok(visit) = tokio::task::spawn_blocking(|| Arc::new(Visit::new(opened))).await else {
        return pages::trouble(portal);
    };
    let target = format!("/m/{}", visit.view);
    let cookie = portal.visits.begin(visit);
    ([(header::SET_COOKIE, cookie)], Redirect::to(&target)).into_response()
}

/// Says why a parcel was not opened. Only those who gave the right code hear that it expired or was
/// taken back.
fn not_opened(portal: &Portal, typed: Typed, error: &ParcelError) -> Response {
    let word = typed.word();
    match error {
        ParcelError::WrongCode { tries_left } => {
            portal.metrics.wrong_codes.inc();
            tracing::info!(tries_left, "portal: wrong code");
            let left = match tries_left {
                1 => "You can try one more time.".to_owned(),
                left => format!("You can try {left} more times."),
            };
            let text = format!("That {word} is not right. Please check it and try again. {left}");
            ask_again(portal, typed, StatusCode::FORBIDDEN, Some(text), *tries_left <= 5)
        }
        ParcelError::NotFound => {
            portal.metrics.wrong_codes.inc();
            tracing::info!("portal: wrong link or code");
            let text =
                format!("That {word} is not right for this link. Please check both and try again.");
            ask_again(portal, typed, StatusCode::FORBIDDEN, Some(text), true)
        }
        ParcelError::SlowDown(wait) => {
            portal.metrics.wrong_codes.inc();
            slow_down(portal, typed, *wait)
        }
        ParcelError::Locked => {
            portal.metrics.wrong_codes.inc();
            tracing::warn!("portal: a parcel is locked after too many wrong codes");
            let text = "There were too many wrong codes, so the message is locked for now. Please call \
                        us: we will help you.";
            plain(portal, StatusCode::FORBIDDEN, "The message is locked", text, true)
        }
        ParcelError::Expired => {
            let text = "Your code is right, but the message was kept for a limited time only, and that \
                        time is over. Please ask us to send it again.";
            plain(portal, StatusCode::GONE, "The message has expired", text, true)
        }
        ParcelError::Recalled => {
            let text =
                "We have taken this message back. If you expected something from us, please ask.";
            plain(portal, StatusCode::GONE, "The message was taken back", text, true)
        }
        ParcelError::Superseded => {
            let text = "You have been given a new code since this message was sent, and only newer \
                        messages open with it. Please ask us to send this one again.";
            plain(portal, StatusCode::GONE, "Please ask for the message again", text, true)
        }
        error => {
            tracing::error!(%error, "portal: a parcel could not be opened");
            pages::trouble(portal)
        }
    }
}

fn slow_down(portal: &Portal, typed: Typed, wait: Duration) -> Response {
    let seconds = wait.as_secs().max(1);
    let span = match seconds {
        1 => "a second".to_owned(),
        2..=90 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    };
    let word = typed.word();
    let text = format!("There were several wrong {word}s. Please wait {span}, then try again.");
    let page = ask_again(portal, typed, StatusCode::TOO_MANY_REQUESTS, Some(text), true);
    ([(header::RETRY_AFTER, seconds.to_string())], page).into_response()
}

#[derive(Template)]
#[template(path = "password.html")]
struct Choose<'a> {
    shell: Shell,
    visit: &'a Visit,
    min: usize,
    error: Option<String>,
}

/// What the password form sends.
#[derive(Deserialize)]
pub(crate) struct PasswordForm {
    #[serde(default)]
    form_token: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    again: String,
}

/// The page to choose a password.
pub(crate) async fn choose(
    State(portal): State<Arc<Portal>>,
    Path(view): Path<String>,
    headers: HeaderMap,
) -> Response {
    match portal.visit(&headers, &view) {
        Some(visit) => choose_page(&portal, &visit, StatusCode::OK, None),
        None => pages::visit_is_over(&portal),
    }
}

fn choose_page(
    portal: &Portal,
    visit: &Visit,
    status: StatusCode,
    error: Option<String>,
) -> Response {
    let shell = portal.shell.clone();
    page(status, &Choose { shell, visit, min: MIN_PASSWORD, error })
}

/// Sets the password.
pub(crate) async fn set_password(
    State(portal): State<Arc<Portal>>,
    Path(view): Path<String>,
    headers: HeaderMap,
    form: Result<Form<PasswordForm>, FormRejection>,
) -> Response {
    let Some(visit) = portal.visit(&headers, &view) else {
        return pages::visit_is_over(&portal);
    };
    let Ok(Form(form)) = form else {
        return choose_page(&portal, &visit, StatusCode::BAD_REQUEST, None);
    };
    if !visit.is_our_form(&form.form_token) {
        return pages::refused(&portal);
    }
    let (password, again) = (Secret::new(form.password), Secret::new(form.again));
    if let Err(problem) = judge(password.expose(), again.expose(), &visit, &portal) {
        return choose_page(&portal, &visit, StatusCode::UNPROCESSABLE_ENTITY, Some(problem));
    }
    match portal.parcels.set_passphrase(&visit.keys, &password).await {
        Ok(_committed) => {
            portal.metrics.passwords.inc();
            tracing::info!("portal: a recipient has chosen a password");
            Redirect::to(&format!("/m/{view}?done=password")).into_response()
        }
        Err(ParcelError::Passphrase { min }) => {
            let text = too_short(min);
            choose_page(&portal, &visit, StatusCode::UNPROCESSABLE_ENTITY, Some(text))
        }
        Err(ParcelError::Superseded) => {
            not_opened(&portal, Typed::Password, &ParcelError::Superseded)
        }
        Err(error) => {
            tracing::error!(%error, "portal: a password could not be set");
            pages::trouble(&portal)
        }
    }
}

fn too_short(min: usize) -> String {
    format!("Please choose a longer password: at least {min} characters.")
}

/// Length, no rules about kinds of characters, and a list of what others would try first (NIST SP
/// 800-63B-4 §3.1.1.2).
fn judge(password: &str, again: &str, visit: &Visit, portal: &Portal) -> Result<(), String> {
    let length = password.trim().chars().count();
    if length < MIN_PASSWORD {
        return Err(too_short(MIN_PASSWORD));
    }
    if length > MAX_PASSWORD {
        return Err(format!("Please choose a password of at most {MAX_PASSWORD} characters."));
    }
    if password != again {
        return Err("The two passwords are not the same. Please enter both again.".to_owned());
    }
    let personal = [visit.recipient.local(), portal.settings.practice.as_str()];
    if is_easy(password, &personal) {
        return Err(
            "Others would guess this password soon. Please choose another: a sentence that \
                    only you would think of is good."
                .to_owned(),
        );
    }
    Ok(())
}

/// Whether little is left of a password once repetitions, runs, common words and the person's own
/// name are taken out.
fn is_easy(password: &str, personal: &[&str]) -> bool {
    const COMMON: [&str; 16] = [
        "password",
        "passwort",
        "passphrase",
        "qwerty",
        "asdfgh",
        "zxcvbn",
        "iloveyou",
        "letmein",
        "welcome",
        "admin",
        "login",
        "secret",
        "doctor",
        "patient",
        "message",
        "correcthorsebatterystaple",
    ];
    let mut rest: String =
        password.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    let personal = personal.iter().map(|word| {
        word.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect::<String>()
    });
    for word in COMMON.iter().map(|word| (*word).to_owned()).chain(personal) {
        if word.len() >= 4 {
            rest = rest.replace(&word, "");
        }
    }
    // What a character adds when it neither repeats nor continues the one before.
    let steps = rest.chars().zip(rest.chars().skip(1)).filter(|(a, b)| {
        let step = i64::from(u32::from(*b)) - i64::from(u32::from(*a));
        !(-1..=1).contains(&step)
    });
    let distinct: std::collections::HashSet<char> = rest.chars().collect();
    steps.count() < 5 || distinct.len() < 5
}

/// Signs out.
pub(crate) async fn leave(
    State(portal): State<Arc<Portal>>,
    Path(view): Path<String>,
    headers: HeaderMap,
    form: Result<Form<reading::TokenForm>, FormRejection>,
) -> Response {
    let Some(visit) = portal.visit(&headers, &view) else {
        return Redirect::to("/left").into_response();
    };
    match form {
        Ok(Form(form)) if visit.is_our_form(&form.form_token) => {
            let cookie = portal.visits.end(&visit);
            ([(header::SET_COOKIE, cookie)], Redirect::to("/left")).into_response()
        }
        _ => pages::refused(&portal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn easy_passwords_are_known_and_good_ones_are_not() {
        for easy in [
            "aaaaaaaaaaaaaaaaaaaa",
            "123456789012345678",
            "passwordpassword1",
            "lee.example lee.example",
            "abcdefghijklmnopqrstuvwxyz",
            "Password Password 1!",
            "correct horse battery staple",
            "ElmStreetPractice1",
        ] {
            assert!(is_easy(easy, &["lee.example", "Elm Street Practice"]), "{easy}");
        }
        for good in [
            "my neighbour's blue bicycle",
            "drei Tassen Kaffee vor sieben",
            "vX9#kq2mL0zRtY7w",
            "мой кот любит рыбу по утрам",
        ] {
            assert!(!is_easy(good, &["lee", "Elm Street Practice"]), "{good}");
        }
    }
}
