//! Question 2: the first administrator, and the second factor.

use super::{Answered, Frame, Secrets, Sent, Visit, show as render};
use crate::check::Errors;
use crate::typed::AdministratorForm;
use askama::Template;
use serde::Deserialize;
use std::time::SystemTime;
use wardpost_directory::second_factor;
use wardpost_web::{Shell, qr_svg};

#[derive(Template)]
#[template(path = "administrator.html")]
struct Page {
    shell: Shell,
    frame: Frame,
    errors: Errors,
    typed: AdministratorForm,
    domain: String,
    kept: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Filled {
    #[serde(flatten)]
    form: AdministratorForm,
    #[serde(flatten)]
    secrets: Secrets,
}

/// The question.
pub(crate) async fn show(visit: Visit) -> Answered {
    page(&visit, Errors::none())
}

/// The answer.
pub(crate) async fn answer(Sent(visit, filled): Sent<Filled>) -> Answered {
    let Secrets { password, again } = filled.secrets;
    let outcome = visit.hold()?.answer_administrator(filled.form, password.0, &again.0);
    match outcome {
        Ok(()) => visit.go_on(),
        Err(errors) => page(&visit, errors),
    }
}

fn page(visit: &Visit, errors: Errors) -> Answered {
    let (typed, domain, kept) = {
        let held = visit.hold()?;
        let domain = held.practice().map(|practice| practice.domain.to_string());
        (held.typed().administrator.clone(), domain.unwrap_or_default(), held.has_password())
    };
    let (shell, frame) = (visit.shell(), visit.frame());
    let page = Page { shell, frame, errors, typed, domain, kept };
    Ok(render(&page.frame, &page.errors, &page))
}

#[derive(Template)]
#[template(path = "factor.html")]
struct FactorPage {
    shell: Shell,
    frame: Frame,
    errors: Errors,
    picture: String,
    written: String,
    uri: String,
    proven: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct FactorForm {
    code: String,
}

/// The second half of the question.
pub(crate) async fn show_factor(visit: Visit) -> Answered {
    factor_page(&visit, Errors::none())
}

/// Its answer.
pub(crate) async fn prove(Sent(visit, form): Sent<FactorForm>) -> Answered {
    let outcome = {
        let mut held = visit.hold()?;
        // Whoever comes back to the page need not type another code.
        if held.factor_proven() && form.code.trim().is_empty() {
            Ok(())
        } else {
            held.prove_factor(&form.code, SystemTime::now())
        }
    };
    match outcome {
        Ok(()) => visit.go_on(),
        Err(errors) => factor_page(&visit, errors),
    }
}

fn factor_page(visit: &Visit, errors: Errors) -> Answered {
    let (uri, written, proven) = {
        let held = visit.hold()?;
        let name = held.practice().map_or("Wardpost", |practice| practice.name.as_str());
        let account = held.administrator().map(|one| one.address.to_string()).unwrap_or_default();
        let secret = held.factor();
        let uri = second_factor::uri(secret, name, &account);
        (uri, second_factor::written(secret), held.factor_proven())
    };
    let (shell, frame) = (visit.shell(), visit.frame());
    let page = FactorPage {
        shell,
        frame,
        errors,
        picture: qr_svg(uri.expose(), "QR code for your authenticator app"),
        written: written.expose().clone(),
        uri: uri.expose().clone(),
        proven,
    };
    Ok(render(&page.frame, &page.errors, &page))
}
