//! kill -9 at any moment of a set-up leaves nothing or everything: either the next start asks all questions
//! again under another code, or the mail server runs. The certificate stays the one that the screen shows.

use crate::set_up::{DANA, Hand, Person, code_on_screen, expect};
use serde_json::Value;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;
use wardpost_tests::chromium::Chromium;
use wardpost_tests::wardpost::{PASSWORD, Wardpost};
use wardpost_tests::{Lab, Result, run};

const DIRECT: &[(&str, &str)] = &[("way", "direct")];

#[test]
fn box_01_kill_nine_leaves_all_or_nothing() -> Result<()> {
    let lab = Lab::start()?;
    let mut wardpost = Wardpost::prepare_new(&lab, false)?;
    wardpost.run()?;
    let fingerprint = shown(&wardpost)?["fingerprint"].clone();
    let first = code_on_screen(&wardpost)?;
    let hand = Hand::new(&lab, &wardpost, "first")?;
    hand.post("/set-up", &[("code", &first)])?;
    let fields = [("name", "Elm Street Clinic"), ("domain", "clinic.test")];
    expect(hand.post("/set-up/practice", &fields)?, "The first administrator")?;
    wardpost.kill();
    nothing(&wardpost)?;

    wardpost.run()?;
    assert_ne!(code_on_screen(&wardpost)?, first, "each start has another code");
    expect(hand.get("/set-up/administrator")?, "").map(|page| assert!(page.is_empty()))?;
    expect(hand.get("/set-up")?, "the server has started again since")?;
    let page = hand.post("/set-up", &[("code", &first)])?;
    expect(page, "That is not the code")?;
    hand.answer_all(&wardpost, DIRECT)?;
    wardpost.kill();
    nothing(&wardpost)?;

    let mut ends = Vec::new();
    for delay in [0, 60, 150, 300, 500, 800, 1_500, 4_000] {
        let done = killed_at_the_end(&lab, &mut wardpost, delay)
            .map_err(|error| format!("after {delay} ms: {error}\n{}", wardpost.log()))?;
        ends.push(done);
        if done {
            // The certificate did not change under the browser's feet.
            assert_eq!(shown(&wardpost)?["fingerprint"], fingerprint, "after {delay} ms");
            wardpost.kill();
            for file in [wardpost.config(), wardpost.config().with_file_name("system.key")] {
                fs::remove_file(file)?;
            }
            for entry in fs::read_dir(wardpost.data())? {
                let path = entry?.path();
                let kept = path
                    .file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with("self-signed"));
                match (kept, path.is_dir()) {
                    (true, _) => {}
                    (false, true) => fs::remove_dir_all(path)?,
                    (false, false) => fs::remove_file(path)?,
                }
            }
        }
    }
    assert!(ends.contains(&true), "none came to its end");
    assert_eq!(ends.first(), Some(&false), "all came to their end: {ends:?}");
    Ok(())
}

/// Answers everything, confirms, and kills after so many milliseconds. Whether the server was set up.
fn killed_at_the_end(lab: &Lab, wardpost: &mut Wardpost, delay: u64) -> Result<bool> {
    if wardpost.process().is_none() {
        wardpost.run()?;
    }
    let hand = Hand::new(lab, wardpost, &format!("after-{delay}"))?;
    let kit = hand.answer_all(wardpost, DIRECT)?;
    let mut confirming = hand.confirmation(&kit)?;
    let mut confirming = confirming.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    std::thread::sleep(Duration::from_millis(delay));
    wardpost.kill();
    // It was cut off, or not.
    let _ = confirming.wait();
    let done = wardpost.config().exists();
    wardpost.run()?;
    if !done {
        nothing(wardpost)?;
        code_on_screen(wardpost)?;
        return Ok(false);
    }
    wardpost.wait_for_ports()?;
    assert!(!wardpost.data().join("set-up-under-way").exists());
    let shown = wardpost.cli(&["account", "show", DANA], "")?;
    assert!(
        shown.contains("administrator  yes") && shown.contains("second factor  yes"),
        "{shown}"
    );
    wardpost.cli(&["account", "app-password", "add", DANA, "--password-stdin"], PASSWORD)?;
    let words = ["account", "recover", DANA, "--password-stdin"];
    wardpost.cli(&words, &format!("{kit}\nanother long password of mine\n"))?;
    Ok(true)
}

/// Nothing of a server is there but its certificate.
fn nothing(wardpost: &Wardpost) -> Result<()> {
    assert!(!wardpost.config().exists());
    if wardpost.process().is_some() {
        for entry in fs::read_dir(wardpost.data())? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            assert!(name.starts_with("self-signed") || name == "admin.sock", "{name}");
        }
    }
    Ok(())
}

/// What the screen shows.
fn shown(wardpost: &Wardpost) -> Result<Value> {
    Ok(serde_json::from_str(&wardpost.cli(&["console", "--json"], "")?)?)
}

/// One browser takes over from another; a person who guesses the code gets nowhere; data without a
/// configuration is not touched; the screen on a terminal fits.
#[test]
fn box_01_one_set_up_at_a_time() -> Result<()> {
    let lab = Lab::start()?;
    let mut wardpost = Wardpost::prepare_new(&lab, true)?;
    wardpost.run()?;
    let (first, second) =
        (Person::new(&lab, &wardpost, "first")?, Hand::new(&lab, &wardpost, "second")?);
    first.browser.open(crate::set_up::URL)?;
    first.fill(&[("code", &code_on_screen(&wardpost)?)])?;
    first.go_on("Your practice and its domain")?;
    first.fill(&[("name", "Elm Street Clinic"), ("domain", "clinic.test")])?;
    first.go_on("The first administrator")?;
    second.post("/set-up", &[("code", &code_on_screen(&wardpost)?)])?;
    expect(second.get("/set-up/practice")?, "Elm Street Clinic")?;
    first.fill(&[("name", "Dana"), ("address", "dana")])?;
    first.go_on("begun in another browser")?;
    first.picture("taken-over")?;

    let guesser = Hand::new(&lab, &wardpost, "guesser")?;
    let before = code_on_screen(&wardpost)?;
    for guess in 0..9 {
        expect(guesser.post("/set-up", &[("code", &format!("BCDF-GHJ{guess}"))])?, "not the code")?;
    }
    expect(guesser.post("/set-up", &[("code", "BCDF-GHJK")])?, "has made a new one")?;
    assert_ne!(code_on_screen(&wardpost)?, before);
    assert!(!wardpost.log().contains(&before) && !wardpost.log().contains("Elm Street"));
    // Who has a seat goes on.
    expect(second.get("/set-up/administrator")?, "Your name")?;
    let refused = wardpost.cli(&["account", "list"], "");
    assert!(refused.unwrap_err().to_string().contains("not set up yet"));

    let screen = on_a_terminal(&wardpost)?;
    assert!(screen.contains(&code_on_screen(&wardpost)?) && screen.contains("SHA-256"), "{screen}");
    assert!(screen.contains("\x1b[H") && screen.contains("\x1b[K"), "{screen}");

    wardpost.stop()?;
    fs::write(wardpost.data().join("FORMAT"), "1\n")?;
    let words = ["serve", "--set-up"];
    let output = wardpost.cli_output(&words, "")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("holds data") && said.contains("is missing"), "{said}");
    assert!(wardpost.data().join("FORMAT").exists());
    Ok(())
}

/// What a terminal of 80 columns and 25 lines gets in three seconds.
fn on_a_terminal(wardpost: &Wardpost) -> Result<String> {
    let program = wardpost_tests::wardpost::program()?;
    let command = format!(
        "stty cols 80 rows 25; exec timeout 3 {} console --config {}",
        program.display(),
        wardpost.config().display()
    );
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &format!("{command}; true"), "/dev/null"]);
    let output = script.env("TERM", "linux").stdin(Stdio::null()).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A certificate that nobody vouches for: a browser goes on when its owner says so, and is not asked again
/// when the mail server takes the set-up's place.
#[test]
fn box_01_the_browser_is_asked_once() -> Result<()> {
    let lab = Lab::start()?;
    let mut wardpost = Wardpost::prepare_new(&lab, false)?;
    wardpost.run()?;
    let hosts = format!("MAP {} {}", wardpost_tests::wardpost::HOSTNAME, wardpost.https().ip());
    let spki = pinned(&wardpost)?;
    // As if its owner had looked at the fingerprint: this key and no other.
    let trust = vec![
        format!("--ignore-certificate-errors-spki-list={spki}"),
        format!("--user-data-dir={}", lab.folder("profile")?.display()),
    ];
    let browser = Chromium::start_in(lab.folder("browsers")?.join("once"), &hosts, &trust)?;
    let url = crate::set_up::URL;
    browser.open(url)?;
    browser.wait_for_text("Five questions")?;
    let hand = Hand::new(&lab, &wardpost, "hand")?;
    let kit = hand.answer_all(&wardpost, DIRECT)?;
    expect(run(&mut hand.confirmation(&kit)?)?, "Your mail server is set up")?;
    wardpost.wait_for_ports()?;
    browser.open(&format!("{url}/staff"))?;
    browser.wait_for_text("Staff sign-in")?;
    let serving = shown(&wardpost)?;
    assert_eq!(serving["stage"]["serving"]["hostname"], "mail.clinic.test", "{serving}");
    let screen = on_a_terminal(&wardpost)?;
    assert!(screen.contains("https://mail.clinic.test/staff"), "{screen}");
    Ok(())
}

/// The digest of the key that the server shows, as Chromium wants it.
fn pinned(wardpost: &Wardpost) -> Result<String> {
    let pipe = format!(
        "openssl s_client -connect {} </dev/null 2>/dev/null | openssl x509 -pubkey -noout | \
         openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64",
        wardpost.https()
    );
    Ok(run(Command::new("sh").args(["-c", &pipe]))?.trim().to_owned())
}
