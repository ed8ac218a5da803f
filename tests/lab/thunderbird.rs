//! Debian's Thunderbird on a screen of its own (Xvfb), with one account at Wardpost.
//!
//! The account, the authority and the password are put in as its settings dialogs would; from then on
//! Thunderbird decides by itself what it says to the server. It finds `mail.clinic.test` by its own
//! `network.dns.forceResolve`, so the machine's `/etc/hosts` stays as it is.

use crate::marionette::Marionette;
use crate::process::Process;
use crate::wardpost::{HOSTNAME, PASSWORD, Wardpost};
use crate::{Lab, Result, wait_for};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What every script may use.
const PRELUDE: &str = include_str!("thunderbird.js");
/// How long the program may take to come up.
const START: Duration = Duration::from_secs(45);

/// A running Thunderbird. It ends before its screen does.
#[derive(Debug)]
pub struct Thunderbird {
    marionette: Marionette,
    _program: Process,
    _screen: Process,
    folder: PathBuf,
}

impl Thunderbird {
    /// Starts it with an account for `address`.
    ///
    /// # Errors
    /// When Thunderbird or Xvfb is missing or does not come up.
    pub fn start(lab: &Lab, wardpost: &Wardpost, address: &str, name: &str) -> Result<Self> {
        let mut this = Self::open(lab, preferences(wardpost, address, name))?;
        let user = [json!(HOSTNAME), json!(address), json!(PASSWORD)];
        this.run("setUp(...args)", &[&[authority(lab)?][..], &user].concat())?;
        Ok(this)
    }

    /// Starts it without an account. Every name that it asks for is Wardpost's, on any port.
    ///
    /// # Errors
    /// When Thunderbird or Xvfb is missing or does not come up.
    pub fn start_empty(lab: &Lab, wardpost: &Wardpost) -> Result<Self> {
        let mut this = Self::open(lab, written(&peace(wardpost)))?;
        this.run("trust(...args)", &[authority(lab)?])?;
        Ok(this)
    }

    fn open(lab: &Lab, preferences: String) -> Result<Self> {
        let folder = lab.folder("thunderbird")?;
        let profile = folder.join("profile");
        fs::create_dir_all(&profile)?;
        fs::write(profile.join("user.js"), preferences)?;
        let (screen, display) = start_screen(&folder)?;
        let mut command = Command::new("thunderbird");
        command
            .args(["--no-remote", "--marionette", "--remote-allow-system-access", "--profile"])
            .arg(&profile)
            .env("DISPLAY", display)
            .env("HOME", &folder)
            .env_remove("WAYLAND_DISPLAY");
        let program = Process::start(&mut command, &folder.join("log"))?;
        let marionette = wait_for("Thunderbird to come up", START, || {
            let port = fs::read_to_string(profile.join("MarionetteActivePort")).ok()?;
            let port = port.trim().parse().ok()?;
            Marionette::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).ok()
        })
        .map_err(|e| format!("{e}\n{}", log(&folder)))?;
        Ok(Self { marionette, _program: program, _screen: screen, folder })
    }

    /// Runs a script (the body of an asynchronous function, `args` its arguments) with the functions of
    /// `thunderbird.js` at hand.
    ///
    /// # Errors
    /// With what the script threw.
    pub fn run(&mut self, script: &str, arguments: &[Value]) -> Result<Value> {
        self.marionette
            .run(&format!("{PRELUDE}\nreturn await {script};"), arguments)
            .map_err(|e| format!("{script}: {e}\n{}", log(&self.folder)).into())
    }
}

/// The lab's authority, as Thunderbird takes it.
fn authority(lab: &Lab) -> Result<Value> {
    let root = fs::read_to_string(&lab.ca.root)?;
    Ok(json!(root.lines().filter(|line| !line.starts_with("-----")).collect::<String>()))
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap_or_default()
}

/// Starts an Xvfb on whatever display is free; gives its name.
fn start_screen(folder: &Path) -> Result<(Process, String)> {
    let file = folder.join("display");
    let mut command = Command::new("sh");
    command.args(["-c", "exec Xvfb -displayfd 3 -screen 0 1280x900x24 -nolisten tcp 3>\"$0\""]);
    let screen = Process::start(command.arg(&file), &folder.join("xvfb.log"))?;
    let display = wait_for("Xvfb to choose a display", START, || {
        let number = fs::read_to_string(&file).ok()?;
        number.ends_with('\n').then(|| format!(":{}", number.trim()))
    })?;
    Ok((screen, display))
}

/// Settings for peace from everything that is not about mail.
fn peace(wardpost: &Wardpost) -> Value {
    json!({
        "network.dns.forceResolve": wardpost.imaps().ip().to_string(),
        "marionette.port": 0,
        "mail.provider.suppress_dialog_on_startup": true,
        "mail.shell.checkDefaultClient": false,
        "mail.biff.show_alert": false,
        "mail.biff.play_sound": false,
        "mailnews.start_page.enabled": false,
        "datareporting.policy.dataSubmissionEnabled": false,
        "app.update.enabled": false,
        "app.donation.eoy.version.viewed": 999,
        // Mozilla's own list of providers is nowhere near.
        "mailnews.auto_config_url": "",
    })
}

/// The profile's settings: the account, and peace.
fn preferences(wardpost: &Wardpost, address: &str, name: &str) -> String {
    let account = json!({
        "mail.accountmanager.accounts": "account1,account2",
        "mail.accountmanager.defaultaccount": "account1",
        "mail.accountmanager.localfoldersserver": "server2",
        "mail.account.account1.server": "server1",
        "mail.account.account1.identities": "id1",
        "mail.account.account2.server": "server2",
        "mail.identity.id1.fullName": name,
        "mail.identity.id1.useremail": address,
        "mail.identity.id1.smtpServer": "smtp1",
        "mail.identity.id1.compose_html": false,
        "mail.identity.id1.valid": true,
        "mail.server.server1.type": "imap",
        "mail.server.server1.hostname": HOSTNAME,
        "mail.server.server1.port": wardpost.imaps().port(),
        "mail.server.server1.socketType": 3,
        "mail.server.server1.authMethod": 3,
        "mail.server.server1.userName": address,
        "mail.server.server1.name": address,
        "mail.server.server1.login_at_startup": false,
        "mail.server.server1.check_new_mail": false,
        "mail.server.server2.type": "none",
        "mail.server.server2.hostname": "Local Folders",
        "mail.server.server2.userName": "nobody",
        "mail.smtpservers": "smtp1",
        "mail.smtp.defaultserver": "smtp1",
        "mail.smtpserver.smtp1.hostname": HOSTNAME,
        "mail.smtpserver.smtp1.port": wardpost.submission().port(),
        "mail.smtpserver.smtp1.try_ssl": 2,
        "mail.smtpserver.smtp1.authMethod": 3,
        "mail.smtpserver.smtp1.username": address,
    });
    written(&peace(wardpost)) + &written(&account)
}

fn written(settings: &Value) -> String {
    let mut text = String::new();
    for (key, value) in settings.as_object().into_iter().flatten() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "user_pref({}, {value});", Value::from(key.as_str()));
    }
    text
}
