//! Dialogues that a person can read, spoken with the service.
//!
//! A file in `dialogues/` is a list of lines:
//! - `C: text` sends a line; `C2:` does so on a second connection, and so on. Connections open when
//!   they are first used.
//! - `S: text` is the next line that must come; `…` stands for any text. `S2:` is for the second
//!   connection.
//! - `S: (end)` says that the server closes.
//! - `Q: 100` says that nothing comes for so many milliseconds (`Q2:` likewise).
//! - `M: name` delivers `mails/name.eml` to INBOX.
//! - `login` logs the first connection in; `login 2` the second.
//! - Empty lines and lines that begin with `#` say nothing.

use crate::world::{ADDRESS, Client, PASSWORD, World};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/service").join(path)
}

/// A mail of `mails/`, with the line ends that mail has.
fn mail(name: &str) -> Vec<u8> {
    let text = std::fs::read_to_string(here(&format!("mails/{name}.eml"))).unwrap();
    text.replace('\n', "\r\n").into_bytes()
}

/// Whether a line is what was expected, `…` standing for anything.
fn fits(expected: &str, line: &str) -> bool {
    let mut pieces = expected.split('…');
    let first = pieces.next().unwrap_or("");
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let pieces: Vec<&str> = pieces.collect();
    let Some((last, middle)) = pieces.split_last() else { return rest.is_empty() };
    for piece in middle {
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

struct Stage {
    world: World,
    clients: BTreeMap<String, Client>,
}

impl Stage {
    async fn client(&mut self, number: &str) -> &mut Client {
        if !self.clients.contains_key(number) {
            let client = self.world.connect().await;
            self.clients.insert(number.to_owned(), client);
        }
        self.clients.get_mut(number).unwrap()
    }

    async fn play(&mut self, line: &str) -> Result<(), String> {
        if let Some(number) = line.strip_prefix("login") {
            let client = self.client(number.trim()).await;
            client.line().await;
            client.run("login", &format!("LOGIN {ADDRESS} \"{PASSWORD}\"")).await;
            return Ok(());
        }
        let (who, text) = line.split_once(':').ok_or("neither a line nor a direction")?;
        let text = text.strip_prefix(' ').unwrap_or(text);
        let (kind, number) = who.split_at(1);
        match kind {
            "M" => self.world.deliver(mail(text)).await,
            "C" => self.client(number).await.send(format!("{text}\r\n")).await,
            "Q" => {
                let wait = Duration::from_millis(text.parse().unwrap());
                if !self.client(number).await.hears_nothing(wait).await {
                    return Err(format!("heard {:?}", self.client(number).await.line().await));
                }
            }
            "S" => {
                let heard = self.client(number).await.line().await;
                let expected = if text == "(end)" { "" } else { text };
                if !fits(expected, &heard) {
                    return Err(format!("heard {heard:?}"));
                }
            }
            _ => return Err("no such direction".into()),
        }
        Ok(())
    }
}

async fn play(path: &Path) -> Result<(), String> {
    let mut stage = Stage { world: World::start().await, clients: BTreeMap::new() };
    let script = std::fs::read_to_string(path).unwrap();
    for (at, line) in script.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if let Err(error) = stage.play(line).await {
            return Err(format!("{}:{}: {line}\n  {error}", path.display(), at + 1));
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_dialogue_goes_as_written() {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(here("dialogues")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 10, "the dialogues are gone");
    let mut failed = Vec::new();
    for path in paths {
        failed.extend(play(&path).await.err());
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

#[test]
fn patterns_fit() {
    assert!(fits("a…c", "abc") && fits("…", "") && fits("x", "x") && fits("a…b…c", "a1b2c"));
    assert!(!fits("a…c", "ab") && !fits("x", "xy") && !fits("a…b…c", "acb"));
}
