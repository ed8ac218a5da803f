//! Ten thousand letters to a thousand domains that refuse, stall or dawdle: a letter to a hospital that answered
//! before goes out past them, and so does one to a colleague who was never written to.

use std::thread;
use wardpost_tests::destinations::{COLLEAGUE, Destination, HOSPITAL};
use wardpost_tests::practice::{PATIENCE, Practice, message};
use wardpost_tests::smtp::Smtp;
use wardpost_tests::storm::{self, Storm};
use wardpost_tests::wardpost::{HOSTNAME, PASSWORD};
use wardpost_tests::{Lab, Result, wait_for};

const LETTERS: usize = 10_000;
const SESSIONS: usize = 8;
/// More attempts than Wardpost has places for.
const MANY: usize = 100;

#[test]
fn out_11_a_storm_delays_nobody() -> Result<()> {
    let lab = Lab::start_with(|plan| {
        Storm::plan(plan);
        Ok(())
    })?;
    let storm = Storm::start(&lab)?;
    let practice = Practice::open_in(lab, "")?;
    let hospital = HOSPITAL.start(&practice.lab)?;
    let colleague = COLLEAGUE.start(&practice.lab)?;
    write_to(&practice, "ward@hospital.test", "before-the-storm")?;
    hospital.wait_for_message("before-the-storm", PATIENCE)?;

    blow(&practice)?;
    wait_for("the storm to be felt", PATIENCE, || (storm.waiting() >= MANY).then_some(()))?;
    write_to(&practice, "ward@hospital.test", "in-the-storm")?;
    write_to(&practice, "joe@colleague.test", "first-words")?;
    hospital.wait_for_message("in-the-storm", PATIENCE)?;
    colleague.wait_for_message("first-words", PATIENCE)?;
    assert!(storm.waiting() >= MANY, "the storm is over");
    let status = practice.wardpost.cli(&["status", "--json"], "")?;
    let status: serde_json::Value = serde_json::from_str(&status)?;
    let waiting = status["queue_messages"].as_u64().ok_or("no count of messages")?;
    assert!(waiting >= 9_000, "only {waiting} others wait: this was no storm");
    Ok(())
}

fn write_to(practice: &Practice, to: &str, words: &str) -> Result<()> {
    practice.submit(&practice.dana, &[to], &message(&practice.dana, to, "Letter", words))
}

/// Ten letters to each domain, in turn.
fn blow(practice: &Practice) -> Result<()> {
    let part = &|first: usize| -> Result<()> {
        let mut smtp = Smtp::connect(practice.wardpost.submission())?;
        smtp.starttls(&practice.lab.ca, HOSTNAME)?;
        smtp.login(&practice.dana, PASSWORD)?;
        for n in (first..LETTERS).step_by(SESSIONS) {
            let to = format!("somebody@{}", storm::domain(n % storm::DOMAINS));
            smtp.send(&practice.dana, &[&to], &message(&practice.dana, &to, "Letter", "words"))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let parts: Vec<_> = (0..SESSIONS).map(|first| scope.spawn(move || part(first))).collect();
        parts.into_iter().try_for_each(|part| part.join().map_err(|_| "a session panicked")?)
    })
}
