//! Who has the seat, and what becomes of requests whose browser has lost it meanwhile.

use super::super::*;
use super::house::{ANSWERS, Browser, Came, Fake, PASSWORD, done, hidden, set_up};
use crate::answers::Outgoing;
use crate::seat::Seating;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// A form that is on its way, and the browser that sent it.
async fn send(mut browser: Browser, step: Step, fields: &[(&str, &str)]) -> JoinHandle<Came> {
    let page = browser.get(step.path()).await;
    let token = hidden(&page.text, "form_token").unwrap();
    let mut all = vec![("form_token".to_owned(), token)];
    all.extend(fields.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())));
    tokio::spawn(async move {
        let fields: Vec<_> = all.iter().map(|(name, text)| (&**name, &**text)).collect();
        browser.post_raw(step.path(), &fields).await
    })
}

fn take_over(set_up: &SetUp) {
    let code = set_up.status().code;
    assert!(matches!(set_up.sit_down(code.expose()), Seating::Taken(_)));
}

/// The DNS takes its time, and the code is given elsewhere meanwhile.
#[tokio::test]
async fn a_practice_of_whoever_lost_the_seat_is_not_taken() {
    let (set_up, world) = set_up(Fake { answers: Semaphore::new(0), ..Fake::new() });
    let mut first = Browser::new(&set_up);
    first.sit_down().await;
    let answer = send(first, Step::Practice, ANSWERS[0].1).await;
    world.is_asked(1).await;
    take_over(&set_up);
    world.answers.add_permits(1);
    let came = answer.await.unwrap();
    assert_eq!((came.status, came.location.as_deref()), (303, Some(START)));
    assert!(set_up.peek().practice().is_none());
}

/// The same with a provider's server, whether it works or is warned of.
#[tokio::test]
async fn a_smarthost_of_whoever_lost_the_seat_is_not_taken() {
    for relay_works in [true, false] {
        let (set_up, world) =
            set_up(Fake { relay_works, answers: Semaphore::new(1), ..Fake::new() });
        let mut first = Browser::new(&set_up);
        first.sit_down().await;
        first.answer_all().await;
        let fields = [("way", "smarthost"), ("host", "smtp.isp.test"), ("user", "mallory")];
        let fields = [&fields[..], &[("password", "x")]].concat();
        let answer = send(first, Step::Outgoing, &fields).await;
        world.is_asked(2).await;
        take_over(&set_up);
        world.answers.add_permits(1);
        let came = answer.await.unwrap();
        assert_eq!((came.status, came.location.as_deref()), (303, Some(START)));
        assert!(came.text.is_empty());
        let mut second = set_up.peek();
        assert!(!second.has_relay_password());
        // What was answered before stands.
        second
            .answer_administrator(
                crate::typed::AdministratorForm { name: "Dana".into(), address: "dana".into() },
                wardpost_mail::Secret::new(PASSWORD.into()),
                &wardpost_mail::Secret::new(PASSWORD.into()),
            )
            .unwrap();
        let code =
            wardpost_directory::second_factor::code(second.factor(), std::time::SystemTime::now());
        second.prove_factor(code.expose(), std::time::SystemTime::now()).unwrap();
        assert!(matches!(second.answers().unwrap().outgoing, Outgoing::Direct));
    }
}

/// A kit that was made for whoever lost the seat is nobody's: they would have it on paper.
#[tokio::test]
async fn a_kit_of_whoever_lost_the_seat_is_not_kept() {
    let (set_up, _) = set_up(Fake::new());
    let mut first = Browser::new(&set_up);
    first.sit_down().await;
    first.answer_all().await;
    let sheet = tokio::spawn(async move { first.get(Step::Sheet.path()).await });
    // On this one thread it comes as far as where keys are made, and no further.
    tokio::task::yield_now().await;
    take_over(&set_up);
    let came = sheet.await.unwrap();
    assert_eq!(came.location.as_deref(), Some(START));
    assert!(came.text.is_empty() && set_up.peek().kit().is_none());
}

/// The last link is for whoever confirmed the sheet: nobody comes in between while it is being done.
#[tokio::test]
async fn nobody_takes_over_once_the_answers_are_put_to_work() {
    let (set_up, world) = set_up(Fake { takes: Duration::from_millis(200), ..Fake::new() });
    let (mut first, mut second) = (Browser::new(&set_up), Browser::new(&set_up));
    first.sit_down().await;
    first.answer_all().await;
    first.get(Step::Sheet.path()).await;
    let end = first.kit_end();
    let confirmed = send(first, Step::Sheet, &[("kit", &end)]).await;
    while !set_up.is_busy() {
        tokio::task::yield_now().await;
    }
    let code = set_up.status().code;
    let came = second.post(START, &[("code", code.expose())]).await;
    assert!(
        came.text.contains("One moment")
            && second.cookies.iter().all(|(name, _)| name != "__Host-set-up")
    );
    assert!(confirmed.await.unwrap().text.contains("/staff/welcome/"));
    assert_eq!(world.applied.lock().len(), 1);
    let came = second.post(START, &[("code", code.expose())]).await;
    assert_eq!(came.status, 200);
    assert!(!second.get(Step::Sheet.path()).await.text.contains("/staff/welcome/"));
    assert!(done(&set_up).await.is_some());
}

#[tokio::test]
async fn a_second_browser_with_the_code_takes_over() {
    let (set_up, world) = set_up(Fake::new());
    let (mut first, mut second) = (Browser::new(&set_up), Browser::new(&set_up));
    first.sit_down().await;
    first.answer_all().await;
    first.get(Step::Sheet.path()).await;
    let printed = first.kit_end();
    second.sit_down().await;
    assert_eq!(first.get(Step::Notices.path()).await.location.as_deref(), Some(START));
    assert!(first.get(START).await.text.contains("begun in another browser"));
    let came = first.post_raw(Step::Sheet.path(), &[("kit", &printed)]).await;
    assert_eq!(came.location.as_deref(), Some(START));
    // What was typed is not lost, but no password, app or sheet of somebody else counts.
    assert_eq!(second.get(START).await.location.as_deref(), Some(Step::Administrator.path()));
    let page = second.get(Step::Administrator.path()).await.text;
    assert!(page.contains("value=\"Dana\"") && !page.contains(PASSWORD));
    let fields = [("name", "Dana"), ("address", "dana"), ("password", ""), ("again", "")];
    assert_eq!(second.post(Step::Administrator.path(), &fields).await.status, 422);
    second.post(Step::Administrator.path(), ANSWERS[1].1).await;
    second.prove().await;
    assert!(second.get(Step::Notices.path()).await.text.contains("555 0100"));
    second.post(Step::Review.path(), &[]).await;
    second.get(Step::Sheet.path()).await;
    if printed != second.kit_end() {
        let came = second.post(Step::Sheet.path(), &[("kit", &printed)]).await;
        assert_eq!(came.status, 422);
    }
    let end = second.kit_end();
    assert_eq!(second.post(Step::Sheet.path(), &[("kit", &end)]).await.status, 200);
    assert_eq!(world.applied.lock().len(), 1);
}

/// Whoever presses the button twice, or loads a page meanwhile, waits; and it is done once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pressing_twice_does_it_once() {
    let (set_up, world) = set_up(Fake { takes: Duration::from_millis(300), ..Fake::new() });
    let mut dana = Browser::new(&set_up);
    dana.sit_down().await;
    dana.answer_all().await;
    let page = dana.get(Step::Sheet.path()).await;
    let (end, token) = (dana.kit_end(), hidden(&page.text, "form_token").unwrap());
    let press = |cookies: Vec<(String, String)>, kit: String| {
        let (mut browser, token) =
            (Browser { set_up: Arc::clone(&set_up), cookies }, token.clone());
        tokio::spawn(async move {
            browser.post_raw(Step::Sheet.path(), &[("kit", &kit), ("form_token", &token)]).await
        })
    };
    let presses = [
        press(dana.cookies.clone(), end.clone()),
        press(dana.cookies.clone(), end.clone()),
        press(dana.cookies.clone(), "a slip".to_owned()),
    ];
    let all = async {
        for press in presses {
            assert!([200, 422].contains(&press.await.unwrap().status));
        }
        assert!(dana.get(Step::Sheet.path()).await.text.contains("/staff/welcome/"));
    };
    tokio::time::timeout(Duration::from_secs(20), all).await.expect("nobody waits for himself");
    assert_eq!(world.applied.lock().len(), 1);
    assert!(done(&set_up).await.is_some());
}
