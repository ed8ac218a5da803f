//! The pages that say just one thing.

use crate::Portal;
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use std::sync::Arc;
use wardpost_web::{Shell, page, size};

#[derive(Template)]
#[template(path = "landing.html")]
struct Landing {
    shell: Shell,
}

pub(crate) async fn landing(State(portal): State<Arc<Portal>>) -> Response {
    page(StatusCode::OK, &Landing { shell: portal.shell.clone() })
}

/// A page that says one thing; `offer_phone` adds whom to call.
pub(crate) fn plain(
    portal: &Portal,
    status: StatusCode,
    title: &'static str,
    text: impl AsRef<str>,
    offer_phone: bool,
) -> Response {
    wardpost_web::plain(&portal.shell, status, title, text.as_ref(), offer_phone)
}

pub(crate) fn not_found(portal: &Portal) -> Response {
    let text = "There is nothing at this address. If you were sent a link, please check that you \
                opened all of it: email programs sometimes cut links in two.";
    plain(portal, StatusCode::NOT_FOUND, "Page not found", text, true)
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
    wardpost_web::trouble(&portal.shell)
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
