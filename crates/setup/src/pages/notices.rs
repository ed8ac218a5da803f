//! Question 3: whom patients call, and who hears of trouble.

use super::{Answered, Frame, Sent, Visit, show as render};
use crate::check::Errors;
use crate::typed::NoticesForm;
use askama::Template;
use wardpost_web::Shell;

#[derive(Template)]
#[template(path = "notices.html")]
struct Page {
    shell: Shell,
    frame: Frame,
    errors: Errors,
    typed: NoticesForm,
}

/// The question.
pub(crate) async fn show(visit: Visit) -> Answered {
    page(&visit, Errors::none())
}

/// The answer.
pub(crate) async fn answer(Sent(visit, form): Sent<NoticesForm>) -> Answered {
    let outcome = visit.hold()?.answer_notices(form);
    match outcome {
        Ok(()) => visit.go_on(),
        Err(errors) => page(&visit, errors),
    }
}

fn page(visit: &Visit, errors: Errors) -> Answered {
    let typed = visit.hold()?.typed().notices.clone();
    let page = Page { shell: visit.shell(), frame: visit.frame(), errors, typed };
    Ok(render(&page.frame, &page.errors, &page))
}
