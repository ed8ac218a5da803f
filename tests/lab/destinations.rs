//! Other people's mail servers, as good and as bad as they come.

use crate::ca::Pair;
use crate::exim::Exim;
use crate::knot::{Proof, Zone};
use crate::postfix::Postfix;
use crate::wardpost::Wardpost;
use crate::{Lab, Plan, Result, SMTP_PORT, wait_for};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

/// What a destination's TLS is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// A certificate that the world's authority vouches for, with the right name.
    Verified,
    /// A certificate that nobody vouches for.
    SelfSigned,
    /// A certificate for some other host.
    WrongName,
    /// A certificate that has expired.
    Expired,
    /// No STARTTLS.
    None,
}

/// One address of a mail server: what mail it takes there, and how it shows itself.
#[derive(Debug, Clone)]
pub struct Face {
    /// The domain whose mail is taken there, any local part; the host is `mx.` below it.
    pub domain: String,
    /// Where it listens, on [`SMTP_PORT`].
    pub ip: Ipv4Addr,
    /// What it shows; without, it does not offer STARTTLS.
    pub tls: Option<Pair>,
    /// Whether it speaks no TLS newer than 1.1.
    pub old: bool,
}

impl Face {
    /// The host's name.
    pub fn hostname(&self) -> String {
        format!("mx.{}", self.domain)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (self.ip, SMTP_PORT).into()
    }

    /// Its zone: MX and address, and whatever else is in `more`.
    pub fn zone(&self, proof: Proof, more: &[String]) -> Zone {
        let (domain, host) = (&self.domain, self.hostname());
        let own = [format!("{domain}. MX 10 {host}."), format!("{host}. A {}", self.ip)];
        Zone::new(domain, proof, &[&own, more].concat())
    }

    /// A TLSA record for the host that holds `data`, such as [`Pair::tlsa`]; on the port that it listens on
    /// and, for whoever looks there, on 25.
    pub fn tlsa(&self, data: &str) -> Vec<String> {
        [25, SMTP_PORT].map(|port| format!("_{port}._tcp.{}. TLSA {data}", self.hostname())).into()
    }
}

/// A place that mail can be sent to.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Its mail domain; its server is `mx.` below it.
    pub domain: &'static str,
    /// Its place in the lab's network.
    pub host: u8,
    /// What its TLS is like.
    pub tls: Tls,
}

/// A hospital with everything in order.
pub const HOSPITAL: Place = Place { domain: "hospital.test", host: 11, tls: Tls::Verified };
/// A billing office with a self-signed certificate.
pub const BILLER: Place = Place { domain: "biller.test", host: 12, tls: Tls::SelfSigned };
/// A patient's provider without TLS.
pub const PLAINMAIL: Place = Place { domain: "plainmail.test", host: 13, tls: Tls::None };
/// A lab whose certificate is for another name.
pub const MISNAMED: Place = Place { domain: "misnamed.test", host: 14, tls: Tls::WrongName };
/// A lab whose certificate has expired.
pub const LAPSED: Place = Place { domain: "lapsed.test", host: 15, tls: Tls::Expired };
/// A colleague's practice whose own Postfix sends mail to ours over TLS.
pub const COLLEAGUE: Place = Place { domain: "colleague.test", host: 16, tls: Tls::Verified };

/// A university with everything in order that runs Exim.
pub const UNIVERSITY: Place = Place { domain: "university.test", host: 17, tls: Tls::Verified };
/// A provider without TLS that runs Exim.
pub const OLDMAIL: Place = Place { domain: "oldmail.test", host: 18, tls: Tls::None };

/// Every place that the zone knows.
pub const ALL: &[Place] =
    &[HOSPITAL, BILLER, PLAINMAIL, MISNAMED, LAPSED, COLLEAGUE, UNIVERSITY, OLDMAIL];

impl Place {
    /// Starts this place's Postfix.
    ///
    /// # Errors
    /// As [`Postfix::start`].
    pub fn start(&self, lab: &Lab) -> Result<Postfix> {
        self.start_with(lab, &[])
    }

    /// Starts this place's Postfix with more lines of main.cf.
    ///
    /// # Errors
    /// As [`Postfix::start`].
    pub fn start_with(&self, lab: &Lab, extra: &[&str]) -> Result<Postfix> {
        Postfix::start(lab, &self.hostname(), &[self.face(lab)?], extra)
    }

    /// Starts this place's server as Exim instead. It sends mail for the practice to `wardpost`.
    ///
    /// # Errors
    /// As [`Exim::start`].
    pub fn start_exim(&self, lab: &Lab, wardpost: &Wardpost) -> Result<Exim> {
        Exim::start(lab, &self.hostname(), &[self.face(lab)?], wardpost)
    }

    /// The name of its server.
    pub fn hostname(&self) -> String {
        format!("mx.{}", self.domain)
    }

    /// Its zone. The hospital's is signed.
    pub(crate) fn zone(&self, plan: &Plan<'_>) -> Zone {
        let face = Face {
            domain: self.domain.to_owned(),
            ip: plan.host(self.host),
            tls: None,
            old: false,
        };
        let signed = self.domain == HOSPITAL.domain;
        face.zone(if signed { Proof::Signed } else { Proof::Unsigned }, &[])
    }

    fn face(&self, lab: &Lab) -> Result<Face> {
        Ok(Face {
            domain: self.domain.to_owned(),
            ip: lab.host(self.host),
            tls: self.certificate(lab)?,
            old: false,
        })
    }

    fn certificate(&self, lab: &Lab) -> Result<Option<Pair>> {
        let hostname = self.hostname();
        Ok(match self.tls {
            Tls::Verified => Some(lab.ca.issue(&[&hostname])?),
            Tls::SelfSigned => Some(lab.ca.self_signed(&[&hostname])?),
            Tls::WrongName => Some(lab.ca.issue(&["somebody.else.test"])?),
            Tls::Expired => Some(lab.ca.issue_expired(&[&hostname])?),
            Tls::None => None,
        })
    }
}

/// A running mail server of somebody else's. It delivers everything to one maildir, `mail/box`, and logs
/// to the file `log`, both in its folder.
pub trait Destination {
    /// Its folder: configuration, queue, log and delivered mail.
    fn folder(&self) -> &Path;

    /// What it logged.
    fn log(&self) -> String {
        fs::read_to_string(self.folder().join("log")).unwrap_or_default()
    }

    /// The messages that have arrived, whole, in no special order.
    fn messages(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.folder().join("mail/box/new")) else {
            return Vec::new();
        };
        entries
            .flatten()
            .filter_map(|entry| fs::read(entry.path()).ok())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .collect()
    }

    /// The messages that have arrived for somebody at `domain`, by their To: header.
    fn messages_for(&self, domain: &str) -> Vec<String> {
        let is_for = |message: &String| {
            let head = message.split("\n\n").next().unwrap_or_default();
            head.lines().any(|l| l.starts_with("To:") && l.contains(&format!("@{domain}")))
        };
        self.messages().into_iter().filter(is_for).collect()
    }

    /// Waits for the arrival of a message that contains `text`.
    ///
    /// # Errors
    /// When none has come within `limit`; the text ends with the server's log.
    fn wait_for_message(&self, text: &str, limit: Duration) -> Result<String> {
        wait_for(&format!("a message with {text:?}"), limit, || {
            self.messages().into_iter().find(|message| message.contains(text))
        })
        .map_err(|e| format!("{e}\n{}", self.log()).into())
    }
}
