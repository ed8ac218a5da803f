//! Phones and computers, each with an app password of its own.

use crate::Staff;
use crate::connect::{Link, MailSettings};
use crate::form::Sent;
use crate::session::SignedIn;
use crate::signin::retry_after;
use crate::words;
use askama::Template;
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use std::sync::Arc;
use wardpost_directory::{AppPassword, DirectoryError};
use wardpost_mail::AccountId;
use wardpost_web::{Connection, Shell, page, qr_svg, with_script};

/// Devices of one person: more is a mistake, and each costs work when a mail program logs in.
const MOST_DEVICES: usize = 20;
/// Characters of a device's name.
const LONGEST_NAME: usize = 60;

/// One device in the list.
struct Device {
    slot: u32,
    name: String,
    since: String,
}

impl From<AppPassword> for Device {
    fn from(app: AppPassword) -> Self {
        Self { slot: app.slot, name: app.label, since: words::day(app.created) }
    }
}

#[derive(Template)]
#[template(path = "devices.html")]
struct List<'a> {
    shell: &'a Shell,
    who: &'a SignedIn,
    here: &'static str,
    devices: Vec<Device>,
    removed: bool,
    name: &'a str,
    /// When a mail program last used the password itself.
    by_password: Option<String>,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "device_new.html")]
struct New<'a> {
    shell: &'a Shell,
    who: &'a SignedIn,
    here: &'static str,
    name: &'a str,
    url: String,
    qr: String,
    used: bool,
    untrusted: bool,
    mail: MailSettings<'a>,
}

#[derive(Template)]
#[template(path = "device_remove.html")]
struct Remove<'a> {
    shell: &'a Shell,
    who: &'a SignedIn,
    here: &'static str,
    device: Device,
}

/// What an address may tell the list.
#[derive(Deserialize)]
pub(crate) struct Said {
    removed: Option<String>,
}

/// The devices there are, and the form for another one.
pub(crate) async fn list(
    State(staff): State<Arc<Staff>>,
    Query(said): Query<Said>,
    who: SignedIn,
) -> Response {
    staff.devices_page(&who, StatusCode::OK, said.removed.is_some(), "", None)
}

impl Staff {
    fn devices_page(
        &self,
        who: &SignedIn,
        status: StatusCode,
        removed: bool,
        name: &str,
        error: Option<String>,
    ) -> Response {
        let (directory, id) = (&self.parts.directory, who.account.id);
        let devices = directory.app_passwords(id).into_iter().map(Device::from).collect();
        let by_password = directory.password_used_by_mail_program(id).map(words::ago);
        let (shell, here) = (&self.shell, "/staff/phone");
        page(status, &List { shell, who, here, devices, removed, name, by_password, error })
    }

    fn device(&self, account: AccountId, slot: u32) -> Option<Device> {
        let devices = self.parts.directory.app_passwords(account).into_iter();
        devices.map(Device::from).find(|device| device.slot == slot)
    }

    /// Whether phones refuse us for our certificate.
    fn is_untrusted(&self) -> bool {
        self.parts.tls.certificate().self_issued
    }
}

/// Makes an app password, and the link that takes it to a phone.
pub(crate) async fn add(
    State(staff): State<Arc<Staff>>,
    Extension(connection): Extension<Connection>,
    Sent(who, form): Sent<SignedIn>,
) -> Response {
    let again = |error: &str| {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        staff.devices_page(&who, status, false, &form.name, Some(error.to_owned()))
    };
    let name = form.name.split_whitespace().collect::<Vec<_>>().join(" ");
    if name.is_empty() {
        return again("Please give the device a name, so that you know it again in the list.");
    }
    if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        return again("Please choose a shorter name, of at most 60 characters.");
    }
    let directory = &staff.parts.directory;
    let devices = directory.app_passwords(who.account.id);
    if devices.iter().any(|device| device.label.eq_ignore_ascii_case(&name)) {
        return again(
            "A device with this name is in the list already. Please choose another name, or take the \
             old one away first.",
        );
    }
    if devices.len() >= MOST_DEVICES {
        return again(
            "There are 20 devices already, and that is the most. Please take away those that you do \
             not use.",
        );
    }
    if let Err(unproven) = staff.prove(&who, &form, connection.peer).await {
        let text = Some(unproven.text);
        let page = staff.devices_page(&who, unproven.status, false, &form.name, text);
        return match unproven.error {
            Some(error) => retry_after(error, page),
            None => page,
        };
    }
    match directory.add_app_password(who.account.id, &who.visitor.unlocked, &name).await {
        Ok(password) => {
            let link = Arc::new(Link::new(who.account.id, name, password));
            *who.visitor.connecting.lock() = Some(staff.links.begin(link, 1));
            Redirect::to("/staff/phone/new").into_response()
        }
        Err(error) => staff.broken("an app password could not be made", &error),
    }
}

/// Shows the link as a QR code, and the settings to be typed.
pub(crate) async fn show(State(staff): State<Arc<Staff>>, who: SignedIn) -> Response {
    let token = who.visitor.connecting.lock().clone().unwrap_or_default();
    let Some(link) = staff.links.look(&token, |_| true) else {
        return Redirect::to("/staff/phone").into_response();
    };
    let url = format!("{}/staff/connect/{token}", staff.settings.url);
    let label = format!("Code that connects {}", link.name);
    let new = New {
        shell: &staff.shell,
        here: "/staff/phone",
        name: &link.name,
        qr: qr_svg(&url, &label),
        url,
        used: link.is_opened(),
        untrusted: staff.is_untrusted(),
        mail: MailSettings::new(&staff.settings, &who.account, &link.password),
        who: &who,
    };
    with_script(page(StatusCode::OK, &new))
}

/// Asks whether a device is really to be taken away.
pub(crate) async fn ask_remove(
    State(staff): State<Arc<Staff>>,
    Path(slot): Path<u32>,
    who: SignedIn,
) -> Response {
    let Some(device) = staff.device(who.account.id, slot) else { return staff.not_found() };
    let (shell, who) = (&staff.shell, &who);
    page(StatusCode::OK, &Remove { shell, who, here: "/staff/phone", device })
}

/// Takes a device's app password away.
pub(crate) async fn remove(
    State(staff): State<Arc<Staff>>,
    Path(slot): Path<u32>,
    Sent(who, _): Sent<SignedIn>,
) -> Response {
    let Some(device) = staff.device(who.account.id, slot) else {
        // Pressed twice.
        return Redirect::to("/staff/phone?removed").into_response();
    };
    match staff.parts.directory.remove_app_password(who.account.id, slot).await {
        Ok(()) | Err(DirectoryError::NoSuchAppPassword) => {
            // A link that was not opened yet would bring a password that opens nothing.
            staff.links.end(|link| link.account == who.account.id && link.name == device.name);
            Redirect::to("/staff/phone?removed").into_response()
        }
        Err(error) => staff.broken("an app password could not be taken away", &error),
    }
}
