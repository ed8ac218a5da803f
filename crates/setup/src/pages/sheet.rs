//! The recovery sheet, and the end.

use super::{Frame, Sent, Visit, end, show as render};
use crate::check::Errors;
use crate::flow::last_groups;
use crate::seat::{Done, SetUp};
use askama::Template;
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;
use wardpost_keys::RecoveryKit;
use wardpost_mail::Secret;
use wardpost_web::{Shell, random, trouble, with_script};

#[derive(Template)]
#[template(path = "sheet.html")]
struct Page {
    shell: Shell,
    frame: Frame,
    errors: Errors,
    /// Why it was not done.
    failed: Option<String>,
    practice: String,
    domain: String,
    hostname: String,
    date: String,
    kit: Printed,
    disk: Option<Printed>,
    /// The disk's key is on a sheet of before.
    on_paper: bool,
}

/// A secret on the sheet.
struct Printed {
    text: String,
    /// What is to be typed, in words.
    end: &'static str,
}

impl Printed {
    fn new(secret: &Secret<String>) -> Self {
        let end = match last_groups(secret).0 {
            1 => "the last group",
            2 => "the last two groups",
            _ => "the last groups",
        };
        Self { text: secret.expose().clone(), end }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Confirmed {
    kit: String,
    disk: String,
}

/// Without it, a new mainboard or a cleared TPM would take all mail along.
const NO_DISK_KEY: &str = "The disk is encrypted, but this machine could not make the recovery key for it, which \
     belongs on this sheet. Nothing was set up. Please restart the machine (switch it off and on), and begin \
     again with the new code on its screen. If this comes back, clear the TPM in the firmware's settings, or \
     write the image to the disk anew.";

/// The sheet.
pub(crate) async fn show(visit: Visit) -> Response {
    page(&visit, Errors::none(), None).await
}

/// It is on paper: everything is made of the answers.
pub(crate) async fn finish(Sent(visit, form): Sent<Confirmed>) -> Response {
    let set_up = Arc::clone(&visit.set_up);
    let disk = set_up.world.disk();
    if disk.lacks_key() {
        return page(&visit, Errors::none(), Some(NO_DISK_KEY.to_owned())).await;
    }
    let disk_key = disk.recovery_key;
    let confirmed = {
        let mut shared = visit.shared();
        if let Some(done) = set_up.end() {
            drop(shared);
            return end::page(&set_up, &done);
        }
        if shared.busy {
            drop(shared);
            return end::wait(&set_up);
        }
        let outcome = shared.flow.finish(&form.kit, &form.disk, disk_key.as_ref());
        let outcome = outcome.map(|(answers, kit)| (answers, kit.certificate.clone()));
        // One at a time: whoever presses the button twice gets the same end.
        shared.busy = outcome.is_ok();
        outcome
    };
    let (answers, recovery) = match confirmed {
        Ok(confirmed) => confirmed,
        Err(errors) => return page(&visit, errors, None).await,
    };
    // To its end, also when the browser goes away meanwhile.
    let applying = tokio::spawn(async move {
        let outcome = set_up.world.apply(&answers, &recovery, disk_key.is_some()).await;
        let outcome = outcome.map(|()| Done {
            address: answers.administrator.address.clone(),
            password: answers.administrator.password.clone(),
            token: Secret::new(random(32)),
        });
        if let Ok(done) = &outcome {
            set_up.finished(done.clone());
        }
        set_up.shared().busy = false;
        outcome
    });
    match applying.await {
        Ok(Ok(done)) => end::page(&visit.set_up, &done),
        Ok(Err(error)) => page(&visit, Errors::none(), Some(error.0)).await,
        Err(_) => {
            visit.shared().busy = false;
            trouble(&visit.shell())
        }
    }
}

async fn page(visit: &Visit, errors: Errors, failed: Option<String>) -> Response {
    if let Err(response) = make_kit(&visit.set_up).await {
        return response;
    }
    let disk = visit.set_up.world.disk();
    let on_paper = disk.on_paper && disk.recovery_key.is_none();
    let disk = disk.recovery_key.as_ref().map(Printed::new);
    let known = {
        let shared = visit.shared();
        let (practice, kit) = (shared.flow.practice(), shared.flow.kit());
        practice.cloned().zip(kit.map(|kit| Printed::new(&kit.secret)))
    };
    let Some((practice, kit)) = known else { return trouble(&visit.shell()) };
    let (shell, frame) = (visit.shell(), visit.frame().await);
    let page = Page {
        shell,
        frame,
        errors,
        failed,
        practice: practice.name,
        domain: practice.domain.to_string(),
        hostname: practice.hostname.to_string(),
        date: jiff::Timestamp::now().strftime("%B %-d, %Y").to_string(),
        kit,
        disk,
        on_paper,
    };
    with_script(render(&page.frame, &page.errors, &page))
}

/// Puts a kit on the sheet, unless there is one.
async fn make_kit(set_up: &SetUp) -> Result<(), Response> {
    if set_up.shared().flow.kit().is_some() {
        return Ok(());
    }
    // Keys take a while to make.
    match tokio::task::spawn_blocking(RecoveryKit::generate).await {
        Ok(Ok(kit)) => {
            set_up.shared().flow.keep_kit(kit);
            Ok(())
        }
        _ => {
            tracing::error!("set-up: the recovery kit could not be made");
            Err(trouble(&super::shell(set_up)))
        }
    }
}
