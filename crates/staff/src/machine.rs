//! Switching the machine off, or off and on again, for administrators of the appliance: nobody can log in there.

use crate::Staff;
use crate::form::Sent;
use crate::session::{Administrator, SignedIn};
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use std::sync::Arc;
use wardpost_web::{Shell, page};

#[derive(Template)]
#[template(path = "machine.html")]
struct Machine<'a> {
    shell: &'a Shell,
    who: &'a SignedIn,
    here: &'static str,
}

/// The two buttons, and what each is for.
pub(crate) async fn show(
    State(staff): State<Arc<Staff>>,
    Administrator(who): Administrator,
) -> Response {
    if staff.settings.power.is_none() {
        return staff.not_found();
    }
    let (shell, here) = (&staff.shell, "/admin/machine");
    page(StatusCode::OK, &Machine { shell, who: &who, here })
}

/// Says what is wanted where the machine looks for it.
pub(crate) async fn wanted(
    State(staff): State<Arc<Staff>>,
    Sent(Administrator(who), form): Sent<Administrator>,
) -> Response {
    let Some(folder) = &staff.settings.power else { return staff.not_found() };
    let (file, title, text) = match form.next.as_str() {
        "reboot" => (
            "reboot",
            "The machine starts again",
            "That takes a minute or two. Then the pages are here again, and mail goes on. If the disk opens \
             with a passphrase, somebody has to type it at the machine.",
        ),
        "poweroff" => (
            "poweroff",
            "The machine switches itself off",
            "That takes a minute at most. Mail that others send meanwhile waits with them. To go on, switch \
             the machine on again.",
        ),
        _ => return staff.refused(),
    };
    if let Err(error) = tokio::fs::write(folder.join(file), "").await {
        return staff.broken("the machine cannot be told to end", &error);
    }
    tracing::warn!(account = %who.account.id, wish = file, "staff: an administrator ends this machine's day");
    staff.plain(StatusCode::OK, title, text)
}
