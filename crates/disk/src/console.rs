//! Talks to whoever sits at the console. The unit makes it this program's standard input and output.

use crate::Failure;
use std::io::{BufRead, Write};
use std::process::{Command, Stdio};
use wardpost_mail::Secret;

/// The fewest characters of a passphrase.
const SHORTEST: usize = 12;

/// Prints lines between blank ones, so that they stand out among the messages of the start.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout();
    // A console that is gone is no reason to stop.
    let _ = write!(out, "\n{text}\n\n").and_then(|()| out.flush());
}

/// Waits until somebody presses Enter.
pub(crate) fn wait_for_enter() {
    let mut line = String::new();
    if std::io::stdin().lock().read_line(&mut line).unwrap_or(0) == 0 {
        // No console at all: whoever plugs one in finds the message again after a minute.
        std::thread::sleep(std::time::Duration::from_secs(60));
    }
}

/// Asks for a new passphrase until the same one, long enough, was typed twice.
pub(crate) fn new_passphrase() -> Result<Secret<String>, Failure> {
    say("Choose a passphrase now: four or five words that do not belong together are good.\n\
         It will be asked for HERE, on this screen, at EVERY start; without it, or the\n\
         key on the sheet that the set-up prints, nobody reads the mail. Write it down.");
    loop {
        let first = ask("New passphrase for the disk:")?;
        if let Err(complaint) = acceptable(first.expose()) {
            say(complaint);
            continue;
        }
        if ask("The same passphrase again:")?.expose() == first.expose() {
            return Ok(first);
        }
        say("The two were not the same. Nothing was changed; please try again.");
    }
}

fn acceptable(passphrase: &str) -> Result<(), &'static str> {
    if passphrase.chars().count() < SHORTEST {
        return Err("That is too short: at least 12 characters, please.");
    }
    Ok(())
}

/// Asks one question; what is typed shows as asterisks. The answer stays in the kernel's keyring for two
/// minutes under the name that systemd-cryptsetup looks at, so that it need not ask a third time.
fn ask(question: &str) -> Result<Secret<String>, Failure> {
    let output = Command::new("systemd-ask-password")
        .args(["--keyname=cryptsetup", "--timeout=0", "--", question])
        .stdin(Stdio::inherit())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| format!("systemd-ask-password did not start: {e}"))?;
    if !output.status.success() {
        return Err(format!("systemd-ask-password ended with {}", output.status));
    }
    let mut answer = String::from_utf8(output.stdout).map_err(|_| "the passphrase is no UTF-8")?;
    answer.truncate(answer.trim_end_matches('\n').len());
    Ok(Secret::new(answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_ones_are_refused() {
        assert!(acceptable("elevenchars").is_err());
        assert!(acceptable("twelve chars").is_ok());
    }
}
