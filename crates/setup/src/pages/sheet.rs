//! The recovery sheet, and the end.

use super::{Answered, Frame, Sent, TurnedAway, Visit, end, show as render};
use crate::check::Errors;
use crate::paper::last_groups;
use crate::seat::Done;
use crate::world::NotApplied;
use askama::Template;
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

/// What to do about it stands above, as on every page.
const NO_DISK_KEY: &str = "Nothing was set up, because this sheet lacks the recovery key of the disk. Please do first what \
    stands above.";

/// The sheet.
pub(crate) async fn show(visit: Visit) -> Answered {
    page(&visit, Errors::none(), None).await
}

/// It is on paper: everything is made of the answers.
pub(crate) async fn finish(Sent(visit, form): Sent<Confirmed>) -> Answered {
    let set_up = Arc::clone(&visit.set_up);
    let disk = set_up.world.disk();
    if disk.lacks_key() {
        return page(&visit, Errors::none(), Some(NO_DISK_KEY.to_owned())).await;
    }
    let disk_key = disk.recovery_key;
    let confirmed = {
        let mut held = visit.hold()?;
        let outcome = held.finish(&form.kit, &form.disk, disk_key.as_ref());
        let outcome = outcome.map(|(answers, kit)| (answers, kit.certificate.clone()));
        // One at a time: whoever presses the button twice gets the same end.
        outcome.map(|(answers, recovery)| (answers, recovery, held.begin_work(&set_up)))
    };
    let (answers, recovery, work) = match confirmed {
        Ok(confirmed) => confirmed,
        Err(errors) => return page(&visit, errors, None).await,
    };
    // To its end, also when the browser goes away meanwhile.
    let applying = tokio::spawn(async move {
        set_up.world.apply(&answers, &recovery, disk_key.is_some()).await?;
        let done = Done {
            address: answers.administrator.address.clone(),
            password: answers.administrator.password.clone(),
            token: Secret::new(random(32)),
        };
        work.finished(done.clone());
        Ok::<Done, NotApplied>(done)
    });
    match applying.await {
        // Nobody can have taken the seat over meanwhile.
        Ok(Ok(done)) => Ok(end::page(&visit.set_up, &done)),
        Ok(Err(error)) => page(&visit, Errors::none(), Some(error.0)).await,
        Err(_) => Ok(trouble(&visit.shell())),
    }
}

async fn page(visit: &Visit, errors: Errors, failed: Option<String>) -> Answered {
    make_kit(visit).await?;
    let disk = visit.set_up.world.disk();
    let on_paper = disk.on_paper && disk.recovery_key.is_none();
    let disk = disk.recovery_key.as_ref().map(Printed::new);
    let known = {
        let held = visit.hold()?;
        let (practice, kit) = (held.practice(), held.kit());
        practice.cloned().zip(kit.map(|kit| Printed::new(&kit.secret)))
    };
    let Some((practice, kit)) = known else { return Ok(trouble(&visit.shell())) };
    let (shell, frame) = (visit.shell(), visit.frame());
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
    Ok(with_script(render(&page.frame, &page.errors, &page)))
}

/// Puts a kit on the sheet, unless there is one.
async fn make_kit(visit: &Visit) -> Result<(), TurnedAway> {
    if visit.hold()?.kit().is_some() {
        return Ok(());
    }
    // Keys take a while to make.
    match tokio::task::spawn_blocking(RecoveryKit::generate).await {
        Ok(Ok(kit)) => {
            visit.hold()?.keep_kit(kit);
            Ok(())
        }
        _ => {
            tracing::error!("set-up: the recovery kit could not be made");
            Err(trouble(&visit.shell()).into())
        }
    }
}
