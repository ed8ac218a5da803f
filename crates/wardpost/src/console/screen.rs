//! What is on the screen: 80 columns, 25 lines, and only letters that every terminal has.

use std::net::{IpAddr, SocketAddr};
use wardpost_admin::{ConsoleView, ServingView, SetUpView, Stage};
use wardpost_health::{time, wrap};

/// Columns and lines of the smallest screen.
const WIDTH: usize = 80;
const HEIGHT: usize = 25;
/// What stands left of everything.
const MARGIN: &str = " ";
/// What stands out is moved in by so much more.
const INDENT: &str = "     ";
/// Addresses of the page that are shown.
const MOST_URLS: usize = 2;

/// What was found out.
pub(crate) struct Seen {
    /// What the daemon says, if it runs.
    pub(crate) view: Option<ConsoleView>,
    /// The machine's addresses, if the kernel lists them.
    pub(crate) addresses: Option<Vec<IpAddr>>,
}

impl Seen {
    /// Where a browser finds the pages.
    pub(crate) fn urls(&self) -> Vec<String> {
        let Some(view) = &self.view else { return Vec::new() };
        let mut urls = Vec::new();
        for listener in &view.https {
            let own = self.addresses.iter().flatten();
            let same = own.filter(|own| own.is_ipv4() == listener.is_ipv4());
            match listener.ip().is_unspecified() {
                true => urls.extend(same.map(|ip| url((*ip, listener.port()).into()))),
                false => urls.push(url(*listener)),
            }
        }
        urls.dedup();
        urls
    }
}

fn url(address: SocketAddr) -> String {
    match (address.port(), address.ip()) {
        (443, IpAddr::V6(ip)) => format!("https://[{ip}]/"),
        (443, IpAddr::V4(ip)) => format!("https://{ip}/"),
        _ => format!("https://{address}/"),
    }
}

/// The screen, line by line, each ending within the screen.
pub(crate) fn draw(seen: &Seen) -> Vec<String> {
    let mut page = Page(Vec::new());
    let version = seen.view.as_ref().map_or(env!("CARGO_PKG_VERSION"), |view| &view.version);
    page.title(version);
    match seen.view.as_ref().map(|view| (view, &view.stage)) {
        None => not_running(&mut page),
        Some((view, Stage::SetUp(stage))) => set_up(&mut page, seen, view, stage),
        Some((view, Stage::Serving(stage))) => serving(&mut page, seen, view, stage),
    }
    page.finish()
}

fn set_up(page: &mut Page, seen: &Seen, view: &ConsoleView, stage: &SetUpView) {
    let urls = seen.urls();
    if urls.is_empty() {
        page.text("This server is new and waits to be set up.");
        page.gap();
        no_network(page);
        return;
    }
    page.text(
        "This server is new. To set it up, open a browser on a computer or phone in the same network \
         and go to",
    );
    page.gap();
    urls.iter().take(MOST_URLS).for_each(|url| page.mark(url));
    page.gap();
    page.text(
        "The browser will warn you, because this server has no certificate from an authority yet. Go on \
         if the certificate's SHA-256 fingerprint that it shows is this one:",
    );
    page.gap();
    page.fingerprint(&view.fingerprint);
    page.gap();
    match stage.pause_seconds {
        0 if stage.begun => page.text(
            "A browser has begun the set-up. In another one, this code takes it over (if it was not you \
             who began, do that now):",
        ),
        0 => page.text("Then type this code into the page:"),
        seconds => page.text(&format!(
            "Somebody typed too many wrong codes. In {seconds} seconds, this one counts:"
        )),
    }
    page.gap();
    page.mark(stage.code.expose());
    page.gap();
    page.text(
        "Have a printer or pen and paper at hand: the last page is a recovery sheet to lock away. Without \
         it nobody can help if you forget your password.",
    );
    match stage.unlock.as_deref() {
        Some("tpm") => page.text("The disk is encrypted; this machine's security chip opens it."),
        Some("passphrase") => page.text(
            "The disk is encrypted. This machine has no security chip (TPM): the passphrase must be typed \
             here at each start.",
        ),
        _ => {}
    }
}

fn serving(page: &mut Page, seen: &Seen, view: &ConsoleView, stage: &ServingView) {
    let (words, wrong) = stage.health_words();
    let urls = seen.urls();
    page.text(&format!("Mail server {}", stage.hostname));
    page.gap();
    if urls.is_empty() && !view.https.is_empty() {
        no_network(page);
        page.gap();
    }
    page.text(&words);
    let below = below(stage, &urls, &view.fingerprint);
    // What is below is whole, and one line says how much more there is.
    let room = (HEIGHT - 1).saturating_sub(page.0.len() + below.0.len() + 1);
    let (mut shown, mut used) = (0, 0);
    for says in &wrong {
        let lines = wrap(says, WIDTH - 8);
        used += lines.len();
        if used > room && shown > 0 {
            break;
        }
        page.item(&lines);
        shown += 1;
    }
    if shown < wrong.len() {
        page.item(&[format!("and {} more", wrong.len() - shown)]);
    }
    page.0.extend(below.0);
}

/// What is said below the health, whatever that is.
fn below(stage: &ServingView, urls: &[String], fingerprint: &str) -> Page {
    let mut page = Page(Vec::new());
    page.gap();
    page.text(&match (stage.queue_messages, stage.queue_oldest_seconds) {
        (0, _) => "No message waits to go out.".to_owned(),
        (1, age) => format!("1 message waits to go out{}.", since(age, ", for ")),
        (n, age) => format!("{n} messages wait to go out{}.", since(age, ", the oldest for ")),
    });
    page.gap();
    page.text("Sign in, see what to do, connect phones and invite colleagues at");
    page.gap();
    page.mark(&format!("https://{}/staff", stage.hostname));
    urls.iter().take(2).for_each(|url| page.mark(&format!("{url}staff")));
    if stage.self_signed {
        page.gap();
        page.text(
            "Its certificate is self-made so far, and browsers warn. The right one has the SHA-256 fingerprint",
        );
        page.fingerprint(fingerprint);
    }
    page
}

fn since(age: Option<u64>, words: &str) -> String {
    let Some(age) = age else { return String::new() };
    let text = if age < 120 { "a moment".to_owned() } else { time(age) };
    format!("{words}{text}")
}

fn no_network(page: &mut Page) {
    page.text("This machine has no network.");
    page.gap();
    page.text(
        "Please look whether its network cable is plugged in at both ends and the lamps beside the plugs are \
         lit; in a virtual machine, whether it has a network card that is connected. The address comes from your \
         router (DHCP) by itself: it appears here a few seconds after the network is there.",
    );
}

fn not_running(page: &mut Page) {
    page.text("The mail server does not run at this moment.");
    page.gap();
    page.text(
        "It starts by itself, after a power failure it may take some minutes. If this text is still here after \
         ten minutes: switch the machine off, wait a moment, and switch it on again. No mail is lost: other \
         servers keep it for days and try again.",
    );
    page.gap();
    page.text(
        "If that does not help, please call whoever looks after this machine. The journal says what is wrong: \
         journalctl --unit wardpost",
    );
}

/// Lines so far.
struct Page(Vec<String>);

impl Page {
    fn title(&mut self, version: &str) {
        let (left, right) = (format!("Wardpost {version}"), "the encrypted mail server");
        let gap = WIDTH - 2 - left.len().min(50) - right.len();
        self.0.push(format!("{MARGIN}{left:.50}{:gap$}{right}", ""));
        self.0.push(format!("{MARGIN}{}", "=".repeat(WIDTH - 2)));
        self.gap();
    }

    fn gap(&mut self) {
        self.0.push(String::new());
    }

    fn text(&mut self, text: &str) {
        self.0.extend(wrap(text, WIDTH - 2).into_iter().map(|line| format!("{MARGIN}{line}")));
    }

    fn mark(&mut self, text: &str) {
        self.0.push(format!("{MARGIN}{INDENT}{text}"));
    }

    fn fingerprint(&mut self, text: &str) {
        let groups: Vec<&str> = text.split(' ').collect();
        groups.chunks(8).for_each(|line| self.mark(&line.join(" ")));
    }

    fn item(&mut self, lines: &[String]) {
        for (n, line) in lines.iter().enumerate() {
            self.0.push(format!("{MARGIN}  {} {line}", if n == 0 { "-" } else { " " }));
        }
    }

    /// What fits, in letters that every terminal has.
    fn finish(self) -> Vec<String> {
        let plain = |c: char| match c {
            '\u{2018}' | '\u{2019}' => '\'',
            '\u{201c}' | '\u{201d}' => '"',
            '\u{2013}' | '\u{2014}' => '-',
            c if c.is_ascii() && !c.is_ascii_control() => c,
            _ => '?',
        };
        let line = |line: String| line.chars().take(WIDTH - 1).map(plain).collect();
        // One line less than there are: a line end in the last one would move everything up.
        self.0.into_iter().take(HEIGHT - 1).map(line).collect()
    }
}

#[cfg(test)]
#[path = "screen_tests.rs"]
mod tests;
