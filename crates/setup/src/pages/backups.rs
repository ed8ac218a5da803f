//! Question 5: where backups will go.

use super::{Answered, Frame, Sent, Visit, show as render};
use crate::check::Errors;
use crate::typed::BackupsForm;
use askama::Template;
use wardpost_web::Shell;

#[derive(Template)]
#[template(path = "backups.html")]
struct Page {
    shell: Shell,
    frame: Frame,
    errors: Errors,
    typed: BackupsForm,
}

/// The question.
pub(crate) async fn show(visit: Visit) -> Answered {
    page(&visit, Errors::none())
}

/// The answer.
pub(crate) async fn answer(Sent(visit, form): Sent<BackupsForm>) -> Answered {
    let outcome = visit.hold()?.answer_backups(form);
    match outcome {
        Ok(()) => visit.go_on(),
        Err(errors) => page(&visit, errors),
    }
}

fn page(visit: &Visit, errors: Errors) -> Answered {
    let typed = visit.hold()?.typed().backups.clone();
    let page = Page { shell: visit.shell(), frame: visit.frame(), errors, typed };
    Ok(render(&page.frame, &page.errors, &page))
}
