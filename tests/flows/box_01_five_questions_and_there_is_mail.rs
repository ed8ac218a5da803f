//! A new server is set up in a browser: bad answers get a sentence and nothing typed is lost, the sheet is
//! confirmed, the last link signs in, and mail that comes from outside is read with an app password.

use crate::set_up::{DANA, NAME, Person, URL, code, code_on_screen};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use wardpost_tests::imap::Imap;
use wardpost_tests::practice::{exists, message};
use wardpost_tests::smtp::Smtp;
use wardpost_tests::wardpost::{HOSTNAME, PASSWORD, Wardpost};
use wardpost_tests::{DOMAIN, Lab, Result, run, wait_for};

const DISK_KEY: &str = "bdefghij-klnrtuvc-hgjkdeln-bcdefhij";

#[test]
fn box_01_five_questions_and_there_is_mail() -> Result<()> {
    let lab = Lab::start()?;
    let mut wardpost = Wardpost::prepare_new(&lab, true)?;
    fs::create_dir_all(wardpost.disk_folder())?;
    fs::write(wardpost.disk_folder().join("recovery-key"), format!("{DISK_KEY}\n"))?;
    fs::write(wardpost.disk_folder().join("unlock"), "tpm\n")?;
    wardpost.run()?;
    story(&lab, &mut wardpost).map_err(|error| format!("{error}\n{}", wardpost.log()).into())
}

fn story(lab: &Lab, wardpost: &mut Wardpost) -> Result<()> {
    let said = wardpost.cli(&["console"], "")?;
    assert!(said.contains("set-up") && said.contains("https://127."), "{said}");
    assert_eq!(said, wardpost.cli(&["status"], "")?);

    let dana = Person::new(lab, wardpost, "dana")?;
    let key = answers(&dana, wardpost)?;
    sheet(&dana)?;
    let kit = dana.sheet()?.0;
    dana.confirm()?;
    dana.picture("end")?;
    dana.browser.click("main a.button")?;
    // Nobody types a password again.
    dana.browser.wait_for_text("Your mail server is ready")?;
    dana.browser.click("main form button")?;
    dana.browser.wait_for_text("Looked at")?;
    dana.browser.open(&format!("{URL}/admin/dns"))?;
    dana.browser.wait_for_text("v=DMARC1")?;
    dana.browser.open(&format!("{URL}/set-up/practice"))?;
    dana.browser.wait_for_text("This server is set up")?;

    wardpost.wait_for_ports()?;
    what_was_written(wardpost)?;
    reads_mail(lab, wardpost)?;
    signs_in(lab, wardpost, &key)?;

    wardpost.stop()?;
    wardpost.run()?;
    let accounts = wardpost.cli(&["account", "show", DANA], "")?;
    assert!(accounts.contains("administrator  yes"), "{accounts}");
    let words = ["account", "recover", DANA, "--password-stdin"];
    wardpost.cli(&words, &format!("{kit}\nanother long password of mine\n"))?;
    let log = wardpost.log();
    for secret in [DANA, NAME, PASSWORD, DISK_KEY, &kit, &key] {
        assert!(!log.contains(secret), "the log has {secret}");
    }
    let complaints = dana.browser.complaints()?;
    let policy: Vec<_> = complaints.iter().filter(|text| text.contains("Policy")).collect();
    assert!(policy.is_empty(), "{policy:?}");
    Ok(())
}

/// The five questions, with a slip at each.
fn answers(dana: &Person, wardpost: &Wardpost) -> Result<String> {
    dana.browser.open(URL)?;
    dana.browser.wait_for_text("Five questions")?;
    dana.picture("code")?;
    dana.fill(&[("code", "KM7X-4PTR")])?;
    dana.go_on("That is not the code")?;
    dana.picture("code-wrong")?;
    dana.fill(&[("code", &code_on_screen(wardpost)?)])?;
    dana.go_on("Your practice and its domain")?;
    dana.fill(&[("name", NAME), ("domain", DOMAIN)])?;
    dana.picture("practice")?;

    dana.fill(&[("domain", "clinic")])?;
    dana.go_on("is not a domain")?;
    kept(dana, "name", NAME)?;
    dana.picture("practice-wrong")?;
    // A domain whose mail goes elsewhere may be theirs all the same.
    dana.fill(&[("domain", "hospital.test")])?;
    dana.go_on("goes to other servers today")?;
    dana.picture("practice-taken")?;
    dana.fill(&[("domain", "nowhere.clinic.test")])?;
    dana.go_on("There is no domain called nowhere.clinic.test yet")?;
    dana.go_on("The first administrator")?;
    dana.browser.open(&format!("{URL}/set-up/practice"))?;
    dana.fill(&[("domain", DOMAIN)])?;
    dana.go_on("The first administrator")?;

    dana.fill(&[("name", "Dr. Dana Reyes"), ("address", "dana")])?;
    dana.picture("administrator")?;
    dana.fill(&[("password", "short")])?;
    dana.go_on("type the same password here once more")?;
    dana.fill(&[("password", "short"), ("again", "short")])?;
    dana.go_on("shorter than 15 characters")?;
    kept(dana, "address", "dana")?;
    kept(dana, "password", "")?;
    dana.picture("administrator-wrong")?;
    dana.fill(&[("address", "dana@elsewhere.test"), ("password", PASSWORD), ("again", PASSWORD)])?;
    dana.go_on("must end in @clinic.test")?;
    dana.picture("administrator-elsewhere")?;
    let html = dana.browser.script("return document.documentElement.outerHTML")?;
    assert!(!html.as_str().unwrap_or_default().contains(PASSWORD), "the password is in the page");
    dana.fill(&[("address", "dana")])?;
    dana.go_on("Your authenticator app")?;

    dana.picture("factor")?;
    dana.fill(&[("code", "000000")])?;
    dana.go_on("That is not the code")?;
    let key = dana.key()?;
    dana.fill(&[("code", &code(&key)?)])?;
    dana.go_on("Telephone and contact")?;
    kept(dana, "contact", DANA)?;
    dana.fill(&[("phone", "call me")])?;
    dana.go_on("is not a telephone number")?;
    dana.picture("notices-wrong")?;
    dana.browser.open(&format!("{URL}/set-up/notices"))?;
    dana.fill(&[("phone", "+1 555 0100")])?;
    dana.picture("notices")?;
    dana.go_on("How mail goes out")?;
    dana.picture("outgoing")?;
    dana.browser.click("#smarthost")?;
    dana.fill(&[
        ("host", "smtp.nowhere.test"),
        ("user", "clinic"),
        ("password", "hunter2hunter2"),
    ])?;
    dana.go_on("There is no server called smtp.nowhere.test")?;
    dana.picture("outgoing-smarthost")?;
    dana.browser.click("#direct")?;
    dana.go_on("Where backups will go")?;
    dana.picture("backups")?;
    dana.fill(&[("destination", "the NAS in the cellar")])?;
    dana.go_on("Is everything right?")?;
    dana.picture("review")?;
    // One answer is changed, and the overview comes again.
    dana.browser.click("a[aria-label='Change the telephone number']")?;
    dana.browser.wait_for_text("Telephone and contact")?;
    dana.go_on("Is everything right?")?;
    dana.go_on("Print the recovery sheet")?;
    Ok(key)
}

/// The sheet is not confirmed by anything but what is on it.
fn sheet(dana: &Person) -> Result<()> {
    dana.picture("sheet")?;
    let (kit, disk) = dana.sheet()?;
    assert_eq!(disk.as_deref(), Some(DISK_KEY));
    assert!(kit.len() > 60, "{kit}");
    let paper = printed(dana)?;
    for part in [kit.as_str(), DISK_KEY, NAME, "Recovery sheet", "locked away"] {
        assert!(paper.contains(&squeezed(part)), "{part} is not on paper: {paper}");
    }
    for part in ["Is it on paper?", "Back", "Print this page"] {
        assert!(!paper.contains(&squeezed(part)), "{part} is on paper: {paper}");
    }
    dana.fill(&[("kit", "aaaa-aa"), ("disk", "bcdefhij")])?;
    dana.go_on("This is not the end of what is printed")?;
    dana.picture("sheet-wrong")?;
    assert_eq!(dana.sheet()?.0, kit, "the kit stays the same");
    Ok(())
}

/// What is on paper, without spaces. It is one page.
fn printed(dana: &Person) -> Result<String> {
    let file = dana.browser.folder().join("sheet.pdf");
    dana.browser.print(&file)?;
    if let Some(folder) = std::env::var_os("WARDPOST_PICTURES") {
        fs::copy(&file, std::path::Path::new(&folder).join("set-up-sheet.pdf"))?;
    }
    let text = run(Command::new("pdftotext").arg("-layout").arg(&file).arg("-"))?;
    assert_eq!(text.matches('\x0c').count(), 1, "more than one page:\n{text}");
    Ok(squeezed(&text))
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}

fn kept(dana: &Person, field: &str, text: &str) -> Result<()> {
    let value = dana.browser.script(&format!("return document.querySelector('#{field}').value"))?;
    assert_eq!(value, text, "{field}");
    Ok(())
}

fn what_was_written(wardpost: &Wardpost) -> Result<()> {
    let config = fs::read_to_string(wardpost.config())?;
    for part in [
        "hostname = \"mail.clinic.test\"",
        "domain = \"clinic.test\"",
        "name = \"Elm Street Clinic\"",
        "phone = \"+1 555 0100\"",
        "contact = \"dana@clinic.test\"",
        "destination = \"the NAS in the cellar\"",
        "system_key_file",
        "extra_roots",
        "# ",
    ] {
        assert!(config.contains(part), "{part} is not in\n{config}");
    }
    assert!(!config.contains(PASSWORD) && !config.contains(DISK_KEY));
    assert_eq!(fs::metadata(wardpost.config())?.permissions().mode() & 0o777, 0o600);
    wardpost.cli(&["check"], "")?;
    assert!(wardpost.data().join("recovery-key-confirmed").exists());
    wait_for("the disk's key to be forgotten", std::time::Duration::from_secs(10), || {
        (!wardpost.disk_folder().join("recovery-key").exists()).then_some(())
    })?;
    assert!(!wardpost.data().join("set-up-under-way").exists());
    Ok(())
}

/// Mail comes, and is read with an app password; the password alone opens nothing.
fn reads_mail(lab: &Lab, wardpost: &Wardpost) -> Result<()> {
    let mut stranger = Smtp::connect(wardpost.mx())?;
    stranger.starttls(&lab.ca, HOSTNAME)?;
    let mail = message("pat@plainmail.test", DANA, "Welcome", "The first letter.");
    stranger.send("pat@nomail.test", &[DANA], &mail)?;
    let login = |password: &str| Imap::login(wardpost.imaps(), &lab.ca, HOSTNAME, DANA, password);
    assert!(login(PASSWORD).is_err(), "the password alone opens the mailbox");
    let words = ["account", "app-password", "add", DANA, "--password-stdin"];
    let app = wardpost.cli(&words, PASSWORD)?;
    let mut imap = login(app.trim())?;
    wait_for("the first letter", std::time::Duration::from_secs(30), || {
        let answer = imap.must("LIST \"\" *").and_then(|_| imap.must("SELECT INBOX")).ok()?;
        let all = (1..=exists(&answer)?).rev();
        let mut all = all.filter_map(|n| imap.must(&format!("FETCH {n} BODY.PEEK[]")).ok());
        all.find(|text| text.contains("The first letter."))
    })?;
    Ok(())
}

/// Signing in later: with the password and the app.
fn signs_in(lab: &Lab, wardpost: &Wardpost, key: &str) -> Result<()> {
    let later = Person::new(lab, wardpost, "later")?;
    later.browser.open(&format!("{URL}/staff"))?;
    later.fill(&[("address", DANA), ("password", PASSWORD)])?;
    later.go_on("Second step")?;
    later.fill(&[("code", &code(key)?)])?;
    later.go_on("Hello, Dr. Dana Reyes")
}
