//! kill -9 while mail arrives: what was acknowledged is there, once.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use wardpost_keys::{AccountCertificate, SystemKey};
use wardpost_mailbox::SpecialUse;

use crate::*;

/// Tells the child where to work.
const DIRECTORY: &str = "WARDPOST_KILL_TEST";

#[test]
fn what_was_acknowledged_survives_kill_once() {
    let dir = tempfile::tempdir().unwrap();
    SystemKey::create_file(&dir.path().join("key")).unwrap();
    std::fs::write(dir.path().join("certificate"), dana().keys.certificate().as_bytes()).unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        acknowledged.extend(deliver_until_killed(dir.path(), round, 40 + 10 * round));
    }
    assert!(acknowledged.len() >= 300);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(check(dir.path(), &acknowledged));
}

/// Starts a child that delivers, and kills it after some deliveries; the subjects acknowledged.
fn deliver_until_killed(dir: &Path, round: usize, after: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--ignored", "--nocapture"])
        .env(DIRECTORY, dir)
        .env("ROUND", round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    for line in lines {
        let line = line.unwrap();
        if let Some((_, subject)) = line.rsplit_once("ack ") {
            acknowledged.push(subject.to_owned());
        }
        if acknowledged.len() == after {
            // SIGKILL; what it printed before is still read.
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    acknowledged
}

async fn check(dir: &Path, acknowledged: &[String]) {
    let key = SystemKey::read_file(&dir.join("key")).unwrap();
    let store = Store::open(&dir.join("data"), &key).unwrap();
    let mail = dana().open(&Mailboxes::new(store.clone())).await;
    let mut found: BTreeMap<String, u32> = BTreeMap::new();
    for (uid, subject) in subjects(&mail, INBOX).await {
        assert_eq!(&*mail.body(INBOX, Uid(uid)).await.unwrap(), message(&subject));
        *found.entry(subject).or_default() += 1;
    }
    assert!(found.values().all(|times| *times == 1));
    for subject in acknowledged {
        assert!(found.contains_key(subject), "{subject} was acknowledged and is not there");
    }
    let snapshot = mail.select(INBOX).await.unwrap();
    assert_eq!(snapshot.messages.len(), found.len());
    assert!(snapshot.messages.windows(2).all(|w| w[0].modseq < w[1].modseq));
    assert_eq!(bodies(&store), found.len());
}

#[test]
#[ignore = "a part of what_was_acknowledged_survives_kill_once"]
fn child() {
    let Some(dir) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let round = std::env::var("ROUND").unwrap();
    let key = SystemKey::read_file(&dir.join("key")).unwrap();
    let store = Store::open(&dir.join("data"), &key).unwrap();
    let mailboxes = Mailboxes::new(store);
    let bytes = std::fs::read(dir.join("certificate")).unwrap();
    let certificate = AccountCertificate::from_bytes(&bytes).unwrap();
    let to = Destination { account: dana().id, certificate, mailbox: SpecialUse::Inbox };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let callers: Vec<_> = (0..8)
            .map(|caller| {
                let (mailboxes, to, round) = (mailboxes.clone(), to.clone(), round.clone());
                tokio::spawn(async move {
                    for n in 0.. {
                        let subject = format!("k{round}-{caller}-{n}");
                        deliver(&mailboxes, std::slice::from_ref(&to), &subject).await;
                        let mut out = std::io::stdout().lock();
                        writeln!(out, "ack {subject}").unwrap();
                        out.flush().unwrap();
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
    });
}
