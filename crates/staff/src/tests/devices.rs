//! Phones and computers.

use super::house::{Browser, DANA, House, OTHER, PASSWORD, Page, ROBIN, code};
use axum::http::StatusCode;

const PHONE: &str = "/staff/phone";

/// Connects a device: the page with the link.
async fn connect(browser: &mut Browser<'_>, name: &str) -> Page {
    let made = browser.fill(PHONE, PHONE, &[("name", name)]).await;
    assert_eq!(made.location(), "/staff/phone/new", "{}", made.body);
    browser.get("/staff/phone/new").await
}

fn path_of(page: &Page) -> String {
    page.text_of("s-link").strip_prefix("https://mail.clinic.test").unwrap().to_owned()
}

#[tokio::test]
async fn a_device_gets_a_password_that_works_until_it_is_taken_away() {
    let house = House::new().await;
    house.with_factor(house.robin).await;
    let mut dana = house.signed_in(DANA).await;
    assert!(dana.get(PHONE).await.has("There is none yet."));
    let page = connect(&mut dana, "  My   iPhone ").await;
    assert!(page.has("<svg class=\"qr\"") && page.has("Connect “My iPhone”"));
    assert!(page.has("will not trust this server yet"), "the certificate is self-signed");
    let password = page.text_of("s-password");
    assert_eq!(page.text_of("s-imap"), "mail.clinic.test");
    house.mail_login(DANA, &password).await.unwrap();
    let list = dana.get(PHONE).await;
    assert!(list.has("<strong>My iPhone</strong>") && !list.has(&password));

    let slot = house.directory.app_passwords(house.dana)[0].slot;
    let remove = format!("/staff/phone/{slot}/remove");
    assert!(dana.get(&remove).await.has("Take away “My iPhone”?"));
    house.mail_login(DANA, &password).await.unwrap();
    let mut robin = house.browser();
    assert_eq!(robin.get(&remove).await.status, StatusCode::SEE_OTHER);
    assert_eq!(dana.post(&remove, &[]).await.status, StatusCode::FORBIDDEN);
    let mut login = house.mail_login(DANA, &password).await.unwrap();
    let gone = dana.fill(&remove, &remove, &[]).await;
    assert_eq!(gone.location(), "/staff/phone?removed");
    assert!(dana.get("/staff/phone?removed").await.has("The device was taken away"));
    login.revocation.revoked().await;
    assert!(house.mail_login(DANA, &password).await.is_err());
    assert_eq!(dana.get(&remove).await.status, StatusCode::NOT_FOUND);
    assert_eq!(dana.get("/staff/phone/new").await.location(), PHONE, "its link is gone, too");
}

#[tokio::test]
async fn nobody_takes_away_somebody_elses_device() {
    let house = House::new().await;
    let mut dana = house.signed_in(DANA).await;
    connect(&mut dana, "Phone").await;
    let slot = house.directory.app_passwords(house.dana)[0].slot;
    let mut robin = house.signed_in(ROBIN).await;
    let token = robin.get(PHONE).await.form_token();
    let remove = format!("/staff/phone/{slot}/remove");
    assert_eq!(robin.get(&remove).await.status, StatusCode::NOT_FOUND);
    robin.post(&remove, &[("form_token", &token)]).await;
    assert_eq!(house.directory.app_passwords(house.dana).len(), 1);
}

#[tokio::test]
async fn names_are_needed_short_and_different_and_devices_are_bounded() {
    let house = House::new().await;
    let mut dana = house.signed_in(DANA).await;
    connect(&mut dana, "Phone").await;
    for (name, says) in [
        ("", "give the device a name"),
        (" \t ", "give the device a name"),
        ("phone", "is in the list already"),
        (&"x".repeat(61), "shorter name"),
    ] {
        let page = dana.fill(PHONE, PHONE, &[("name", name)]).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(page.has(says), "{name}: {}", page.body);
    }
    let odd = dana.fill(PHONE, PHONE, &[("name", "<b>&\"Ünï")]).await;
    assert_eq!(odd.status, StatusCode::SEE_OTHER);
    assert!(dana.get(PHONE).await.has("&#60;b&#62;&#38;&#34;Ünï"));
    for n in 2..20 {
        connect(&mut dana, &format!("Device {n}")).await;
    }
    let full = dana.fill(PHONE, PHONE, &[("name", "One more")]).await;
    assert!(full.has("There are 20 devices already"));
    assert_eq!(house.directory.app_passwords(house.dana).len(), 20);
}

#[tokio::test]
async fn a_link_is_opened_once_by_one_browser() {
    let house = House::new().await;
    let mut dana = house.signed_in(DANA).await;
    let page = connect(&mut dana, "Phone").await;
    let (link, password) = (path_of(&page), page.text_of("s-password"));

    let mut phone = house.browser();
    let looked = phone.get(&link).await;
    let dead = house.browser().get("/staff/connect/AAAA").await;
    let strip = |page: &Page| page.body.replace(&page.form_token(), "");
    assert_eq!((looked.status, strip(&looked)), (dead.status, strip(&dead)));
    assert!(!looked.has("dana") && !looked.has(&password));
    assert_eq!(phone.get(&format!("{link}/settings")).await.status, StatusCode::GONE);
    assert_eq!(phone.post(&link, &[]).await.status, StatusCode::FORBIDDEN);
    assert!(!dana.get("/staff/phone/new").await.has("The code was used"));

    let opened = phone.fill(&link, &link, &[]).await;
    assert_eq!(opened.location(), format!("{link}/settings"));
    let settings = phone.get(&format!("{link}/settings")).await;
    assert!(settings.has(&password) && settings.has(DANA) && settings.has("993"));
    assert!(!settings.has("mobileconfig"), "only Apple's devices take a profile");
    assert!(dana.get("/staff/phone/new").await.has("The code was used"));
    // The same browser may look again; another one may not, nor use its cookie for another link.
    assert_eq!(phone.fill(&link, &link, &[]).await.status, StatusCode::SEE_OTHER);
    let mut thief = house.browser();
    let late = thief.fill(&link, &link, &[]).await;
    assert_eq!(late.status, StatusCode::GONE);
    assert!(late.has("works no longer") && !late.has(&password));
    assert_eq!(thief.get(&format!("{link}/settings")).await.status, StatusCode::GONE);
    let second = path_of(&connect(&mut dana, "Tablet").await);
    let crossed = phone.get(&format!("{second}/settings")).await;
    assert_eq!(crossed.status, StatusCode::GONE);
}

#[tokio::test]
async fn apples_devices_get_a_file() {
    let house = House::new().await;
    let mut dana = house.signed_in(DANA).await;
    let page = connect(&mut dana, "iPhone").await;
    let (link, password) = (path_of(&page), page.text_of("s-password"));
    let file = format!("{link}/mail.mobileconfig");
    let mut phone = house.browser();
    phone.agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X)";
    assert_eq!(phone.get(&file).await.status, StatusCode::GONE);
    phone.fill(&link, &link, &[]).await;
    assert!(phone.get(&format!("{link}/settings")).await.has(&file));
    let profile = phone.get(&file).await;
    assert_eq!(profile.header("content-type"), "application/x-apple-aspen-config");
    assert_eq!(profile.body, format!("PROFILE {DANA} {password}"));
}

#[tokio::test]
async fn after_a_while_connecting_a_device_wants_the_password_or_a_code() {
    let house = House::new().await;
    let mut robin = house.signed_in(ROBIN).await;
    assert!(!robin.get(PHONE).await.has("name=\"password\""), "not just after signing in");
    connect(&mut robin, "First").await;
    house.time_passes();
    assert!(robin.get(PHONE).await.has("Your password, once more"));
    let unasked = robin.fill(PHONE, PHONE, &[("name", "Thief’s")]).await;
    assert_eq!(unasked.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(unasked.has("please enter your password, too"));
    for password in ["not my password at all", OTHER] {
        let page = robin.fill(PHONE, PHONE, &[("name", "Thief’s"), ("password", password)]).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN);
        assert!(page.has("That is not your password") && page.has("value=\"Thief’s\""));
    }
    assert_eq!(house.directory.app_passwords(house.robin).len(), 1);
    let fields = [("name", "Second"), ("password", PASSWORD)];
    assert_eq!(robin.fill(PHONE, PHONE, &fields).await.location(), "/staff/phone/new");
    connect(&mut robin, "Third").await;

    // With a second factor the password is not enough.
    let factor = house.with_factor(house.dana).await;
    let mut dana = house.browser();
    dana.sign_in(DANA, PASSWORD).await;
    let first = code(&factor);
    dana.fill("/staff/code", "/staff/code", &[("code", &first)]).await;
    connect(&mut dana, "First").await;
    house.time_passes();
    let page = dana.get(PHONE).await;
    assert!(page.has("Code from the app") && !page.has("name=\"password\""));
    assert!(
        dana.fill(PHONE, PHONE, &[("name", "x")]).await.has("enter the code that the app shows")
    );
    for typed in ["000 00", first.as_str()] {
        let fields = [("name", "Thief’s"), ("password", PASSWORD), ("code", typed)];
        let page = dana.fill(PHONE, PHONE, &fields).await;
        assert!(page.status.is_client_error() && page.has("That code is not right"), "{typed}");
    }
    assert_eq!(house.directory.app_passwords(house.dana).len(), 1);
    // The code that the app shows next.
    let soon = std::time::SystemTime::now() + std::time::Duration::from_secs(30);
    let next = wardpost_directory::second_factor::code(&factor, soon);
    let fields = [("name", "Second"), ("code", next.expose())];
    assert_eq!(dana.fill(PHONE, PHONE, &fields).await.location(), "/staff/phone/new");
    assert_eq!(house.directory.app_passwords(house.dana).len(), 2);
}

#[tokio::test]
async fn a_device_that_knows_the_password_itself_is_spoken_of() {
    let house = House::new().await;
    let mut dana = house.signed_in(DANA).await;
    let page = dana.get(PHONE).await;
    assert!(
        page.has("is in no list") && page.has("no mail program has signed in with your password")
    );
    house.mail_login(DANA, PASSWORD).await.unwrap();
    assert!(dana.get(PHONE).await.has("with your password itself less than a minute ago"));
    connect(&mut dana, "Phone").await;
    let slot = house.directory.app_passwords(house.dana)[0].slot;
    let remove = format!("/staff/phone/{slot}/remove");
    assert!(dana.get(&remove).await.has("set up with your password itself is cut off by"));
    house.with_factor(house.dana).await;
    for page in [PHONE, &remove] {
        assert!(!dana.get(page).await.has("your password itself"), "{page}");
    }
}
