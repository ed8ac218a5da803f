//! A man in the middle gets nothing. He sits between Wardpost and a real Postfix that would take everything,
//! in clear too, and tries every trick; what passed him on the wire, and what he could decrypt, is searched
//! for words of the letter and for its envelope.
//!
//! To a domain that publishes nothing about its TLS the plain notice may go past him: its own envelope and
//! text, once for each letter, are the only mail that he may ever see. Under DANE or an enforced MTA-STS policy
//! he sees no mail command at all.

use crate::matrix::Seen;
use std::fmt::Write;
use std::net::Ipv4Addr;
use std::time::Duration;
use wardpost_tests::ca::{Ca, Pair};
use wardpost_tests::destinations::{Destination, Face};
use wardpost_tests::knot::Proof;
use wardpost_tests::middle::{Capture, Direction, Middle, Trick};
use wardpost_tests::policies::{self, Answer, Policies};
use wardpost_tests::postfix::Postfix;
use wardpost_tests::practice::{Practice, message_with_attachment};
use wardpost_tests::smtp::Smtp;
use wardpost_tests::wardpost::{HOSTNAME, PASSWORD};
use wardpost_tests::{Lab, Plan, Result, SMTP_PORT, wait_for};

const PATIENCE: Duration = Duration::from_secs(90);
/// Words of every letter: its subject, its text, the name of what is attached, and its content as it is
/// written on the wire.
const CANARIES: [&str; 4] = [
    "canary-subject-b1opsy",
    "canary-body-haemogl0bin",
    "canary-name-x7ray.csv",
    "Y2FuYXJ5LWF0dGFjaG1lbnQta",
];
const ATTACHED: &str = "canary-attachment-k1dney";
/// Every letter goes to a patient of this name.
const PATIENT: &str = "canary.patient";

/// What the domain publishes about its TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    None,
    Dane,
    Sts,
}

/// How he goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attack {
    /// Tricks, one a connection; the last one stays.
    Tricks(&'static [Trick]),
    /// What the real server said to somebody else.
    ReplayRecorded,
    /// He stands before a server that speaks TLS 1.1 at most.
    OldServer,
    /// His own certificate, with the right name.
    SelfSigned,
    /// A certificate from an authority that is trusted, for a name that is his.
    OtherName,
    /// The right name, from an authority that nobody trusts.
    OtherAuthority,
    /// The right name, from an authority that is trusted and was fooled: only DANE can tell.
    FooledAuthority,
}

/// What must come of a letter where the domain publishes nothing; where it does, the notice stays here too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It waits to be picked up.
    Pickup,
    /// It waits in the queue.
    Waits,
    /// It arrives, encrypted all the way.
    Arrives,
}

struct Row {
    name: &'static str,
    attack: Attack,
    end: End,
}

const CUT_ONCE: Trick = Trick::Cut(2);
const EVIL: &[u8] = b"250-evil.test\r\n250 AUTH PLAIN\r\n250 2.1.0 ok\r\n354 go on\r\n";

use Attack::*;
use End::*;
use Trick::*;

#[rustfmt::skip]
const TABLE: &[Row] = &[
    Row { name: "strip",       attack: Tricks(&[Strip]),                                   end: Pickup },
    Row { name: "strip2",      attack: Tricks(&[CUT_ONCE, Strip]),                       end: Pickup },
    Row { name: "answer454",   attack: Tricks(&[Refuse("454 4.7.0 not now")]),             end: Pickup },
    Row { name: "answer502",   attack: Tricks(&[Refuse("502 5.5.1 what is that")]),        end: Pickup },
    Row { name: "answer2",     attack: Tricks(&[CUT_ONCE, Refuse("502 5.5.1 what")]),    end: Pickup },
    Row { name: "inject",      attack: Tricks(&[Inject(EVIL)]),                            end: Pickup },
    Row { name: "replay",      attack: ReplayRecorded,                                     end: Pickup },
    Row { name: "hide13",      attack: Tricks(&[HideTls13]),                               end: Pickup },
    Row { name: "ask11",       attack: Tricks(&[AskForTls11]),                             end: Pickup },
    Row { name: "old",         attack: OldServer,                                          end: Pickup },
    Row { name: "alert40",     attack: Tricks(&[Alert(40)]),                               end: Pickup },
    Row { name: "alert70",     attack: Tricks(&[Alert(70)]),                               end: Pickup },
    Row { name: "selfsigned",  attack: SelfSigned,                                         end: Pickup },
    Row { name: "othername",   attack: OtherName,                                          end: Pickup },
    Row { name: "otherca",     attack: OtherAuthority,                                     end: Pickup },
    Row { name: "corrupt",     attack: Tricks(&[Corrupt]),                                 end: Pickup },
    Row { name: "truncate",    attack: Tricks(&[Truncate(300)]),                           end: Pickup },
    Row { name: "cutgreeting", attack: Tricks(&[Cut(1)]),                                  end: Waits },
    Row { name: "cutehlo",     attack: Tricks(&[Cut(2)]),                                  end: Waits },
    Row { name: "delay",       attack: Tricks(&[Delay(Duration::from_millis(80))]),        end: Arrives },
    Row { name: "watch",       attack: Tricks(&[Watch]),                                   end: Arrives },
];
/// Only the key in DNS tells him from the real server.
const FOOLED: Row = Row { name: "fooled", attack: FooledAuthority, end: Pickup };

#[test]
fn tls_02_man_in_the_middle_gets_nothing() -> Result<()> {
    let stage = Scene::open()?;
    stage.the_capture_captures()?;
    stage.send_all()?;
    stage.settle()?;
    stage.search()
}

/// One domain under one attack.
struct Case {
    row: &'static Row,
    policy: Policy,
    /// What MX and address records lead to: where he listens.
    front: Ipv4Addr,
    /// The real server.
    face: Face,
}

impl Case {
    fn plan(plan: &mut Plan<'_>, n: u8, row: &'static Row, policy: Policy) -> Result<Self> {
        let kind = format!("{policy:?}").to_lowercase();
        let domain = format!("{}-{kind}.test", row.name);
        let pair = plan.ca.issue(&[&format!("mx.{domain}")])?;
        let (front, behind) = (plan.host(60 + 2 * n), plan.host(61 + 2 * n));
        let old = row.attack == OldServer;
        let face = Face { domain: domain.clone(), ip: behind, tls: Some(pair.clone()), old };
        let (proof, more) = match policy {
            Policy::None => (Proof::Unsigned, Vec::new()),
            Policy::Dane => (Proof::Signed, face.tlsa(&pair.tlsa)),
            Policy::Sts => (Proof::Unsigned, policies::records(plan, &domain, "1").into()),
        };
        let seen = Face { ip: front, ..face.clone() };
        plan.zones.push(seen.zone(proof, &more));
        Ok(Self { row, policy, front, face })
    }

    fn patient(&self) -> String {
        format!("{PATIENT}@{}", self.face.domain)
    }

    fn end(&self) -> End {
        self.row.end
    }

    /// Puts him in his place.
    fn middle(&self, lab: &Lab, stranger: &Ca, recording: &[Vec<u8>]) -> Result<Middle> {
        let host = self.face.hostname();
        let with = |pair: Result<Pair>| Ok::<_, wardpost_tests::Error>(vec![Impersonate(pair?)]);
        let tricks = match self.row.attack {
            Tricks(tricks) => tricks.to_vec(),
            ReplayRecorded => vec![Replay(recording.to_vec())],
            OldServer => vec![Watch],
            SelfSigned => with(lab.ca.self_signed(&[&host]))?,
            OtherName => with(lab.ca.issue(&["mx.evil.test"]))?,
            OtherAuthority => with(stranger.issue(&[&host]))?,
            FooledAuthority => with(lab.ca.issue(&[&host]))?,
        };
        let front = (self.front, SMTP_PORT).into();
        Middle::start(front, self.face.address(), &tricks)
    }
}

/// Everybody.
struct Scene {
    cases: Vec<Case>,
    middles: Vec<Middle>,
    postfix: Postfix,
    _policies: Policies,
    practice: Practice,
}

impl Scene {
    fn open() -> Result<Self> {
        let mut cases = Vec::new();
        let lab = Lab::start_with(|plan| {
            let mut n = 0;
            let mut add = |plan: &mut Plan<'_>, row, policy| -> Result<()> {
                cases.push(Case::plan(plan, n, row, policy)?);
                n += 1;
                Ok(())
            };
            for row in TABLE {
                for policy in [Policy::None, Policy::Dane, Policy::Sts] {
                    add(plan, row, policy)?;
                }
            }
            add(plan, &FOOLED, Policy::Dane)
        })?;
        let policies = Policies::start(&lab)?;
        for case in cases.iter().filter(|case| case.policy == Policy::Sts) {
            let domain = &case.face.domain;
            let pair = lab.ca.issue(&[&format!("mta-sts.{domain}")])?;
            policies.set(
                domain,
                &pair,
                Answer::policy("enforce", &format!("mx.{domain}"), 86400),
            )?;
        }
        let faces: Vec<Face> = cases.iter().map(|case| case.face.clone()).collect();
        let postfix = Postfix::start(&lab, "postfix", &faces, &[])?;
        let recording = record(&lab, &faces[0])?;
        let stranger = Ca::create(&lab.folder("stranger")?)?;
        let middles = cases.iter().map(|case| case.middle(&lab, &stranger, &recording));
        let middles = middles.collect::<Result<_>>()?;
        let practice = Practice::open_in(lab, "")?;
        Ok(Self { cases, middles, postfix, _policies: policies, practice })
    }

    /// The proof that a search can find something: a stranger's letter in clear, past one who only watches.
    fn the_capture_captures(&self) -> Result<()> {
        let address = (self.practice.lab.host(59), SMTP_PORT).into();
        let watcher = Middle::start(address, self.postfix.address, &[Watch])?;
        let mut smtp = Smtp::connect(address)?;
        smtp.must("EHLO stranger.test", 250)?;
        let to = format!("{PATIENT}@{}", self.cases[0].face.domain);
        smtp.send("a@b.test", &[&to], &letter("a@b.test", "x@y.test"))?;
        let captures = watcher.captures();
        for words in CANARIES.iter().copied().chain(["RCPT TO:<", PATIENT]) {
            assert!(captures.iter().any(|c| c.client_said(words)), "{words} was not seen");
        }
        self.postfix.wait_for_message(CANARIES[0], PATIENCE)?;
        Ok(())
    }

    fn send_all(&self) -> Result<()> {
        let practice = &self.practice;
        let mut smtp = Smtp::connect(practice.wardpost.submission())?;
        smtp.starttls(&practice.lab.ca, HOSTNAME)?;
        smtp.login(&practice.dana, PASSWORD)?;
        for case in &self.cases {
            let to = case.patient();
            smtp.send(&practice.dana, &[&to], &letter(&practice.dana, &to))?;
        }
        Ok(())
    }

    /// Waits until every letter has come to its end; those that wait are tried once more by hand, so that
    /// second attempts are seen too.
    fn settle(&self) -> Result<()> {
        let met = |seen: &Seen| self.cases.iter().all(|case| seen.attempted(&case.patient()));
        wait_for("every letter to be tried", PATIENCE, || {
            Seen::ask(&self.practice).ok().filter(met)
        })?;
        for id in Seen::ask(&self.practice)?.waiting_letters() {
            self.practice.wardpost.cli(&["queue", "retry", &id], "")?;
        }
        let outcome = wait_for("every letter to come to its end", PATIENCE, || {
            let seen = Seen::ask(&self.practice).ok()?;
            self.cases.iter().all(|case| self.check(case, &seen).is_ok()).then_some(())
        });
        if outcome.is_ok() {
            return Ok(());
        }
        let seen = Seen::ask(&self.practice)?;
        let mut wrong = String::new();
        for case in &self.cases {
            if let Err(what) = self.check(case, &seen) {
                writeln!(wrong, "{}: {what}", case.face.domain)?;
            }
        }
        Err(format!("{wrong}\n{}", self.practice.wardpost.log()).into())
    }

    fn check(&self, case: &Case, seen: &Seen) -> Result<()> {
        let patient = case.patient();
        let held = self.postfix.messages_for(&case.face.domain);
        let letters = held.iter().filter(|m| m.contains(CANARIES[0])).count();
        let found = (letters, seen.parcels_for(&patient), seen.letters_waiting(&patient, 2));
        let wanted = match case.end() {
            Pickup => (0, 1, 0),
            Waits => (0, 0, 1),
            Arrives => (1, 0, 0),
        };
        if found == wanted {
            return Ok(());
        }
        Err(format!("(letters, parcels, waiting) are {found:?}, not {wanted:?}").into())
    }

    /// Searches everything that he has.
    fn search(&self) -> Result<()> {
        let mut wrong = String::new();
        for (case, middle) in self.cases.iter().zip(&self.middles) {
            let captures = middle.captures();
            if captures.iter().all(|capture| capture.pieces.is_empty()) {
                writeln!(wrong, "{}: nothing passed him", case.face.domain)?;
            }
            for capture in &captures {
                if let Err(what) = self.search_one(case, capture) {
                    writeln!(wrong, "{}: {what}\n{}", case.face.domain, capture.client_text())?;
                }
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.into()) }
    }

    fn search_one(&self, case: &Case, capture: &Capture) -> Result<()> {
        for canary in CANARIES {
            if capture.client_said(canary) {
                return Err(format!("{canary} went past him").into());
            }
        }
        let sender = format!("MAIL FROM:<{}", self.practice.dana);
        if capture.client_said(&sender) {
            return Err("the letter's envelope went past him".into());
        }
        let notice = capture.client_said("MAIL FROM");
        let may = case.policy == Policy::None && case.end() == Pickup;
        if notice && !may {
            return Err("a mail command went past him".into());
        }
        if !notice && (capture.client_said("RCPT TO") || capture.client_said(PATIENT)) {
            return Err("a patient's address went past him without a notice".into());
        }
        // Decrypted or not, the conversation that he sees in clear ends with STARTTLS or is the notice's.
        let opened = capture.all(Direction::OpenedFromClient);
        if !may && !opened.is_empty() && capture.client_said("DATA\r\n") {
            return Err("he was sent something inside his own TLS".into());
        }
        Ok(())
    }
}

fn letter(from: &str, to: &str) -> String {
    let [subject, body, name, _] = CANARIES;
    message_with_attachment(from, to, subject, body, (name, ATTACHED))
}

/// What a server says to somebody who sends mail over TLS, piece by piece.
fn record(lab: &Lab, face: &Face) -> Result<Vec<Vec<u8>>> {
    let address = (lab.host(58), SMTP_PORT).into();
    let watcher = Middle::start(address, face.address(), &[Watch])?;
    let mut smtp = Smtp::connect(address)?;
    smtp.starttls(&lab.ca, &face.hostname())?;
    smtp.send("a@b.test", &["x@nowhere.invalid"], "Subject: recorded\r\n\r\nx\r\n")?;
    drop(smtp);
    watcher.wait_until_quiet()?;
    let captures = watcher.captures();
    Ok(captures.first().ok_or("nothing was recorded")?.server_pieces())
}
