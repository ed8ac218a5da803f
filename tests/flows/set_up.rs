//! Somebody who sets a new server up in a browser.

use std::env;
use std::path::Path;
use std::process::Command;
use wardpost_tests::chromium::Chromium;
use wardpost_tests::wardpost::{HOSTNAME, PASSWORD, Wardpost};
use wardpost_tests::{DOMAIN, Lab, Result, run};

/// The pages, as the certificate names them.
pub(crate) const URL: &str = "https://mail.clinic.test:8443";
/// The first administrator.
pub(crate) const DANA: &str = "dana@clinic.test";
/// The practice.
pub(crate) const NAME: &str = "Elm Street Clinic";

/// Somebody before a browser.
pub(crate) struct Person {
    pub(crate) browser: Chromium,
}

impl Person {
    pub(crate) fn new(lab: &Lab, wardpost: &Wardpost, name: &str) -> Result<Self> {
        let browser = Chromium::start(lab, wardpost, name, &[])?;
        browser.look(1100, false, false)?;
        Ok(Self { browser })
    }

    /// Opens the page and gives the code from the server's screen.
    pub(crate) fn begin(&self, wardpost: &Wardpost) -> Result<()> {
        self.browser.open(URL)?;
        self.browser.wait_for_text("Five questions")?;
        self.fill(&[("code", &code_on_screen(wardpost)?)])?;
        self.go_on("Your practice and its domain")
    }

    /// Question 1.
    pub(crate) fn practice(&self) -> Result<()> {
        self.fill(&[("name", NAME), ("domain", DOMAIN), ("hostname", HOSTNAME)])?;
        self.go_on("The first administrator")
    }

    /// Question 2; gives the key that the app has now.
    pub(crate) fn administrator(&self) -> Result<String> {
        self.fill(&[
            ("name", "Dr. Dana Reyes"),
            ("address", "dana"),
            ("password", PASSWORD),
            ("again", PASSWORD),
        ])?;
        self.go_on("Your authenticator app")?;
        let key = self.key()?;
        self.fill(&[("code", &code(&key)?)])?;
        self.go_on("Telephone and contact")?;
        Ok(key)
    }

    /// Questions 3 to 5, and the look at them all.
    pub(crate) fn the_rest(&self) -> Result<()> {
        self.fill(&[("phone", "+1 555 0100")])?;
        self.go_on("How mail goes out")?;
        self.go_on("Where backups will go")?;
        self.fill(&[("destination", "the NAS in the cellar")])?;
        self.go_on("Is everything right?")?;
        self.go_on("Print the recovery sheet")
    }

    /// What the sheet says; the kit, and the disk's key if there is one.
    pub(crate) fn sheet(&self) -> Result<(String, Option<String>)> {
        let text = |id: &str| {
            let script = format!("return document.querySelector('#{id}')?.textContent ?? null");
            let text = self.browser.script(&script)?;
            Ok::<_, wardpost_tests::Error>(text.as_str().map(|text| text.trim().to_owned()))
        };
        let kit = text("kit-text")?.ok_or("no kit on the sheet")?;
        Ok((kit, text("disk-text")?))
    }

    /// Types the end of the kit; the server starts.
    pub(crate) fn confirm(&self) -> Result<()> {
        let (kit, disk) = self.sheet()?;
        self.fill(&[("kit", &kit[kit.len() - 7..])])?;
        if let Some(disk) = disk {
            let group = disk.rsplit('-').next().unwrap_or_default();
            self.fill(&[("disk", group)])?;
        }
        self.go_on("Your mail server is set up")
    }

    /// Types into fields, in place of what is in them.
    pub(crate) fn fill(&self, fields: &[(&str, &str)]) -> Result<()> {
        for (field, text) in fields {
            self.browser.script(&format!("document.querySelector('#{field}').value = ''"))?;
            self.browser.type_into(&format!("#{field}"), text)?;
        }
        Ok(())
    }

    /// Sends the form, and waits for the page that comes.
    pub(crate) fn go_on(&self, next: &str) -> Result<()> {
        self.browser.click("main form button[type=submit]")?;
        self.browser.wait_for_text(next).map(|_| ())
    }

    /// The key in the picture for the app.
    pub(crate) fn key(&self) -> Result<String> {
        let file = self.browser.folder().join("screen.png");
        self.browser.picture(&file)?;
        let uri = run(Command::new("zbarimg").args(["--quiet", "--raw"]).arg(&file))?;
        let key = uri.split("secret=").nth(1).ok_or_else(|| format!("no key in {uri}"))?;
        Ok(key.split('&').next().unwrap_or_default().trim().to_owned())
    }

    /// Pictures of a page for people to look at, wide and narrow, light and dark, if the folder
    /// `WARDPOST_PICTURES` is set; and that nobody has to scroll sideways on a phone.
    pub(crate) fn picture(&self, name: &str) -> Result<()> {
        self.browser.look(375, true, false)?;
        let widths = "return [document.documentElement.scrollWidth, window.innerWidth]";
        let widths = self.browser.script(widths)?;
        assert!(widths[0].as_u64() <= widths[1].as_u64(), "{name}: {widths}");
        if let Some(folder) = env::var_os("WARDPOST_PICTURES") {
            for (width, phone) in [(1100, false), (375, true)] {
                for dark in [false, true] {
                    self.browser.look(width, phone, dark)?;
                    let shade = if dark { "dark" } else { "light" };
                    let file = format!("set-up-{name}-{width}-{shade}.png");
                    self.browser.picture(&Path::new(&folder).join(file))?;
                }
            }
        }
        self.browser.look(1100, false, false)
    }
}

/// The code that the server's screen shows.
pub(crate) fn code_on_screen(wardpost: &Wardpost) -> Result<String> {
    let said = wardpost.cli(&["console", "--json"], "")?;
    let said: serde_json::Value = serde_json::from_str(&said)?;
    let code = said["stage"]["set-up"]["code"].as_str();
    Ok(code.ok_or_else(|| format!("no code in {said}"))?.to_owned())
}

/// What an authenticator app with this key shows now.
pub(crate) fn code(key: &str) -> Result<String> {
    Ok(run(Command::new("oathtool").args(["--totp", "--base32", key]))?.trim().to_owned())
}
