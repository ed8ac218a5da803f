//! Pages that say just one thing.

use crate::Staff;
use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use std::fmt::Display;
use wardpost_web::Shell;

#[derive(Template)]
#[template(path = "says.html")]
struct Says<'a> {
    shell: &'a Shell,
    title: &'a str,
    text: &'a str,
}

impl Staff {
    /// A page that says one thing and leads back to the beginning.
    pub(crate) fn plain(&self, status: StatusCode, title: &str, text: &str) -> Response {
        wardpost_web::page(status, &Says { shell: &self.shell, title, text })
    }

    /// A form without its token: it is old, or not ours.
    pub(crate) fn refused(&self) -> Response {
        let text = "This form was too old or did not come from our own page, so nothing was done. \
                    Please open the page again and repeat it there.";
        self.plain(StatusCode::FORBIDDEN, "That did not work", text)
    }

    /// Something in our house is broken; the log says what.
    pub(crate) fn trouble(&self) -> Response {
        let text = "Something went wrong on our side, and nothing was changed. Please try again in a few \
                    minutes. If it goes on, tell whoever looks after the mail server.";
        self.plain(StatusCode::INTERNAL_SERVER_ERROR, "That did not work", text)
    }

    /// [`Staff::trouble`], with what could not be done and why in the log.
    pub(crate) fn broken(&self, what: &'static str, error: &dyn Display) -> Response {
        tracing::error!(%error, "staff: {what}");
        self.trouble()
    }

    pub(crate) fn not_found(&self) -> Response {
        let text = "There is nothing at this address.";
        self.plain(StatusCode::NOT_FOUND, "Page not found", text)
    }
}
