//! Wrong settings, a wrong key, a port in use: each ends at once with a sentence that says what to do, and
//! harms nothing.

use std::fs;
use std::net::TcpListener;
use wardpost_tests::practice::{Practice, message};
use wardpost_tests::wardpost::Wardpost;
use wardpost_tests::{Lab, Result};

/// Runs `wardpost serve`, which must fail; gives its exit code and what it said.
fn refused(wardpost: &Wardpost) -> Result<(Option<i32>, String)> {
    let output = wardpost.cli_output(&["serve"], "")?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

#[test]
fn ops_01_unknown_setting_names_line_and_nearest_key() -> Result<()> {
    let lab = Lab::start()?;
    let wardpost = Wardpost::prepare(&lab, "[limitz]\nmessage_bytes = 1")?;
    for verb in ["check", "serve"] {
        let output = wardpost.cli_output(&[verb], "")?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("limitz") && said.contains("limits"), "{said}");
        assert!(said.contains("wardpost.toml:"), "no line number: {said}");
    }
    Ok(())
}

#[test]
fn ops_02_wrong_key_is_refused_and_nothing_touched() -> Result<()> {
    let mut practice = Practice::open()?;
    let text = message("a@hospital.test", &practice.dana, "x", "still here");
    practice.stranger()?.send("a@hospital.test", &[&practice.dana], &text)?;
    practice.wardpost.stop()?;

    let key = practice.wardpost.data().with_file_name("system.key");
    let right = fs::read(&key)?;
    let mut wrong = right.clone();
    let digit = wrong.iter().position(u8::is_ascii_alphanumeric).ok_or("an empty key file")?;
    wrong[digit] = if wrong[digit] == b'7' { b'3' } else { b'7' };
    fs::write(&key, &wrong)?;
    let (code, said) = refused(&practice.wardpost)?;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("key"), "{said}");

    let aside = key.with_extension("aside");
    fs::write(&key, &right)?;
    fs::rename(&key, &aside)?;
    let (code, said) = refused(&practice.wardpost)?;
    assert_eq!(code, Some(1), "{said}");
    assert!(!key.exists(), "a new key was made beside data of another key");

    fs::rename(&aside, &key)?;
    practice.wardpost.run()?;
    practice.wait_for_mail(&practice.dana, "still here")?;
    Ok(())
}

#[test]
fn ops_03_port_in_use_is_named() -> Result<()> {
    let lab = Lab::start()?;
    let wardpost = Wardpost::prepare(&lab, "")?;
    let _taken = TcpListener::bind(wardpost.imaps())?;
    let (code, said) = refused(&wardpost)?;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&wardpost.imaps().to_string()) && said.contains("in use"), "{said}");
    Ok(())
}
