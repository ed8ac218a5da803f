//! Looking at a path without sending mail over it, for `wardpost route explain`.

use crate::approach::{Approached, Target};
use crate::conversation::TalkError;
use crate::courier::Courier;
use crate::direct::Demand;
use crate::nexthop::{Exchanger, Looked};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use wardpost_mail::{Domain, Reply, TlsGrade};
use wardpost_pins::Smarthost;
use wardpost_queue::Kind;
use wardpost_verdict::{Floors, PathEvidence, Verdict};

/// What was seen on the way to a domain's mail servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathReport {
    /// The domain.
    pub domain: String,
    /// The grade that is demanded before what the domain publishes is counted in.
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
    /// It becomes a parcel: hosts were reached, and none reaches its floor.
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
    /// What is known of the path, what is demanded of it, and the judgement.
    pub path: Option<PathEvidence>,
    /// Why the host could not be reached.
    pub error: Option<String>,
    /// Why a message may not go there though the path is good: a smarthost that promises nothing.
    pub onward: Option<String>,
}

impl HostReport {
    fn unreached(preference: u16, host: &Domain, error: Option<String>) -> Self {
        let host = host.to_string();
        Self { preference, host, addresses: Vec::new(), path: None, error, onward: None }
    }

    /// The judgement; `None` when the host could not be reached.
    pub fn verdict(&self) -> Option<&Verdict> {
        self.path.as_ref()?.verdict.as_ref()
    }

    /// Whether a message may go there; `None` when the host could not be reached or judged.
    pub fn reaches_its_floor(&self) -> Option<bool> {
        let (floor, _) = self.path.as_ref()?.floor?;
        Some(self.verdict()?.grade() >= floor.grade())
    }
}

impl Courier {
    /// Looks at the path to a domain the way a message would take it: look-ups, handshakes and
    /// verdicts for every mail exchanger, but no MAIL. `floors` is what is demanded besides what the
    /// domain publishes.
    pub async fn probe(&self, domain: &Domain, floors: &Floors) -> PathReport {
        let mut hosts = Vec::new();
        let (outlook, summary) = match self.way_to(domain).await {
            Ok(way) => {
                for hop in &way.hops {
                    let looked = self.look_at(&way, &hop.host).await;
                    let ours = matches!(looked, Looked::Ourselves);
                    hosts.push(self.probe_host(hop.preference, &hop.host, looked, floors).await);
                    if ours {
                        break;
                    }
                }
                outlook(&hosts, way.smarthost())
            }
            Err(reply) => nowhere(&reply),
        };
        let (floor, _) = floors.demand(None);
        PathReport { domain: domain.to_string(), floor: floor.grade(), hosts, outlook, summary }
    }

    async fn probe_host(
        &self,
        preference: u16,
        host: &Domain,
        looked: Looked,
        floors: &Floors,
    ) -> HostReport {
        let unreached = |error: String| HostReport::unreached(preference, host, Some(error));
        let exchanger = match looked {
            Looked::At(exchanger) => exchanger,
            Looked::Ourselves => return unreached("this is our own server".into()),
            Looked::None(reply) => return unreached(reply.lines.join(" ")),
            Looked::Deferred(path, deferral) => {
                let mut report = unreached(deferral.to_string());
                report.path = Some(path.deferred(deferral));
                return report;
            }
        };
        let demand = Demand::of(&exchanger, floors);
        let mut report = HostReport::unreached(preference, host, None);
        report.addresses = exchanger.targets.iter().map(|target| target.address.ip()).collect();
        report.path = Some(PathEvidence::of(&exchanger.facts));
        for target in &exchanger.targets {
            match self.look(target, &exchanger).await {
                Ok((verdict, requiretls)) => {
                    let path = PathEvidence::of(&exchanger.facts);
                    report.path = Some(path.judged(&verdict, (demand.floor, demand.set_by)));
                    report.error = None;
                    let promised = requiretls || !demand.asks_onward(Kind::Mail);
                    let text =
                        "it does not offer REQUIRETLS and so promises nothing about the way onward";
                    report.onward = (!promised).then(|| text.to_owned());
                    break;
                }
                Err(error) => report.error = Some(error.to_string()),
            }
        }
        report
    }

    /// Shakes hands with one address and takes leave. Tells whether REQUIRETLS was offered, too.
    async fn look(
        &self,
        target: &Target,
        exchanger: &Exchanger,
    ) -> Result<(Verdict, bool), TalkError> {
        match self.approach(target, &exchanger.policy).await? {
            Approached::Tls(conversation, verdict, _)
            | Approached::Clear(conversation, verdict) => {
                let requiretls = conversation.capabilities().require_tls;
                conversation.quit().await;
                Ok((verdict, requiretls))
            }
            Approached::Broken(verdict) => Ok((verdict, false)),
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

/// What the courier would make of it: see the crate's table.
fn outlook(hosts: &[HostReport], smarthost: Option<&Smarthost>) -> (Outlook, String) {
    let good = hosts.iter().find(|host| host.reaches_its_floor() == Some(true));
    match (good, smarthost) {
        (Some(HostReport { host, onward: Some(why), .. }), _) => {
            let text = format!("mail waits on the pickup page: the smarthost is {host}, and {why}");
            return (Outlook::Pickup, text);
        }
        (Some(HostReport { host, .. }), Some(smarthost)) => {
            let onward = match smarthost.trusted_onward {
                true => "which its owner has promised to pass on encrypted",
                false => "which has to pass it on encrypted (REQUIRETLS)",
            };
            let text = format!("mail goes to the smarthost {host}, encrypted, {onward}");
            return (Outlook::Direct, text);
        }
        (Some(_), None) => {
            let text = "mail goes straight to the recipient's server, encrypted";
            return (Outlook::Direct, text.to_owned());
        }
        (None, _) => {}
    }
    let deferral = |host: &HostReport| Some(host.path.as_ref()?.deferral.as_ref()?.to_string());
    if let Some(deferral) = hosts.iter().find_map(deferral) {
        return (Outlook::Retry, format!("mail waits and is tried again: {deferral}"));
    }
    let best = hosts.iter().filter_map(|host| {
        let path = host.path.as_ref()?;
        Some((path.verdict.as_ref()?.grade(), path.floor?.0))
    });
    match best.max_by_key(|(grade, _)| *grade) {
        Some((best, floor)) => {
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
