//! Two browsers that jump about.

use super::super::*;
use super::house::{ANSWERS, Browser, Fake, PASSWORD, set_up};
use proptest::prelude::*;
use std::time::SystemTime;
use wardpost_directory::second_factor;

/// What a browser may do, in any order.
#[derive(Debug, Clone)]
enum Act {
    Code(bool),
    Get(usize),
    Post(usize, bool),
    Prove,
    Forge(usize),
    Finish(bool),
}

fn act() -> impl Strategy<Value = Act> {
    let post = (0..ANSWERS.len(), prop::bool::weighted(0.85));
    prop_oneof![
        1 => any::<bool>().prop_map(Act::Code),
        1 => (0..Step::ALL.len()).prop_map(Act::Get),
        5 => post.prop_map(|(n, good)| Act::Post(n, good)),
        1 => Just(Act::Prove),
        1 => (0..Step::ALL.len()).prop_map(Act::Forge),
        1 => any::<bool>().prop_map(Act::Finish),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// However two browsers jump about, what is put to work was answered in full, by whoever held the code,
    /// and confirmed; and it is put to work once.
    #[test]
    fn no_sequence_of_requests_gets_round_a_question(
        acts in prop::collection::vec((any::<bool>(), act()), 0..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (set_up, world) = set_up(Fake::new());
            let mut browsers = [Browser::new(&set_up), Browser::new(&set_up)];
            let mut holder = None;
            for (second, act) in acts {
                let who = usize::from(second);
                let browser = &mut browsers[who];
                let before = world.applied.lock().len();
                let mut confirmed = false;
                match act {
                    Act::Code(true) => {
                        let code = set_up.status().code;
                        let came = browser.post(START, &[("code", code.expose())]).await;
                        if came.status == 303 && holder != Some(who) {
                            holder = Some(who);
                        }
                    }
                    Act::Code(false) => drop(browser.post(START, &[("code", "nonsense")]).await),
                    Act::Get(n) => drop(browser.get(Step::ALL[n].path()).await),
                    Act::Post(n, good) => {
                        let (step, fields) = ANSWERS[n];
                        let wrong: Vec<_> = fields.iter().map(|(name, _)| (*name, "?")).collect();
                        let fields = if good { fields } else { &wrong };
                        drop(browser.post(step.path(), fields).await);
                    }
                    Act::Prove => {
                        let code = {
                            let shared = set_up.peek();
                            second_factor::code(shared.factor(), SystemTime::now())
                        };
                        let path = Step::SecondFactor.path();
                        drop(browser.post(path, &[("code", code.expose())]).await);
                    }
                    Act::Forge(n) => {
                        drop(browser.post_raw(Step::ALL[n].path(), &[("form_token", "x")]).await);
                    }
                    Act::Finish(right) => {
                        drop(browser.get(Step::Sheet.path()).await);
                        let end = if right { browser.kit_end() } else { "wrong".into() };
                        confirmed = right && !end.is_empty();
                        drop(browser.post(Step::Sheet.path(), &[("kit", &end)]).await);
                    }
                }
                let applied = world.applied.lock();
                assert!(applied.len() <= 1);
                if applied.len() > before {
                    assert!(confirmed && holder == Some(who));
                    let (answers, _) = &applied[0];
                    assert_eq!(answers.practice.domain.as_str(), "clinic.test");
                    assert_eq!(answers.administrator.address.to_string(), "dana@clinic.test");
                    assert_eq!(answers.administrator.password.expose(), PASSWORD);
                    assert_eq!(answers.notices.phone, "555 0100");
                }
                drop(applied);
                assert_eq!(set_up.is_over(), world.applied.lock().len() == 1);
            }
        });
    }
}
