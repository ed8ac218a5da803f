//! What was acknowledged survives `kill -9`; what fits no more is refused and the store lives on.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use wardpost_keys::SystemKey;
use wardpost_store::{Batch, Column, CommitError, Options, Store};

const DIRECTORY: &str = "WARDPOST_TEST_DIRECTORY";

/// Runs one test of this very program in a process of its own.
fn child(test: &str, directory: &Path, through: &[&str]) -> Command {
    let program = std::env::current_exe().expect("own path");
    let mut command = match through {
        [] => Command::new(&program),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(&program);
            command
        }
    };
    command
        .args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .stdin(Stdio::null());
    command
}

fn directory() -> std::path::PathBuf {
    std::env::var_os(DIRECTORY).expect("run by its parent").into()
}

fn entry(number: u32) -> Batch {
    let mut batch = Batch::new();
    // Into tables, blob files and files of large values.
    let size = [60, 6_000, 200_000][number as usize % 3];
    batch.put(Column::Message, number.to_be_bytes(), vec![number as u8; size]);
    batch.put(Column::Mailbox, number.to_be_bytes(), number.to_be_bytes());
    batch
}

/// The child: writes for ever and says what was acknowledged.
#[test]
#[ignore = "run by acknowledged_commits_survive_kill_9"]
fn child_that_writes() {
    let directory = directory();
    let key = SystemKey::read_file(&directory.join("key")).expect("key");
    let store = Store::open(&directory.join("data"), &key).expect("opened");
    let mut next =
        store.scan(Column::Mailbox, b"", None, usize::MAX).expect("scanned").len() as u32;
    loop {
        let tickets: Vec<_> = (next..next + 8).map(|n| (n, store.submit(entry(n)))).collect();
        for (number, ticket) in tickets {
            ticket.wait().expect("committed");
            println!("\nack {number}");
        }
        std::io::stdout().flush().expect("flushed");
        next += 8;
    }
}

fn read_acknowledgements(child: &mut Child, count: usize) -> Vec<u32> {
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut numbers = Vec::new();
    for line in lines.map_while(Result::ok) {
        numbers.extend(line.strip_prefix("ack ").and_then(|number| number.parse::<u32>().ok()));
        if numbers.len() == count {
            child.kill().expect("killed");
        }
    }
    numbers
}

#[test]
fn acknowledged_commits_survive_kill_9() {
    let directory = tempfile::tempdir().expect("directory");
    let key = SystemKey::create_file(&directory.path().join("key")).expect("key");
    let mut acknowledged = Vec::new();
    for round in 1..=5 {
        let mut child = child("child_that_writes", directory.path(), &[])
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        acknowledged.extend(read_acknowledgements(&mut child, 40 + round * 17));
        child.wait().expect("ended");
    }
    assert!(acknowledged.len() >= 5 * 40, "only {} commits", acknowledged.len());
    let store = Store::open(&directory.path().join("data"), &key).expect("opened");
    for number in &acknowledged {
        let name = number.to_be_bytes();
        let value = store.get(Column::Mailbox, &name).expect("read");
        assert_eq!(value.as_deref(), Some(&name[..]), "commit {number}");
        let large = store.get(Column::Message, &name).expect("read").expect("both or none");
        assert!(large.iter().all(|byte| *byte == *number as u8));
    }
    let all = store.scan(Column::Mailbox, b"", None, usize::MAX).expect("scanned");
    let bodies = store.scan(Column::Message, b"", None, usize::MAX).expect("scanned");
    assert_eq!(all.len(), bodies.len(), "a batch is there as a whole or not at all");
}

/// The child: in a mount namespace of its own, on a file system of 160 MiB.
#[test]
#[ignore = "run by full_disk"]
fn child_on_a_small_disk() {
    small_disk(Options::default());
}

/// The same, but nothing is kept free: the database itself runs into the full disk.
#[test]
#[ignore = "run by full_disk"]
fn child_on_a_small_disk_without_reserve() {
    small_disk(Options { reserve: 0 });
}

fn mount(arguments: &[&str], at: &Path) -> bool {
    let status = Command::new("mount").args(arguments).arg(at).status();
    status.is_ok_and(|status| status.success())
}

fn small_disk(options: Options) {
    let disk = directory().join("disk");
    if !mount(&["-t", "tmpfs", "-o", "size=160m", "tmpfs"], &disk) {
        println!("\ncannot mount");
        return;
    }
    let key = SystemKey::generate();
    let store = Store::open_with(&disk.join("data"), &key, &options).expect("opened");
    let write = |number: u32| {
        let mut batch = Batch::new();
        // Some into the database, most beside it.
        let size = if number.is_multiple_of(4) { 20 << 10 } else { 1 << 20 };
        batch.put(Column::Message, number.to_be_bytes(), vec![1; size]);
        store.commit_blocking(batch)
    };
    let full = (0..400).map(|n| (n, write(n))).find(|(_, outcome)| outcome.is_err());
    let (number, outcome) = full.expect("full at last");
    assert_eq!(outcome, Err(CommitError::DiskFull));
    assert!(number > 20, "full after {number} MiB only");
    let all_there = || {
        (0..number).all(|n| store.get(Column::Message, &n.to_be_bytes()).expect("read").is_some())
    };
    assert!(all_there());
    if options.reserve > 0 {
        // What frees space is let through.
        let mut batch = Batch::new();
        batch.delete(Column::Message, u32::MAX.to_be_bytes());
        assert!(store.commit_blocking(batch).is_ok());
    }
    assert!(mount(&["-o", "remount,size=400m"], &disk));
    // RocksDB looks for free space every five seconds.
    let patience = Instant::now() + Duration::from_secs(30);
    let mut again = write(number);
    while again == Err(CommitError::DiskFull) && options.reserve == 0 && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(200));
        again = write(number);
    }
    assert!(again.is_ok(), "no restart is needed: {again:?}");
    assert!(all_there());
    store.close();
    let store = Store::open(&disk.join("data"), &key).expect("opened again");
    for n in 0..=number {
        assert!(store.get(Column::Message, &n.to_be_bytes()).expect("read").is_some(), "{n}");
    }
    println!("\nrecovered after {number} MiB");
}

#[test]
fn a_full_disk_is_refused_and_recovered_from() {
    full_disk("child_on_a_small_disk");
}

#[test]
fn a_disk_filled_to_the_last_byte_is_recovered_from() {
    full_disk("child_on_a_small_disk_without_reserve");
}

fn full_disk(test: &str) {
    let directory = tempfile::tempdir().expect("directory");
    std::fs::create_dir(directory.path().join("disk")).expect("made");
    let namespace = ["unshare", "--user", "--map-root-user", "--mount"];
    let root = ["unshare", "--mount"];
    for through in [&namespace[..], &root[..]] {
        let Ok(output) = child(test, directory.path(), through).output() else { continue };
        let text = String::from_utf8_lossy(&output.stdout);
        if text.contains("recovered after") {
            assert!(output.status.success());
            return;
        }
        let no_namespace = output.stdout.is_empty() || text.contains("cannot mount");
        assert!(no_namespace, "{text}{}", String::from_utf8_lossy(&output.stderr));
    }
    // Where no file system can be mounted, the engine's double in the unit tests has to do.
    eprintln!("no mount namespace here: a full disk was not tried");
}
