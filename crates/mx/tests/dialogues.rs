//! Every file in `dialogues/` is played against the service on a loopback connection, with a store in
//! memory. The `=` lines there:
//!
//! - `inbox dana 1`, `junk dana 1`: how many messages the mailbox has;
//! - `has dana TEXT`, `lacks dana TEXT`: the first message in the inbox (`\r\n` are escapes);
//! - `refused REASON 2`: the counter;
//! - `tls-reports 2 1`: TLS reports about us, and how many of them are proven.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

#[path = "../../smtp-io/tests/support/dialogue.rs"]
mod dialogue;

use async_trait::async_trait;
use dialogue::{Checks, play};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use wardpost_config::{Cleartext, CleartextException, Inbound};
use wardpost_directory::{Directory, NewAccount, Options, Way};
use wardpost_mail::{Address, Domain, ReversePath, Secret};
use wardpost_mailbox::{AccountMail, Mailboxes, SpecialUse};
use wardpost_mx::{Claim, Facts, Guessing, Mx, SenderFacts, Settings};
use wardpost_net::{Accepted, ServerTls, Shutdown, Stream};
use wardpost_policy::{
    ArcEvidence, ArcResult, DkimEvidence, DkimResult, DmarcEvidence, DmarcPolicy, DmarcResult,
    InboundFacts, SenderEvidence, SpfEvidence, SpfResult,
};
use wardpost_reports::{Reports, TlsReceived};
use wardpost_smtp_io::Timing;
use wardpost_store::Store;
use wardpost_wall::{Visitor, Wall};

const PASSWORD: &str = "a kettle on the blue shelf";

/// Knows of a sender what its domain's name says.
struct ByName;

#[async_trait]
impl SenderFacts for ByName {
    async fn facts(&self, claim: Claim<'_>) -> Facts {
        if claim.sender.to_string() == "a@slow.test" {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let (dmarc, dmarc_policy) = match claim.sender {
            ReversePath::Address(from) if from.domain().as_str() == "reject.test" => {
                (DmarcResult::Fail, DmarcPolicy::Reject)
            }
            ReversePath::Address(from) if from.domain().as_str() == "junk.test" => {
                (DmarcResult::Fail, DmarcPolicy::Quarantine)
            }
            _ => (DmarcResult::None, DmarcPolicy::None),
        };
        let inbound = InboundFacts { dmarc, dmarc_policy, ..InboundFacts::BARE };
        let authentication_results = "mail.clinic.test;\r\n\tspf=none".to_owned();
        let mut evidence = nothing_found();
        if let ReversePath::Address(from) = claim.sender
            && from.domain().as_str() == "signed.test"
        {
            evidence.dkim.push(DkimEvidence {
                domain: "signed.test".to_owned(),
                selector: "s".to_owned(),
                result: DkimResult::Pass,
                reason: None,
            });
        }
        Facts { inbound, authentication_results, evidence }
    }
}

fn nothing_found() -> SenderEvidence {
    let spf = || SpfEvidence { domain: String::new(), result: SpfResult::None };
    SenderEvidence {
        spf_helo: spf(),
        spf_mail_from: Some(spf()),
        dkim: Vec::new(),
        dmarc: DmarcEvidence {
            from: String::new(),
            found_at: None,
            p: DmarcPolicy::None,
            sp: DmarcPolicy::None,
            np: DmarcPolicy::None,
            strict_dkim: false,
            strict_spf: false,
            testing: false,
            asked: DmarcPolicy::None,
            dkim_aligned: false,
            spf_aligned: false,
            result: DmarcResult::None,
        },
        arc: ArcEvidence { result: ArcResult::None, sealers: Vec::new(), reason: None },
    }
}

/// A practice of two with its port 25.
struct Practice {
    mx: Arc<Mx>,
    directory: Directory,
    mailboxes: Mailboxes,
    wall: Wall,
    reports: Reports,
    shutdown: Shutdown,
    _certificate: tempfile::TempDir,
}

fn settings() -> Settings {
    Settings {
        hostname: Domain::parse("mail.clinic.test").unwrap(),
        domain: Domain::parse("clinic.test").unwrap(),
        write_page: "https://mail.clinic.test/write".to_owned(),
        max_size: 100_000,
        max_recipients: 100,
        memory: 1_000_000,
        inbound: Inbound {
            cleartext: Cleartext::Refuse,
            cleartext_exceptions: Vec::new(),
            trusted_arc_sealers: Vec::new(),
        },
        roots: Arc::default(),
        guessing: Guessing { free: 3, most: 5, delay: Duration::from_millis(1) },
        timing: Timing {
            idle: Duration::from_secs(20),
            session: Duration::from_secs(60),
            memory: Duration::from_millis(200),
        },
    }
}

/// Noon of 2 April 2016, UTC.
const NOON: u64 = 1_459_598_400;

fn reports(store: &Store) -> Reports {
    let settings = wardpost_reports::Settings {
        domain: Domain::parse("clinic.test").unwrap(),
        organization: "Clinic".to_owned(),
        contact: Address::parse("postmaster@clinic.test").unwrap(),
        clock: Arc::new(|| std::time::UNIX_EPOCH + Duration::from_secs(NOON)),
    };
    Reports::open(store.clone(), settings).unwrap()
}

impl Practice {
    async fn open(settings: Settings) -> Self {
        let store = Store::in_memory();
        let domain = settings.domain.clone();
        let directory =
            Directory::open_with(store.clone(), &domain, Options::for_tests()).await.unwrap();
        directory.initialise().await.unwrap();
        for name in ["dana", "lee"] {
            let address = Address::parse(&format!("{name}@{domain}")).unwrap();
            let password = Secret::new(PASSWORD.to_owned());
            let name = String::new();
            let new = NewAccount { address, name, password, administrator: false };
            directory.add_account(new).await.unwrap();
        }
        let wall = Wall::open(store.clone()).unwrap();
        let reports = reports(&store);
        let mailboxes = Mailboxes::new(store);
        let certificate = tempfile::tempdir().unwrap();
        let tls = ServerTls::self_signed(certificate.path(), &settings.hostname).unwrap();
        let facts = Arc::new(ByName);
        let mx = Mx::new(
            settings,
            tls.asking_clients().unwrap(),
            directory.clone(),
            mailboxes.clone(),
            facts,
            wall.clone(),
            reports.clone(),
        );
        let shutdown = Shutdown::new();
        Self { mx, directory, mailboxes, wall, reports, shutdown, _certificate: certificate }
    }

    /// A client's end of a new connection.
    async fn connect(&self) -> Stream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        let local = server.local_addr().unwrap();
        let accepted = Accepted { stream: Stream::Plain(server), peer, local };
        tokio::spawn(Arc::clone(&self.mx).serve(accepted, self.shutdown.clone()));
        Stream::Plain(client)
    }

    async fn mail_of(&self, login: &str) -> AccountMail {
        let password = Secret::new(PASSWORD.to_owned());
        let peer = "127.0.0.1".parse().unwrap();
        let login =
            self.directory.authenticate(login, &password, peer, Way::MailProgram).await.unwrap();
        let mail = self.mailboxes.open(login.account.id, login.unlocked);
        mail.prepare().await.unwrap();
        mail
    }

    async fn count(&self, login: &str, mailbox: SpecialUse) -> usize {
        let mail = self.mail_of(login).await;
        mail.select(mailbox.mailbox()).await.unwrap().messages.len()
    }

    async fn first(&self, login: &str) -> String {
        let mail = self.mail_of(login).await;
        let inbox = SpecialUse::Inbox.mailbox();
        let messages = mail.select(inbox).await.unwrap().messages;
        let body = mail.body(inbox, messages[0].uid).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    /// Who came without TLS, once the sessions that are ending have ended: `refused` in all.
    async fn visitors(&self, refused: u32) -> Vec<Visitor> {
        loop {
            let found = self.wall.visitors(30);
            if found.iter().map(|visitor| visitor.refused).sum::<u32>() >= refused {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn refused(&self, reason: &str) -> u64 {
        let registry = prometheus::Registry::new();
        self.mx.metrics().register(&registry).unwrap();
        let families = registry.gather();
        let refused = families.iter().find(|f| f.name() == "wardpost_mx_refused_total");
        let metrics = refused.map(|family| family.get_metric()).unwrap_or_default();
        let wanted = metrics.iter().find(|m| m.get_label()[0].value() == reason);
        wanted.map_or(0, |metric| metric.get_counter().get_value() as u64)
    }
}

impl Checks for Practice {
    async fn check(&mut self, what: &str) {
        let words: Vec<&str> = what.splitn(3, ' ').collect();
        match words.as_slice() {
            ["inbox", login, n] => {
                assert_eq!(self.count(login, SpecialUse::Inbox).await.to_string(), *n, "{what}");
            }
            ["junk", login, n] => {
                assert_eq!(self.count(login, SpecialUse::Junk).await.to_string(), *n, "{what}");
            }
            ["has", login, text] => {
                let first = self.first(login).await;
                assert!(first.contains(&text.replace("\\r\\n", "\r\n")), "{what}:\n{first}");
            }
            ["lacks", login, text] => {
                let first = self.first(login).await;
                assert!(!first.contains(text), "{what}:\n{first}");
            }
            ["tls-reports", n, proven] => {
                let found = self.reports.tls_received(7).unwrap();
                let is_proven = |report: &&TlsReceived| report.origin.trusted;
                let count = (found.len(), found.iter().filter(is_proven).count());
                assert_eq!(format!("{} {}", count.0, count.1), format!("{n} {proven}"), "{what}");
            }
            ["refused", reason, n] => assert_eq!(self.refused(reason).to_string(), *n, "{what}"),
            _ => panic!("what is {what:?}?"),
        }
    }
}

#[tokio::test]
async fn all_dialogues() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dialogues");
    let mut played = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut practice = Practice::open(settings()).await;
        let client = practice.connect().await;
        play(&name, &text, client, &mut practice).await;
        played += 1;
    }
    assert!(played >= 10);
}

const IN_CLEAR: &str = "\
S: 220 …
C: HELO scanner
S: 250 …
C: MAIL FROM:<scan@fax.test>
S: 250 …
C: RCPT TO:<dana@clinic.test>
S: 250 …
C: DATA
S: 354 …
C: From: scan@fax.test
C: X-Wardpost-Received-In-Clear: no
C: 
C: .
S: 250 2.0.0 …
C: QUIT
S: 221 …
END
= junk dana 1
";

#[tokio::test]
async fn exceptions_let_mail_in_clear_through_and_mark_it() {
    for exception in ["127.0.0.0/8", "fax.test"] {
        let mut settings = settings();
        settings.inbound.cleartext_exceptions = vec![CleartextException::parse(exception).unwrap()];
        let mut practice = Practice::open(settings).await;
        let client = practice.connect().await;
        play(exception, IN_CLEAR, client, &mut practice).await;
        let mail = practice.mail_of("dana").await;
        let junk = SpecialUse::Junk.mailbox();
        let uid = mail.select(junk).await.unwrap().messages[0].uid;
        let body = String::from_utf8(mail.body(junk, uid).await.unwrap().to_vec()).unwrap();
        assert!(body.contains("X-Wardpost-Received-In-Clear: yes\r\n"), "{body}");
        assert!(!body.contains("In-Clear: no"), "{body}");
    }
}

#[tokio::test]
async fn an_exception_for_one_domain_is_none_for_others() {
    let mut settings = settings();
    settings.inbound.cleartext_exceptions = vec![CleartextException::parse("fax.test").unwrap()];
    let mut practice = Practice::open(settings).await;
    let client = practice.connect().await;
    let text = "S: 220 …\nC: HELO x\nS: 250 …\nC: MAIL FROM:<a@b.test>\nS: 530-5.7.0 …\nS: 530 5.7.0 …\n\
                C: RCPT TO:<dana@clinic.test>\nS: 503 …\n= refused cleartext 1\n";
    play("other domain", text, client, &mut practice).await;
}

#[tokio::test]
async fn who_is_kept_out_is_counted_and_an_exception_lets_them_in() {
    let mut practice = Practice::open(settings()).await;
    let refused = "S: 220 …\nC: HELO scanner\nS: 250 …\nC: MAIL FROM:<scan@fax.test>\nS: 530-5.7.0 …\n\
                   S: 530 5.7.0 …\nC: QUIT\nS: 221 …\nEND\n";
    let client = practice.connect().await;
    play("kept out", refused, client, &mut practice).await;
    let [visitor] = practice.visitors(1).await.try_into().unwrap();
    assert_eq!((visitor.helo.as_str(), visitor.refused, visitor.admitted), ("scanner", 1, 0));
    assert_eq!(visitor.sender.map(|d| d.to_string()).as_deref(), Some("fax.test"));

    // Who tries in clear and goes on in TLS was not kept out.
    let upgraded = "S: 220 …\nC: HELO x\nS: 250 …\nC: MAIL FROM:<a@b.test>\nS: 530-5.7.0 …\nS: 530 5.7.0 …\n\
                    C: STARTTLS\nS: 220 …\nTLS\nC: HELO x\nS: 250 …\nC: QUIT\nS: 221 …\nEND\n";
    let client = practice.connect().await;
    play("upgraded", upgraded, client, &mut practice).await;
    for exception in ["127.0.0.1", "fax.test"] {
        let who = CleartextException::parse(exception).unwrap();
        practice.wall.except(who.clone(), 1, "lab fax gateway").await.unwrap();
        let client = practice.connect().await;
        let text = IN_CLEAR.replace("= junk dana 1\n", "");
        play(exception, &text, client, &mut practice).await;
        practice.wall.revoke(&who).await.unwrap();
    }
    let client = practice.connect().await;
    play("kept out again", refused, client, &mut practice).await;
    let [visitor] = practice.visitors(2).await.try_into().unwrap();
    assert_eq!((visitor.refused, visitor.admitted), (2, 2));
    assert_eq!(practice.count("dana", SpecialUse::Junk).await, 2);
}

#[tokio::test]
async fn a_silent_client_is_told_and_left() {
    let mut settings = settings();
    settings.timing.idle = Duration::from_millis(100);
    let mut practice = Practice::open(settings).await;
    let client = practice.connect().await;
    let text = "S: 220 …\nS: 421 4.4.2 Waited too long\nEND\n";
    play("silence", text, client, &mut practice).await;
}

#[tokio::test]
async fn shutting_down_ends_idle_sessions_and_lets_a_message_finish() {
    let mut practice = Practice::open(settings()).await;
    let idle = practice.connect().await;
    let busy = practice.connect().await;
    let begin = "S: 220 …\nC: HELO x\nS: 250 …\nC: STARTTLS\nS: 220 …\nTLS\nC: HELO x\nS: 250 …\n\
         C: MAIL FROM:<a@b.test>\nS: 250 …\nC: RCPT TO:<dana@clinic.test>\nS: 250 …\nC: DATA\nS: 354 …\n\
         C: a: b\n= shut down\nC: .\nS: 250 2.0.0 …\nS: 421 4.3.2 …\nEND\n";
    struct ShutDown(Shutdown);
    impl Checks for ShutDown {
        async fn check(&mut self, _: &str) {
            self.0.begin();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    play("busy", begin, busy, &mut ShutDown(practice.shutdown.clone())).await;
    play("idle", "S: 220 …\nS: 421 4.3.2 …\nEND\n", idle, &mut practice).await;
    assert_eq!(practice.count("dana", SpecialUse::Inbox).await, 1);
}

#[tokio::test]
async fn messages_wait_for_memory_and_are_sent_away_when_there_is_none() {
    let most = |sender: &str| {
        format!(
            "S: 220 …\nC: HELO x\nS: 250 …\nC: STARTTLS\nS: 220 …\nTLS\nC: HELO x\nS: 250 …\n\
             C: MAIL FROM:<{sender}>\nS: 250 …\nC: RCPT TO:<dana@clinic.test>\nS: 250 …\nC: DATA\n\
             S: 354 …\nC: a: b\nC: \nC~ {{0123456789\\r\\n*7000}}\n"
        )
    };
    let mut settings = settings();
    settings.memory = 200_000;
    let mut practice = Practice::open(settings).await;
    let mut holding = Vec::new();
    for name in ["one", "two", "three"] {
        let client = practice.connect().await;
        // Whole, and in our hands: nobody can be asked to hurry.
        let text = format!("{}C: .\n", most("a@slow.test"));
        holding.push(play(name, &text, client, &mut practice).await);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let client = practice.connect().await;
    play("four", &format!("{}S: 421 4.3.1 …\nEND\n", most("a@b.test")), client, &mut practice)
        .await;
    for client in holding {
        play("end", "S: 250 …\n", client, &mut practice).await;
    }
    let client = practice.connect().await;
    play("five", &format!("{}C: .\nS: 250 …\n", most("a@b.test")), client, &mut practice).await;
    assert_eq!(practice.count("dana", SpecialUse::Inbox).await, 4);
}

#[tokio::test]
async fn a_mail_that_is_all_header_is_refused() {
    let mut settings = settings();
    settings.max_size = 3_000_000;
    let mut practice = Practice::open(settings).await;
    let client = practice.connect().await;
    let text = "S: 220 …\nC: HELO x\nS: 250 …\nC: STARTTLS\nS: 220 …\nTLS\nC: HELO x\nS: 250 …\n\
         C: MAIL FROM:<a@b.test>\nS: 250 …\nC: RCPT TO:<dana@clinic.test>\nS: 250 …\nC: DATA\nS: 354 …\n\
         C~ {a:\\r\\n*300000}\nC: .\nS: 552 5.3.4 The header of the message is too large\n";
    play("header", text, client, &mut practice).await;
    assert_eq!(practice.refused("header"), 1);
}
