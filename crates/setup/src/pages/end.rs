//! The end: the server starts, and what is next.

use super::shell;
use crate::seat::{Done, SetUp};
use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use wardpost_web::{Shell, page as render, plain};

#[derive(Template)]
#[template(path = "end.html")]
struct End {
    shell: Shell,
    version: &'static str,
    practice: String,
    address: String,
    hostname: String,
    token: String,
}

/// The last page.
pub(crate) fn page(set_up: &SetUp, done: &Done) -> Response {
    let practice = set_up.practice();
    let hostname = practice.as_ref().map(|practice| practice.hostname.to_string());
    let end = End {
        shell: shell(set_up),
        version: set_up.version,
        practice: practice.map(|practice| practice.name).unwrap_or_default(),
        address: done.address.to_string(),
        hostname: hostname.unwrap_or_default(),
        token: done.token.expose().clone(),
    };
    render(StatusCode::OK, &end)
}

/// What is said meanwhile.
pub(crate) fn wait(set_up: &SetUp) -> Response {
    let text = "The server is being set up. This takes a few seconds: please wait, and then load this page \
                again.";
    plain(&super::shell(set_up), StatusCode::OK, "One moment", text, false)
}

/// What stands at the set-up's addresses once there is nothing to set up.
#[derive(Template)]
#[template(path = "after.html")]
pub(crate) struct After {
    pub(crate) shell: Shell,
}
