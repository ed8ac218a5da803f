//! Question 4: how mail goes out.

use super::{Answered, Frame, Secrets, Sent, Visit, show as render};
use crate::answers::Outgoing;
use crate::check::Errors;
use crate::typed::OutgoingForm;
use askama::Template;
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
pub(crate) async fn show(visit: Visit) -> Answered {
    page(&visit, Errors::none(), None)
}

/// The answer. A smarthost is tried first.
pub(crate) async fn answer(Sent(visit, filled): Sent<Filled>) -> Answered {
    let (checked, practice) = {
        let mut held = visit.hold()?;
        let checked = held.check_outgoing(filled.form, filled.secrets.password.0);
        (checked, held.practice().cloned())
    };
    let outgoing = match checked {
        Ok(outgoing) => outgoing,
        Err(errors) => return page(&visit, errors, None),
    };
    let remark = match (&outgoing, practice) {
        (Outgoing::Smarthost(relay), Some(practice)) => {
            let look = visit.set_up.world.relay(&practice, relay).await;
            let name = format!("{}:{}", relay.host, relay.port);
            tracing::info!(works = look.works, "set-up: a smarthost was tried");
            if !look.works && filled.agreed != name {
                return page(&visit, Errors::none(), Some((look.says, name)));
            }
            Some(look.says)
        }
        _ => None,
    };
    visit.hold()?.set_outgoing(outgoing, remark);
    visit.go_on()
}

fn page(visit: &Visit, errors: Errors, warning: Option<(String, String)>) -> Answered {
    let (typed, kept) = {
        let held = visit.hold()?;
        (held.typed().outgoing.clone(), held.has_relay_password())
    };
    let (shell, frame) = (visit.shell(), visit.frame());
    let page = Page { shell, frame, errors, typed, kept, warning };
    Ok(render(&page.frame, &page.errors, &page))
}
