//! Signing in and out, the second factor, and what was lost.

use super::house::{DANA, House, OTHER, PASSWORD, ROBIN, code, secret};
use axum::http::StatusCode;
use wardpost_directory::Way;

#[tokio::test]
async fn the_right_password_signs_in_and_a_button_signs_out() {
    let house = House::new().await;
    let mut browser = house.browser();
    let away = browser.get("/staff/phone").await;
    assert_eq!(away.location(), "/staff?next=/staff/phone");
    let page = browser.get("/staff?next=/staff/phone").await;
    assert!(page.has("Staff sign-in") && page.has("name=\"next\" value=\"/staff/phone\""));
    let fields = [("address", "dana"), ("password", PASSWORD), ("next", "/staff/phone")];
    let there = browser.fill("/staff", "/staff", &fields).await;
    assert_eq!((there.status, there.location()), (StatusCode::SEE_OTHER, "/staff/phone"));
    assert_eq!(browser.cookies["__Host-staff"].1, "/");
    assert!(browser.get("/staff").await.has("Hello, Dana Lee, MD"));

    let unasked = browser.post("/staff/leave", &[]).await;
    assert_eq!(unasked.status, StatusCode::FORBIDDEN, "no other page signs out");
    let before = browser.clone();
    let left = browser.fill("/staff", "/staff/leave", &[]).await;
    assert_eq!(left.location(), "/staff/left");
    assert!(!browser.cookies.contains_key("__Host-staff"));
    let mut stale = before;
    assert_eq!(stale.get("/staff/phone").await.location(), "/staff?next=/staff/phone&ended");
    assert!(stale.get("/staff?ended").await.has("You were signed out"));
}

#[tokio::test]
async fn signing_in_leads_to_our_own_pages_only() {
    let house = House::new().await;
    for next in ["https://evil.test/", "//evil.test", "/m/x", "/staff/phone/../../x", ""] {
        let mut browser = house.browser();
        let fields = [("address", DANA), ("password", PASSWORD), ("next", next)];
        assert_eq!(browser.fill("/staff", "/staff", &fields).await.location(), "/staff", "{next}");
    }
}

#[tokio::test]
async fn nobody_learns_who_has_an_account() {
    let house = House::new().await;
    let factor = house.with_factor(house.robin).await;
    let mut answers = Vec::new();
    for who in [DANA, ROBIN, "nobody@clinic.test", "dana@elsewhere.test", "x y"] {
        let mut browser = house.browser();
        let page = browser.sign_in(who, "a wrong password, but long").await;
        assert!(!browser.cookies.keys().any(|name| name != "__Host-form"));
        let mut headers = page.headers.clone();
        headers.remove("content-length");
        let token = page.form_token();
        answers.push((page.status, headers, page.body.replace(who, "X").replace(&token, "T")));
    }
    assert_eq!(answers[0].0, StatusCode::FORBIDDEN);
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    // The recovery page, too.
    let kit = house.kit.expose().clone();
    let mut lost = Vec::new();
    for (who, kit) in [(DANA, "0000-0000"), ("nobody@clinic.test", kit.as_str()), ("x y", "0")] {
        let mut browser = house.browser();
        let path = "/staff/lost/phone";
        let page = browser.fill(path, path, &[("address", who), ("kit", kit)]).await;
        let token = page.form_token();
        lost.push((page.status, page.body.replace(who, "X").replace(&token, "T")));
    }
    assert!(lost.iter().all(|answer| *answer == lost[0]), "{lost:?}");
    drop(factor);
}

#[tokio::test]
async fn a_form_of_another_browser_does_not_sign_in() {
    let house = House::new().await;
    let token = house.browser().get("/staff").await.form_token();
    let fields = [("form_token", token.as_str()), ("address", DANA), ("password", PASSWORD)];
    let mut victim = house.browser();
    assert_eq!(victim.post("/staff", &fields).await.status, StatusCode::FORBIDDEN);
    victim.get("/staff").await;
    let page = victim.post("/staff", &fields).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(page.has("Please try") && !victim.cookies.contains_key("__Host-staff"));
}

#[tokio::test]
async fn many_wrong_passwords_are_slowed_and_the_right_one_waits_too() {
    let house = House::new().await;
    let mut browser = house.browser();
    let mut last = browser.sign_in(DANA, "wrong password number 0").await;
    for n in 1..12 {
        last = browser.sign_in(DANA, &format!("wrong password number {n}")).await;
    }
    assert_eq!(last.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(last.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert!(last.has("Please wait"));
    assert_eq!(browser.sign_in(DANA, PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
    let mut elsewhere = house.browser();
    elsewhere.peer = "198.51.100.3".parse().unwrap();
    assert_eq!(elsewhere.sign_in(DANA, PASSWORD).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn with_a_second_factor_the_password_is_half_of_it() {
    let house = House::new().await;
    let factor = house.with_factor(house.dana).await;
    let mut browser = house.browser();
    let fields = [("address", DANA), ("password", PASSWORD), ("next", "/admin")];
    let half = browser.fill("/staff", "/staff", &fields).await;
    assert_eq!(half.location(), "/staff/code");
    assert!(!browser.cookies.contains_key("__Host-staff"));
    assert_eq!(browser.get("/admin").await.location(), "/staff?next=/admin");
    let right = code(&factor);
    let wrong = if right == "123456" { "654321" } else { "123456" };
    let no = browser.fill("/staff/code", "/staff/code", &[("code", wrong)]).await;
    assert_eq!(no.status, StatusCode::FORBIDDEN);
    assert!(no.has("That code is not right"));
    let unasked = browser.post("/staff/code", &[("code", &right)]).await;
    assert_eq!(unasked.status, StatusCode::FORBIDDEN, "without the form's token");
    let yes = browser.fill("/staff/code", "/staff/code", &[("code", &right)]).await;
    assert_eq!(yes.location(), "/admin", "{}", yes.body);
    assert!(!browser.cookies.contains_key("__Secure-code"));
    assert_eq!(browser.get("/staff").await.status, StatusCode::OK);
    // The same code does not count again, for somebody who looked over a shoulder.
    let mut thief = house.browser();
    thief.sign_in(DANA, PASSWORD).await;
    let again = thief.fill("/staff/code", "/staff/code", &[("code", &right)]).await;
    assert_ne!(again.status, StatusCode::SEE_OTHER);
    // Without the first step there is no second.
    let token = house.browser().get("/staff").await.form_token();
    let skipped = house.browser().post("/staff/code", &[("form_token", &token)]).await;
    assert_eq!(skipped.location(), "/staff?ended");
}

#[tokio::test]
async fn many_wrong_codes_end_in_front_of_the_password() {
    let house = House::new().await;
    house.with_factor(house.dana).await;
    let mut browser = house.browser();
    browser.sign_in(DANA, PASSWORD).await;
    let mut statuses = Vec::new();
    for n in 0..10 {
        let typed = format!("00000{n}");
        let page = browser.fill("/staff/code", "/staff/code", &[("code", &typed)]).await;
        statuses.push(page.status);
    }
    assert!(statuses.contains(&StatusCode::TOO_MANY_REQUESTS), "{statuses:?}");
    assert!(!statuses.contains(&StatusCode::SEE_OTHER));
    assert_eq!(browser.get("/staff/code").await.location(), "/staff");
}

#[tokio::test]
async fn a_session_is_one_browsers_and_ends_with_its_password() {
    let house = House::new().await;
    let mut dana = house.signed_in(DANA).await;
    for cookie in ["", "AAAA", &"x".repeat(43), &"é".repeat(9)] {
        let mut other = house.browser();
        other.cookies.insert("__Host-staff".into(), (cookie.to_owned(), "/".into()));
        assert_eq!(other.get("/staff/phone").await.status, StatusCode::SEE_OTHER, "{cookie}");
    }
    // A form's token is of no use in somebody else's session.
    let mut robin = house.signed_in(ROBIN).await;
    let token = dana.get("/staff/phone").await.form_token();
    let page = robin.post("/staff/phone", &[("form_token", &token), ("name", "x")]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(house.directory.app_passwords(house.robin).is_empty());

    house
        .directory
        .change_password_with(house.dana, &secret(PASSWORD), &secret(OTHER))
        .await
        .unwrap();
    assert_eq!(dana.get("/staff/phone").await.location(), "/staff?next=/staff/phone&ended");
    assert_eq!(robin.get("/staff/phone").await.status, StatusCode::OK);
    house.directory.remove_account(house.robin).await.unwrap();
    assert_eq!(robin.get("/staff/phone").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn an_app_password_opens_no_page() {
    let house = House::new().await;
    let login = house.mail_login(DANA, PASSWORD).await.unwrap();
    let app = house.directory.add_app_password(house.dana, &login.unlocked, "x").await.unwrap();
    let page = house.browser().sign_in(DANA, app.expose()).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(page.has("app password does not work here"));
}

#[tokio::test]
async fn two_step_sign_in_is_set_up_with_the_password_and_proven_by_a_code() {
    let house = House::new().await;
    let mut browser = house.signed_in(DANA).await;
    let mut elsewhere = house.signed_in(DANA).await;
    let path = "/staff/second-factor";
    assert!(browser.get(path).await.has("It is <strong>off</strong>"));
    let wrong = browser.fill(path, path, &[("password", "not my password at all")]).await;
    assert!(wrong.has("That is not your password"));
    assert_eq!(browser.get("/staff/second-factor/new").await.location(), path);
    let begun = browser.fill(path, path, &[("password", PASSWORD)]).await;
    assert_eq!(begun.location(), "/staff/second-factor/new");
    let page = browser.get("/staff/second-factor/new").await;
    assert!(page.has("<svg class=\"qr\"") && page.has("Code for the authenticator app"));
    let written = page.text_of("s-key").replace(' ', "");
    let factor = data_encoding::BASE32_NOPAD.decode(written.as_bytes()).unwrap();
    let factor = wardpost_mail::Secret::new(factor);

    let new = "/staff/second-factor/new";
    let wrong = if code(&factor) == "111111" { "222222" } else { "111111" };
    let no = browser.fill(new, new, &[("code", wrong)]).await;
    assert!(no.has("so nothing was changed"));
    assert!(!house.directory.account(house.dana).unwrap().second_factor);
    let yes = browser.fill(new, new, &[("code", &code(&factor))]).await;
    assert_eq!(yes.location(), "/staff/second-factor?done", "{}", yes.body);
    assert!(browser.get(path).await.has("It is <strong>on</strong>"));
    assert!(house.directory.account(house.dana).unwrap().second_factor);
    assert_eq!(elsewhere.get("/staff/phone").await.status, StatusCode::SEE_OTHER);
    assert!(house.mail_login(DANA, PASSWORD).await.is_err());
}

#[tokio::test]
async fn the_recovery_kit_cures_a_lost_phone_and_a_lost_password() {
    let house = House::new().await;
    house.with_factor(house.dana).await;
    let kit = house.kit.expose().to_uppercase();
    let path = "/staff/lost/phone";
    let page = house.browser().fill(path, path, &[("address", DANA), ("kit", &kit)]).await;
    assert!(page.has("The lost phone counts no longer"), "{}", page.body);
    assert!(!house.directory.account(house.dana).unwrap().second_factor);
    let mut open = house.signed_in(DANA).await;

    let path = "/staff/lost/password";
    let try_with = async |password: &str, again: &str| {
        let fields =
            [("address", "dana"), ("kit", kit.as_str()), ("password", password), ("again", again)];
        house.browser().fill(path, path, &fields).await
    };
    assert!(try_with(OTHER, "other").await.has("not the same"));
    assert!(try_with("short", "short").await.has("shorter than 15 characters"));
    house.mail_login(DANA, PASSWORD).await.unwrap();
    assert!(try_with(OTHER, OTHER).await.has("Your new password is set"));
    assert_eq!(open.get("/staff/phone").await.status, StatusCode::SEE_OTHER);
    assert_eq!(house.browser().sign_in(DANA, OTHER).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn the_kit_is_not_tried_endlessly() {
    let house = House::new().await;
    let (path, mut last) = ("/staff/lost/phone", StatusCode::OK);
    let mut browser = house.browser();
    for _ in 0..11 {
        last = browser.fill(path, path, &[("address", DANA), ("kit", "0000")]).await.status;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn set_up_hands_over_once() {
    let house = House::new().await;
    let login = async || {
        let peer = "127.0.0.1".parse().unwrap();
        let password = secret(PASSWORD);
        house.directory.authenticate(DANA, &password, peer, Way::Page).await.unwrap()
    };
    house.staff.hand_over(&secret(""), login().await);
    let nobody = house.browser().fill("/staff/welcome/x", "/staff/welcome/x", &[]).await;
    assert_eq!(nobody.status, StatusCode::GONE);
    house.staff.hand_over(&secret("the-token"), login().await);
    let path = "/staff/welcome/the-token";
    let mut browser = house.browser();
    let scanner = browser.get(path).await;
    assert!(scanner.has("Your mail server is ready"));
    assert_eq!(browser.post(path, &[]).await.status, StatusCode::FORBIDDEN);
    let wrong = browser.fill("/staff/welcome/other", "/staff/welcome/other", &[]).await;
    assert_eq!(wrong.status, StatusCode::GONE);
    assert_eq!(browser.fill(path, path, &[]).await.location(), "/admin");
    assert!(browser.get("/staff").await.has("Hello, Dana"));
    assert_eq!(house.browser().fill(path, path, &[]).await.status, StatusCode::GONE);
}

#[tokio::test]
async fn wrong_codes_are_told_to_their_owner_and_the_clock_is_named() {
    let house = House::new().await;
    let factor = house.with_factor(house.dana).await;
    let path = "/staff/code";
    let mut thief = house.browser();
    thief.peer = "198.51.100.3".parse().unwrap();
    thief.sign_in(DANA, PASSWORD).await;
    let first = thief.fill(path, path, &[("code", "1")]).await;
    assert!(first.has("That code is not right") && !first.has("UTC"));
    let second = thief.fill(path, path, &[("code", "2")]).await;
    let clock = second.body.split("clock says ").nth(1).unwrap().split(' ').next().unwrap();
    assert!(clock.len() == 5 && clock.as_bytes()[2] == b':', "{clock}");
    assert!(second.has("UTC; if that is wrong, or the phone’s clock is, no code fits"));
    thief.fill(path, path, &[("code", "3")]).await;
    thief.fill(path, path, &[("code", "4")]).await;
    // From everywhere: another network, and the right password once more, change nothing.
    let mut dana = house.browser();
    let fields = [("address", DANA), ("password", PASSWORD), ("next", "/staff/phone")];
    dana.fill("/staff", "/staff", &fields).await;
    let slowed = dana.fill(path, path, &[("code", &code(&factor))]).await;
    assert_eq!(slowed.status, StatusCode::TOO_MANY_REQUESTS, "{}", slowed.body);
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let there = dana.fill(path, path, &[("code", &code(&factor))]).await;
    assert_eq!(there.location(), "/staff", "they are to see it: {}", there.body);
    let start = dana.get("/staff").await;
    assert!(start.has("4 wrong codes were tried since") && start.has("href=\"/staff/password\""));
}

#[tokio::test]
async fn people_change_their_own_password_and_stay_signed_in() {
    let house = House::new().await;
    let path = "/staff/password";
    let mut dana = house.signed_in(DANA).await;
    let mut elsewhere = house.signed_in(DANA).await;
    let mut mail = house.mail_login(DANA, PASSWORD).await.unwrap();
    let app = house.directory.add_app_password(house.dana, &mail.unlocked, "x").await.unwrap();
    assert!(dana.get("/staff").await.has("href=\"/staff/password\""));
    let set = async |browser: &mut super::house::Browser<'_>, old, new, again| {
        browser.fill(path, path, &[("password", old), ("new", new), ("again", again)]).await
    };
    for (old, new, again, says) in [
        (PASSWORD, OTHER, "something else altogether", "are not the same"),
        (PASSWORD, PASSWORD, PASSWORD, "is the old one"),
        (PASSWORD, "short", "short", "shorter than 15"),
        ("not my password at all", OTHER, OTHER, "The first one is not your password"),
    ] {
        let page = set(&mut dana, old, new, again).await;
        assert!(page.status.is_client_error() && page.has(says), "{says}: {}", page.body);
        assert!(!page.has(OTHER));
    }
    let unasked = [("password", PASSWORD), ("new", OTHER), ("again", OTHER)];
    assert_eq!(dana.post(path, &unasked).await.status, StatusCode::FORBIDDEN);
    assert_eq!(elsewhere.get(path).await.status, StatusCode::OK);

    house.time_passes();
    let done = set(&mut dana, PASSWORD, OTHER, OTHER).await;
    assert_eq!(done.location(), "/staff/password?done", "{}", done.body);
    assert!(dana.get("/staff/password?done").await.has("Your new password is set"));
    assert_eq!(elsewhere.get(path).await.status, StatusCode::SEE_OTHER, "others are signed out");
    mail.revocation.revoked().await;
    assert!(house.mail_login(DANA, PASSWORD).await.is_err());
    assert!(house.mail_login(DANA, OTHER).await.is_ok());
    assert!(house.mail_login(DANA, app.expose()).await.is_ok(), "app passwords stay");
    assert!(dana.get("/staff/phone").await.has("Your password, once more"), "proves no more");
    assert_eq!(house.browser().sign_in(DANA, OTHER).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn an_old_password_is_not_guessed_on_an_open_page() {
    let house = House::new().await;
    let mut dana = house.signed_in(DANA).await;
    let path = "/staff/password";
    let mut last = StatusCode::OK;
    for n in 0..20 {
        let guess = format!("wrong password number {n}");
        let fields = [("password", guess.as_str()), ("new", OTHER), ("again", OTHER)];
        last = dana.fill(path, path, &fields).await.status;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
}
