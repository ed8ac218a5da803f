//! The pages of an opened message.

use crate::pages;
use crate::sanitise::FRAME_POLICY;
use crate::visit::Visit;
use crate::{Portal, answer};
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;
use wardpost_message::notice::long_date;
use wardpost_message::render::Attachment;
use wardpost_web::{Shell, page};

/// A form that carries nothing but its token.
#[derive(Deserialize)]
pub(crate) struct TokenForm {
    #[serde(default)]
    pub(crate) form_token: String,
}

/// What an address may tell the message page.
#[derive(Deserialize)]
pub(crate) struct Said {
    done: Option<String>,
}

#[derive(Template)]
#[template(path = "message.html")]
pub(crate) struct MessagePage<'a> {
    pub(crate) shell: Shell,
    pub(crate) visit: &'a Visit,
    pub(crate) from: String,
    pub(crate) subject: &'a str,
    pub(crate) sent: Option<String>,
    pub(crate) expires: String,
    pub(crate) files: Vec<FileLine<'a>>,
    pub(crate) max_answer: String,
    pub(crate) password_set: bool,
    pub(crate) error: Option<&'static str>,
    /// What was typed, when the answer has to be shown again.
    pub(crate) draft: &'a str,
}

pub(crate) struct FileLine<'a> {
    number: usize,
    name: &'a str,
    size: String,
}

impl<'a> MessagePage<'a> {
    pub(crate) fn new(portal: &Portal, visit: &'a Visit) -> Self {
        let files = visit.readable.attachments.iter().enumerate();
        let subject = visit.readable.subject.as_deref().unwrap_or_default().trim();
        Self {
            shell: portal.shell.clone(),
            from: staff_name(portal, visit),
            subject: if subject.is_empty() { "Message" } else { subject },
            sent: visit.readable.sent.map(|sent| sent.to_string()),
            expires: long_date(answer::unix(visit.expires)),
            files: files
                .map(|(number, file)| FileLine {
                    number,
                    name: &file.name,
                    size: wardpost_web::size(file.bytes.len()),
                })
                .collect(),
            max_answer: wardpost_web::size(portal.settings.max_answer),
            password_set: false,
            error: None,
            draft: "",
            visit,
        }
    }
}

/// Who wrote: as the message says, or as the directory does.
pub(crate) fn staff_name(portal: &Portal, visit: &Visit) -> String {
    let from_directory = || portal.directory.account(visit.sender).map(|account| account.name);
    visit
        .readable
        .from_name
        .clone()
        .or_else(from_directory)
        .filter(|name| !name.trim().is_empty())
        .or_else(|| visit.readable.from_address.clone())
        .unwrap_or_else(|| portal.settings.practice.clone())
}

/// The message.
pub(crate) async fn message(
    State(portal): State<Arc<Portal>>,
    Path(view): Path<String>,
    Query(said): Query<Said>,
    headers: HeaderMap,
) -> Response {
    let Some(visit) = portal.visit(&headers, &view) else {
        return pages::visit_is_over(&portal);
    };
    let mut template = MessagePage::new(&portal, &visit);
    template.password_set = said.done.as_deref() == Some("password");
    page(StatusCode::OK, &template)
}

/// The message's HTML, for the frame.
pub(crate) async fn formatted(
    State(portal): State<Arc<Portal>>,
    Path(view): Path<String>,
    headers: HeaderMap,
) -> Response {
    let visit = portal.visit(&headers, &view);
    let Some(html) = visit.as_ref().and_then(|visit| visit.html.as_ref()) else {
        return pages::visit_is_over(&portal);
    };
    let policy = HeaderValue::from_str(&FRAME_POLICY)
        .unwrap_or_else(|_| unreachable!("a policy is visible ASCII"));
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(html.document())).into_response()
}

/// One attachment, to be saved and not to be shown.
pub(crate) async fn file(
    State(portal): State<Arc<Portal>>,
    Path((view, number)): Path<(String, usize)>,
    headers: HeaderMap,
) -> Response {
    let Some(visit) = portal.visit(&headers, &view) else {
        return pages::visit_is_over(&portal);
    };
    match visit.readable.attachments.get(number) {
        Some(file) => download(file),
        None => pages::not_found(&portal),
    }
}

fn download(file: &Attachment) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(safe_type(&file.mime))),
        (header::CONTENT_DISPOSITION, disposition(&file.name)),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("sandbox; default-src 'none'; frame-ancestors 'none'"),
        ),
    ];
    (headers, file.bytes.clone()).into_response()
}

/// Types a phone opens with the right program and that act on nothing; all else is octets.
fn safe_type(mime: &str) -> &'static str {
    const SAFE: [&str; 14] = [
        "application/pdf",
        "image/jpeg",
        "image/png",
        "image/gif",
        "image/webp",
        "image/heic",
        "image/tiff",
        "text/calendar",
        "text/csv",
        "application/msword",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "audio/mpeg",
        "video/mp4",
    ];
    if mime == "text/plain" {
        return "text/plain; charset=utf-8";
    }
    SAFE.into_iter().find(|safe| *safe == mime).unwrap_or("application/octet-stream")
}

/// `attachment` with the name in both forms (RFC 6266 §4.3, RFC 8187).
fn disposition(name: &str) -> HeaderValue {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || " .-_()".contains(c) { c } else { '_' })
        .collect();
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    let value = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}");
    HeaderValue::from_str(&value).unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn file_names_are_quoted_and_encoded() {
        assert_eq!(
            disposition("résultat \"1\".pdf"),
            "attachment; filename=\"r_sultat _1_.pdf\"; filename*=UTF-8''r%C3%A9sultat%20%221%22.pdf"
        );
    }

    #[test]
    fn active_types_are_octets() {
        for active in ["text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", "x"] {
            assert_eq!(safe_type(active), "application/octet-stream", "{active}");
        }
        assert_eq!(safe_type("application/pdf"), "application/pdf");
    }

    proptest! {
        #[test]
        fn any_name_makes_a_header(name in ".{0,100}") {
            prop_assert!(disposition(&name).as_bytes().starts_with(b"attachment; filename="));
        }
    }
}
