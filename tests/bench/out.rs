//! The way out: Wardpost and Postfix, each as the sender, to the same kind of destination, a Postfix that
//! throws everything away, over verified TLS; and what a storm of dead domains does to a fresh letter.

use crate::measure::{CpuClock, as_millis, percentile};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};
use wardpost_tests::destinations::{COLLEAGUE, Destination, Face, HOSPITAL};
use wardpost_tests::postfix::Postfix;
use wardpost_tests::practice::{Practice, message};
use wardpost_tests::smtp::Smtp;
use wardpost_tests::storm::{self, Storm};
use wardpost_tests::wardpost::{HOSTNAME, PASSWORD};
use wardpost_tests::{Lab, Result, SMTP_PORT, wait_for};

const PATIENCE: Duration = Duration::from_secs(300);
/// Those who hand mail in at the same time.
const SESSIONS: usize = 8;
/// What Postfix's discard transport logs of a message it took.
const TAKEN: &str = "status=sent (hospital)";
/// The destination's configuration: a hospital that keeps nothing and minds no crowd.
const BLACK_HOLE: &[&str] = &[
    "virtual_transport = discard:hospital",
    "smtpd_client_connection_count_limit = 2000",
    "default_process_limit = 200",
];

/// One line of the table.
pub(crate) struct Line {
    pub(crate) size: usize,
    /// Messages a second, from the first hand-in to the last one taken at the destination.
    pub(crate) rate: f64,
    /// CPU milliseconds a message, the destination's share included on both sides.
    pub(crate) cpu_ms: f64,
    /// Connections that the sender opened to the destination.
    pub(crate) connections: usize,
}

/// Who sends.
enum Sender {
    Wardpost(Box<Practice>),
    Postfix(Box<(Postfix, Lab)>),
}

impl Sender {
    fn lab(&self) -> &Lab {
        match self {
            Self::Wardpost(practice) => &practice.lab,
            Self::Postfix(sender) => &sender.1,
        }
    }

    /// A session in which mail can be handed in.
    fn session(&self) -> Result<Smtp> {
        match self {
            Self::Wardpost(practice) => submission(practice),
            Self::Postfix(sender) => {
                let (postfix, lab) = &**sender;
                let mut smtp = Smtp::connect(postfix.address)?;
                smtp.starttls(&lab.ca, "mx.clinic.test")?;
                Ok(smtp)
            }
        }
    }
}

fn submission(practice: &Practice) -> Result<Smtp> {
    let mut smtp = Smtp::connect(practice.wardpost.submission())?;
    smtp.starttls(&practice.lab.ca, HOSTNAME)?;
    smtp.login(&practice.dana, PASSWORD)?;
    Ok(smtp)
}

/// Wardpost's line and Postfix's for each size.
pub(crate) fn throughput(quick: bool) -> Result<Vec<(Line, Line)>> {
    let theirs = lines(&postfix()?, quick)?;
    let ours = lines(&Sender::Wardpost(Box::new(Practice::open()?)), quick)?;
    Ok(ours.into_iter().zip(theirs).collect())
}

/// Postfix as the practice's mail server, with everything that makes it fast: it keeps TLS connections for
/// the next message, as Wardpost does.
fn postfix() -> Result<Sender> {
    let lab = Lab::start()?;
    let hospital = SocketAddr::from((lab.host(HOSPITAL.host), SMTP_PORT));
    let face = Face {
        domain: "clinic.test".to_owned(),
        ip: lab.host(20),
        tls: Some(lab.ca.issue(&["mx.clinic.test"])?),
        old: false,
    };
    let relay = format!("relayhost = [{}]:{}", hospital.ip(), hospital.port());
    let extra = [
        relay.as_str(),
        "smtp_tls_security_level = secure",
        "smtp_tls_secure_cert_match = mx.hospital.test",
        "smtp_tls_connection_reuse = yes",
        "smtp_tls_loglevel = 0",
        "smtpd_tls_loglevel = 0",
        "default_process_limit = 200",
    ];
    let postfix = Postfix::start(&lab, "mx.clinic.test", &[face], &extra)?;
    Ok(Sender::Postfix(Box::new((postfix, lab))))
}

fn lines(sender: &Sender, quick: bool) -> Result<Vec<Line>> {
    let hospital = HOSPITAL.start_with(sender.lab(), BLACK_HOLE)?;
    let sizes = [(4 << 10, 4000), (50 << 10, 2000), (1 << 20, 160)];
    let counts = sizes.map(|(size, count)| (size, if quick { count / 8 } else { count }));
    counts.into_iter().map(|(size, count)| one(sender, &hospital, size, count)).collect()
}

fn one(sender: &Sender, hospital: &Postfix, size: usize, count: usize) -> Result<Line> {
    let (taken, connected) = (count_of(hospital, TAKEN), count_of(hospital, ": connect from"));
    let text = body(size);
    let sessions: Vec<Smtp> = (0..SESSIONS).map(|_| sender.session()).collect::<Result<_>>()?;
    let cpu = CpuClock::start();
    let start = Instant::now();
    let hand_in = &|mut smtp: Smtp| -> Result<()> {
        for _ in 0..count / SESSIONS {
            smtp.send("dana@clinic.test", &["ward@hospital.test"], &text)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let running: Vec<_> =
            sessions.into_iter().map(|smtp| scope.spawn(move || hand_in(smtp))).collect();
        running.into_iter().try_for_each(|r| r.join().map_err(|_| "a session panicked")?)
    })?;
    let wanted = taken + count / SESSIONS * SESSIONS;
    wait_for("everything to be taken", PATIENCE, || {
        (count_of(hospital, TAKEN) >= wanted).then_some(())
    })?;
    Ok(Line {
        size,
        rate: count as f64 / start.elapsed().as_secs_f64(),
        cpu_ms: cpu.elapsed() * 1000.0 / count as f64,
        connections: count_of(hospital, ": connect from") - connected,
    })
}

fn count_of(server: &Postfix, words: &str) -> usize {
    server.log().matches(words).count()
}

/// A message of about `size` octets.
fn body(size: usize) -> String {
    let line = "The quick brown fox jumps over the lazy dog and writes seventy odd letters.\r\n";
    message("dana@clinic.test", "ward@hospital.test", "load", &line.repeat(size / line.len() + 1))
}

/// How long fresh letters take, in milliseconds: the median without a storm and with one.
pub(crate) struct Storming {
    pub(crate) letters: usize,
    /// To a domain that answered before.
    pub(crate) known: (f64, f64),
    /// To a domain never written to.
    pub(crate) new: (f64, f64),
    /// Messages that still waited when all this was over.
    pub(crate) waiting: u64,
}

/// Measures fresh letters without a storm, then in one.
pub(crate) fn storm(quick: bool) -> Result<Storming> {
    let letters = if quick { 2_000 } else { 10_000 };
    let calm_new = fresh_to_new(&practice_of_storm()?.1)?;
    let (storm, practice) = practice_of_storm()?;
    let hospital = HOSPITAL.start(&practice.lab)?;
    let calm = fresh(&practice, &hospital, "calm")?;
    blow(&practice, letters)?;
    wait_for("the storm to be felt", PATIENCE, || (storm.waiting() >= 100).then_some(()))?;
    let new = fresh_to_new(&practice)?;
    let stormy = fresh(&practice, &hospital, "stormy")?;
    let status = practice.wardpost.cli(&["status", "--json"], "")?;
    let status: serde_json::Value = serde_json::from_str(&status)?;
    Ok(Storming {
        letters,
        known: (calm, stormy),
        new: (calm_new, new),
        waiting: status["queue_messages"].as_u64().unwrap_or_default(),
    })
}

fn practice_of_storm() -> Result<(Storm, Practice)> {
    let lab = Lab::start_with(|plan| {
        Storm::plan(plan);
        Ok(())
    })?;
    Ok((Storm::start(&lab)?, Practice::open_in(lab, "")?))
}

/// The median of ten letters, one after the other, from MAIL to being in the hospital's mailbox.
fn fresh(practice: &Practice, hospital: &Postfix, word: &str) -> Result<f64> {
    let mut smtp = submission(practice)?;
    let mut took = Vec::new();
    // The first makes the domain known.
    for n in 0..=10 {
        let words = format!("{word}-{n}-end");
        let text = message(&practice.dana, "ward@hospital.test", "Letter", &words);
        let start = Instant::now();
        smtp.send(&practice.dana, &["ward@hospital.test"], &text)?;
        hospital.wait_for_message(&words, PATIENCE)?;
        took.push(as_millis(start.elapsed()));
    }
    took.remove(0);
    took.sort_by(f64::total_cmp);
    Ok(percentile(&took, 0.5))
}

/// One letter to a colleague who was never written to.
fn fresh_to_new(practice: &Practice) -> Result<f64> {
    let colleague = COLLEAGUE.start(&practice.lab)?;
    let mut smtp = submission(practice)?;
    let text = message(&practice.dana, "joe@colleague.test", "Letter", "first-words");
    let start = Instant::now();
    smtp.send(&practice.dana, &["joe@colleague.test"], &text)?;
    colleague.wait_for_message("first-words", PATIENCE)?;
    Ok(as_millis(start.elapsed()))
}

fn blow(practice: &Practice, letters: usize) -> Result<()> {
    let part = &|first: usize| -> Result<()> {
        let mut smtp = submission(practice)?;
        for n in (first..letters).step_by(SESSIONS) {
            let to = format!("somebody@{}", storm::domain(n % storm::DOMAINS));
            smtp.send(&practice.dana, &[&to], &message(&practice.dana, &to, "Letter", "words"))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let parts: Vec<_> = (0..SESSIONS).map(|first| scope.spawn(move || part(first))).collect();
        parts.into_iter().try_for_each(|part| part.join().map_err(|_| "a session panicked")?)
    })
}
