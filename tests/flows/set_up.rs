//! Somebody who sets a new server up in a browser.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use wardpost_tests::chromium::Chromium;
use wardpost_tests::wardpost::{PASSWORD, Wardpost};
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

/// A browser without a face: pages and forms by curl, whatever the certificate says.
pub(crate) struct Hand {
    jar: PathBuf,
    base: String,
}

impl Hand {
    pub(crate) fn new(lab: &Lab, wardpost: &Wardpost, name: &str) -> Result<Self> {
        let jar = lab.folder("hands")?.join(name);
        Ok(Self { jar, base: format!("https://{}", wardpost.https()) })
    }

    pub(crate) fn get(&self, path: &str) -> Result<String> {
        run(self.curl().arg(format!("{}{path}", self.base)))
    }

    /// Fills in the form of a page, its hidden fields included; gives the page that comes.
    pub(crate) fn post(&self, path: &str, fields: &[(&str, &str)]) -> Result<String> {
        run(&mut self.form(path, fields)?)
    }

    /// What sends the form, yet to be started.
    pub(crate) fn form(&self, path: &str, fields: &[(&str, &str)]) -> Result<Command> {
        let page = self.get(path)?;
        let token = page.split("name=\"form_token\" value=\"").nth(1);
        let token = token.and_then(|rest| rest.split('"').next()).ok_or("no form on the page")?;
        let mut command = self.curl();
        for (name, text) in fields.iter().chain([&("form_token", token)]) {
            command.arg("--data-urlencode").arg(format!("{name}={text}"));
        }
        command.arg("--location").arg(format!("{}{path}", self.base));
        Ok(command)
    }

    fn curl(&self) -> Command {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--insecure", "--max-time", "60"]);
        command.arg("--cookie").arg(&self.jar).arg("--cookie-jar").arg(&self.jar);
        command
    }

    /// From the code to the sheet; gives the kit.
    pub(crate) fn answer_all(
        &self,
        wardpost: &Wardpost,
        outgoing: &[(&str, &str)],
    ) -> Result<String> {
        expect(
            self.post("/set-up", &[("code", &code_on_screen(wardpost)?)])?,
            "Your practice and its domain",
        )?;
        let practice = [("name", NAME), ("domain", DOMAIN)];
        expect(self.post("/set-up/practice", &practice)?, "The first administrator")?;
        let person =
            [("name", "Dana"), ("address", "dana"), ("password", PASSWORD), ("again", PASSWORD)];
        let page = self.post("/set-up/administrator", &person)?;
        let key = page.split("mono secret\">").nth(1).and_then(|rest| rest.split('<').next());
        let code = code(&key.ok_or("no key on the page")?.replace(' ', ""))?;
        expect(self.post("/set-up/second-factor", &[("code", &code)])?, "Telephone and contact")?;
        let notices = [("phone", "555 0100"), ("contact", DANA)];
        expect(self.post("/set-up/notices", &notices)?, "How mail goes out")?;
        expect(self.post("/set-up/outgoing", outgoing)?, "Where backups will go")?;
        expect(self.post("/set-up/backups", &[("destination", "")])?, "Is everything right?")?;
        let sheet = self.post("/set-up/review", &[])?;
        let kit = sheet.split("id=\"kit-text\">").nth(1).and_then(|rest| rest.split('<').next());
        Ok(kit.ok_or_else(|| format!("no sheet: {sheet}"))?.to_owned())
    }

    /// What confirms the sheet, yet to be started.
    pub(crate) fn confirmation(&self, kit: &str) -> Result<Command> {
        self.form("/set-up/recovery-sheet", &[("kit", &kit[kit.len() - 7..])])
    }
}

/// That a page says something.
pub(crate) fn expect(page: String, words: &str) -> Result<String> {
    match page.contains(words) {
        true => Ok(page),
        false => Err(format!("{words:?} is not on the page:\n{page}").into()),
    }
}
