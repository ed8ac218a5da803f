//! All answers at a glance.

use super::{Answered, Frame, Sent, Visit, show as render};
use crate::answers::{Answers, Outgoing};
use crate::check::Errors;
use askama::Template;
use axum::response::{IntoResponse, Redirect};
use serde::Deserialize;
use wardpost_web::Shell;

#[derive(Template)]
#[template(path = "review.html")]
struct Page {
    shell: Shell,
    frame: Frame,
    answers: Answers,
    relay: Option<String>,
    remark: Option<String>,
    authority: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Nothing {}

/// The overview.
pub(crate) async fn show(visit: Visit) -> Answered {
    let (answers, remark) = {
        let held = visit.hold()?;
        (held.answers(), held.relay_remark().map(str::to_owned))
    };
    // It can be seen only when everything is answered.
    let Some(answers) = answers else {
        return Ok(Redirect::to(super::START).into_response());
    };
    let relay = match &answers.outgoing {
        Outgoing::Direct => None,
        Outgoing::Smarthost(relay) => Some(format!("{}, port {}", relay.host, relay.port)),
    };
    let authority = visit.set_up.world.fetches_certificates();
    let (shell, frame) = (visit.shell(), visit.frame());
    let page = Page { shell, frame, answers, relay, remark, authority };
    Ok(render(&page.frame, &Errors::none(), &page))
}

/// It is right.
pub(crate) async fn answer(Sent(visit, _): Sent<Nothing>) -> Answered {
    visit.hold()?.review();
    visit.go_on()
}
