//! Rendering, and pages that say just one thing.

use crate::Shell;
use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

/// Renders a page.
pub fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "web: a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[derive(Template)]
#[template(path = "plain.html")]
struct Plain<'a> {
    shell: &'a Shell,
    title: &'a str,
    text: &'a str,
    offer_phone: bool,
}

/// A page that says one thing; `offer_phone` adds whom to call.
pub fn plain(
    shell: &Shell,
    status: StatusCode,
    title: &str,
    text: &str,
    offer_phone: bool,
) -> Response {
    page(status, &Plain { shell, title, text, offer_phone })
}

/// Something in our house is broken; the log says what.
pub fn trouble(shell: &Shell) -> Response {
    let text =
        "Something went wrong on our side. Nothing is lost. Please try again in a few minutes.";
    plain(shell, StatusCode::INTERNAL_SERVER_ERROR, "That did not work", text, true)
}

pub(crate) fn not_found(shell: &Shell) -> Response {
    let text = "There is nothing at this address. If you were sent a link, please check that you \
                opened all of it: email programs sometimes cut links in two.";
    plain(shell, StatusCode::NOT_FOUND, "Page not found", text, true)
}

pub(crate) fn not_allowed(shell: &Shell) -> Response {
    let text = "This page cannot be used in that way. Please go back and try again.";
    plain(shell, StatusCode::METHOD_NOT_ALLOWED, "That did not work", text, false)
}

pub(crate) fn refused(shell: &Shell) -> Response {
    let text = "Your browser says that another web site sent this form, so nothing was done. Please \
                open the page itself and try again there.";
    plain(shell, StatusCode::FORBIDDEN, "That did not work", text, false)
}

pub(crate) fn too_large(shell: &Shell) -> Response {
    let text = "What you sent is larger than this page takes, so nothing was done. Please go back and \
                send less.";
    plain(shell, StatusCode::PAYLOAD_TOO_LARGE, "Too large", text, false)
}

pub(crate) async fn style() -> Response {
    let css = include_str!("../assets/style.css");
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], css).into_response()
}

pub(crate) async fn copy_script() -> Response {
    let script = include_str!("../assets/copy.js");
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], script).into_response()
}

pub(crate) async fn robots() -> &'static str {
    "User-agent: *\nDisallow: /\n"
}

/// Octets in words: `25 MB`. By powers of two, so that a limit never looks larger than it is.
pub fn size(octets: usize) -> String {
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
