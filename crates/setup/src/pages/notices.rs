//! Question 3: whom patients call, and who hears of trouble.

use super::{Frame, Sent, Visit, show as render};
use crate::check::Errors;
use crate::typed::NoticesForm;
use askama::Template;
use axum::response::Response;
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
pub(crate) async fn show(visit: Visit) -> Response {
    page(&visit, Errors::none()).await
}

/// The answer.
pub(crate) async fn answer(Sent(visit, form): Sent<NoticesForm>) -> Response {
    let outcome = visit.shared().flow.answer_notices(form);
    match outcome {
        Ok(()) => visit.go_on(),
        Err(errors) => page(&visit, errors).await,
    }
}

async fn page(visit: &Visit, errors: Errors) -> Response {
    let typed = visit.shared().flow.typed().notices.clone();
    let (shell, frame) = (visit.shell(), visit.frame().await);
    let page = Page { shell, frame, errors, typed };
    render(&page.frame, &page.errors, &page)
}
