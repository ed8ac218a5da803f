//! Dana signs in with a password and a code from her phone, connects the phone by a QR code, reads and sends
//! with the app password that came that way, and takes it away again. Whoever is not Dana gets nowhere, and
//! Dana hears of it, changes her password, and cuts off a colleague whose bag was stolen.
//!
//! The pictures of all pages are kept in the folder `WARDPOST_PICTURES`, if that is set.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;
use wardpost_tests::chromium::Chromium;
use wardpost_tests::imap::Imap;
use wardpost_tests::practice::{Practice, message};
use wardpost_tests::smtp::Smtp;
use wardpost_tests::wardpost::{HOSTNAME, PASSWORD};
use wardpost_tests::{Lab, Result, run, wait_for};

const URL: &str = "https://mail.clinic.test:8443";
const ANOTHER_PASSWORD: &str = "seven green kites over the bay";
const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, \
     like Gecko) Version/18.1 Mobile/15E148 Safari/604.1";

#[test]
fn box_02_phone_is_connected_and_taken_away() -> Result<()> {
    let lab = Lab::start()?;
    let token = lab.folder("token")?.join("metrics");
    fs::write(&token, "a-token-that-is-long-enough-for-anybody\n")?;
    let metrics = format!("[metrics]\ntoken_file = \"{}\"\n", token.display());
    let practice = Practice::open_in(lab, &metrics)?;
    practice.wardpost.cli(&["account", "administrator", &practice.dana], "")?;
    for command in [
        ["account", "administrator", &practice.dana, "--remove"].as_slice(),
        &["account", "remove", &practice.dana, "--yes"],
    ] {
        let refused = practice.wardpost.cli(command, "").expect_err("nobody is left").to_string();
        assert!(refused.contains("make somebody else one first"), "{refused}");
    }
    let desk = Desk::new(&practice, "dana")?;

    desk.goes_to_the_staff_pages()?;
    desk.sign_in(&practice.dana, PASSWORD)?;
    desk.browser.wait_for_text("Hello, Dr. Dana Reyes")?;
    let key = desk.sets_up_two_steps()?;
    desk.signs_out()?;
    desk.sign_in(&practice.dana, PASSWORD)?;
    desk.browser.wait_for_text("Second step")?;
    desk.picture("code")?;
    desk.enter_code(&code(&key)?)?;
    desk.browser.wait_for_text("Hello, Dr. Dana Reyes")?;

    let refused = log_in(&practice, &practice.dana, PASSWORD);
    assert!(refused.is_err(), "the password alone opens the mailbox");
    let password = desk.connects_a_phone(&practice)?;
    let mut session = log_in(&practice, &practice.dana, &password)?;
    session.must("SELECT INBOX")?;
    let mail = message(&practice.dana, &practice.lee, "From the phone", "Sent on the way.");
    submit(&practice, &practice.dana, &password, &practice.lee, &mail)?;
    practice.wait_for_mail(&practice.lee, "Sent on the way.")?;

    desk.takes_the_phone_away()?;
    wait_for("the phone's session to end", Duration::from_secs(20), || session.must("NOOP").err())?;
    assert!(log_in(&practice, &practice.dana, &password).is_err(), "it still reads");
    let sent = submit(&practice, &practice.dana, &password, &practice.lee, &mail);
    assert!(sent.is_err(), "it still sends");

    desk.looks_after_the_box()?;
    let lee = nobody_else_gets_in(&practice, &desk)?;
    desk.hears_of_wrong_codes(&practice, &key)?;
    desk.changes_the_password()?;
    desk.cuts_off(&practice, &lee)?;
    let complaints = desk.browser.complaints()?;
    let policy: Vec<_> = complaints.iter().filter(|text| text.contains("Policy")).collect();
    assert!(policy.is_empty(), "{policy:?}");
    assert!(!practice.wardpost.log().contains(&practice.dana), "the log names somebody");
    Ok(())
}

/// Dana's computer.
struct Desk {
    browser: Chromium,
    folder: PathBuf,
}

impl Desk {
    fn new(practice: &Practice, name: &str) -> Result<Self> {
        let browser = Chromium::start(&practice.lab, &practice.wardpost, name, &[])?;
        browser.look(1100, false, false)?;
        Ok(Self { browser, folder: practice.lab.folder("pictures")? })
    }

    fn goes_to_the_staff_pages(&self) -> Result<()> {
        self.browser.open(&format!("{URL}/"))?;
        self.picture("landing")?;
        self.browser.click("a[href='/staff']")?;
        self.browser.wait_for_text("Staff sign-in")?;
        self.picture("sign-in")?;
        self.browser.open(&format!("{URL}/staff/lost"))?;
        self.picture("lost")?;
        self.browser.open(&format!("{URL}/staff/lost/password"))?;
        self.picture("lost-password")?;
        self.browser.open(&format!("{URL}/staff"))
    }

    fn sign_in(&self, address: &str, password: &str) -> Result<()> {
        self.browser.open(&format!("{URL}/staff"))?;
        self.browser.type_into("#address", address)?;
        self.browser.type_into("#password", password)?;
        self.browser.click("main form button")
    }

    fn enter_code(&self, code: &str) -> Result<()> {
        self.browser.type_into("#code", code)?;
        self.browser.click("main form button")
    }

    fn signs_out(&self) -> Result<()> {
        self.browser.click(".nav button")?;
        self.browser.wait_for_text("You are signed out").map(|_| ())
    }

    /// Sets two-step sign-in up as an app would see it; gives the key that the app keeps.
    fn sets_up_two_steps(&self) -> Result<String> {
        self.picture("start")?;
        self.browser.open(&format!("{URL}/staff/second-factor"))?;
        self.picture("second-factor")?;
        self.browser.type_into("#password", PASSWORD)?;
        self.browser.click("main form button")?;
        self.browser.wait_for_text("Code that the app shows now")?;
        self.picture("second-factor-new")?;
        let uri = self.scan()?;
        let key = uri.split("secret=").nth(1).ok_or("no secret in the code")?;
        let key = key.split('&').next().unwrap_or_default().to_owned();
        self.enter_code("12 34 5")?;
        self.browser.wait_for_text("nothing was changed")?;
        self.browser.script("document.querySelector('#code').value = ''")?;
        self.enter_code(&code(&key)?)?;
        self.browser.wait_for_text("Two-step sign-in is set up")?;
        Ok(key)
    }

    /// Connects a phone, and gives the app password that the phone shows.
    fn connects_a_phone(&self, practice: &Practice) -> Result<String> {
        self.browser.open(&format!("{URL}/staff/phone"))?;
        self.picture("devices-none")?;
        self.browser.type_into("#name", "Dana's phone")?;
        self.browser.click("main form button")?;
        self.browser.wait_for_text("Point its camera at this code")?;
        self.picture("device-new")?;
        let link = self.scan()?;
        assert!(link.starts_with(&format!("{URL}/staff/connect/")), "{link}");

        let phone = Chromium::start(&practice.lab, &practice.wardpost, "phone", &[])?;
        phone.open(&link)?;
        self.picture_of(&phone, "connect")?;
        fits(&phone)?;
        phone.click("main form button")?;
        let settings = phone.wait_for_text("Your mail settings")?;
        assert!(settings.contains("9930") && settings.contains(HOSTNAME), "{settings}");
        fits(&phone)?;
        self.picture_of(&phone, "connect-settings")?;
        let password = phone.script("return document.querySelector('#s-password').textContent")?;
        let password = password.as_str().ok_or("no app password")?.to_owned();
        assert!(!settings.contains("iPhone"), "{settings}");
        phone.pose_as(IPHONE)?;
        phone.open(&phone.address()?)?;
        phone.wait_for_text("iPhone, iPad and Mac")?;
        self.picture_of(&phone, "connect-settings-iphone")?;
        let profile = download(&phone, "a.button")?;
        assert!(profile.contains(&password) && profile.contains(HOSTNAME), "{profile}");

        let thief = Chromium::start(&practice.lab, &practice.wardpost, "thief", &[])?;
        thief.open(&link)?;
        thief.click("main form button")?;
        thief.wait_for_text("This link works no longer")?;
        self.picture_of(&thief, "connect-over")?;

        self.browser.open(&format!("{URL}/staff/phone/new"))?;
        self.browser.wait_for_text("The code was used")?;
        self.browser.open(&format!("{URL}/staff/phone"))?;
        self.browser.wait_for_text("Dana's phone")?;
        self.picture("devices")?;
        Ok(password)
    }

    fn takes_the_phone_away(&self) -> Result<()> {
        self.browser.open(&format!("{URL}/staff/phone"))?;
        self.browser.click(".devices a")?;
        self.browser.wait_for_text("Take away “Dana's phone”?")?;
        self.picture("device-remove")?;
        self.browser.click("main form button")?;
        self.browser.wait_for_text("The device was taken away").map(|_| ())
    }

    /// The pages for administrators.
    fn looks_after_the_box(&self) -> Result<()> {
        self.browser.open(&format!("{URL}/admin"))?;
        self.browser.wait_for_text("Looked at")?;
        self.picture("health")?;
        self.browser.click("main form button")?;
        self.browser.wait_for_text("Looked at less than a minute ago")?;
        self.browser.open(&format!("{URL}/admin/dns"))?;
        let page = self.browser.wait_for_text("v=DMARC1")?;
        assert!(page.contains("_dmarc") && !page.contains("10 mail.clinic.test."), "{page}");
        self.picture("dns")?;
        self.browser.click("details summary")?;
        self.browser.wait_for_text("10 mail.clinic.test.")?;
        self.browser.open(&format!("{URL}/admin/people"))?;
        self.browser.wait_for_text("Lee Park")?;
        self.picture("people")?;
        self.browser.open(&format!("{URL}/admin/watch"))?;
        self.picture("watch")?;
        assert!(!self.browser.text()?.contains("a-token-that"));
        self.browser.click("main form button")?;
        self.browser.wait_for_text("a-token-that-is-long-enough-for-anybody")?;
        self.picture("watch-token")
    }

    /// Signs in after somebody else guessed codes: the wait is for everybody, and the start page says why.
    fn hears_of_wrong_codes(&self, practice: &Practice, key: &str) -> Result<()> {
        self.sign_in(&practice.dana, PASSWORD)?;
        self.browser.wait_for_text("Second step")?;
        // As long as the last wrong code makes the next one wait.
        wait_for("a right code to count", Duration::from_secs(120), || {
            self.enter_code(&code(key).ok()?).ok()?;
            thread::sleep(Duration::from_secs(5));
            self.browser.text().ok().filter(|text| text.contains("Hello, Dr. Dana Reyes"))
        })?;
        self.browser.wait_for_text("wrong codes were tried since")?;
        self.picture("start-wrong-codes")
    }

    fn changes_the_password(&self) -> Result<()> {
        self.browser.click("a[href='/staff/password']")?;
        self.browser.wait_for_text("Password until now")?;
        self.picture("password")?;
        self.browser.type_into("#password", PASSWORD)?;
        self.browser.type_into("#new", ANOTHER_PASSWORD)?;
        self.browser.type_into("#again", ANOTHER_PASSWORD)?;
        self.browser.click("main form button")?;
        self.browser.wait_for_text("Your new password is set")?;
        self.picture("password-done")
    }

    /// Signs a colleague, who is at the pages, out everywhere.
    fn cuts_off(&self, practice: &Practice, lee: &Desk) -> Result<()> {
        lee.browser.open(&format!("{URL}/staff/phone"))?;
        lee.browser.wait_for_text("is in no list")?;
        lee.picture("devices-no-second-factor")?;
        let mut session = log_in(practice, &practice.lee, PASSWORD)?;
        self.browser.open(&format!("{URL}/admin/people"))?;
        self.browser.click("a[href^='/admin/people/'][href$='2']")?;
        self.browser.wait_for_text("Stolen password, stolen devices")?;
        self.picture("person")?;
        self.browser.click("a[href$='/cut-off']")?;
        self.browser.wait_for_text("Sign out Lee Park everywhere?")?;
        self.picture("person-cut-off")?;
        self.browser.click("main form button")?;
        self.browser.wait_for_text("Signed out everywhere")?;
        self.picture("person-cut-off-done")?;
        let over = || session.must("NOOP").err();
        wait_for("Lee's mail program to be signed out", Duration::from_secs(20), over)?;
        lee.browser.open(&format!("{URL}/staff/phone"))?;
        lee.browser.wait_for_text("Please sign in again").map(|_| ())
    }

    /// What the QR code on the page says, to whoever photographs the screen.
    fn scan(&self) -> Result<String> {
        let file = self.folder.join("screen.png");
        self.browser.picture(&file)?;
        let said = run(Command::new("zbarimg").args(["--quiet", "--raw"]).arg(&file))?;
        Ok(said.trim().to_owned())
    }

    fn picture(&self, name: &str) -> Result<()> {
        self.picture_of(&self.browser, name)?;
        self.browser.look(1100, false, false)
    }

    /// Pictures of a page for people to look at: wide and narrow, light and dark.
    fn picture_of(&self, browser: &Chromium, name: &str) -> Result<()> {
        let Some(folder) = env::var_os("WARDPOST_PICTURES") else { return Ok(()) };
        for (width, phone) in [(1100, false), (375, true)] {
            for dark in [false, true] {
                browser.look(width, phone, dark)?;
                let shade = if dark { "dark" } else { "light" };
                browser.picture(&Path::new(&folder).join(format!("{name}-{width}-{shade}.png")))?;
            }
        }
        browser.look(360, true, false)
    }
}

/// Lee, who is no administrator; somebody with a made-up session; somebody who guesses codes.
fn nobody_else_gets_in(practice: &Practice, dana: &Desk) -> Result<Desk> {
    let lee = Desk::new(practice, "lee")?;
    lee.sign_in(&practice.lee, PASSWORD)?;
    lee.browser.wait_for_text("Hello, Lee Park")?;
    for page in ["/admin", "/admin/dns", "/admin/watch", "/admin/dns/zone/clinic.test"] {
        lee.browser.open(&format!("{URL}{page}"))?;
        let page = lee.browser.wait_for_text("This page is for administrators")?;
        assert!(!page.contains("v=DMARC1"), "{page}");
    }
    lee.picture("not-administrator")?;

    let forger = Desk::new(practice, "forger")?;
    forger.browser.open(&format!("{URL}/staff"))?;
    let cookie = format!("__Host-staff={}; Path=/; Secure", "A".repeat(43));
    forger.browser.script(&format!("document.cookie = '{cookie}'"))?;
    forger.browser.open(&format!("{URL}/staff/phone"))?;
    forger.browser.wait_for_text("Please sign in again")?;
    forger.picture("signed-out")?;

    forger.sign_in(&practice.dana, PASSWORD)?;
    forger.browser.wait_for_text("Second step")?;
    for guess in 0..10 {
        forger.browser.script("document.querySelector('#code').value = ''")?;
        forger.enter_code(&format!("{guess:06}"))?;
        forger.browser.wait_for_text("Second step")?;
    }
    forger.picture("code-wrong")?;
    forger.browser.open(&format!("{URL}/staff/code"))?;
    forger.browser.wait_for_text("Staff sign-in")?;

    dana.browser.open(&format!("{URL}/staff"))?;
    dana.browser.wait_for_text("Hello, Dr. Dana Reyes")?;
    dana.picture("start-two-steps")?;
    dana.signs_out()?;
    dana.browser.open(&format!("{URL}/staff/phone"))?;
    dana.browser.wait_for_text("Staff sign-in")?;
    Ok(lee)
}

/// The page is as wide as the phone: nobody has to scroll sideways.
fn fits(browser: &Chromium) -> Result<()> {
    let widths = "return [document.documentElement.scrollWidth, window.innerWidth]";
    let widths = browser.script(widths)?;
    assert!(widths[0].as_u64() <= widths[1].as_u64(), "{widths}");
    Ok(())
}

/// The profile that a button downloads, out of its signature.
fn download(phone: &Chromium, button: &str) -> Result<String> {
    let folder = phone.save_downloads()?;
    phone.click(button)?;
    let file = wait_for("a downloaded profile", Duration::from_secs(20), || {
        let mut files = fs::read_dir(&folder).ok()?.flatten().map(|entry| entry.path());
        files.find(|file| file.extension().is_some_and(|ending| ending == "mobileconfig"))
    })?;
    run(Command::new("openssl")
        .args(["cms", "-verify", "-noverify", "-inform", "DER", "-in"])
        .arg(file))
}

/// What an authenticator app with this key shows now.
fn code(key: &str) -> Result<String> {
    Ok(run(Command::new("oathtool").args(["--totp", "--base32", key]))?.trim().to_owned())
}

fn log_in(practice: &Practice, who: &str, password: &str) -> Result<Imap> {
    Imap::login(practice.wardpost.imaps(), &practice.lab.ca, HOSTNAME, who, password)
}

fn submit(practice: &Practice, who: &str, password: &str, to: &str, mail: &str) -> Result<()> {
    let address = practice.wardpost.submissions();
    let mut smtp = Smtp::connect_tls(address, &practice.lab.ca, HOSTNAME)?;
    smtp.must("EHLO phone.test", 250)?;
    smtp.login(who, password)?;
    smtp.send(who, &[to], mail)?;
    Ok(())
}
