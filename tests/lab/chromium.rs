//! Debian's Chromium without a screen, driven through its own WebDriver (W3C WebDriver over HTTP).
//!
//! It has a home folder of its own, trusts the lab's authority there as a person's browser would after
//! an import, and runs JavaScript like any other.

use crate::process::Process;
use crate::wardpost::{HOSTNAME, Wardpost};
use crate::{Lab, Result, run, wait_for};
use serde_json::{Value, json};
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The key under which WebDriver hands out an element (WebDriver §12.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// How long a page or an element may take to appear.
const PATIENCE: Duration = Duration::from_secs(20);

/// One person's browser: a session, closed on drop.
#[derive(Debug)]
pub struct Chromium {
    session: String,
    _driver: Process,
    folder: PathBuf,
}

impl Chromium {
    /// Starts a browser the size of a phone that finds Wardpost under its name, and `others` (name and
    /// address) too; every other name does not exist.
    ///
    /// # Errors
    /// When Chromium, its driver or certutil is missing or does not start.
    pub fn start(
        lab: &Lab,
        wardpost: &Wardpost,
        name: &str,
        others: &[(&str, Ipv4Addr)],
    ) -> Result<Self> {
        let folder = lab.folder("browsers")?.join(name);
        trust(&folder, &lab.ca.root)?;
        let mut hosts = format!("MAP {HOSTNAME} {}", wardpost.https().ip());
        for (name, address) in others {
            hosts.push_str(&format!(", MAP {name} {address}"));
        }
        Self::start_in(folder, &hosts, &[])
    }

    /// Starts a browser in a folder of its own that finds the hosts which Chromium's rules `hosts` name, with
    /// `more` arguments.
    ///
    /// # Errors
    /// When Chromium or its driver is missing or does not start.
    pub fn start_in(folder: PathBuf, hosts: &str, more: &[String]) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        let log = folder.join("log");
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").env("HOME", &folder).env("TMPDIR", &folder);
        let driver = Process::start(&mut command, &log)?;
        let port = wait_for("chromedriver to listen", PATIENCE, || {
            let said = fs::read_to_string(&log).ok()?;
            let rest = said.split("started successfully on port ").nth(1)?;
            rest.split_once('.')?.0.parse::<u16>().ok()
        })?;
        let mut args = vec![
            "--headless=new".to_owned(),
            // The tests run as root, where Chromium's own sandbox does not work.
            "--no-sandbox".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            format!("--host-resolver-rules={hosts}, MAP * ~NOTFOUND"),
        ];
        args.extend(more.iter().cloned());
        let options = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": {
                "args": args,
                "mobileEmulation": {
                    "deviceMetrics": { "width": 360, "height": 740, "pixelRatio": 2.0 },
                },
            },
            "goog:loggingPrefs": { "browser": "ALL" },
        }}});
        let url = format!("http://127.0.0.1:{port}/session");
        let answer = call("POST", &url, &options)
            .map_err(|e| format!("{e}\n{}", fs::read_to_string(&log).unwrap_or_default()))?;
        let id = answer["sessionId"].as_str().ok_or("no session")?;
        Ok(Self { session: format!("{url}/{id}"), _driver: driver, folder })
    }

    /// Opens a page and waits until it is complete.
    ///
    /// # Errors
    /// When it cannot be had.
    pub fn open(&self, url: &str) -> Result<()> {
        self.post("url", &json!({ "url": url })).map(|_| ())
    }

    /// Where it is.
    ///
    /// # Errors
    /// When there is no page.
    pub fn address(&self) -> Result<String> {
        let url = call("GET", &format!("{}/url", self.session), &Value::Null)?;
        Ok(url.as_str().unwrap_or_default().to_owned())
    }

    /// Runs JavaScript in the page and gives what it returns.
    ///
    /// # Errors
    /// With what it threw.
    pub fn script(&self, script: &str) -> Result<Value> {
        self.post("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// What a reader of the page sees.
    ///
    /// # Errors
    /// When there is no page.
    pub fn text(&self) -> Result<String> {
        let body = self.find("body")?;
        let text = call("GET", &format!("{}/element/{body}/text", self.session), &Value::Null)?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until the page shows `text`; gives all that it shows.
    ///
    /// # Errors
    /// When it does not come.
    pub fn wait_for_text(&self, text: &str) -> Result<String> {
        let mut last = String::new();
        wait_for(&format!("a page with {text:?}"), PATIENCE, || {
            last = self.text().ok()?;
            last.contains(text).then_some(())
        })
        .map_err(|e| format!("{e}, but there is:\n{last}"))?;
        Ok(last)
    }

    /// Types into the element that a CSS selector finds; for a file field, the path of the file.
    ///
    /// # Errors
    /// When there is none, or it cannot be typed into.
    pub fn type_into(&self, selector: &str, text: &str) -> Result<()> {
        let element = self.find(selector)?;
        self.post(&format!("element/{element}/value"), &json!({ "text": text })).map(|_| ())
    }

    /// Clicks on the element that a CSS selector finds.
    ///
    /// # Errors
    /// When there is none, or something covers it.
    pub fn click(&self, selector: &str) -> Result<()> {
        let element = self.find(selector)?;
        self.post(&format!("element/{element}/click"), &json!({})).map(|_| ())
    }

    /// Goes into the frame that a CSS selector finds.
    ///
    /// # Errors
    /// When there is none.
    pub fn enter_frame(&self, selector: &str) -> Result<()> {
        let element = self.find(selector)?;
        self.post("frame", &json!({ "id": { ELEMENT: element } })).map(|_| ())
    }

    /// Comes back out of a frame.
    ///
    /// # Errors
    /// When the page is gone.
    pub fn leave_frame(&self) -> Result<()> {
        self.post("frame", &json!({ "id": null })).map(|_| ())
    }

    /// What the browser complained about since it was last asked.
    ///
    /// # Errors
    /// When the browser is gone.
    pub fn complaints(&self) -> Result<Vec<String>> {
        let entries = self.post("se/log", &json!({ "type": "browser" }))?;
        let entries = entries.as_array().cloned().unwrap_or_default();
        Ok(entries.iter().map(|entry| entry["message"].to_string()).collect())
    }

    /// Changes the window: its width, whether it is a phone's, and whether its owner likes it dark.
    ///
    /// # Errors
    /// When the browser is gone.
    pub fn look(&self, width: u32, phone: bool, dark: bool) -> Result<()> {
        let size =
            json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": phone });
        self.devtools("Emulation.setDeviceMetricsOverride", &size)?;
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", &media).map(|_| ())
    }

    /// Takes a picture of the whole page.
    ///
    /// # Errors
    /// When the browser is gone or the file cannot be written.
    pub fn picture(&self, file: &Path) -> Result<()> {
        let whole = json!({ "format": "png", "captureBeyondViewport": true });
        let answer = self.devtools("Page.captureScreenshot", &whole)?;
        let data = answer["data"].as_str().ok_or("no picture")?;
        fs::write(file, data_encoding::BASE64.decode(data.as_bytes())?)?;
        Ok(())
    }

    /// Says from now on that it is another browser.
    ///
    /// # Errors
    /// When the browser is gone.
    pub fn pose_as(&self, agent: &str) -> Result<()> {
        self.devtools("Network.setUserAgentOverride", &json!({ "userAgent": agent })).map(|_| ())
    }

    /// Saves what it downloads from now on; the answer is the folder.
    ///
    /// # Errors
    /// When the browser is gone.
    pub fn save_downloads(&self) -> Result<PathBuf> {
        let folder = self.folder.join("downloads");
        fs::create_dir_all(&folder)?;
        let allow = json!({ "behavior": "allow", "downloadPath": folder });
        self.devtools("Browser.setDownloadBehavior", &allow)?;
        Ok(folder)
    }

    /// Prints the page into a PDF file, as on paper.
    ///
    /// # Errors
    /// When the browser is gone or the file cannot be written.
    pub fn print(&self, file: &Path) -> Result<()> {
        let data = self.post("print", &json!({}))?;
        let data = data.as_str().ok_or("nothing was printed")?;
        fs::write(file, data_encoding::BASE64.decode(data.as_bytes())?)?;
        Ok(())
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Result<Value> {
        self.post("goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// The browser's home folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn find(&self, selector: &str) -> Result<String> {
        let query = json!({ "using": "css selector", "value": selector });
        let found = self.post("element", &query)?;
        Ok(found[ELEMENT].as_str().ok_or("no element")?.to_owned())
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        call("POST", &format!("{}/{path}", self.session), body)
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // The driver ends its browser with the session; killing the driver alone would leave it behind.
        let _ = call("DELETE", &self.session, &Value::Null);
    }
}

/// Imports the authority into the certificate store of the home `folder`.
fn trust(folder: &Path, root: &Path) -> Result<()> {
    let store = folder.join(".pki/nssdb");
    fs::create_dir_all(&store)?;
    let store = format!("sql:{}", store.display());
    run(Command::new("certutil").args(["-d", &store, "-N", "--empty-password"]))?;
    run(Command::new("certutil")
        .args(["-d", &store, "-A", "-n", "lab", "-t", "C,,", "-i"])
        .arg(root))?;
    Ok(())
}

fn call(method: &str, url: &str, body: &Value) -> Result<Value> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "60", "--request", method]);
    if !body.is_null() {
        command.args(["--header", "Content-Type: application/json", "--data-binary"]);
        command.arg(body.to_string());
    }
    let answer: Value = serde_json::from_str(&run(command.arg(url))?)?;
    match answer["value"].get("error") {
        Some(error) => {
            Err(format!("{method} {url}: {error}: {}", answer["value"]["message"]).into())
        }
        None => Ok(answer["value"].clone()),
    }
}
