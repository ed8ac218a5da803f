//! Gathering what the judge of the box's health must know: the records that others see, the way to other
//! mail servers and back, certificate, clock, disk, keys, queue.
//!
//! An examination takes half a minute at most, everything in it at once and bounded; there is never more
//! than one, and whoever asks within a minute gets the same report. To other mail servers it says EHLO
//! and QUIT and nothing else. What is found goes to [`wardpost_health::judge`], and nowhere else: no log
//! line names an address.
//!
//! Without the running daemon ([`Parts::daemon`] is `None`) it looks at what can be seen without it.

mod boot;
mod calls;
mod gather;
mod lookups;
mod machine;
mod metrics;
mod sntp;

use async_trait::async_trait;
use parking_lot::Mutex;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use wardpost_config::{Config, TimeServer};
use wardpost_dns::{OwnRecords, Resolver, ValidatedBy};
use wardpost_health::facts::{AuthorityFacts, QueueFacts};
use wardpost_health::{Check, Examiner, Report, State, judge};
use wardpost_mail::Domain;
use wardpost_net::CertificateFacts;
use wardpost_publish::records::Source;

pub use machine::failed_units;
pub use metrics::Metrics;

/// How long a report is good for whoever asks in passing.
const FRESH: Duration = Duration::from_secs(60);
/// When the first examination begins: a machine that has just started may have no network yet.
const FIRST: Duration = Duration::from_secs(30);
/// How often it is repeated.
const EVERY: Duration = Duration::from_secs(3600);

/// What the examination goes by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our mail host name.
    hostname: Domain,
    /// The practice's first domain.
    domain: Domain,
    /// Where the data lies.
    data_dir: PathBuf,
    /// The port of other mail servers, and of ours as they see it.
    smtp_port: u16,
    /// Whether we take mail from others at all.
    takes_mail: bool,
    /// Our public addresses, where they are configured.
    addresses: Vec<IpAddr>,
    /// Whose mail servers to call.
    probe_hosts: Vec<Domain>,
    /// Whom to ask for the time.
    time_servers: Vec<TimeServer>,
    /// When a message counts as late.
    late: Duration,
    /// Whether it is known where backups are to go.
    backup_destination: bool,
    /// The system key is a file.
    key_file: bool,
}

impl Settings {
    /// Those that the configuration asks for.
    pub fn from_config(config: &Config) -> Self {
        Self {
            hostname: config.hostname.clone(),
            domain: config.domain.clone(),
            data_dir: config.data_dir.clone(),
            smtp_port: config.transport.smtp_port,
            takes_mail: !config.listen.mx.is_empty(),
            addresses: config.publish.addresses.clone(),
            probe_hosts: config.doctor.probe_hosts.clone(),
            time_servers: config.doctor.time_servers.clone(),
            late: config.queue.delay_report,
            backup_destination: config.backup.destination.is_some(),
            key_file: config.keys.system_key_file.is_some(),
        }
    }
}

/// What the examination works with.
pub struct Parts {
    /// How our own records look from outside.
    pub own: Arc<dyn OwnRecords>,
    /// The resolver, for other domains, and for how far answers can be believed.
    pub resolver: Arc<dyn Resolver>,
    /// Our certificate, if it can be read.
    pub certificate: Box<dyn Fn() -> Option<CertificateFacts> + Send + Sync>,
    /// The running daemon.
    pub daemon: Option<Arc<dyn Daemon>>,
}

/// What only the running daemon knows.
#[async_trait]
pub trait Daemon: Send + Sync {
    /// What is to be published.
    fn source(&self) -> Option<Arc<dyn Source>>;
    /// How DNS answers are validated.
    fn validated_by(&self) -> ValidatedBy;
    /// Mail that waits to go out; `late` is filled in by whoever asks.
    fn queue(&self) -> QueueFacts;
    /// When another mail server wrote to us last; with `from_internet` only addresses count that the
    /// internet sees.
    fn last_visit(&self, from_internet: bool) -> Option<SystemTime>;
    /// How ordering certificates goes, if we do.
    fn authority(&self) -> Option<AuthorityFacts>;
    /// Whether all mail to others goes by a smarthost.
    fn smarthost(&self) -> bool;
    /// Writes to the store.
    async fn write(&self) -> Result<(), String>;
    /// Where we listen, with the services' names.
    fn listeners(&self) -> Vec<(String, SocketAddr)>;
}

/// The examiner of this box.
pub struct Checkup {
    settings: Settings,
    parts: Parts,
    /// Held by whoever examines.
    turn: tokio::sync::Mutex<()>,
    latest: Mutex<Option<Made>>,
}

/// A report, and when its examination began.
struct Made {
    begun: Instant,
    report: Arc<Report>,
}

impl Checkup {
    /// An examiner; it does nothing until it is asked, or [`Self::run`].
    pub fn new(settings: Settings, parts: Parts) -> Arc<Self> {
        let (turn, latest) = (tokio::sync::Mutex::new(()), Mutex::new(None));
        Arc::new(Self { settings, parts, turn, latest })
    }

    /// Examines half a minute from now and then every hour, for ever.
    pub async fn run(self: Arc<Self>) {
        let first = tokio::time::Instant::now() + FIRST;
        let mut ticks = tokio::time::interval_at(first, EVERY);
        loop {
            ticks.tick().await;
            self.examine().await;
        }
    }

    /// The report of an examination that began no earlier than `since`; makes one if there is none.
    async fn since(&self, since: Instant) -> Arc<Report> {
        let _turn = self.turn.lock().await;
        if let Some(made) = &*self.latest.lock()
            && made.begun >= since
        {
            return Arc::clone(&made.report);
        }
        let begun = Instant::now();
        let facts = gather::facts(&self.settings, &self.parts).await;
        let report = Arc::new(judge(&facts));
        let before = self.latest.lock().replace(Made { begun, report: Arc::clone(&report) });
        tell(before.as_ref().map(|made| &*made.report), &report);
        report
    }
}

#[async_trait]
impl Examiner for Checkup {
    async fn examine(&self) -> Arc<Report> {
        // A clock that began less than a minute ago has seen no examination before.
        match Instant::now().checked_sub(FRESH) {
            Some(since) => self.since(since).await,
            None => self.since(Instant::now()).await,
        }
    }

    async fn examine_anew(&self) -> Arc<Report> {
        self.since(Instant::now()).await
    }

    async fn examine_boot(&self) -> Report {
        let mut report = judge(&boot::facts(&self.settings, &self.parts).await);
        // No update fills the disk, and going back to the version before does not empty it.
        let disk = report.findings.iter_mut().filter(|finding| finding.check == Check::Disk.id());
        disk.for_each(|finding| finding.state = finding.state.min(State::Warning));
        report
    }

    fn latest(&self) -> Option<Arc<Report>> {
        self.latest.lock().as_ref().map(|made| Arc::clone(&made.report))
    }
}

/// Logs which checks went bad, or are so no longer.
fn tell(before: Option<&Report>, now: &Report) {
    for check in Check::ALL {
        let was = before.map_or(State::Unknown, |before| before.state_of(check)) == State::Bad;
        let is = now.state_of(check) == State::Bad;
        match (was, is) {
            (false, true) => {
                tracing::warn!(check = check.id(), "something is wrong: see `wardpost doctor`");
            }
            (true, false) => tracing::info!(check = check.id(), "it is well again"),
            _ => {}
        }
    }
}

fn unix(time: SystemTime) -> i64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed())
}
