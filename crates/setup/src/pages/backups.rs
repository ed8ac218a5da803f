//! Question 5: where backups will go.

use super::{Frame, Sent, Visit, show as render};
use crate::check::Errors;
use crate::typed::BackupsForm;
use askama::Template;
use axum::response::Response;
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
pub(crate) async fn show(visit: Visit) -> Response {
    page(&visit, Errors::none()).await
}

/// The answer.
pub(crate) async fn answer(Sent(visit, form): Sent<BackupsForm>) -> Response {
    let outcome = visit.shared().flow.answer_backups(form);
    match outcome {
        Ok(()) => visit.go_on(),
        Err(errors) => page(&visit, errors).await,
    }
}

async fn page(visit: &Visit, errors: Errors) -> Response {
    let typed = visit.shared().flow.typed().backups.clone();
    let (shell, frame) = (visit.shell(), visit.frame().await);
    let page = Page { shell, frame, errors, typed };
    render(&page.frame, &page.errors, &page)
}
