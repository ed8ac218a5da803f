//! The practice's people, for administrators: who has an account, who is invited, who leaves.
//!
//! Nobody here learns a password or can set one: an invitation is a link, and whoever opens it chooses
//! ([`join`](crate::join)). The last administrator stays one, which the directory sees to.

use crate::Staff;
use crate::form::Sent;
use crate::session::{Administrator, SignedIn};
use crate::words;
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use std::sync::Arc;
use wardpost_directory::{Account, DirectoryError, Invitation, Removed};
use wardpost_mail::{AccountId, Address, Secret};
use wardpost_web::{Shell, page, qr_svg, with_script};

const LAST_ADMINISTRATOR: &str = "Somebody must look after the mail server. Please make somebody else an \
                                  administrator first.";
/// Where the list is.
const HERE: &str = "/admin/people";

/// One person in the list.
struct Person {
    account: Account,
    since: String,
}

impl Person {
    fn new(account: Account) -> Self {
        Self { since: words::day(account.created), account }
    }
}

/// One open invitation in the list.
struct Guest {
    address: Address,
    until: String,
}

impl From<Invitation> for Guest {
    fn from(invitation: Invitation) -> Self {
        Self { address: invitation.address, until: words::day(invitation.ends) }
    }
}

#[derive(Template)]
#[template(path = "people.html")]
struct List<'a> {
    shell: &'a Shell,
    who: &'a SignedIn,
    here: &'static str,
    people: Vec<Person>,
    guests: Vec<Guest>,
    domain: String,
    said: Option<&'static str>,
    name: &'a str,
    address: &'a str,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "person_invited.html")]
struct Invited<'a> {
    shell: &'a Shell,
    who: &'a SignedIn,
    here: &'static str,
    address: &'a Address,
    until: String,
    url: Secret<String>,
    qr: String,
}

#[derive(Template)]
#[template(path = "person.html")]
struct One<'a> {
    shell: &'a Shell,
    who: &'a SignedIn,
    here: &'static str,
    person: Person,
    devices: usize,
    said: Option<&'static str>,
    /// The only administrator there is.
    only: bool,
    oneself: bool,
    error: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "person_cut_off.html")]
struct CutOff<'a> {
    shell: &'a Shell,
    who: &'a SignedIn,
    here: &'static str,
    person: Person,
    devices: usize,
}

/// What an address may tell a page.
#[derive(Deserialize)]
pub(crate) struct Said {
    #[serde(default)]
    done: String,
}

/// The people there are, and the form for another one.
pub(crate) async fn list(
    State(staff): State<Arc<Staff>>,
    Query(said): Query<Said>,
    Administrator(who): Administrator,
) -> Response {
    let said = match said.done.as_str() {
        "removed" => Some("The account and all its mail are gone."),
        "removed-later" => Some(
            "The account is gone, and nobody can open its mail any more. The mail could not be deleted \
             just now; the server tries again every few minutes, and the space is freed then.",
        ),
        "withdrawn" => Some("The invitation counts no longer."),
        _ => None,
    };
    staff.people_page(&who, StatusCode::OK, said, ("", ""), None)
}

/// Invites somebody, and shows the link.
pub(crate) async fn invite(
    State(staff): State<Arc<Staff>>,
    Sent(Administrator(who), form): Sent<Administrator>,
) -> Response {
    let again = |error: &str| {
        let typed = (form.name.as_str(), form.address.as_str());
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        staff.people_page(&who, status, None, typed, Some(error.to_owned()))
    };
    let name = form.name.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some(address) = staff.whole_address(&form.address) else {
        return again(
            "This is not an email address. It has letters, digits, dots and hyphens before the @, and no \
             spaces: for example “robin.roe”.",
        );
    };
    match staff.parts.directory.invite(&address, &name).await {
        Ok(secret) => staff.invited_page(&who, &address, &secret),
        Err(DirectoryError::AddressTaken) => {
            again("Somebody has this address already. Please choose another one.")
        }
        Err(DirectoryError::NotOurDomain) => again(
            "This address is not in a domain of this mail server. Please enter only what stands before \
             the @.",
        ),
        Err(DirectoryError::BadName) => {
            again("Please enter a shorter name, of at most 200 characters.")
        }
        Err(DirectoryError::TooManyInvitations) => again(
            "There are 200 open invitations, and that is the most. Please take back those that are not \
             needed.",
        ),
        Err(error) => staff.broken("an invitation could not be made", &error),
    }
}

/// Takes an invitation back.
pub(crate) async fn withdraw(
    State(staff): State<Arc<Staff>>,
    Sent(_, form): Sent<Administrator>,
) -> Response {
    let Ok(address) = Address::parse(&form.address) else { return staff.not_found() };
    match staff.parts.directory.withdraw_invitation(&address).await {
        // Pressed twice, used meanwhile, or over: it counts no longer.
        Ok(()) | Err(DirectoryError::NoSuchInvitation) => {
            Redirect::to("/admin/people?done=withdrawn").into_response()
        }
        Err(error) => staff.broken("an invitation could not be taken back", &error),
    }
}

/// One person, and what can be done.
pub(crate) async fn show(
    State(staff): State<Arc<Staff>>,
    Path(id): Path<u32>,
    Query(said): Query<Said>,
    Administrator(who): Administrator,
) -> Response {
    let said = match said.done.as_str() {
        "cut-off" => Some(
            "Signed out everywhere, and all devices are taken away. The password itself stays until its \
             owner changes it, or sets another with the recovery kit.",
        ),
        "administrator" => {
            Some("That is done. It counts from now on, where they are signed in, too.")
        }
        _ => None,
    };
    staff.person_page(&who, AccountId(id), StatusCode::OK, said, None)
}

/// Asks whether somebody is really to be signed out everywhere.
pub(crate) async fn ask_cut_off(
    State(staff): State<Arc<Staff>>,
    Path(id): Path<u32>,
    Administrator(who): Administrator,
) -> Response {
    let directory = &staff.parts.directory;
    let Some(account) = directory.account(AccountId(id)) else { return staff.not_found() };
    let devices = directory.app_passwords(account.id).len();
    let (shell, person) = (&staff.shell, Person::new(account));
    page(StatusCode::OK, &CutOff { shell, who: &who, here: HERE, person, devices })
}

/// Signs somebody out everywhere and takes all devices away: the account was stolen, or a bag was.
pub(crate) async fn cut_off(
    State(staff): State<Arc<Staff>>,
    Path(id): Path<u32>,
    Sent(_, _): Sent<Administrator>,
) -> Response {
    let id = AccountId(id);
    match staff.parts.directory.cut_off(id).await {
        Ok(()) => {
            staff.end_sessions(id, None);
            staff.links.end(|link| link.account == id);
            Redirect::to(&format!("{HERE}/{}?done=cut-off", id.0)).into_response()
        }
        Err(DirectoryError::NoSuchAccount) => staff.not_found(),
        Err(error) => staff.broken("an account could not be cut off", &error),
    }
}

/// Makes somebody an administrator, or one no longer.
pub(crate) async fn administrator(
    State(staff): State<Arc<Staff>>,
    Path(id): Path<u32>,
    Sent(Administrator(who), form): Sent<Administrator>,
) -> Response {
    let (id, wanted) = (AccountId(id), form.next == "yes");
    match staff.parts.directory.set_administrator(id, wanted).await {
        Ok(()) => Redirect::to(&format!("{HERE}/{}?done=administrator", id.0)).into_response(),
        Err(DirectoryError::NoSuchAccount) => staff.not_found(),
        Err(DirectoryError::LastAdministrator) => {
            staff.person_page(&who, id, StatusCode::CONFLICT, None, Some(LAST_ADMINISTRATOR))
        }
        Err(error) => staff.broken("an administrator could not be set", &error),
    }
}

/// Removes an account, once its address was typed.
pub(crate) async fn remove(
    State(staff): State<Arc<Staff>>,
    Path(id): Path<u32>,
    Sent(Administrator(who), form): Sent<Administrator>,
) -> Response {
    let id = AccountId(id);
    let Some(account) = staff.parts.directory.account(id) else {
        // Pressed twice.
        return Redirect::to("/admin/people?done=removed").into_response();
    };
    let again = |status, text| staff.person_page(&who, id, status, None, Some(text));
    if id == who.account.id {
        let text = "You cannot remove yourself. Another administrator can.";
        return again(StatusCode::CONFLICT, text);
    }
    let typed = staff.whole_address(&form.address).map(|address| address.folded());
    if typed.as_ref() != Some(&account.address) {
        let text = "Nothing was removed. To show that it is meant, type the address of this account \
                    exactly.";
        return again(StatusCode::UNPROCESSABLE_ENTITY, text);
    }
    match staff.parts.removal.remove(id).await {
        Ok(Removed::ButItsMail) => {
            staff.end_sessions(id, None);
            Redirect::to("/admin/people?done=removed-later").into_response()
        }
        Ok(Removed::Everything) | Err(DirectoryError::NoSuchAccount) => {
            staff.end_sessions(id, None);
            Redirect::to("/admin/people?done=removed").into_response()
        }
        Err(DirectoryError::LastAdministrator) => again(StatusCode::CONFLICT, LAST_ADMINISTRATOR),
        Err(error) => staff.broken("an account could not be removed", &error),
    }
}

impl Staff {
    fn people_page(
        &self,
        who: &SignedIn,
        status: StatusCode,
        said: Option<&'static str>,
        (name, address): (&str, &str),
        error: Option<String>,
    ) -> Response {
        let directory = &self.parts.directory;
        let mut people: Vec<_> = directory.accounts().into_iter().map(Person::new).collect();
        people.sort_by_key(|person| person.account.called().to_lowercase());
        let list = List {
            shell: &self.shell,
            who,
            here: HERE,
            people,
            guests: directory.invitations().into_iter().map(Guest::from).collect(),
            domain: directory.domains().first().map(ToString::to_string).unwrap_or_default(),
            said,
            name,
            address,
            error,
        };
        page(status, &list)
    }

    fn invited_page(&self, who: &SignedIn, address: &Address, secret: &Secret<String>) -> Response {
        let url = Secret::new(format!("{}/staff/join/{}", self.settings.url, secret.expose()));
        let until = self.parts.directory.invited(secret).map_or(0, |invitation| invitation.ends);
        let invited = Invited {
            shell: &self.shell,
            who,
            here: HERE,
            address,
            until: words::day(until),
            qr: qr_svg(url.expose(), "The link of the invitation"),
            url,
        };
        with_script(page(StatusCode::OK, &invited))
    }

    fn person_page(
        &self,
        who: &SignedIn,
        id: AccountId,
        status: StatusCode,
        said: Option<&'static str>,
        error: Option<&'static str>,
    ) -> Response {
        let Some(account) = self.parts.directory.account(id) else { return self.not_found() };
        let one = One {
            shell: &self.shell,
            who,
            here: HERE,
            devices: self.parts.directory.app_passwords(id).len(),
            said,
            only: self.parts.directory.is_only_administrator(id),
            oneself: id == who.account.id,
            person: Person::new(account),
            error,
        };
        page(status, &one)
    }
}
