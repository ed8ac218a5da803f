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
    /// What would happen to a message.
    pub outlook: Outlook,
    /// The same in one sentence.
    pub summary: String,
}

/// What would happen to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outlook {
    /// It goes straight to the recipient's server: a host reaches the floor.
    Direct,
    /// It becomes a parcel: hosts were reached, none reaches the floor.
    Pickup,
    /// It waits and is tried again.
    Retry,
    /// It is returned to its sender.
    Returned,
}

impl Outlook {
    /// A word for lists.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Pickup => "pickup",
            Self::Retry => "retry",
            Self::Returned => "returned",
        }
    }
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
        let mut hosts = Vec::new();
        let (outlook, summary) = match self.next_hops(domain).await {
            Ok(hops) => {
                for hop in hops {
                    hosts.push(self.probe_host(hop.preference, &hop.host).await);
                }
                outlook(&hosts, floor)
            }
            Err(reply) => nowhere(&reply),
        };
        PathReport { domain: domain.to_string(), floor: floor.grade(), hosts, outlook, summary }
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

fn nowhere(reply: &Reply) -> (Outlook, String) {
    let text = reply.lines.join(" ");
    if reply.is_permanent() {
        (Outlook::Returned, format!("mail is returned to its sender: {text}"))
    } else {
        (Outlook::Retry, format!("mail waits and is tried again: {text}"))
    }
}

fn outlook(hosts: &[HostReport], floor: Floor) -> (Outlook, String) {
    match hosts.iter().filter_map(|host| host.grade).max() {
        Some(best) if best >= floor.grade() => {
            let text = "mail goes straight to the recipient's server, encrypted";
            (Outlook::Direct, text.to_owned())
        }
        Some(best) => {
            let text = format!(
                "mail waits on the pickup page: the best path is {best} ({}) and {floor} is demanded",
                best.explain()
            );
            (Outlook::Pickup, text)
        }
        None => {
            let text = "mail waits and is tried again: no mail server could be reached";
            (Outlook::Retry, text.to_owned())
        }
    }
}
