//! swaks submits over 465 and 587 with every mechanism that is offered, and is told no where it should be.

use std::process::Command;
use wardpost_tests::Result;
use wardpost_tests::destinations::{Destination, HOSPITAL};
use wardpost_tests::practice::{PATIENCE, Practice};
use wardpost_tests::wardpost::PASSWORD;

/// Runs swaks; gives whether it succeeded and the whole conversation.
fn swaks(practice: &Practice, words: &[&str]) -> Result<(bool, String)> {
    let output = Command::new("swaks")
        .args(["--helo", "desk.test", "--tls-verify", "--tls-ca-path"])
        .arg(&practice.lab.ca.root)
        .args(words)
        .output()
        .map_err(|e| format!("swaks: {e}"))?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

#[test]
fn sub_01_swaks_submits() -> Result<()> {
    let practice = Practice::open()?;
    let hospital = HOSPITAL.start(&practice.lab)?;
    let wardpost = &practice.wardpost;
    let (inside, upgraded) =
        (wardpost.submissions().to_string(), wardpost.submission().to_string());
    let dana = practice.dana.as_str();
    let mut sent = 0;
    for (server, tls) in [(&inside, "--tls-on-connect"), (&upgraded, "--tls")] {
        for mechanism in ["LOGIN", "PLAIN"] {
            let body = format!("over {tls} with {mechanism}");
            let envelope = ["--server", server, tls, "--from", dana, "--to", "ward@hospital.test"];
            let login = ["--auth", mechanism, "--auth-user", dana, "--auth-password"];
            let (worked, said) =
                swaks(&practice, &[&envelope[..], &login, &[PASSWORD, "--body", &body]].concat())?;
            assert!(worked, "{said}");
            hospital.wait_for_message(&body, PATIENCE)?;
            sent += 1;

            let (worked, said) = swaks(&practice, &[&envelope[..], &login, &["wrong"]].concat())?;
            assert!(!worked && said.contains("535 5.7.8"), "{said}");
        }
        let (worked, said) = swaks(
            &practice,
            &["--server", server, tls, "--from", dana, "--to", "ward@hospital.test"],
        )?;
        assert!(!worked && said.contains("530 5.7.0"), "sent without a password: {said}");
        let forged =
            ["--server", server, tls, "--from", &practice.lee, "--to", "ward@hospital.test"];
        let login = ["--auth", "LOGIN", "--auth-user", dana, "--auth-password", PASSWORD];
        let (worked, said) = swaks(&practice, &[&forged[..], &login].concat())?;
        assert!(!worked && said.contains("5.7.1"), "sent as somebody else: {said}");
    }
    assert_eq!(hospital.messages().len(), sent);
    Ok(())
}
