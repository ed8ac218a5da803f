//! The world of the interoperability matrix: places made from rows, and the checks on each.
//!
//! Postfix and Exim show by themselves whatever a row wants. The others need help, and get it from programs
//! that stand between them and the client:
//!
//! | | no TLS | old TLS | everything else |
//! | --- | --- | --- | --- |
//! | OpenSMTPD | itself | stunnel | stunnel: Debian 12's OpenSMTPD cannot use its keys (see `opensmtpd.rs`) |
//! | chasquid | a man in the middle strips STARTTLS, which it always offers | stunnel | itself |

use serde_json::Value;
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use wardpost_tests::ca::{Ca, Pair};
use wardpost_tests::chasquid::Chasquid;
use wardpost_tests::destinations::{Destination, Face};
use wardpost_tests::exim::Exim;
use wardpost_tests::knot::{Proof, Zone};
use wardpost_tests::middle::{Middle, Trick};
use wardpost_tests::opensmtpd::OpenSmtpd;
use wardpost_tests::policies::{self, Answer, Policies};
use wardpost_tests::postfix::Postfix;
use wardpost_tests::practice::{Practice, message_with_attachment};
use wardpost_tests::smtp::Smtp;
use wardpost_tests::stunnel::Stunnel;
use wardpost_tests::wardpost::{HOSTNAME, PASSWORD};
use wardpost_tests::{Lab, Plan, Result, SMTP_PORT, files_containing, wait_for};

/// How long all letters together may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// Somebody else's mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    Postfix,
    Exim,
    OpenSmtpd,
    Chasquid,
}

impl Server {
    fn name(self) -> &'static str {
        match self {
            Self::Postfix => "postfix",
            Self::Exim => "exim",
            Self::OpenSmtpd => "opensmtpd",
            Self::Chasquid => "chasquid",
        }
    }
}

/// What a server shows to whoever asks it for TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shows {
    /// It offers no STARTTLS.
    NoTls,
    /// TLS 1.1 and older only, with a good certificate.
    OldTls,
    /// STARTTLS is offered, and the handshake breaks on the server's side.
    Broken,
    SelfSigned,
    Expired,
    WrongName,
    /// The right name, from an authority that Wardpost trusts.
    Good,
}

/// What the domain publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    Silent,
    /// A signed TLSA record for the server's key.
    DaneMatch,
    /// A signed TLSA record for some other key.
    DaneOther,
    /// A TLSA record for some other key in a zone that is not signed.
    DaneUnsigned,
    StsEnforce,
    StsTesting,
    /// A zone whose signatures do not fit its DS.
    Bogus,
    /// A zone whose signatures have run out.
    ExpiredDnssec,
}

/// What must come of a letter. The text is the grade that the path reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// The server holds the letter, once.
    Delivered(&'static str),
    /// The server holds the notice and nothing of the letter, which waits to be picked up.
    Notice(&'static str),
    /// The letter waits to be picked up, and the server holds nothing: the domain forbids what is below T4.
    Nothing(&'static str),
    /// The letter waits in the queue, and nobody was spoken to.
    Waits,
}

/// One condition.
#[derive(Debug)]
pub(crate) struct Row {
    /// The first part of its domains' names.
    pub(crate) name: &'static str,
    pub(crate) shows: Shows,
    pub(crate) says: Says,
    pub(crate) between: Option<Trick>,
    pub(crate) on: &'static [Server],
    pub(crate) expect: Expect,
}

/// A domain on a server: one cell of the table.
struct Cell {
    row: &'static Row,
    server: Server,
    domain: String,
    /// Words of the letter that goes there, and of no other.
    canary: String,
}

impl Cell {
    fn patient(&self) -> String {
        format!("pat.patient@{}", self.domain)
    }
}

/// What must be started, as the plan has it.
#[derive(Default)]
struct Stage {
    postfix: Vec<Face>,
    exim: Vec<Face>,
    opensmtpd: Vec<Face>,
    chasquid: Vec<Face>,
    stunnels: Vec<(Face, SocketAddr)>,
    middles: Vec<(Ipv4Addr, Ipv4Addr, Trick)>,
    policies: Vec<(String, Pair, Answer)>,
    hosts: u8,
}

impl Stage {
    /// An address that nobody has.
    fn next(&mut self, plan: &Plan<'_>) -> Ipv4Addr {
        // The first sixty belong to the lab.
        self.hosts += 1;
        plan.host(60 + self.hosts)
    }

    /// Plans one cell: who listens where, and what DNS says.
    fn add(&mut self, plan: &mut Plan<'_>, row: &'static Row, server: Server) -> Result<Cell> {
        let domain = format!("{}-{}.test", row.name, server.name());
        let pair = certificate(plan.ca, &format!("mx.{domain}"), row.shows)?;
        let front = Face {
            domain: domain.clone(),
            ip: self.next(plan),
            tls: (row.shows != Shows::NoTls).then(|| pair.clone()),
            old: row.shows == Shows::OldTls,
        };
        let zone = self.zone(plan, row, &front, &pair)?;
        plan.zones.push(zone);
        let mut face = front;
        if let Some(trick) = &row.between {
            let behind = self.next(plan);
            self.middles.push((face.ip, behind, trick.clone()));
            face.ip = behind;
        }
        self.put_on(plan, server, row.shows, face, pair);
        let canary = format!("canary-{}-{}-haemogl0bin", row.name, server.name());
        Ok(Cell { row, server, domain, canary })
    }

    /// Gives the face to the server, with a helper before it where the server cannot show it.
    fn put_on(&mut self, plan: &Plan<'_>, server: Server, shows: Shows, face: Face, pair: Pair) {
        match (server, shows) {
            (Server::Postfix, _) => self.postfix.push(face),
            (Server::Exim, _) => self.exim.push(face),
            (Server::OpenSmtpd, Shows::NoTls | Shows::Broken) => self.opensmtpd.push(face),
            (Server::OpenSmtpd, _) => {
                let ip = self.next(plan);
                self.opensmtpd.push(Face { ip, tls: None, ..face.clone() });
                self.stunnels.push((face, (ip, SMTP_PORT).into()));
            }
            (Server::Chasquid, Shows::NoTls) => {
                let ip = self.next(plan);
                self.middles.push((face.ip, ip, Trick::Strip));
                self.chasquid.push(Face { ip, tls: Some(pair), ..face });
            }
            (Server::Chasquid, Shows::OldTls) => {
                let ip = self.next(plan);
                self.chasquid.push(Face { ip, old: false, ..face.clone() });
                self.stunnels.push((face, (ip, SMTP_PORT).into()));
            }
            (Server::Chasquid, _) => self.chasquid.push(face),
        }
    }

    fn zone(&mut self, plan: &Plan<'_>, row: &Row, face: &Face, pair: &Pair) -> Result<Zone> {
        let other = || Ok::<_, wardpost_tests::Error>(plan.ca.issue(&["other.test"])?.tlsa);
        let (proof, more) = match row.says {
            Says::Silent => (Proof::Unsigned, Vec::new()),
            Says::DaneMatch => (Proof::Signed, face.tlsa(&pair.tlsa)),
            Says::DaneOther => (Proof::Signed, face.tlsa(&other()?)),
            Says::DaneUnsigned => (Proof::Unsigned, face.tlsa(&other()?)),
            Says::StsEnforce | Says::StsTesting => {
                let mode = if row.says == Says::StsTesting { "testing" } else { "enforce" };
                let pair = plan.ca.issue(&[&format!("mta-sts.{}", face.domain)])?;
                let answer = Answer::policy(mode, &face.hostname(), 86400);
                self.policies.push((face.domain.clone(), pair, answer));
                (Proof::Unsigned, policies::records(plan, &face.domain, "20261126").into())
            }
            Says::Bogus => (Proof::Broken, Vec::new()),
            Says::ExpiredDnssec => (Proof::Expired, Vec::new()),
        };
        Ok(face.zone(proof, &more))
    }
}

fn certificate(ca: &Ca, host: &str, shows: Shows) -> Result<Pair> {
    match shows {
        Shows::SelfSigned => ca.self_signed(&[host]),
        Shows::Expired => ca.issue_expired(&[host]),
        Shows::WrongName => ca.issue(&["somebody.else.test"]),
        Shows::NoTls | Shows::OldTls | Shows::Broken | Shows::Good => ca.issue(&[host]),
    }
}

/// A practice, and all the servers of a table. What listens goes before what it needs.
pub(crate) struct World {
    cells: Vec<Cell>,
    servers: Vec<(Server, Box<dyn Destination + Send + Sync>)>,
    _stunnel: Option<Stunnel>,
    _middles: Vec<Middle>,
    _policies: Policies,
    practice: Practice,
}

impl World {
    /// Builds and starts everything.
    pub(crate) fn open(table: &'static [Row]) -> Result<Self> {
        let mut stage = Stage::default();
        let mut cells = Vec::new();
        let lab = Lab::start_with(|plan| {
            for row in table {
                for &server in row.on {
                    cells.push(stage.add(plan, row, server)?);
                }
            }
            Ok(())
        })?;
        let policies = Policies::start(&lab)?;
        for (domain, pair, answer) in &stage.policies {
            policies.set(domain, pair, answer.clone())?;
        }
        let practice = Practice::open_in(lab, "")?;
        let servers = start_servers(&practice, &stage)?;
        let stunnel = if stage.stunnels.is_empty() {
            None
        } else {
            Some(Stunnel::start(&practice.lab, "stunnel", &stage.stunnels)?)
        };
        let middles = stage.middles.iter().map(|(front, server, trick)| {
            let at = |ip: &Ipv4Addr| SocketAddr::from((*ip, SMTP_PORT));
            Middle::start(at(front), at(server), std::slice::from_ref(trick))
        });
        let middles = middles.collect::<Result<_>>()?;
        Ok(Self {
            cells,
            servers,
            _stunnel: stunnel,
            _middles: middles,
            _policies: policies,
            practice,
        })
    }

    /// Explains, sends, and looks at what came of it; tells of everything that is not as it must be.
    pub(crate) fn run(&self) -> Result<()> {
        let mut wrong = self.explain_all()?;
        self.send_all()?;
        // Whatever does not come in time is told of below, with what there is instead.
        let _ = wait_for("every letter to find its way", PATIENCE, || {
            let world = Seen::ask(&self.practice).ok()?;
            self.cells.iter().all(|cell| self.check(cell, &world).is_ok()).then_some(())
        });
        let world = Seen::ask(&self.practice)?;
        for cell in &self.cells {
            if let Err(what) = self.check(cell, &world) {
                writeln!(wrong, "{}: {what}", cell.domain)?;
            }
            if !matches!(cell.row.expect, Expect::Delivered(_)) {
                for found in files_containing(self.server(cell.server).folder(), &cell.canary)? {
                    writeln!(wrong, "{}: the letter is in {}", cell.domain, found.display())?;
                }
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(format!("{wrong}\n{}", self.practice.wardpost.log()).into())
    }

    fn server(&self, server: Server) -> &dyn Destination {
        let found = self.servers.iter().find(|(which, _)| *which == server);
        // Servers are made from the cells that ask for them.
        found.map(|(_, destination)| destination.as_ref()).expect("a server of the table")
    }

    /// What `route explain` says of every cell; returns what is wrong with it.
    fn explain_all(&self) -> Result<String> {
        let wrong = Mutex::new(String::new());
        let explain_each = &|part: &[Cell]| {
            for cell in part {
                if let Err(what) = self.explain(cell) {
                    let mut wrong = wrong.lock().expect("nobody panics with it");
                    let _ = writeln!(wrong, "{}: {what}", cell.domain);
                }
            }
        };
        thread::scope(|scope| {
            for part in self.cells.chunks(self.cells.len().div_ceil(6).max(1)) {
                scope.spawn(move || explain_each(part));
            }
        });
        Ok(wrong.into_inner()?)
    }

    fn explain(&self, cell: &Cell) -> Result<()> {
        let (practice, patient) = (&self.practice, cell.patient());
        let said =
            practice.wardpost.cli(&["route", "explain", &practice.dana, &patient, "--json"], "")?;
        let view: Value = serde_json::from_str(&said)?;
        let (outcome, grade) = match cell.row.expect {
            Expect::Delivered(grade) => ("direct", Some(grade)),
            Expect::Notice(grade) | Expect::Nothing(grade) => ("pickup", Some(grade)),
            Expect::Waits => ("retry", None),
        };
        let seen = view["hops"][0]["grade"].as_str();
        if view["outcome"] == outcome && seen == grade {
            return Ok(());
        }
        Err(format!(
            "explained as {} at {seen:?}, not {outcome} at {grade:?}: {said}",
            view["outcome"]
        )
        .into())
    }

    /// A letter to every cell, each of its own.
    fn send_all(&self) -> Result<()> {
        let practice = &self.practice;
        let mut smtp = Smtp::connect(practice.wardpost.submission())?;
        smtp.starttls(&practice.lab.ca, HOSTNAME)?;
        smtp.login(&practice.dana, PASSWORD)?;
        for cell in &self.cells {
            let (to, canary) = (cell.patient(), &cell.canary);
            let text = message_with_attachment(
                &practice.dana,
                &to,
                canary,
                &format!("Your result: {canary}."),
                (&format!("{canary}.csv"), canary),
            );
            smtp.send(&practice.dana, &[&to], &text)?;
        }
        Ok(())
    }

    fn check(&self, cell: &Cell, seen: &Seen) -> Result<()> {
        let held = self.server(cell.server).messages_for(&cell.domain);
        let letters = held.iter().filter(|m| m.contains(&cell.canary)).count();
        let notices = held.iter().filter(|m| m.contains("https://mail.clinic.test")).count();
        let patient = cell.patient();
        let (parcels, waiting) = (seen.parcels_for(&patient), seen.letters_waiting(&patient, 1));
        let found = (held.len(), letters, notices, parcels, waiting);
        let wanted = match cell.row.expect {
            Expect::Delivered(_) => (1, 1, 0, 0, 0),
            Expect::Notice(_) => (1, 0, 1, 1, 0),
            Expect::Nothing(_) => (0, 0, 0, 1, 0),
            Expect::Waits => (0, 0, 0, 0, 1),
        };
        if found == wanted {
            return Ok(());
        }
        Err(format!("(messages, letters, notices, parcels, waiting) are {found:?}, not {wanted:?}")
            .into())
    }
}

/// What Wardpost says of its queue and its parcels.
pub(crate) struct Seen {
    queue: Value,
    parcels: Value,
}

impl Seen {
    /// Asks.
    pub(crate) fn ask(practice: &Practice) -> Result<Self> {
        let ask = |what: &str| -> Result<Value> {
            let said = practice.wardpost.cli(&[what, "list", "--json"], "")?;
            Ok(serde_json::from_str(&said)?)
        };
        Ok(Self { queue: ask("queue")?, parcels: ask("parcel")? })
    }

    /// How many parcels there are for a patient.
    pub(crate) fn parcels_for(&self, patient: &str) -> usize {
        let all = self.parcels.as_array().into_iter().flatten();
        all.filter(|parcel| parcel["recipient"] == patient).count()
    }

    /// Recipients of letters (not of notices) that are in the queue, each with its item.
    fn recipients(&self) -> impl Iterator<Item = (&Value, &Value)> {
        let all = self.queue.as_array().into_iter().flatten();
        let mails = all.filter(|item| item["kind"] == "mail");
        mails.flat_map(|item| {
            let recipients = item["recipients"].as_array().into_iter().flatten();
            recipients.map(move |recipient| (item, recipient))
        })
    }

    /// How many letters wait for a patient after at least so many attempts.
    pub(crate) fn letters_waiting(&self, patient: &str, attempts: u64) -> usize {
        let waits = |r: &Value| {
            r["address"] == patient
                && r["state"] == "waiting"
                && r["attempts"].as_u64() >= Some(attempts)
        };
        self.recipients().filter(|(_, recipient)| waits(recipient)).count()
    }

    /// Whether a patient's letter has been tried, or is gone from the queue.
    pub(crate) fn attempted(&self, patient: &str) -> bool {
        let mut letters = self.recipients().filter(|(_, r)| r["address"] == patient);
        letters.all(|(_, r)| r["state"] != "in-progress" && r["attempts"] != 0)
    }

    /// The numbers of the letters that wait.
    pub(crate) fn waiting_letters(&self) -> Vec<String> {
        let waiting = self.recipients().filter(|(_, r)| r["state"] == "waiting");
        waiting.map(|(item, _)| item["id"].to_string().trim_matches('"').to_owned()).collect()
    }
}

type Started = Result<(Server, Box<dyn Destination + Send + Sync>)>;

/// Starts the servers that the stage has faces for, side by side.
fn start_servers(
    practice: &Practice,
    stage: &Stage,
) -> Result<Vec<(Server, Box<dyn Destination + Send + Sync>)>> {
    let (lab, wardpost) = (&practice.lab, &practice.wardpost);
    let postfix = || -> Started {
        let server = Postfix::start(lab, "postfix", &stage.postfix, &[])?;
        Ok((Server::Postfix, Box::new(server)))
    };
    let exim = || -> Started {
        Ok((Server::Exim, Box::new(Exim::start(lab, "exim", &stage.exim, wardpost)?)))
    };
    let opensmtpd = || -> Started {
        let server = OpenSmtpd::start(lab, "opensmtpd", &stage.opensmtpd)?;
        Ok((Server::OpenSmtpd, Box::new(server)))
    };
    let chasquid = || -> Started {
        let server = Chasquid::start(lab, "chasquid", &stage.chasquid)?;
        Ok((Server::Chasquid, Box::new(server)))
    };
    let starts: [(&[Face], &(dyn Fn() -> Started + Sync)); 4] = [
        (&stage.postfix, &postfix),
        (&stage.exim, &exim),
        (&stage.opensmtpd, &opensmtpd),
        (&stage.chasquid, &chasquid),
    ];
    thread::scope(|scope| {
        let wanted = starts.into_iter().filter(|(faces, _)| !faces.is_empty());
        let running: Vec<_> = wanted.map(|(_, start)| scope.spawn(start)).collect();
        let joined = running.into_iter().map(|r| r.join().map_err(|_| "a start panicked")?);
        joined.collect()
    })
}
