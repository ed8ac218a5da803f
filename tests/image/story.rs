//! A practice's first day, and the morning after: set up through the page, a letter in, a letter read, numbers
//! scraped, switched off, switched on.

use crate::set_up::{self, DANA, Page};
use crate::vm::{Hooks, Parts, Place, Vm};
use crate::{START, relay};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use wardpost_tests::ca::Ca;
use wardpost_tests::chromium::Chromium;
use wardpost_tests::imap::Imap;
use wardpost_tests::practice::message;
use wardpost_tests::smtp::Smtp;
use wardpost_tests::wardpost::HOSTNAME;
use wardpost_tests::{Lab, Result, wait_for};

/// The disk and the TPM that other scenes find after this one.
pub(crate) const DISK: &str = "practice.qcow2";
/// The folder of the TPM's state.
pub(crate) const TPM: &str = "practice-tpm";
/// What says that the daemon serves.
pub(crate) const SERVES: &str = "Started wardpost.service";
/// What the console says on the first start.
const MAKING: &str = "making the encrypted partition";
/// How long a machine may take to switch itself off.
pub(crate) const END: Duration = Duration::from_secs(180);
/// How long a thing may take that is quick on a real machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// The name on the certificate of set-up. It stays for a day, so that whoever compared its fingerprint is not
/// asked again.
const NAME: &str = "set-up.wardpost.internal";
/// A word that is in no letter but the test's own.
const WORD: &str = "saxifrage";

/// What the story found.
pub(crate) struct Told {
    pub(crate) recovery_key: String,
    pub(crate) measured: String,
}

pub(crate) fn run(place: &Place) -> Result<Told> {
    let lab = Lab::start()?;
    let hooks = world(&lab)?;
    place.disk(DISK, "image.qcow2", 12)?;
    let parts = Parts { disk: DISK, tpm: Some(TPM), ..Parts::new("first") };
    cut_short(place, Parts { name: "cut-short", ..parts }, &hooks)?;
    let mut vm = Vm::start(place, parts, &hooks)?;
    vm.wait_for(SERVES, START)?;
    let first = vm.since_kernel(SERVES)?;
    // The health gate has passed, and the boot loader counts no longer.
    vm.wait_for("No part of the system has failed", PATIENCE)?;
    vm.wait_for("Marked boot as 'good'", PATIENCE)?;
    let taken = set_up::run_through(&mut vm, place)?;
    let day = Day::begin(&vm, place, &taken.browser)?;
    deliver(&vm, &day)?;
    read(&vm, &day)?;
    let numbers = scrape(&mut vm, place, &day)?;
    vm.picture("serving")?;
    let used = vm.memory_used()?;
    switch_off(place, &taken.browser)?;
    let off = vm.ends(END)?;

    let mut vm = Vm::start(place, Parts { name: "second", ..parts }, &hooks)?;
    vm.wait_for(SERVES, START)?;
    let second = vm.since_kernel(SERVES)?;
    if vm.said().contains("passphrase") {
        return Err("the second start asked for a passphrase: the TPM did not open the disk".into());
    }
    read(&vm, &day)?;
    vm.picture("serving")?;
    vm.shut_down(END)?;
    let measured = format!(
        "without hardware help: {first:.0} s from the kernel's start to the service on the first start, {second:.0} s on \
         the second; switched off in {} s; {} MiB of memory in use; the daemon's own: {} MiB",
        off.as_secs(),
        used / 1024 / 1024,
        numbers / 1024 / 1024,
    );
    Ok(Told { recovery_key: taken.recovery_key, measured })
}

/// The power fails while the data partition is being made. What follows is a first start as any other.
fn cut_short(place: &Place, parts: Parts<'_>, hooks: &Hooks) -> Result<()> {
    let mut vm = Vm::start(place, parts, hooks)?;
    vm.wait_for(MAKING, START)?;
    // Somewhere in the middle of it.
    std::thread::sleep(Duration::from_secs(4));
    let far = vm.said().contains("Mounted var.mount");
    drop(vm);
    if far { Err("the disk was ready before the power failed".into()) } else { Ok(()) }
}

/// The lab's DNS instead of the Internet's, for a machine that has none: settings that set-up finds.
fn world(lab: &Lab) -> Result<Hooks> {
    let port = relay::dns(lab.dns.address)?;
    let anchor = fs::read_to_string(&lab.dns.anchor)?;
    let seed = format!(
        "[listen]\nmetrics = \"0.0.0.0:9464\"\n[metrics]\ntoken_file = \"/etc/wardpost/metrics.token\"\n\
         [dns]\nservers = [\"10.0.2.2:{port}\"]\ntrust_anchor = \"/etc/wardpost/lab.anchor\"\n\
         [acme]\ndirectory = \"https://127.0.0.1:9/nobody\"\n"
    );
    Ok(Hooks::default()
        .file("/etc/wardpost/set-up.toml", &seed)
        .file("/etc/wardpost/lab.anchor", &anchor))
}

/// What Dana has after the set-up.
struct Day {
    ca: Ca,
    password: String,
    token: String,
    certificate: PathBuf,
}

impl Day {
    /// Goes on where the set-up ended: a password for the mail program, and the token for the numbers.
    fn begin(vm: &Vm, place: &Place, browser: &Chromium) -> Result<Self> {
        let page = Page { browser, folder: &place.folder };
        let welcome = page.link("a[href^='/staff/welcome/']")?;
        browser.open(&format!("https://{HOSTNAME}{welcome}"))?;
        page.reach("main form button", "welcome")?;
        page.fill(&[])?;
        page.reach(".nav", "health")?;
        browser.open(&format!("https://{HOSTNAME}/staff/phone"))?;
        page.reach("#name", "devices")?;
        page.fill(&[("#name", "Dana's computer")])?;
        page.reach("#s-password", "device")?;
        let password = page.content("#s-password")?;
        let certificate = set_up::certificate_now(vm, place, "serving.pem")?;
        browser.open(&format!("https://{HOSTNAME}/admin/watch"))?;
        page.reach("#s-print", "watch")?;
        page.fill(&[])?;
        let token = page.content("#s-token")?;
        let mut ca = Ca::create(&place.folder.join("ca"))?;
        // Whoever compared the fingerprint trusts this one certificate.
        ca.root.clone_from(&certificate);
        Ok(Self { ca, password, token, certificate })
    }
}

/// A letter from outside, over STARTTLS.
fn deliver(vm: &Vm, day: &Day) -> Result<()> {
    let letter =
        message("joe@colleague.test", DANA, "About the flower", &format!("It is a {WORD}."));
    let mut smtp = Smtp::connect(vm.port(25)?)?;
    smtp.starttls(&day.ca, NAME)?;
    smtp.send("joe@colleague.test", &[DANA], &letter)?;
    Ok(())
}

/// Dana's mail program.
fn read(vm: &Vm, day: &Day) -> Result<()> {
    let address = vm.port(993)?;
    let mut imap = Imap::login(address, &day.ca, NAME, DANA, &day.password)?;
    wait_for("the letter in the mailbox", PATIENCE, || {
        let selected = imap.must("SELECT INBOX").ok()?;
        (!selected.contains("* 0 EXISTS")).then_some(())
    })?;
    let letter = imap.must("FETCH 1 BODY[]")?;
    if letter.contains(WORD) { Ok(()) } else { Err("the letter is another one".into()) }
}

/// Presses the button for it on the page. The second day ends with the machine's own.
fn switch_off(place: &Place, browser: &Chromium) -> Result<()> {
    let page = Page { browser, folder: &place.folder };
    browser.open(&format!("https://{HOSTNAME}/admin/machine"))?;
    page.reach("button[value='poweroff']", "machine")?;
    // As in `Page::fill`.
    let press = "setTimeout(() => document.querySelector(\"button[value='poweroff']\").click(), 0)";
    browser.script(press)?;
    page.says("switches itself off").map(drop)
}

/// The numbers, as Prometheus gets them: with the token, and without it not. Gives the daemon's memory.
fn scrape(vm: &mut Vm, place: &Place, day: &Day) -> Result<u64> {
    let port = vm.port(9464)?.port();
    let url = format!("https://{NAME}:{port}/metrics");
    let ask = |token: &str| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--max-time", "60", "--cacert"])
            .arg(&day.certificate);
        curl.args(["--resolve", &format!("{NAME}:{port}:127.0.0.1")]);
        curl.args(["--header", &format!("Authorization: Bearer {token}"), &url]);
        wardpost_tests::run(&mut curl)
    };
    if ask("not-the-token-but-just-as-long-as-it").is_ok() {
        return Err("the numbers are for anybody".into());
    }
    let numbers = ask(&day.token)?;
    fs::write(place.folder.join("metrics"), &numbers)?;
    number(&numbers, "process_resident_memory_bytes")
        .ok_or_else(|| "no memory among the numbers".into())
}

fn number(numbers: &str, name: &str) -> Option<u64> {
    let line = numbers.lines().find(|line| line.split(' ').next() == Some(name))?;
    let value: f64 = line.split(' ').nth(1)?.parse().ok()?;
    Some(value as u64)
}
