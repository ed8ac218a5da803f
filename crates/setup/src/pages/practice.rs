//! Question 1: the practice and its domain.

use super::{Answered, Frame, Sent, Visit, show as render};
use crate::answers::Practice;
use crate::check::{Errors, suggested_hostname};
use crate::typed::PracticeForm;
use crate::world::DomainLook;
use askama::Template;
use serde::Deserialize;
use wardpost_web::Shell;

#[derive(Template)]
#[template(path = "practice.html")]
struct Page {
    shell: Shell,
    frame: Frame,
    errors: Errors,
    typed: PracticeForm,
    suggested: String,
    /// What was seen of the domain, and the domain that it was seen of.
    warning: Option<(String, String)>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Filled {
    #[serde(flatten)]
    form: PracticeForm,
    /// The domain whose warning was read.
    agreed: String,
}

/// The question.
pub(crate) async fn show(visit: Visit) -> Answered {
    page(&visit, Errors::none(), None)
}

/// The answer.
pub(crate) async fn answer(Sent(visit, filled): Sent<Filled>) -> Answered {
    let checked = visit.hold()?.check_practice(filled.form);
    let practice = match checked {
        Ok(practice) => practice,
        Err(errors) => return page(&visit, errors, None),
    };
    let domain = practice.domain.to_string();
    if filled.agreed != domain
        && let Some(warning) = warning(&visit, &practice).await
    {
        return page(&visit, Errors::none(), Some((warning, domain)));
    }
    visit.hold()?.set_practice(practice);
    visit.go_on()
}

/// What should be known of the domain before going on.
async fn warning(visit: &Visit, practice: &Practice) -> Option<String> {
    let domain = &practice.domain;
    match visit.set_up.world.domain(practice).await {
        DomainLook::Free | DomainLook::Unknown => None,
        DomainLook::Elsewhere(hosts) => {
            let hosts: Vec<&str> = hosts.iter().take(3).map(|host| host.as_str()).collect();
            Some(format!(
                "Mail for {domain} goes to other servers today ({}). If this is your domain, that is all \
                 right: nothing changes until you change its DNS records, and the last page tells you when to. \
                 If it is not yours, please correct it.",
                hosts.join(", ")
            ))
        }
        DomainLook::Missing => Some(format!(
            "There is no domain called {domain} yet. Please check the spelling. If it is right, register the \
             domain first, or go on and register it before the server is used."
        )),
    }
}

fn page(visit: &Visit, errors: Errors, warning: Option<(String, String)>) -> Answered {
    let typed = visit.hold()?.typed().practice.clone();
    let suggested = suggested_hostname(&typed.domain);
    let (shell, frame) = (visit.shell(), visit.frame());
    let page = Page { shell, frame, errors, typed, suggested, warning };
    Ok(render(&page.frame, &page.errors, &page))
}
