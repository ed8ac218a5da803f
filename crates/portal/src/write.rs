//! The form for people whose own provider cannot send encrypted mail.
//!
//! Nobody proves who they are here, and the mail that arrives says so: in From, in the subject, in
//! its first lines and in Authentication-Results.

use crate::Portal;
use crate::answer::{self, NotDelivered, Trace};
use crate::pages;
use crate::upload::{Upload, UploadError};
use askama::Template;
use axum::extract::multipart::MultipartRejection;
use axum::extract::{Extension, Multipart, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use wardpost_directory::Resolution;
use wardpost_mail::{AccountId, Address, ReversePath};
use wardpost_message::headers;
use wardpost_message::reply::{self, Answer};
use wardpost_web::{Connection, Shell, page};

/// Messages from one network in [`WINDOW`].
pub(crate) const PER_NETWORK: u32 = 6;
/// Messages from everywhere in [`WINDOW`].
pub(crate) const IN_TOTAL: u32 = 120;
/// The time these are counted over.
pub(crate) const WINDOW: Duration = Duration::from_secs(3600);
/// Characters of a name or subject.
const MAX_LINE: usize = 200;

#[derive(Template)]
#[template(path = "write.html")]
struct WritePage<'a> {
    shell: Shell,
    error: Option<&'a str>,
    done: bool,
    max: String,
    draft: Draft<'a>,
}

/// What was typed, to be shown again.
#[derive(Default)]
struct Draft<'a> {
    to: &'a str,
    name: &'a str,
    email: &'a str,
    subject: &'a str,
    text: &'a str,
}

/// What an address may tell this page.
#[derive(Deserialize)]
pub(crate) struct Said {
    done: Option<String>,
}

/// The form, or the word that it was sent.
pub(crate) async fn form(State(portal): State<Arc<Portal>>, Query(said): Query<Said>) -> Response {
    show(&portal, StatusCode::OK, None, said.done.is_some(), Draft::default())
}

fn show(
    portal: &Portal,
    status: StatusCode,
    error: Option<&str>,
    done: bool,
    draft: Draft<'_>,
) -> Response {
    let (shell, max) = (portal.shell.clone(), wardpost_web::size(portal.settings.max_answer));
    page(status, &WritePage { shell, error, done, max, draft })
}

/// Takes a message.
pub(crate) async fn send(
    State(portal): State<Arc<Portal>>,
    Extension(connection): Extension<Connection>,
    form: Result<Multipart, MultipartRejection>,
) -> Response {
    if !portal.pace.admit(connection.peer, Instant::now()) {
        let text = "Too many messages have come from your network in the last hour. Please try again \
                    later.";
        return pages::plain(&portal, StatusCode::TOO_MANY_REQUESTS, "Please wait", text, true);
    }
    // Strangers do not wait for each other: a few slow ones must not hold up all the rest for long.
    let Ok(_place) = portal.letters.try_acquire() else {
        let text = "Several people are writing to us at this moment. Please go back and try again in a \
                    minute.";
        return pages::plain(&portal, StatusCode::SERVICE_UNAVAILABLE, "Please wait", text, true);
    };
    let upload = match answer::read_form(form, portal.settings.max_answer).await {
        Ok(upload) => upload,
        Err(UploadError::TooLarge) => return pages::too_large(&portal),
        Err(UploadError::TooMany | UploadError::Broken) => {
            let text =
                "Your message did not arrive whole. Please send it again, with at most 20 files.";
            return show(&portal, StatusCode::BAD_REQUEST, Some(text), false, Draft::default());
        }
    };
    if !upload.field("website").is_empty() {
        // Only programs fill in a field that nobody sees.
        return Redirect::to("/write?done=1").into_response();
    }
    match accept(&portal, &upload, &connection).await {
        Ok(()) => {
            portal.metrics.written.inc();
            tracing::info!("portal: a message was written with the form");
            Redirect::to("/write?done=1").into_response()
        }
        Err(problem) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            show(&portal, status, Some(problem), false, Draft::of(&upload))
        }
    }
}

impl<'a> Draft<'a> {
    fn of(upload: &'a Upload) -> Self {
        Self {
            to: upload.field("to"),
            name: upload.field("name"),
            email: upload.field("email"),
            subject: upload.field("subject"),
            text: upload.field("text"),
        }
    }
}

async fn accept(
    portal: &Portal,
    upload: &Upload,
    connection: &Connection,
) -> Result<(), &'static str> {
    let (to, accounts) = whom(portal, upload.field("to").trim())?;
    let email = Address::parse(upload.field("email").trim())
        .map_err(|_| "Please check your own email address: it cannot be right as it stands.")?;
    let name = line(upload.field("name"));
    if name.is_empty() {
        return Err("Please enter your name.");
    }
    if upload.field("text").trim().is_empty() && upload.files.is_empty() {
        return Err("Please write something, or attach a file.");
    }
    let now = answer::unix(SystemTime::now());
    let mail = unverified_mail(portal, &to, &email, &name, upload, now)?;
    let trace = Trace {
        settings: &portal.settings,
        connection,
        return_path: ReversePath::Null,
        results: &[],
        channel: "web-form; sender not verified",
        recipient: Some(&to),
        now,
    };
    answer::put(portal, trace.before(&mail), &accounts, now).await.map_err(|error| match error {
        NotDelivered::NoAccount => UNKNOWN_RECIPIENT,
        NotDelivered::Failed => "Your message was NOT sent. Please try again in a few minutes.",
    })
}

const UNKNOWN_RECIPIENT: &str =
    "We do not know the address you want to write to. Please check it, or call us.";

fn whom(portal: &Portal, text: &str) -> Result<(Address, Vec<AccountId>), &'static str> {
    let address = Address::parse(text).map_err(|_| UNKNOWN_RECIPIENT)?;
    match portal.directory.resolve(&address) {
        Resolution::Accounts(accounts) => Ok((address, accounts)),
        Resolution::Unknown | Resolution::NotOurs => Err(UNKNOWN_RECIPIENT),
    }
}

fn unverified_mail(
    portal: &Portal,
    to: &Address,
    email: &Address,
    name: &str,
    upload: &Upload,
    now: i64,
) -> Result<Vec<u8>, &'static str> {
    // From is an address of ours: the writer's own is a claim, and stands in Reply-To.
    let from =
        Address::parse(&format!("web-form@{}", to.domain())).map_err(|_| UNKNOWN_RECIPIENT)?;
    let subject = line(upload.field("subject"));
    let subject = if subject.is_empty() { "Message".to_owned() } else { subject };
    let text = format!(
        "[This was written with the form on our web page. Nobody has checked that it comes from\n\
         {name} <{email}>, as the writer says. It came encrypted.]\n\n{}",
        upload.field("text")
    );
    Ok(reply::build(&Answer {
        from_name: Some(&format!("{name} (web form, not verified)")),
        from: &from,
        reply_to: Some(email),
        to,
        subject: &format!("[web form, not verified] {subject}"),
        message_id: &headers::new_message_id(&portal.settings.hostname),
        original: None,
        text: &text,
        attachments: &upload.files,
        now,
    }))
}

/// One line of what somebody typed.
fn line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_LINE).collect::<String>().trim().to_owned()
}
