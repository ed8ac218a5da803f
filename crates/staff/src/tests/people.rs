//! Inviting, joining, administrators, leaving.

use super::house::{Browser, DANA, House, OTHER, PASSWORD, ROBIN};
use axum::http::StatusCode;
use wardpost_directory::{AuthError, Resolution};
use wardpost_mail::Address;

/// Invites somebody; the answer is the link's path.
async fn invite(browser: &mut Browser<'_>, name: &str, address: &str) -> String {
    let fields = [("name", name), ("address", address)];
    let page = browser.fill("/admin/people", "/admin/people", &fields).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    let link = page.text_of("s-link");
    link.strip_prefix("https://mail.clinic.test").expect("a link to us").to_owned()
}

#[tokio::test]
async fn whoever_is_invited_chooses_a_password_and_is_signed_in() {
    let house = House::new().await;
    let mut dana = house.signed_in(DANA).await;
    let link = invite(&mut dana, " Pat  Poe, RN ", "Pat").await;
    assert!(dana.get("/admin/people").await.has("pat@clinic.test"), "in the list of the invited");
    let mut pat = house.browser();
    for _ in 0..2 {
        let page = pat.get(&link).await;
        assert!(page.has("Welcome, Pat Poe, RN") && page.has("pat@clinic.test"));
    }
    let join = async |pat: &mut Browser<'_>, password, again| {
        pat.fill(&link, &link, &[("password", password), ("again", again)]).await
    };
    let page = join(&mut pat, OTHER, "something else altogether").await;
    assert!(page.has("are not the same") && !page.has(OTHER));
    let page = join(&mut pat, "short", "short").await;
    assert!(page.status == StatusCode::UNPROCESSABLE_ENTITY && page.has("shorter than 15"));
    let unasked = pat.post(&link, &[("password", OTHER), ("again", OTHER)]).await;
    assert_eq!(unasked.status, StatusCode::FORBIDDEN, "no other page joins");

    let page = join(&mut pat, OTHER, OTHER).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "/staff"));
    assert!(pat.get("/staff").await.has("Hello, Pat Poe, RN"));
    assert_eq!(pat.get("/admin/people").await.status, StatusCode::FORBIDDEN);
    assert!(house.mail_login("pat", OTHER).await.is_ok());
    let mut second = house.browser();
    assert_eq!(second.get(&link).await.status, StatusCode::GONE, "it counts once");
    assert!(!dana.get("/admin/people").await.has("Invited"));
}

#[tokio::test]
async fn what_cannot_be_invited_is_said_and_nothing_typed_is_lost() {
    let house = House::new().await;
    let mut dana = house.signed_in(DANA).await;
    for (address, words) in [
        ("", "not an email address"),
        ("two words", "not an email address"),
        ("robin", "Somebody has this address"),
        ("pat@elsewhere.test", "not in a domain of this mail server"),
    ] {
        let fields = [("name", "Pat <b>"), ("address", address)];
        let page = dana.fill("/admin/people", "/admin/people", &fields).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{address}");
        assert!(page.has(words) && page.has(&format!("value=\"{address}\"")), "{}", page.body);
        assert!(page.has("Pat &#60;b&#62;") && !page.has("<b>"));
    }
    let link = invite(&mut dana, "", "pat").await;
    let fields = [("address", "pat@clinic.test")];
    let page = dana.fill("/admin/people", "/admin/people/withdraw", &fields).await;
    assert_eq!(page.location(), "/admin/people?done=withdrawn");
    assert_eq!(house.browser().get(&link).await.status, StatusCode::GONE);
}

#[tokio::test]
async fn there_is_always_an_administrator() {
    let house = House::new().await;
    let mut dana = house.signed_in(DANA).await;
    let (own, robins) =
        (format!("/admin/people/{}", house.dana.0), format!("/admin/people/{}", house.robin.0));
    let set = async |browser: &mut Browser<'_>, person: &str, wanted| {
        let action = format!("{person}/administrator");
        browser.fill("/admin/people", &action, &[("next", wanted)]).await.status
    };
    assert_eq!(set(&mut dana, &own, "no").await, StatusCode::CONFLICT);
    let mut robin = house.signed_in(ROBIN).await;
    let unasked = robin.post(&format!("{robins}/administrator"), &[("next", "yes")]).await;
    assert_eq!(unasked.status, StatusCode::FORBIDDEN, "nobody makes themselves one");
    assert!(dana.get(&own).await.has("The only one."));
    assert!(!dana.get(&robins).await.has("The only one."));
    assert_eq!(set(&mut dana, &robins, "yes").await, StatusCode::SEE_OTHER);
    assert!(!dana.get(&own).await.has("The only one."));
    assert!(dana.get(&format!("{robins}?done=administrator")).await.has("That is done."));
    assert_eq!(set(&mut robin, &own, "no").await, StatusCode::SEE_OTHER);
    assert_eq!(dana.get("/admin/people").await.status, StatusCode::FORBIDDEN, "felt at once");
    assert_eq!(set(&mut robin, &robins, "no").await, StatusCode::CONFLICT);
}

#[tokio::test]
async fn who_leaves_is_removed_once_it_is_meant() {
    let house = House::new().await;
    let mut dana = house.signed_in(DANA).await;
    let mut robin = house.signed_in(ROBIN).await;
    let page = format!("/admin/people/{}", house.robin.0);
    let remove = format!("{page}/remove");
    for typed in ["", "dana@clinic.test", "robin@clinic.tes"] {
        let answer = dana.fill(&page, &remove, &[("address", typed)]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.has("Nothing was removed"));
    }
    let own = format!("/admin/people/{}/remove", house.dana.0);
    let oneself = dana.fill("/admin/people", &own, &[("address", DANA)]).await;
    assert_eq!(oneself.status, StatusCode::CONFLICT);
    let unasked = dana.post(&remove, &[("address", ROBIN)]).await;
    assert_eq!(unasked.status, StatusCode::FORBIDDEN, "no other page removes anybody");

    assert_eq!(robin.get("/staff/phone").await.status, StatusCode::OK);
    let done = dana.fill(&page, &remove, &[("address", " Robin@Clinic.Test ")]).await;
    assert_eq!(done.location(), "/admin/people?done=removed");
    assert_eq!(robin.get("/staff/phone").await.status, StatusCode::SEE_OTHER, "cut off at once");
    assert_eq!(house.mail_login(ROBIN, PASSWORD).await.unwrap_err(), AuthError::Rejected);
    let address = Address::parse(ROBIN).unwrap();
    assert_eq!(house.directory.resolve(&address), Resolution::Unknown);
    assert_eq!(dana.get(&page).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_stolen_account_is_cut_off_by_an_administrator() {
    let house = House::new().await;
    let mut dana = house.signed_in(DANA).await;
    let mut robin = house.signed_in(ROBIN).await;
    let made = robin.fill("/staff/phone", "/staff/phone", &[("name", "Phone")]).await;
    assert_eq!(made.location(), "/staff/phone/new");
    let page = robin.get("/staff/phone/new").await;
    let (link, app) = (page.text_of("s-link"), page.text_of("s-password"));
    let link = link.strip_prefix("https://mail.clinic.test").unwrap();
    let mut mail = [
        house.mail_login(ROBIN, PASSWORD).await.unwrap(),
        house.mail_login(ROBIN, &app).await.unwrap(),
    ];
    let person = format!("/admin/people/{}", house.robin.0);
    let action = format!("{person}/cut-off");
    assert!(dana.get(&person).await.has(&action));
    let ask = dana.get(&action).await;
    assert!(ask.has("everywhere?") && ask.has("password itself stays") && ask.has("recovery kit"));
    assert_eq!(
        dana.post(&action, &[]).await.status,
        StatusCode::FORBIDDEN,
        "no other page does it"
    );
    assert_eq!(robin.get(&action).await.status, StatusCode::FORBIDDEN, "administrators only");
    assert_eq!(house.directory.app_passwords(house.robin).len(), 1);

    let done = dana.fill(&action, &action, &[]).await;
    assert_eq!(done.location(), format!("{person}?done=cut-off"));
    assert!(dana.get(done.location()).await.has("Signed out everywhere"));
    for login in &mut mail {
        login.revocation.revoked().await;
    }
    assert!(house.directory.app_passwords(house.robin).is_empty());
    assert_eq!(robin.get("/staff/phone").await.status, StatusCode::SEE_OTHER);
    assert!(house.mail_login(ROBIN, &app).await.is_err());
    assert!(house.mail_login(ROBIN, PASSWORD).await.is_ok(), "the password stays");
    let mut phone = house.browser();
    assert_eq!(phone.fill(link, link, &[]).await.status, StatusCode::GONE, "nor its link");
    assert_eq!(dana.get("/admin/people/99/cut-off").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn mail_that_could_not_be_deleted_is_not_said_to_be_gone() {
    let house = House::new().await;
    let mut dana = house.signed_in(DANA).await;
    house.removal.keep_mail();
    let page = format!("/admin/people/{}", house.robin.0);
    let done = dana.fill(&page, &format!("{page}/remove"), &[("address", ROBIN)]).await;
    assert_eq!(done.location(), "/admin/people?done=removed-later");
    let list = dana.get(done.location()).await;
    assert!(list.has("The account is gone") && list.has("could not be deleted"));
    assert!(!list.has("and all its mail are gone") && !list.has(&format!("{page}\"")));
}
