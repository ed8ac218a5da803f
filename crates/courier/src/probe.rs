//! Looking at a path without sending mail over it, for `wardpost route explain`.

use crate::approach::{Approached, Target};
use crate::conversation::TalkError;
use crate::courier::Courier;
use crate::fate::seen;
use crate::nexthop::Addresses;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use wardpost_mail::{Domain, Reply, TlsGrade};
use wardpost_verdict::{Floor, Verdict};

/// What was seen on the way to a domain's mail servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathReport {
    /// The domain.
    pub domain: String,
    /// The grade that was demanded.
    pub floor: TlsGrade,
    /// Every mail exchanger, in the order they are tried.
    pub hosts: Vec<HostReport>,
    /// Whether at least one host reaches the floor.
    pub direct: bool,
    /// What would happen to a message, in one sentence.
    pub summary: String,
}

/// What was seen of one mail exchanger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostReport {
    /// Its MX preference.
    pub preference: u16,
    /// Its name.
    pub host: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// How good the path is; `None` when the host could not be reached.
    pub grade: Option<TlsGrade>,
    /// TLS version and suite.
    pub tls: Option<String>,
    /// Why the grade is not better: RFC 8460 §4.3 words, then plain ones.
    pub reasons: Vec<String>,
    /// Why the host could not be reached.
    pub error: Option<String>,
}

impl HostReport {
    fn unreached(preference: u16, host: &Domain, error: String) -> Self {
        Self {
            preference,
            host: host.to_string(),
            addresses: Vec::new(),
            grade: None,
            tls: None,
            reasons: Vec::new(),
            error: Some(error),
        }
    }
}

impl Courier {
    /// Looks at the path to a domain the way a message would take it: look-ups, handshakes and
    /// verdicts for every mail exchanger, but no MAIL.
    pub async fn probe(&self, domain: &Domain, floor: TlsGrade) -> PathReport {
        let floor = Floor::new(floor);
        let mut report = PathReport {
            domain: domain.to_string(),
            floor: floor.grade(),
            hosts: Vec::new(),
            direct: false,
            summary: String::new(),
        };
        let hops = match self.next_hops(domain).await {
            Ok(hops) => hops,
            Err(reply) => {
                report.summary = nowhere(&reply);
                return report;
            }
        };
        for hop in hops {
            report.hosts.push(self.probe_host(hop.preference, &hop.host).await);
        }
        report.direct = report.hosts.iter().any(|h| h.grade >= Some(floor.grade()));
        report.summary = summary(&report);
        report
    }

    async fn probe_host(&self, preference: u16, host: &Domain) -> HostReport {
        let targets = match self.addresses(host).await {
            Addresses::Of(targets) => targets,
            Addresses::Ourselves => {
                return HostReport::unreached(preference, host, "this is our own server".into());
            }
            Addresses::None(reply) => {
                return HostReport::unreached(preference, host, reply.lines.join(" "));
            }
        };
        let mut report = HostReport::unreached(preference, host, String::new());
        report.addresses = targets.iter().map(|target| target.address.ip()).collect();
        for target in &targets {
            match self.look(target).await {
                Ok(verdict) => {
                    let evidence = seen(target, &verdict);
                    report.grade = evidence.grade;
                    report.tls = evidence.tls;
                    report.reasons = evidence.reasons;
                    report.error = None;
                    return report;
                }
                Err(error) => report.error = Some(error.to_string()),
            }
        }
        report
    }

    /// Shakes hands with one address and takes leave.
    async fn look(&self, target: &Target) -> Result<Verdict, TalkError> {
        match self.approach(target).await? {
            Approached::Tls(conversation, verdict) | Approached::Clear(conversation, verdict) => {
                conversation.quit().await;
                Ok(verdict)
            }
            Approached::Broken(verdict) => Ok(verdict),
        }
    }
}

fn nowhere(reply: &Reply) -> String {
    let text = reply.lines.join(" ");
    if reply.is_permanent() {
        format!("mail is returned to its sender: {text}")
    } else {
        format!("mail waits and is tried again: {text}")
    }
}

fn summary(report: &PathReport) -> String {
    let best = report.hosts.iter().filter_map(|host| host.grade).max();
    match best {
        _ if report.direct => "mail goes straight to the recipient's server, encrypted".into(),
        Some(grade) => format!(
            "mail waits on the pickup page: the best path is {grade} ({}) and {} is demanded",
            grade.explain(),
            report.floor
        ),
        None => "mail waits and is tried again: no mail server could be reached".into(),
    }
}
