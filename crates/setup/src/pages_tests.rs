//! The pages as a browser sees them, over a world that keeps note of what it is asked.

#[path = "pages_any_order_tests.rs"]
mod any_order;
#[path = "pages_house.rs"]
mod house;
#[path = "pages_seat_tests.rs"]
mod seat;

use super::*;
use crate::world::DomainLook;
use house::{Browser, DISK_KEY, Fake, PASSWORD, done, hidden, set_up};
use std::time::Duration;
use tokio::sync::Semaphore;
use wardpost_mail::Domain;

#[tokio::test]
async fn from_the_code_to_the_end() {
    let (set_up, world) = set_up(Fake { disk: true, ..Fake::new() });
    let mut dana = Browser::new(&set_up);
    for path in ["/", "/staff", "/set-up/nothing", "/a/b/c"] {
        assert_eq!(dana.get(path).await.location.as_deref(), Some(START), "{path}");
    }
    dana.sit_down().await;
    assert_eq!(dana.get(START).await.location.as_deref(), Some("/set-up/practice"));
    dana.answer_all().await;
    let sheet = dana.get(Step::Sheet.path()).await.text;
    assert!(sheet.contains(DISK_KEY) && sheet.contains("Elm Street Clinic"));
    assert!(sheet.contains(&dana.kit_end()));
    let end = dana.kit_end();
    let came = dana.post(Step::Sheet.path(), &[("kit", &end), ("disk", "wrong")]).await;
    assert_eq!(came.status, 422);
    assert!(came.text.contains("id=\"disk-error\"") && !came.text.contains("id=\"kit-error\""));
    assert!(world.applied.lock().is_empty() && done(&set_up).await.is_none());

    let came = dana.post(Step::Sheet.path(), &[("kit", &end), ("disk", "jklnrtuv")]).await;
    assert_eq!(came.status, 200, "{}", came.text);
    let done = done(&set_up).await.unwrap();
    assert!(came.text.contains(&format!("/staff/welcome/{}", done.token.expose())));
    assert_eq!(done.address.to_string(), "dana@clinic.test");
    let applied = world.applied.lock().clone();
    assert_eq!(applied.len(), 1);
    assert!(applied[0].1, "the disk's key was confirmed");
    // Loading any page again shows the same end, and does nothing a second time.
    let again = dana.post_raw(Step::Sheet.path(), &[("kit", &end), ("disk", "jklnrtuv")]).await;
    assert!(again.text.contains(done.token.expose()));
    assert_eq!(world.applied.lock().len(), 1);
    // Nobody else gets the last link.
    let stranger = Browser::new(&set_up).get(Step::Sheet.path()).await;
    assert_eq!(stranger.location.as_deref(), Some(START));
}

#[tokio::test]
async fn no_page_ever_shows_a_password() {
    let (set_up, _) = set_up(Fake { relay_works: false, ..Fake::new() });
    let mut dana = Browser::new(&set_up);
    dana.sit_down().await;
    dana.answer_all().await;
    let relay =
        [("way", "smarthost"), ("host", "smtp.isp.test"), ("user", "u"), ("password", "CANARY")];
    let mut pages = vec![dana.post(Step::Outgoing.path(), &relay).await.text];
    let wrong =
        [("name", ""), ("address", "?"), ("password", "CANARY one"), ("again", "CANARY two")];
    pages.push(dana.post(Step::Administrator.path(), &wrong).await.text);
    for step in Step::ALL {
        pages.push(dana.get(step.path()).await.text);
    }
    for page in pages {
        assert!(!page.contains("CANARY") && !page.contains(PASSWORD), "{page}");
    }
}

#[tokio::test]
async fn strangers_see_only_where_the_code_goes() {
    let (set_up, _) = set_up(Fake::new());
    let mut dana = Browser::new(&set_up);
    dana.sit_down().await;
    dana.answer_all().await;
    let mut stranger = Browser::new(&set_up);
    stranger.cookies.push(("__Host-set-up".into(), "A".repeat(43)));
    for step in Step::ALL {
        for came in [
            stranger.get(step.path()).await,
            stranger.post_raw(step.path(), &[("name", "Mallory"), ("kit", "x")]).await,
        ] {
            assert_eq!(came.location.as_deref(), Some(START), "{step:?}");
            assert!(came.text.is_empty());
        }
    }
    let page = stranger.get(START).await.text;
    assert!(!page.contains(set_up.status().code.expose()));
}

#[tokio::test]
async fn guessing_the_code_leads_nowhere() {
    let (set_up, _) = set_up(Fake::new());
    let mut guesser = Browser::new(&set_up);
    let first = set_up.status().code.expose().clone();
    for n in 1..=10 {
        let came = guesser.post(START, &[("code", &format!("BCDF-GH{n:02}"))]).await;
        assert_eq!(came.status, 403);
        let words = if n < 10 { "That is not the code" } else { "has made a new one" };
        assert!(came.text.contains(words), "{n}: {}", came.text);
    }
    let second = set_up.status();
    assert_ne!(second.code.expose(), &first);
    assert!(second.pause.is_some());
    let came = guesser.post(START, &[("code", second.code.expose())]).await;
    assert!(came.text.contains("Please wait"), "{}", came.text);
    assert!(!set_up.status().begun);
}

#[tokio::test]
async fn an_encrypted_disk_without_a_recovery_key_ends_no_set_up() {
    let (set_up, world) = set_up(Fake { unlock: Some("tpm"), ..Fake::new() });
    let mut dana = Browser::new(&set_up);
    // It is told before anybody types an answer that would be in vain, and then on every page.
    let words = "could not make the recovery key";
    assert!(dana.get(START).await.text.contains(words));
    dana.sit_down().await;
    assert!(dana.get(Step::Practice.path()).await.text.contains(words));
    dana.answer_all().await;
    dana.get(Step::Sheet.path()).await;
    let end = dana.kit_end();
    let came = dana.post(Step::Sheet.path(), &[("kit", &end)]).await;
    assert!(came.text.contains("this sheet lacks the recovery key"), "{}", came.text);
    assert!(world.applied.lock().is_empty() && done(&set_up).await.is_none());
}

#[tokio::test]
async fn forms_of_other_pages_are_refused() {
    let (set_up, _) = set_up(Fake::new());
    let mut dana = Browser::new(&set_up);
    dana.sit_down().await;
    let fields = [("name", "Elm"), ("domain", "clinic.test"), ("form_token", "forged")];
    let came = dana.post_raw(Step::Practice.path(), &fields).await;
    assert_eq!(came.status, 403);
    assert!(set_up.peek().practice().is_none());
    // A form that is none.
    let request = Request::post(Step::Practice.path()).header(header::CONTENT_TYPE, "text/plain");
    assert_eq!(dana.ask(request, "x".into()).await.status, 403);
}

#[tokio::test]
async fn what_the_network_says_is_told_once_and_may_be_overruled() {
    let elsewhere = DomainLook::Elsewhere(vec![Domain::parse("mx.old.test").unwrap()]);
    for (look, words) in [(elsewhere, "mx.old.test"), (DomainLook::Missing, "no domain called")] {
        let (set_up, _) = set_up(Fake { look, ..Fake::new() });
        let mut dana = Browser::new(&set_up);
        dana.sit_down().await;
        let fields = [("name", "Elm"), ("domain", "clinic.test")];
        let came = dana.post(Step::Practice.path(), &fields).await;
        assert_eq!(came.status, 200);
        assert!(came.text.contains(words) && came.text.contains("value=\"clinic.test\""));
        let agreed = hidden(&came.text, "agreed").unwrap();
        // Agreed to one domain is not agreed to another.
        let other = [("name", "Elm"), ("domain", "elm.test"), ("agreed", &*agreed)];
        assert_eq!(dana.post(Step::Practice.path(), &other).await.status, 200);
        let same = [("name", "Elm"), ("domain", "clinic.test"), ("agreed", &*agreed)];
        assert_eq!(dana.post(Step::Practice.path(), &same).await.status, 303);
    }
    let (set_up, _) = set_up(Fake { relay_works: false, ..Fake::new() });
    let mut dana = Browser::new(&set_up);
    dana.sit_down().await;
    dana.answer_all().await;
    let fields = [("way", "smarthost"), ("host", "smtp.isp.test"), ("port", "465")];
    let came = dana.post(Step::Outgoing.path(), &fields).await;
    assert!(came.text.contains("It does not answer."), "{}", came.text);
    let agreed = hidden(&came.text, "agreed").unwrap();
    let fields = [fields[0], fields[1], fields[2], ("agreed", &*agreed)];
    assert_eq!(dana.post(Step::Outgoing.path(), &fields).await.status, 303);
    assert!(dana.get(Step::Review.path()).await.text.contains("It does not answer."));
}

#[tokio::test]
async fn a_small_disk_and_no_network_are_told_and_stop_nobody() {
    let (set_up, world) =
        set_up(Fake { online: false, free: 2 << 30, look: DomainLook::Unknown, ..Fake::new() });
    set_up.look(Duration::from_secs(1)).await;
    let mut dana = Browser::new(&set_up);
    let page = dana.get(START).await.text;
    assert!(
        page.contains("does not reach the Internet") && page.contains("2.0 GiB free"),
        "{page}"
    );
    dana.sit_down().await;
    dana.answer_all().await;
    let end = {
        dana.get(Step::Sheet.path()).await;
        dana.kit_end()
    };
    assert_eq!(dana.post(Step::Sheet.path(), &[("kit", &end)]).await.status, 200);
    assert_eq!(world.applied.lock().len(), 1);
}

/// A network that answers nothing holds no page up, and counts as none after a while.
#[tokio::test]
async fn no_page_waits_for_the_network() {
    let (set_up, world) = set_up(Fake { answers: Semaphore::new(0), ..Fake::new() });
    let watching = Arc::clone(&set_up);
    let watching = tokio::spawn(async move { watching.watch_network().await });
    world.is_asked(1).await;
    let mut dana = Browser::new(&set_up);
    let page = tokio::time::timeout(Duration::from_secs(5), dana.get(START)).await;
    assert!(!page.unwrap().text.contains("does not reach the Internet"), "nothing is known yet");
    watching.abort();
    set_up.look(Duration::from_millis(10)).await;
    assert!(dana.get(START).await.text.contains("does not reach the Internet"));
    world.answers.add_permits(1);
    set_up.look(Duration::from_secs(5)).await;
    assert!(!dana.get(START).await.text.contains("does not reach the Internet"));
}

#[tokio::test]
async fn what_could_not_be_done_is_told_and_tried_again() {
    let (set_up, world) = set_up(Fake::new());
    *world.refuses.lock() = Some("The disk is full. Make space.".into());
    let mut dana = Browser::new(&set_up);
    dana.sit_down().await;
    dana.answer_all().await;
    dana.get(Step::Sheet.path()).await;
    let end = dana.kit_end();
    let came = dana.post(Step::Sheet.path(), &[("kit", &end)]).await;
    assert!(came.text.contains("The disk is full. Make space."), "{}", came.text);
    assert!(done(&set_up).await.is_none());
    assert_eq!(dana.kit_end(), end, "the sheet on paper still counts");
    assert_eq!(dana.post(Step::Sheet.path(), &[("kit", &end)]).await.status, 200);
    assert!(done(&set_up).await.is_some());
}
