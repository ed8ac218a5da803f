//! Where one part's shape meets another's.

use super::publishing::mta_sts;
use super::roles::Roles;
use super::state::State;
use async_trait::async_trait;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;
use tokio::sync::watch;
use wardpost_admin::{
    CertificateView, HopView, Host, ListenerView, RouteExplainer, RouteView, time_text,
};
use wardpost_config::Config;
use wardpost_courier::{Courier, HostReport};
use wardpost_directory::{Directory, DkimAlgorithm, DkimKey, Resolution};
use wardpost_dns::ValidatedBy;
use wardpost_health::{Examiner, Report};
use wardpost_mail::{Address, Domain};
use wardpost_net::ServerTls;
use wardpost_pins::{Pin, Pins};
use wardpost_policy::{OutboundFacts, OutboundRules, Place, RecipientFacts, Route, Why, outbound};
use wardpost_publish::OwnPolicy;
use wardpost_publish::records::authority_of;
use wardpost_signer::{Algorithm, Signer, SigningKey};
use wardpost_verdict::Floor;

/// A signer that asks the directory, so that domains may come and go.
pub(crate) fn signer(directory: Directory) -> Signer {
    Signer::from_source(move |domain| signing_keys(&directory, domain))
}

/// The directory's signing keys in the signer's terms.
fn signing_keys(directory: &Directory, domain: &Domain) -> Vec<SigningKey> {
    let key = |key: DkimKey| SigningKey {
        domain: domain.clone(),
        selector: key.selector,
        algorithm: match key.algorithm {
            DkimAlgorithm::Ed25519 => Algorithm::Ed25519,
            DkimAlgorithm::Rsa2048 => Algorithm::Rsa2048,
        },
        private_pkcs8: key.private_pkcs8,
    };
    directory.dkim_keys(domain).into_iter().map(key).collect()
}

/// What outgoing mail must meet.
pub(crate) fn outbound_rules(config: &Config) -> OutboundRules {
    OutboundRules {
        floor: config.transport.floor,
        max_size: config.limits.message_bytes as u64,
        honour_tls_required_no: config.transport.honour_tls_required_no,
    }
}

/// What the control interface may know of the program.
pub(crate) struct Program {
    hostname: Domain,
    started: SystemTime,
    listeners: OnceLock<Vec<ListenerView>>,
    tls: ServerTls,
    dns: watch::Receiver<ValidatedBy>,
    key_file: Option<PathBuf>,
    mta_sts: Option<OwnPolicy>,
    addresses: Vec<IpAddr>,
    authorities: Vec<String>,
    examiner: OnceLock<Arc<dyn Examiner>>,
}

impl Program {
    pub(crate) fn new(config: &Config, tls: &ServerTls, dns: watch::Receiver<ValidatedBy>) -> Self {
        Self {
            hostname: config.hostname.clone(),
            started: SystemTime::now(),
            listeners: OnceLock::new(),
            tls: tls.clone(),
            dns,
            key_file: config.tls.as_ref().map(|files| files.private_key.clone()),
            mta_sts: mta_sts(config),
            addresses: config.publish.addresses.clone(),
            authorities: authorities(config),
            examiner: OnceLock::new(),
        }
    }

    /// Learns who examines the daemon.
    pub(crate) fn examined_by(&self, examiner: Arc<dyn Examiner>) {
        // Set once, at the start.
        let _ = self.examiner.set(examiner);
    }

    /// Learns where we listen.
    pub(crate) fn listening(&self, listeners: Vec<ListenerView>) {
        // Set once, at the start; a second time would change nothing.
        let _ = self.listeners.set(listeners);
    }
}

impl Host for Program {
    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    fn hostname(&self) -> &Domain {
        &self.hostname
    }

    fn started(&self) -> SystemTime {
        self.started
    }

    fn listeners(&self) -> Vec<ListenerView> {
        self.listeners.get().cloned().unwrap_or_default()
    }

    fn certificate(&self) -> CertificateView {
        CertificateView {
            expires: time_text(self.tls.expires_at()),
            self_signed: self.tls.certificate().self_issued,
        }
    }

    fn dns(&self) -> String {
        self.dns.borrow().to_string()
    }

    fn tls(&self) -> &ServerTls {
        &self.tls
    }

    fn key_file(&self) -> Option<PathBuf> {
        self.key_file.clone()
    }

    fn mta_sts(&self) -> Option<OwnPolicy> {
        self.mta_sts.clone()
    }

    fn health(&self) -> Option<Report> {
        self.examiner.get()?.latest().map(|report| (*report).clone())
    }

    fn examiner(&self) -> Option<Arc<dyn Examiner>> {
        self.examiner.get().cloned()
    }

    fn addresses(&self) -> Vec<IpAddr> {
        self.addresses.clone()
    }

    fn authorities(&self) -> Vec<String> {
        self.authorities.clone()
    }
}

/// Who issues our certificates, by its name in CAA records.
fn authorities(config: &Config) -> Vec<String> {
    let directory = config.acme.as_ref().map(|acme| acme.directory.as_str());
    directory.and_then(authority_of).map(str::to_owned).into_iter().collect()
}

/// Explains routes: the policy's plan, and the courier's look at the path.
pub(crate) struct Routes {
    directory: Directory,
    pins: Pins,
    courier: Arc<Courier>,
    rules: OutboundRules,
}

impl Routes {
    pub(crate) fn new(config: &Config, state: &State, roles: &Roles) -> Self {
        Self {
            directory: state.directory.clone(),
            pins: state.pins.clone(),
            courier: Arc::clone(&roles.courier),
            rules: outbound_rules(config),
        }
    }
}

#[async_trait]
impl RouteExplainer for Routes {
    async fn explain(&self, from: &Address, to: &Address) -> RouteView {
        let place = match self.directory.resolve(to) {
            Resolution::Accounts(_) => Place::Ours,
            Resolution::Unknown => Place::OursUnknown,
            Resolution::NotOurs => Place::Elsewhere,
        };
        let pin = self.pins.of(to.domain());
        let facts = pin.as_ref().map(|pin| pin.facts());
        let facts = OutboundFacts {
            recipients: &[RecipientFacts { address: to, place, pin: facts }],
            subject: None,
            route_header: None,
            require_tls: false,
            tls_required_no: false,
            size: 0,
        };
        // The plan has one entry for each recipient; there is one.
        let planned = outbound(&facts, &self.rules).recipients.remove(0);
        let mut view = RouteView {
            from: from.clone(),
            to: to.clone(),
            route: planned.route.name().to_owned(),
            why: why(planned.why, pin.as_deref()),
            floor: None,
            floor_set_by: None,
            hops: Vec::new(),
            outcome: planned.route.name().to_owned(),
            explanation: explanation(&planned.route),
        };
        if let Route::Direct { floor } = planned.route {
            // A rule that lowers the floor counts as long as it holds, and is not in the route.
            let floors = Pin::floors(pin.as_deref(), Floor::new(floor), None);
            let report = self.courier.probe(to.domain(), &floors).await;
            let floor = floors.demand(None).0.grade();
            view.floor = Some(floor);
            view.floor_set_by = Some(floors.demand(None).1.explain().to_owned());
            view.outcome = report.outlook.name().to_owned();
            view.explanation = report.summary;
            view.hops = report.hosts.into_iter().map(hop).collect();
        }
        view.with_floor_of_the_deciding_hop()
    }
}

/// Which rule, and for which domains it was set.
fn why(why: Why, pin: Option<&Pin>) -> String {
    match pin {
        Some(pin) if why.is_pin() => format!("{} ({})", why.explain(), pin.pattern()),
        _ => why.explain().to_owned(),
    }
}

fn explanation(route: &Route) -> String {
    match route {
        Route::Local => "It is put into a mailbox on this server.".to_owned(),
        Route::Direct { .. } => String::new(),
        Route::Pickup => "It waits on the portal; the recipient gets a notice.".to_owned(),
        Route::Held => "It waits until somebody decides.".to_owned(),
        Route::Refused { reply } => format!("It is refused: {}", reply.to_string().trim_end()),
    }
}

fn hop(host: HostReport) -> HopView {
    let error = host.error.or(host.onward);
    HopView::new(host.preference, host.host, host.addresses, host.path, error)
}
