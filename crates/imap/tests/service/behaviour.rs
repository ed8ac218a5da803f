//! What dialogues cannot show: large mailboxes, streams, time and real clients.

use crate::world::{ADDRESS, Client, PASSWORD, World};
use std::process::Command;
use std::time::{Duration, Instant};
use wardpost_imap::Settings;
use wardpost_mail::Secret;

fn numbered(n: u32) -> String {
    format!(
        "From: lab{n}@lab.test\r\nTo: {ADDRESS}\r\nSubject: Number {n}\r\n\
         Message-ID: <{n}@lab.test>\r\n\r\nBody of number {n}.\r\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_messages_are_listed_in_order() {
    let world = World::start().await;
    for n in 1..=1000 {
        world.deliver(numbered(n)).await;
    }
    let mut client = world.client().await;
    client.run("a", "SELECT INBOX").await;
    let lines = client.run("b", "FETCH 1:* (UID FLAGS ENVELOPE)").await;
    assert_eq!(lines.len(), 1001);
    for (at, line) in lines[..1000].iter().enumerate() {
        let n = at + 1;
        assert!(line.starts_with(&format!("* {n} FETCH (UID {n} FLAGS () ENVELOPE (")), "{line}");
        assert!(line.contains(&format!("\"Number {n}\"")), "{line}");
    }
    let lines = client.run("c", "UID SEARCH BODY \"number 77.\"").await;
    assert_eq!(lines[0], "* SEARCH 77");
    let lines = client.run("d", "UID FETCH 5,10,900:2000 (FLAGS)").await;
    assert_eq!(lines.len(), 2 + 101 + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages_come_back_whole_and_in_pieces() {
    let world = World::start().await;
    let body: String = (0..40_000).map(|n| format!("line number {n} of the text\r\n")).collect();
    let mail = format!("Subject: large\r\n\r\n{body}");
    let mut client = world.client().await;
    client.send(format!("a APPEND INBOX {{{}+}}\r\n{mail}\r\n", mail.len())).await;
    assert!(client.line().await.starts_with("a OK [APPENDUID"));
    client.run("b", "SELECT INBOX").await;
    let lines = client.run("c", "FETCH 1 BODY.PEEK[TEXT]").await;
    assert_eq!(lines[0], format!("* 1 FETCH (BODY[TEXT] {{{}}}", body.len()));
    assert_eq!(lines.len(), 1 + 40_000 + 2);
    let mut got = String::new();
    while got.len() < body.len() {
        let command = format!("UID FETCH 1 (BODY.PEEK[TEXT]<{}.100000>)", got.len());
        let lines = client.run("d", &command).await;
        let announced = lines[0].rsplit_once('{').unwrap().1.trim_end_matches('}');
        let length: usize = announced.parse().unwrap();
        let text = lines[1..lines.len() - 1].join("\r\n");
        got.push_str(&text[..length]);
    }
    assert_eq!(got, body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_wakes_an_idle_client_at_once() {
    let world = World::start().await;
    let mut client = world.client().await;
    client.run("a", "SELECT INBOX").await;
    client.send("b IDLE\r\n").await;
    assert_eq!(client.line().await, "+ idling");
    let mut worst = Duration::ZERO;
    for n in 1..=20 {
        world.deliver(numbered(n)).await;
        let delivered = Instant::now();
        assert_eq!(client.line().await, format!("* {n} EXISTS"));
        worst = worst.max(delivered.elapsed());
    }
    // 20 ms are promised; a machine under test load gets some more.
    assert!(worst < Duration::from_millis(200), "{worst:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_over_the_limit_is_refused_before_it_is_sent() {
    let world = World::with(Settings { append_limit: 1000, ..Settings::default() }).await;
    let mut client = world.client().await;
    client.send("a APPEND INBOX {1001}\r\n").await;
    assert!(client.line().await.starts_with("a NO [TOOBIG]"));
    client.run("b", "CAPABILITY").await;
    client.send("c APPEND INBOX {1001+}\r\n").await;
    assert_eq!(client.line().await, "* BYE Literal too big");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_password_ends_its_sessions() {
    let world = World::start().await;
    let mut client = world.client().await;
    client.send("a IDLE\r\n").await;
    assert_eq!(client.line().await, "+ idling");
    let (old, new) = (PASSWORD.to_owned(), "another horse, another battery".to_owned());
    let (old, new) = (Secret::new(old), Secret::new(new));
    world.directory.change_password_with(world.account, &old, &new).await.unwrap();
    assert_eq!(client.line().await, "* BYE This credential is no longer valid");
    assert_eq!(client.line().await, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutting_down_says_good_bye_and_leaves_nobody() {
    let world = World::start().await;
    let (mut idle, mut stranger) = (world.client().await, world.connect().await);
    idle.send("a IDLE\r\n").await;
    assert_eq!(idle.line().await, "+ idling");
    stranger.line().await;
    assert_eq!(world.imap.metrics().sessions(), 2);
    world.shutdown.begin();
    assert!(idle.line().await.starts_with("* BYE The server is shutting down"));
    assert!(stranger.line().await.starts_with("* BYE"));
    assert_eq!(world.shutdown.drain(Duration::from_secs(5)).await, 0);
    assert_eq!(world.imap.metrics().sessions(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_gone_when_the_last_session_has_left() {
    let world = World::start().await;
    let mut client = world.client().await;
    assert_eq!(world.directory.unlocked_count(), 1);
    client.run("a", "SELECT INBOX").await;
    drop(client);
    let deadline = Instant::now() + Duration::from_secs(5);
    while world.imap.metrics().sessions() > 0 {
        assert!(Instant::now() < deadline, "the session stays");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    while world.directory.unlocked_count() > 0 {
        assert!(Instant::now() < deadline, "the keys stay");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A configuration for mbsync that copies everything between INBOX, Sent and a maildir.
fn mbsync_config(world: &World, dir: &std::path::Path) -> std::path::PathBuf {
    let config = dir.join("mbsyncrc");
    let text = format!(
        "IMAPAccount w\nHost localhost\nPort {}\nUser {ADDRESS}\nPass \"{PASSWORD}\"\n\
         SSLType IMAPS\nCertificateFile {}\nSystemCertificates no\n\n\
         IMAPStore far\nAccount w\n\n\
         MaildirStore near\nPath {dir}/mail/\nInbox {dir}/mail/INBOX\nSubFolders Verbatim\n\n\
         Channel all\nFar :far:\nNear :near:\nPatterns INBOX Sent Archive\nCreate Near\nExpunge Both\n\
         SyncState *\nCopyArrivalDate yes\n",
        world.address.port(),
        world.certificate().display(),
        dir = dir.display(),
    );
    std::fs::write(&config, text).unwrap();
    config
}

async fn mbsync(config: std::path::PathBuf) {
    let ran = tokio::task::spawn_blocking(move || {
        Command::new("mbsync").arg("-c").arg(&config).arg("-a").arg("-V").output()
    });
    // The package is isync; the project's test command installs it.
    let output = ran.await.unwrap().expect("mbsync is installed");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stdout));
}

fn files(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    ["cur", "new"]
        .iter()
        .filter_map(|sub| std::fs::read_dir(dir.join(sub)).ok())
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mbsync_keeps_a_maildir_in_step() {
    let world = World::start().await;
    for n in 1..=25 {
        world.deliver(numbered(n)).await;
    }
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("mail")).unwrap();
    let config = mbsync_config(&world, home.path());
    mbsync(config.clone()).await;
    let inbox = home.path().join("mail/INBOX");
    let near = files(&inbox);
    assert_eq!(near.len(), 25);
    assert!(
        near.iter()
            .any(|path| { std::fs::read_to_string(path).unwrap().contains("Body of number 25.") })
    );
    // Here one message is flagged as read, one removed and one added; there, one is flagged.
    let flagged = near[0].parent().unwrap().join(format!(
        "../cur/{}:2,FS",
        near[0].file_name().unwrap().to_str().unwrap().split(":2,").next().unwrap()
    ));
    std::fs::rename(&near[0], flagged).unwrap();
    std::fs::remove_file(&near[1]).unwrap();
    std::fs::write(inbox.join("cur/1.new.host:2,S"), "Subject: from here\n\nnew\n").unwrap();
    let mut client = world.client().await;
    client.run("a", "SELECT INBOX").await;
    client.run("b", "STORE 20 +FLAGS.SILENT (\\Answered)").await;
    mbsync(config.clone()).await;
    mbsync(config).await;
    client.run("c", "NOOP").await;
    let status = client.run("d", "STATUS INBOX (MESSAGES UNSEEN)").await;
    assert_eq!(status[0], "* STATUS \"INBOX\" (MESSAGES 25 UNSEEN 23)");
    assert_eq!(client.run("e", "SEARCH FLAGGED SEEN").await[0].split(' ').count(), 3);
    assert_eq!(client.run("f", "SEARCH SUBJECT \"from here\"").await[0], "* SEARCH 25");
    let answered = files(&inbox).into_iter().filter(|path| path.to_string_lossy().contains(":2,R"));
    assert_eq!(answered.count(), 1);
}

/// What a client believes of a mailbox from what it is told: the UID of each number, where it knows.
#[derive(Default)]
struct Belief(Vec<Option<u32>>);

impl Belief {
    fn hear(&mut self, line: &str) {
        let mut words = line.strip_prefix("* ").unwrap_or_default().splitn(3, ' ');
        let (Some(Ok(number)), Some(what)) = (words.next().map(str::parse::<usize>), words.next())
        else {
            return;
        };
        match what {
            "EXISTS" => {
                assert!(number >= self.0.len(), "messages left without EXPUNGE: {line}");
                self.0.resize(number, None);
            }
            "EXPUNGE" => {
                self.0.remove(number - 1);
            }
            "FETCH" => {
                let told = words.next().and_then(|rest| rest.split_once("UID "));
                let uid = told.and_then(|(_, rest)| rest.split([' ', ')']).next()?.parse().ok());
                let slot = &mut self.0[number - 1];
                assert!(slot.is_none() || uid.is_none() || *slot == uid, "{line} was {slot:?}");
                *slot = slot.or(uid);
            }
            _ => {}
        }
    }
}

/// One client that does this and that for a while, and checks what it is told.
async fn meddle(world: &World, seed: u64) -> (Client, Belief) {
    let mut client = world.client().await;
    let (mut belief, mut random) = (Belief::default(), seed);
    for line in client.run("s", "SELECT INBOX").await {
        belief.hear(&line);
    }
    for step in 0..150 {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (choice, number) = (random >> 60, (random >> 33) as usize % belief.0.len().max(1) + 1);
        let command = match choice {
            0..3 => "UID FETCH 1:* (FLAGS)".to_owned(),
            3..6 => "FETCH 1:* (UID)".to_owned(),
            6..9 => format!("UID STORE {number} +FLAGS (\\Flagged k{seed})"),
            9 => format!("UID STORE {number} +FLAGS.SILENT (\\Deleted)"),
            10 => "EXPUNGE".to_owned(),
            11 => format!("UID MOVE {number} Trash"),
            12 => format!("UID COPY {number} INBOX"),
            13 => "UID SEARCH FLAGGED".to_owned(),
            _ => "NOOP".to_owned(),
        };
        if choice == 14 {
            world.deliver(numbered(step)).await;
        }
        client.send(format!("t {command}\r\n")).await;
        loop {
            let line = client.line().await;
            belief.hear(&line);
            if line.starts_with("t ") {
                let fine = line.starts_with("t OK") || line.contains("[EXPUNGEISSUED]");
                assert!(fine, "{command}: {line}");
                break;
            }
        }
    }
    (client, belief)
}

/// Once nobody meddles any more, what a client believes is what is there.
async fn settle((mut client, mut belief): (Client, Belief)) {
    client.run("n", "NOOP").await.iter().for_each(|line| belief.hear(line));
    let before = belief.0.len();
    client.run("f", "FETCH 1:* (UID)").await.iter().for_each(|line| belief.hear(line));
    assert!(belief.0[..before].iter().all(Option::is_some));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meddling_sessions_never_disagree_on_numbers() {
    let world = World::start().await;
    for n in 1..=40 {
        world.deliver(numbered(n)).await;
    }
    let (a, b, c, d) =
        tokio::join!(meddle(&world, 1), meddle(&world, 2), meddle(&world, 3), meddle(&world, 4));
    for session in [a, b, c, d] {
        settle(session).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pythons_imaplib_reads_and_writes() {
    let world = World::start().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/service/imaplib_client.py");
    let mut python = Command::new("python3");
    python.arg(script).arg(world.address.port().to_string()).arg(world.certificate());
    python.args([ADDRESS, PASSWORD]);
    let output = tokio::task::spawn_blocking(move || python.output()).await.unwrap();
    let output = output.expect("python3 is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
