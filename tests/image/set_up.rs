//! Sets the machine up as a practice does: the code from its screen, its certificate compared with the
//! fingerprint there, five questions in a browser, the recovery sheet.

use crate::vm::{Place, Vm};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use wardpost_tests::chromium::Chromium;
use wardpost_tests::wardpost::{HOSTNAME, PASSWORD};
use wardpost_tests::{Result, run, wait_for};

/// How long a page may take that makes the machine work: keys, certificates, a store.
const PATIENCE: Duration = Duration::from_secs(240);
/// The administrator.
pub(crate) const DANA: &str = "dana@clinic.test";

/// What a person takes away from the set-up.
pub(crate) struct Taken {
    /// The browser, signed in.
    pub(crate) browser: Chromium,
    /// The disk's recovery key, from the sheet.
    pub(crate) recovery_key: String,
}

/// The certificate that a port shows, in a PEM file, once it shows one.
pub(crate) fn certificate(vm: &mut Vm, place: &Place, file: &str) -> Result<PathBuf> {
    let address = vm.port(443)?;
    let pem = vm.wait_until("the page to be served", crate::START, |_| shown_by(address).ok())?;
    let path = place.folder.join(file);
    fs::write(&path, pem)?;
    Ok(path)
}

/// The certificate that is shown now.
pub(crate) fn certificate_now(vm: &Vm, place: &Place, file: &str) -> Result<PathBuf> {
    let address = vm.port(443)?;
    let pem = wait_for("a certificate", PATIENCE, || shown_by(address).ok())?;
    let path = place.folder.join(file);
    fs::write(&path, pem)?;
    Ok(path)
}

fn shown_by(address: SocketAddr) -> Result<String> {
    let mut client = Command::new("timeout");
    client.args(["20", "openssl", "s_client", "-connect", &address.to_string()]);
    client.args(["-servername", HOSTNAME]).stdin(Stdio::null()).stderr(Stdio::null());
    let said = String::from_utf8_lossy(&client.output()?.stdout).into_owned();
    let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
    let from = said.find(begin).ok_or("no certificate")?;
    let to = said.find(end).ok_or("half a certificate")?;
    Ok(format!("{}{end}\n", &said[from..to]))
}

/// A browser that takes this certificate's key for the machine's and no other, as a person who compared the
/// fingerprint does.
pub(crate) fn browser(vm: &Vm, place: &Place, name: &str, certificate: &Path) -> Result<Chromium> {
    let key = key_hash(certificate)?;
    let port = vm.port(443)?.port();
    let folder = place.folder.join("browsers").join(name);
    let more = [
        format!("--ignore-certificate-errors-spki-list={key}"),
        format!("--user-data-dir={}", folder.join("profile").display()),
    ];
    Chromium::start_in(folder, &format!("MAP {HOSTNAME}:443 127.0.0.1:{port}"), &more)
}

/// The SHA-256 of a certificate's key, in Base64.
fn key_hash(certificate: &Path) -> Result<String> {
    let pipe = "openssl x509 -in \"$1\" -noout -pubkey | openssl pkey -pubin -outform DER | \
                openssl dgst -sha256 -binary | base64";
    let hash = run(Command::new("sh").args(["-ec", pipe, "sh"]).arg(certificate))?;
    Ok(hash.trim().to_owned())
}

/// The fingerprint of a certificate, as hexadecimal digits.
fn fingerprint(certificate: &Path) -> Result<String> {
    let mut openssl = Command::new("openssl");
    openssl.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(certificate);
    Ok(digits(run(&mut openssl)?.split('=').nth(1).unwrap_or_default()))
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_hexdigit).collect::<String>().to_ascii_uppercase()
}

/// The one-time code on the screen: two groups of four letters and digits alone in a line.
fn code(screen: &str) -> Option<String> {
    let is_group =
        |g: &str| g.len() == 4 && g.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let is_code = |line: &str| line.split('-').count() == 2 && line.split('-').all(is_group);
    screen.lines().rev().map(str::trim).find(|line| is_code(line)).map(str::to_owned)
}

/// The whole set-up.
pub(crate) fn run_through(vm: &mut Vm, place: &Place) -> Result<Taken> {
    let pem = certificate(vm, place, "set-up.pem")?;
    let wanted = fingerprint(&pem)?;
    let code =
        vm.wait_until("the code on the console", Duration::from_secs(120), |vm| code(&vm.said()))?;
    // The fingerprint may be broken over lines.
    vm.wait_until("the certificate's fingerprint on the console", Duration::from_secs(60), |vm| {
        digits(&vm.said()).contains(&wanted).then_some(())
    })?;
    vm.picture("set-up")?;
    let browser = browser(vm, place, "desk", &pem)?;
    let page = Page { browser: &browser, folder: &place.folder };
    browser.open(&format!("https://{HOSTNAME}/"))?;
    page.reach("#code", "begin")?;
    // Whoever has no code gets nowhere.
    page.fill(&[("#code", "WRNG-CODE")])?;
    page.says("code")?;
    page.empty("#code")?;
    page.fill(&[("#code", &code)])?;
    page.reach("#domain", "practice")?;
    page.fill(&[("#name", "Test Clinic"), ("#domain", "clinic.test"), ("#hostname", HOSTNAME)])?;
    page.reach("#password", "administrator")?;
    page.fill(&[
        ("#name", "Dana Reyes"),
        ("#address", "dana"),
        ("#password", PASSWORD),
        ("#again", PASSWORD),
    ])?;
    page.reach("#code", "factor")?;
    let key = page.content(".mono.secret")?;
    page.fill(&[("#code", &one_time(&key)?)])?;
    page.reach("#phone", "notices")?;
    page.fill(&[("#phone", "+1 555 0100"), ("#contact", "helper@consultant.test")])?;
    page.reach("#direct", "outgoing")?;
    page.fill(&[])?;
    page.reach("#destination", "backups")?;
    page.fill(&[("#destination", "the office's NAS")])?;
    page.reach(".overview", "review")?;
    page.fill(&[])?;
    page.reach("#kit", "sheet")?;
    let (kit, disk) = (page.content("#kit-text")?, page.content("#disk-text")?);
    page.fill(&[("#kit", last_groups(&kit, 2)), ("#disk", last_groups(&disk, 1))])?;
    page.reach("a[href^='/staff/welcome/']", "end")?;
    Ok(Taken { browser, recovery_key: disk })
}

/// The end of a key on paper.
fn last_groups(key: &str, groups: usize) -> &str {
    let from = key.rmatch_indices('-').nth(groups - 1).map_or(0, |(at, _)| at + 1);
    key[from..].trim()
}

/// What an authenticator app with this key shows now.
pub(crate) fn one_time(key: &str) -> Result<String> {
    let key: String = key.split_whitespace().collect();
    Ok(run(Command::new("oathtool").args(["--totp", "--base32", &key]))?.trim().to_owned())
}

/// A page in a browser, with patience for a slow machine.
pub(crate) struct Page<'a> {
    pub(crate) browser: &'a Chromium,
    pub(crate) folder: &'a Path,
}

impl Page<'_> {
    /// Waits for the page that has the element, and takes its picture.
    pub(crate) fn reach(&self, selector: &str, name: &str) -> Result<()> {
        let here = format!(
            "return location.href.startsWith('https:') && !!document.querySelector(\"{selector}\")"
        );
        let outcome = wait_for(&format!("the page {name:?}"), PATIENCE, || {
            let wrong = "return document.querySelector('.wrong')?.textContent ?? ''";
            match self.browser.script(wrong) {
                Ok(said) if said.as_str().is_some_and(|said| !said.is_empty()) => Some(Err(said)),
                _ => self.browser.script(&here).ok().filter(|found| found == true).map(Ok),
            }
        });
        self.browser.picture(&self.folder.join(format!("page-{name}.png")))?;
        match outcome {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(said)) => Err(format!("before the page {name:?}: {said}").into()),
            Err(e) => {
                let there = self.browser.text().unwrap_or_default();
                Err(format!("{e}; there is:\n{there}").into())
            }
        }
    }

    /// Types into fields, and sends the page's form. The next page may take its time.
    pub(crate) fn fill(&self, fields: &[(&str, &str)]) -> Result<()> {
        for (selector, text) in fields {
            self.empty(selector)?;
            self.browser.type_into(selector, text)?;
        }
        // Sent by the page itself: a click through the driver waits for the next page, and not for long. The
        // mark goes with the old page, so that nobody takes it for the next.
        self.browser.script(
            "document.body.dataset.old = '1'; \
             const send = document.querySelector('main form button[type=submit], main form button'); \
             setTimeout(() => send.click(), 0)",
        )?;
        wait_for("the next page", PATIENCE, || {
            self.browser.script("return !document.body.dataset.old").ok().filter(|new| new == true)
        })?;
        Ok(())
    }

    /// Waits for words.
    pub(crate) fn says(&self, text: &str) -> Result<String> {
        wait_for(&format!("a page with {text:?}"), PATIENCE, || {
            self.browser.text().ok().filter(|said| said.contains(text))
        })
        .map_err(|e| format!("{e}; there is:\n{}", self.browser.text().unwrap_or_default()).into())
    }

    /// Where a link leads, as it is written.
    pub(crate) fn link(&self, selector: &str) -> Result<String> {
        let script = format!("return document.querySelector(\"{selector}\").getAttribute('href')");
        let link = self.browser.script(&script)?;
        Ok(link.as_str().ok_or("a link to nowhere")?.to_owned())
    }

    /// Empties a field.
    pub(crate) fn empty(&self, selector: &str) -> Result<()> {
        self.browser.script(&format!("document.querySelector(\"{selector}\").value = ''")).map(drop)
    }

    /// What an element holds, seen or not.
    pub(crate) fn content(&self, selector: &str) -> Result<String> {
        let content = self
            .browser
            .script(&format!("return document.querySelector(\"{selector}\").textContent"))?;
        Ok(content.as_str().ok_or("an element without text")?.trim().to_owned())
    }
}
