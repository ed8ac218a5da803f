//! Python's imaplib and smtplib do what a mail program does all day: read, search, flag, move, delete, send.

use std::fs;
use std::process::Command;
use wardpost_tests::practice::{Practice, message};
use wardpost_tests::wardpost::PASSWORD;
use wardpost_tests::{Result, run};

const SCRIPT: &str = include_str!("imap_02_day.py");

#[test]
fn imap_02_python_works_through_a_day() -> Result<()> {
    let practice = Practice::open()?;
    for n in 1..=5 {
        let text = message(
            "a@hospital.test",
            &practice.dana,
            &format!("letter {n}"),
            &format!("text {n}"),
        );
        practice.stranger()?.send("a@hospital.test", &[&practice.dana], &text)?;
    }
    let script = practice.lab.folder("python")?.join("day.py");
    fs::write(&script, SCRIPT)?;
    let said = run(Command::new("python3")
        .arg(&script)
        .arg(practice.wardpost.imaps().ip().to_string())
        .arg(&practice.lab.ca.root)
        .args([&practice.dana, &practice.lee])
        .arg(PASSWORD))
    .map_err(|e| format!("{e}\n{}", practice.wardpost.log()))?;
    assert!(said.trim_end().ends_with("a full day"), "{said}");
    practice.wait_for_mail(&practice.lee, "See you at lunch")?;
    Ok(())
}
