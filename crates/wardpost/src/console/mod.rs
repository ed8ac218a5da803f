//! `wardpost console`: the status screen of a machine without a shell, for whoever stands before it.

mod addresses;
mod screen;

use crate::cli::ConsoleOptions;
use crate::failure::Failure;
use crate::serve::set_up::Ground;
use screen::Seen;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use wardpost_admin::{Answer, Client, ClientError, ConsoleView, Request};
use wardpost_config::Config;

/// How often the screen is drawn anew.
const EVERY: Duration = Duration::from_secs(5);
/// How long a daemon that was started a moment ago may take to answer.
const STARTING: Duration = Duration::from_secs(2);

/// Draws the screen for ever, or prints it once.
pub(crate) fn console(file: &Path, options: &ConsoleOptions, json: bool) -> Result<(), Failure> {
    let out = std::io::stdout();
    if options.once || json || !out.is_terminal() {
        return once(file, json);
    }
    // A cursor that blinks says that something could be typed; the unit's terminal is nobody else's.
    let own = std::env::var_os("TERM").is_some_and(|term| term == "linux");
    let mut begin = if own { "\x1b[?25l\x1b[2J" } else { "\x1b[2J" };
    loop {
        let lines = screen::draw(&look(file));
        let mut text = format!("{begin}\x1b[H");
        for line in lines {
            text.push_str(&line);
            // Erased to the end of the line, and not before: nothing flickers.
            text.push_str("\x1b[K\r\n");
        }
        text.push_str("\x1b[J");
        let mut out = out.lock();
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .map_err(Failure::during("drawing the screen"))?;
        begin = "";
        std::thread::sleep(EVERY);
    }
}

/// Why nothing else can be asked yet, if a daemon is being set up.
pub(crate) fn refused(file: &Path) -> Result<(), Failure> {
    let asked = socket(file).and_then(|socket| Ok(Client::connect(&socket)?));
    let Ok(mut client) = asked else { return Ok(()) };
    let list = Request::Account(wardpost_admin::AccountRequest::List);
    match client.call(&list, |_| ()) {
        Err(refused @ ClientError::Refused(_)) => Err(refused.into()),
        _ => Ok(()),
    }
}

/// What the daemon says, as plain lines.
pub(crate) fn once(file: &Path, json: bool) -> Result<(), Failure> {
    let view = ask(&socket(file)?, STARTING)?;
    let text = if json {
        let answer = Answer::Console(Box::new(view));
        answer.json().map(|text| text + "\n").map_err(Failure::from_error)?
    } else {
        let seen = Seen { view: Some(view), addresses: addresses::of_this_machine() };
        format!("{}", Lines(&seen))
    };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Failure::during("writing the answer"))
}

/// The answer with the addresses that the pages really have.
struct Lines<'a>(&'a Seen);

impl std::fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(view) = &self.0.view {
            view.fmt(f)?;
        }
        self.0.urls().iter().try_for_each(|url| writeln!(f, "  open         {url}"))
    }
}

/// Everything that the screen shows. Nothing of this fails: it shows what is wrong.
fn look(file: &Path) -> Seen {
    let view = socket(file).ok().and_then(|socket| ask(&socket, Duration::ZERO).ok());
    Seen { view, addresses: addresses::of_this_machine() }
}

fn ask(socket: &Path, patience: Duration) -> Result<ConsoleView, Failure> {
    let mut client = Client::connect_within(socket, patience)?;
    // The recovery kit never comes with this answer.
    match client.call(&Request::Console, drop)? {
        Answer::Console(view) => Ok(*view),
        _ => Err(ClientError::Broken(std::io::ErrorKind::InvalidData.into()).into()),
    }
}

/// The daemon's control socket, whether or not it is set up yet.
fn socket(file: &Path) -> Result<PathBuf, Failure> {
    if crate::serve::set_up::is_missing(file) {
        return Ok(Ground::look(file, Path::new(""))?.provisional.admin_socket());
    }
    Ok(Config::load(file)?.admin_socket())
}
