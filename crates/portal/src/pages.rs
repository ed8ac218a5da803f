//! What all pages share, and the pages that say just one thing.

use crate::{Portal, Settings};
use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use std::sync::Arc;

/// What stands around every page.
#[derive(Clone)]
pub(crate) struct Shell {
    pub(crate) practice: String,
    pub(crate) phone: Option<String>,
    /// The telephone number as a link takes it (RFC 3966).
    pub(crate) dial: String,
}

impl Shell {
    pub(crate) fn of(settings: &Settings) -> Self {
        let phone = settings.phone.clone();
        let dial = phone.iter().flat_map(|phone| phone.chars());
        let dial = dial.filter(|c| c.is_ascii_digit() || *c == '+').collect();
        Self { practice: settings.practice.clone(), phone, dial }
    }
}

/// Renders a page.
pub(crate) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "portal: a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[derive(Template)]
#[template(path = "landing.html")]
struct Landing {
    shell: Shell,
}

pub(crate) async fn landing(State(portal): State<Arc<Portal>>) -> Response {
    page(StatusCode::OK, &Landing { shell: Shell::of(&portal.settings) })
}

pub(crate) async fn style() -> Response {
    let css = include_str!("../assets/style.css");
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], css).into_response()
}

pub(crate) async fn robots() -> &'static str {
    "User-agent: *\nDisallow: /\n"
}

/// A page that says one thing.
#[derive(Template)]
#[template(path = "plain.html")]
struct Plain {
    shell: Shell,
    title: &'static str,
    text: String,
    offer_phone: bool,
}

/// A page that says one thing; `offer_phone` adds whom to call.
pub(crate) fn plain(
    portal: &Portal,
    status: StatusCode,
    title: &'static str,
    text: impl Into<String>,
    offer_phone: bool,
) -> Response {
    let shell = Shell::of(&portal.settings);
    page(status, &Plain { shell, title, text: text.into(), offer_phone })
}

pub(crate) async fn not_found(State(portal): State<Arc<Portal>>) -> Response {
    let text = "There is nothing at this address. If you were sent a link, please check that you \
                opened all of it: email programs sometimes cut links in two.";
    plain(&portal, StatusCode::NOT_FOUND, "Page not found", text, true)
}

pub(crate) async fn not_allowed(State(portal): State<Arc<Portal>>) -> Response {
    let text = "This page cannot be used in that way. Please go back and try again.";
    plain(&portal, StatusCode::METHOD_NOT_ALLOWED, "That did not work", text, false)
}

pub(crate) fn refused(portal: &Portal) -> Response {
    let text = "Your browser says that another web site sent this form, so nothing was done. Please \
                open the page itself and try again there.";
    plain(portal, StatusCode::FORBIDDEN, "That did not work", text, false)
}

pub(crate) fn too_large(portal: &Portal) -> Response {
    let text = format!(
        "What you sent is larger than {}, so it was not taken. Please go back and attach fewer or \
         smaller files; you can send several messages one after the other.",
        size(portal.settings.max_answer)
    );
    plain(portal, StatusCode::PAYLOAD_TOO_LARGE, "Too large", text, false)
}

/// Something in our house is broken; the log says what.
pub(crate) fn trouble(portal: &Portal) -> Response {
    let text =
        "Something went wrong on our side. Nothing is lost. Please try again in a few minutes.";
    plain(portal, StatusCode::INTERNAL_SERVER_ERROR, "That did not work", text, true)
}

pub(crate) fn visit_is_over(portal: &Portal) -> Response {
    let text = "For your safety, messages close by themselves when they have not been used for 15 \
                minutes. To read the message again, open the link in our email once more.";
    plain(portal, StatusCode::FORBIDDEN, "The message was closed", text, false)
}

pub(crate) async fn left(State(portal): State<Arc<Portal>>) -> Response {
    let text = "The message is closed on this device. To read it again, open the link in our email \
                once more. You may close this window now.";
    plain(&portal, StatusCode::OK, "You are signed out", text, false)
}

/// Octets in words: `25 MB`. By powers of two, so that a limit never looks larger than it is.
pub(crate) fn size(octets: usize) -> String {
    const KILO: usize = 1 << 10;
    const MEGA: usize = 1 << 20;
    match octets {
        0..KILO => format!("{octets} bytes"),
        KILO..MEGA => format!("{} kB", octets.div_ceil(KILO)),
        _ => {
            let tenths = octets % MEGA * 10 / MEGA;
            let decimals = if tenths == 0 { String::new() } else { format!(".{tenths}") };
            format!("{}{decimals} MB", octets / MEGA)
        }
    }
}

/// Whether a path holds nothing but what our own addresses are made of.
pub(crate) fn is_plain_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-_.".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_words() {
        assert_eq!(size(12), "12 bytes");
        assert_eq!(size(1_025), "2 kB");
        assert_eq!(size(25 << 20), "25 MB");
        assert_eq!(size(2_726_298), "2.6 MB");
    }
}
