//! Question 4: how mail goes out.

use super::{Frame, Secrets, Sent, Visit, show as render};
use crate::answers::Outgoing;
use crate::check::Errors;
use crate::typed::OutgoingForm;
use askama::Template;
use axum::response::Response;
use serde::Deserialize;
use wardpost_web::Shell;

#[derive(Template)]
#[template(path = "outgoing.html")]
struct Page {
    shell: Shell,
    frame: Frame,
    errors: Errors,
    typed: OutgoingForm,
    kept: bool,
    /// What was seen of the smarthost, and which it was.
    warning: Option<(String, String)>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Filled {
    #[serde(flatten)]
    form: OutgoingForm,
    #[serde(flatten)]
    secrets: Secrets,
    /// The smarthost whose warning was read.
    agreed: String,
}

/// The question.
pub(crate) async fn show(visit: Visit) -> Response {
    page(&visit, Errors::none(), None).await
}

/// The answer. A smarthost is tried first.
pub(crate) async fn answer(Sent(visit, filled): Sent<Filled>) -> Response {
    let (checked, practice) = {
        let flow = &mut visit.shared().flow;
        let checked = flow.check_outgoing(filled.form, filled.secrets.password.0);
        (checked, flow.practice().cloned())
    };
    let outgoing = match checked {
        Ok(outgoing) => outgoing,
        Err(errors) => return page(&visit, errors, None).await,
    };
    let remark = match (&outgoing, practice) {
        (Outgoing::Smarthost(relay), Some(practice)) => {
            let look = visit.set_up.world.relay(&practice, relay).await;
            let name = format!("{}:{}", relay.host, relay.port);
            tracing::info!(works = look.works, "set-up: a smarthost was tried");
            if !look.works && filled.agreed != name {
                return page(&visit, Errors::none(), Some((look.says, name))).await;
            }
            Some(look.says)
        }
        _ => None,
    };
    visit.shared().flow.set_outgoing(outgoing, remark);
    visit.go_on()
}

async fn page(visit: &Visit, errors: Errors, warning: Option<(String, String)>) -> Response {
    let (typed, kept) = {
        let shared = visit.shared();
        (shared.flow.typed().outgoing.clone(), shared.flow.has_relay_password())
    };
    let (shell, frame) = (visit.shell(), visit.frame().await);
    let page = Page { shell, frame, errors, typed, kept, warning };
    render(&page.frame, &page.errors, &page)
}
