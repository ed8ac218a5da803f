//! Answers: written on the page, sealed into the staff member's mailbox.

use crate::pages;
use crate::reading::{MessagePage, staff_name};
use crate::upload::{self, Upload, UploadError};
use crate::visit::Visit;
use crate::{Portal, Settings};
use askama::Template;
use axum::extract::multipart::MultipartRejection;
use axum::extract::{Extension, Multipart, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use std::sync::Arc;
use std::time::SystemTime;
use wardpost_mail::{AccountId, Address, ReversePath};
use wardpost_mailbox::{Destination, SpecialUse};
use wardpost_message::headers::{self, AuthResult, Received};
use wardpost_message::reply::{self, Answer};
use wardpost_web::{Connection, Shell, page};

#[derive(Template)]
#[template(path = "sent.html")]
struct SentPage<'a> {
    shell: Shell,
    visit: &'a Visit,
    to: String,
}

/// Takes an answer.
pub(crate) async fn send(
    State(portal): State<Arc<Portal>>,
    Extension(connection): Extension<Connection>,
    Path(view): Path<String>,
    headers: HeaderMap,
    form: Result<Multipart, MultipartRejection>,
) -> Response {
    let Some(visit) = portal.visits.find(&headers, &view) else {
        return pages::visit_is_over(&portal);
    };
    let Ok(_place) = portal.answers.acquire().await else { return pages::trouble(&portal) };
    let upload = match read_form(form, portal.settings.max_answer).await {
        Ok(upload) => upload,
        Err(UploadError::TooLarge) => return pages::too_large(&portal),
        Err(UploadError::TooMany) => {
            return again(&portal, &visit, "Please attach at most 20 files.", "");
        }
        Err(UploadError::Broken) => {
            return again(
                &portal,
                &visit,
                "Your answer did not arrive whole. Please send it again.",
                "",
            );
        }
    };
    if !visit.is_our_form(upload.field("form_token")) {
        return pages::refused(&portal);
    }
    let text = upload.field("text");
    if text.trim().is_empty() && upload.files.is_empty() {
        return again(&portal, &visit, "Please write something, or attach a file.", text);
    }
    match deliver(&portal, &visit, &upload, &connection).await {
        Ok(()) => {
            portal.metrics.answers.inc();
            tracing::info!(parcel = %visit.parcel, "portal: answered");
            Redirect::to(&format!("/m/{view}/sent")).into_response()
        }
        Err(NotDelivered::NoAccount) => pages::plain(
            &portal,
            StatusCode::GONE,
            "Your answer was not sent",
            "The person who wrote to you cannot receive answers here any more. Please call us.",
            true,
        ),
        Err(NotDelivered::Failed) => again(
            &portal,
            &visit,
            "Your answer was NOT sent. Please try again in a few minutes.",
            text,
        ),
    }
}

pub(crate) async fn read_form(
    form: Result<Multipart, MultipartRejection>,
    limit: usize,
) -> Result<Upload, UploadError> {
    upload::read(form.map_err(|_| UploadError::Broken)?, limit).await
}

/// The message page again, with what was typed. Browsers do not let files be chosen for somebody.
fn again(portal: &Portal, visit: &Visit, error: &'static str, draft: &str) -> Response {
    let mut template = MessagePage::new(portal, visit);
    template.error = Some(error);
    template.draft = draft;
    page(StatusCode::UNPROCESSABLE_ENTITY, &template)
}

/// Says that the answer was sent.
pub(crate) async fn sent(
    State(portal): State<Arc<Portal>>,
    Path(view): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(visit) = portal.visits.find(&headers, &view) else {
        return pages::visit_is_over(&portal);
    };
    let (shell, to) = (portal.shell.clone(), staff_name(&portal, &visit));
    page(StatusCode::OK, &SentPage { shell, visit: &visit, to })
}

pub(crate) enum NotDelivered {
    NoAccount,
    Failed,
}

async fn deliver(
    portal: &Portal,
    visit: &Visit,
    upload: &Upload,
    connection: &Connection,
) -> Result<(), NotDelivered> {
    let account = portal.directory.account(visit.sender).ok_or(NotDelivered::NoAccount)?;
    let author = headers::authors(&visit.header).unwrap_or_default().into_iter().next();
    let author = author.filter(|author| portal.directory.may_send_as(visit.sender, author));
    let now = unix(SystemTime::now());
    let mail = reply::build(&Answer {
        from_name: None,
        from: &visit.recipient,
        reply_to: None,
        to: author.as_ref().unwrap_or(&account.address),
        subject: &reply::subject(visit.readable.subject.as_deref().unwrap_or_default()),
        message_id: &headers::new_message_id(&portal.settings.hostname),
        original: Some(&visit.header),
        text: upload.field("text"),
        attachments: &upload.files,
        now,
    });
    let result = AuthResult {
        method: "auth",
        result: "pass",
        reason: Some("link and code were given on the web page"),
        properties: &[("policy.channel", "portal")],
    };
    let trace = Trace {
        settings: &portal.settings,
        connection,
        return_path: ReversePath::Address(visit.recipient.clone()),
        results: &[result],
        channel: "portal",
        recipient: Some(&account.address),
        now,
    };
    put(portal, trace.before(&mail), &[account.id], now).await?;
    if let Err(error) = portal.parcels.mark_answered(visit.parcel).await {
        // The answer is in the mailbox; that is what counts.
        tracing::warn!(%error, "portal: an answer was not noted with its parcel");
    }
    Ok(())
}

/// What stands above a mail that came by the web.
pub(crate) struct Trace<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) connection: &'a Connection,
    pub(crate) return_path: ReversePath,
    pub(crate) results: &'a [AuthResult<'a>],
    pub(crate) channel: &'a str,
    pub(crate) recipient: Option<&'a Address>,
    pub(crate) now: i64,
}

impl Trace<'_> {
    pub(crate) fn before(&self, mail: &[u8]) -> Vec<u8> {
        let hostname = &self.settings.hostname;
        let id = headers::new_message_id(hostname);
        let id = id.trim_start_matches('<').split('@').next().unwrap_or_default();
        let received = headers::received(&Received {
            helo: "web-browser",
            peer: self.connection.peer,
            peer_name: None,
            by: hostname,
            with: "HTTPS",
            tls: self.connection.tls.as_deref(),
            id,
            recipient: self.recipient,
            at: self.now,
        });
        let results = headers::authentication_results(hostname.as_str(), self.results);
        let channel = format!("X-Wardpost-Channel: {}\r\n", self.channel);
        headers::prepend(
            &[&headers::return_path(&self.return_path), &results, &received, &channel],
            mail,
        )
    }
}

/// Seals a mail into inboxes.
pub(crate) async fn put(
    portal: &Portal,
    mail: Vec<u8>,
    accounts: &[AccountId],
    now: i64,
) -> Result<(), NotDelivered> {
    let destinations: Vec<Destination> = accounts
        .iter()
        .filter_map(|&account| {
            let certificate = portal.directory.certificate(account)?;
            Some(Destination { account, certificate, mailbox: SpecialUse::Inbox })
        })
        .collect();
    if destinations.is_empty() {
        return Err(NotDelivered::NoAccount);
    }
    match portal.mailboxes.deliver(mail, &destinations, now).await {
        Ok(_committed) => Ok(()),
        Err(error) => {
            tracing::error!(%error, "portal: a message could not be delivered");
            Err(NotDelivered::Failed)
        }
    }
}

/// Seconds since 1970 UTC.
pub(crate) fn unix(time: SystemTime) -> i64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
