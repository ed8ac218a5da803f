//! The metrics page, `/metrics`, in Prometheus' text format, and `/healthz`.
//!
//! Roles count what they do in the registry. What can be read off the state (how deep the queue is,
//! how many accounts are unlocked) is read when somebody looks. No label names a person, an address
//! or a domain. Who may look is for [`scraping`](super::scraping) to say.

use super::families::{
    counter, counter_metric, family, gauge, gauge_metric, histogram_metric, labelled,
};
use super::roles::Roles;
use super::scraping::{Guard, Visitor};
use super::state::State;
use axum::Router;
use axum::extract::State as Shared;
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use prometheus::proto::{MetricFamily, MetricType};
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use wardpost_config::Config;
use wardpost_directory::Directory;
use wardpost_mx::Mx;
use wardpost_net::{Accepted, ServerTls, Shutdown};
use wardpost_parcel::{ParcelStats, Parcels};
use wardpost_queue::Queue;
use wardpost_store::Store;
use wardpost_sts::Policies;

/// How long one connection may take over a request.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the parcels' numbers are good: counting them reads every parcel's record.
const PARCELS_FRESH: Duration = Duration::from_secs(15);

/// Everything the page shows.
pub(crate) struct MetricsPage {
    registry: Registry,
    store: Store,
    directory: Directory,
    queue: Queue,
    parcels: Parcels,
    policies: Policies,
    tls: ServerTls,
    mx: Arc<Mx>,
    guard: Guard,
    data_dir: PathBuf,
    counted: Mutex<Option<(Instant, ParcelStats)>>,
}

impl MetricsPage {
    pub(crate) fn new(config: &Config, roles: &Roles, state: &State, tls: &ServerTls) -> Self {
        Self {
            registry: roles.registry.clone(),
            store: state.store.clone(),
            directory: state.directory.clone(),
            queue: state.queue.clone(),
            parcels: state.parcels.clone(),
            policies: roles.policies.clone(),
            tls: tls.clone(),
            mx: Arc::clone(&roles.mx),
            guard: roles.scraping.clone(),
            data_dir: config.data_dir.clone(),
            counted: Mutex::new(None),
        }
    }

    /// Serves one connection.
    pub(crate) async fn serve(self: Arc<Self>, accepted: Accepted, shutdown: Shutdown) {
        let Some((stream, visitor)) = self.guard.receive(accepted.stream).await else { return };
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(|| async { "ok\n" }))
            .with_state((self, visitor));
        let builder = Builder::new(TokioExecutor::new()).http1_only();
        let service = TowerToHyperService::new(router);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            // Whoever looked has what they came for, or went away: there is nothing to tell them.
            _ = tokio::time::timeout(PATIENCE, connection) => {}
            () = shutdown.cancelled() => {}
        }
    }

    fn render(&self) -> Result<String, prometheus::Error> {
        let mut families = self.registry.gather();
        families.extend(self.read());
        families.sort_by(|a, b| a.name().cmp(b.name()));
        TextEncoder::new().encode_to_string(&families)
    }

    /// What is read off the state now.
    fn read(&self) -> Vec<MetricFamily> {
        let mut families = vec![
            info(),
            gauge(
                "wardpost_certificate_expiry_timestamp_seconds",
                "When our certificate ends, Unix time",
                unix(self.tls.expires_at()),
            ),
            gauge(
                "wardpost_certificate_not_before_timestamp_seconds",
                "When our certificate begins, Unix time",
                self.tls.certificate().not_before as f64,
            ),
            gauge(
                "wardpost_mx_last_mail_timestamp_seconds",
                "When a server in the Internet last began to give us mail, Unix time; 0 when none has since \
                 the start",
                self.mx.last_visit(true).map_or(0.0, unix),
            ),
        ];
        families.extend(self.queue_families());
        families.extend(self.parcel_families());
        families.extend(self.directory_families());
        families.extend(self.policy_families());
        families.extend(self.store_families());
        families.extend(self.disk_families());
        families
    }

    fn queue_families(&self) -> Vec<MetricFamily> {
        let queue = self.queue.stats();
        let waiting = queue.recipients.saturating_sub(queue.due + queue.leased + queue.held);
        let oldest = queue.oldest_age.unwrap_or_default().as_secs_f64();
        let states = [
            ("waiting", waiting as f64),
            ("due", queue.due as f64),
            ("in-progress", queue.leased as f64),
            ("held", queue.held as f64),
        ];
        vec![
            gauge("wardpost_queue_messages", "Messages that wait to go out", queue.items as f64),
            family(
                "wardpost_queue_recipients",
                "Recipients of waiting messages, by state",
                MetricType::GAUGE,
                states.map(|(state, value)| labelled("state", state, gauge_metric(value))).into(),
            ),
            gauge(
                "wardpost_queue_oldest_age_seconds",
                "Age of the oldest waiting message; 0 when none waits",
                oldest,
            ),
        ]
    }

    fn parcel_families(&self) -> Vec<MetricFamily> {
        let Some(parcels) = self.parcel_stats() else { return Vec::new() };
        let states = [
            ("waiting", parcels.waiting as f64),
            ("opened", parcels.opened as f64),
            ("locked", parcels.locked as f64),
        ];
        let metrics = states.map(|(state, value)| labelled("state", state, gauge_metric(value)));
        let help = "Parcels on the portal: never opened, opened, locked after wrong codes";
        vec![family("wardpost_parcels", help, MetricType::GAUGE, metrics.into())]
    }

    fn parcel_stats(&self) -> Option<ParcelStats> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, stats)) = *counted
            && when.elapsed() < PARCELS_FRESH
        {
            return Some(stats);
        }
        let stats = self
            .parcels
            .stats()
            .map_err(|error| tracing::error!(%error, "parcels could not be counted"))
            .ok()?;
        *counted = Some((Instant::now(), stats));
        Some(stats)
    }

    fn directory_families(&self) -> Vec<MetricFamily> {
        let directory = self.directory.stats();
        let results = [
            ("ok", directory.logins_ok),
            ("failed", directory.logins_failed),
            ("slowed", directory.logins_slowed),
        ];
        vec![
            gauge("wardpost_accounts", "Accounts", directory.accounts as f64),
            gauge(
                "wardpost_accounts_unlocked",
                "Accounts whose keys are in memory because their owner is logged in",
                directory.unlocked as f64,
            ),
            family(
                "wardpost_logins_total",
                "Log-ins by result; slowed: turned away because too many failed before",
                MetricType::COUNTER,
                results.map(|(name, n)| labelled("result", name, counter_metric(n))).into(),
            ),
            counter("wardpost_password_hashes_total", "Full password hashes run", directory.hashes),
        ]
    }

    fn policy_families(&self) -> Vec<MetricFamily> {
        let stats = self.policies.stats();
        let kept = stats.kept.iter();
        let kept =
            kept.map(|(mode, n)| labelled("mode", mode.name(), gauge_metric(*n as f64))).collect();
        let fetches = stats.fetches.iter();
        let fetches =
            fetches.map(|(outcome, n)| labelled("outcome", outcome, counter_metric(*n))).collect();
        vec![
            family(
                "wardpost_mta_sts_policies",
                "Other domains' MTA-STS policies that are kept, by mode",
                MetricType::GAUGE,
                kept,
            ),
            family(
                "wardpost_mta_sts_fetches_total",
                "Fetches of other domains' MTA-STS policies: ok, or why not in the words of RFC 8460",
                MetricType::COUNTER,
                fetches,
            ),
        ]
    }

    fn store_families(&self) -> Vec<MetricFamily> {
        let store = self.store.metrics();
        let sync = &store.sync_latency;
        let metric = histogram_metric(sync.count, sync.sum, &sync.buckets);
        vec![
            family(
                "wardpost_store_sync_seconds",
                "Time of each synced write of the store",
                MetricType::HISTOGRAM,
                vec![metric],
            ),
            counter("wardpost_store_batches_total", "Batches committed", store.batches),
            counter(
                "wardpost_store_conflicts_total",
                "Batches refused for a precondition",
                store.conflicts,
            ),
            counter(
                "wardpost_store_disk_full_total",
                "Batches refused because the disk was full",
                store.disk_full,
            ),
            counter("wardpost_store_written_bytes_total", "Sealed bytes written", store.bytes),
        ]
    }

    /// Room on the disk that the data lies on; nothing if the system does not say.
    fn disk_families(&self) -> Vec<MetricFamily> {
        let Ok(disk) = rustix::fs::statvfs(&self.data_dir) else { return Vec::new() };
        let octets = |blocks: u64| blocks as f64 * disk.f_frsize as f64;
        vec![
            gauge(
                "wardpost_disk_size_bytes",
                "Size of the disk that the data lies on",
                octets(disk.f_blocks),
            ),
            gauge(
                "wardpost_disk_available_bytes",
                "What the data may still take of its disk",
                octets(disk.f_bavail),
            ),
        ]
    }
}

async fn metrics(
    Shared((page, visitor)): Shared<(Arc<MetricsPage>, Visitor)>,
    headers: HeaderMap,
) -> Response {
    // Reading the state touches the disk.
    let look = move || visitor.may_read(&headers).then(|| page.render());
    match tokio::task::spawn_blocking(look).await {
        Ok(Some(Ok(text))) => ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Ok(None) => {
            let ask = [(WWW_AUTHENTICATE, "Bearer realm=\"metrics\"")];
            let words = "Show the token of [metrics] token_file, or a certificate of client_ca.\n";
            (StatusCode::UNAUTHORIZED, ask, words).into_response()
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn unix(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn info() -> MetricFamily {
    let metric = labelled("version", env!("CARGO_PKG_VERSION"), gauge_metric(1.0));
    let help = "The running version; always 1";
    family("wardpost_build_info", help, MetricType::GAUGE, vec![metric])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::path::Path;
    use wardpost_dns::HickoryResolver;
    use wardpost_mail::Domain;
    use wardpost_verdict::Roots;

    async fn page(directory: &Path) -> MetricsPage {
        let text = "hostname = \"mail.clinic.test\"\ndomain = \"clinic.test\"\n";
        let config = Config::parse(text, &directory.join("wardpost.toml")).unwrap();
        let state = State::of(&config, Store::in_memory()).await.unwrap();
        let host = Domain::parse("mail.clinic.test").unwrap();
        let tls = ServerTls::self_signed(directory, &host).unwrap();
        let resolver = HickoryResolver::new(&["127.0.0.1:53".parse().unwrap()]).unwrap();
        let roles = Roles::new(&config, &state, &tls, resolver, Roots::new()).unwrap();
        MetricsPage::new(&config, &roles, &state, &tls)
    }

    #[tokio::test]
    async fn the_page_is_what_prometheus_reads_and_says_nothing_private() {
        let directory = tempfile::tempdir().unwrap();
        let text = page(directory.path()).await.render().unwrap();
        let mut families = HashSet::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let name = rest.split(' ').next().unwrap();
                assert!(families.insert(name.to_owned()), "{name} twice");
            } else if !line.starts_with('#') {
                let (_, value) = line.rsplit_once(' ').unwrap();
                assert!(value.parse::<f64>().is_ok(), "{line}");
            }
        }
        for name in [
            "wardpost_build_info",
            "wardpost_queue_messages",
            "wardpost_queue_oldest_age_seconds",
            "wardpost_parcels",
            "wardpost_accounts_unlocked",
            "wardpost_logins_total",
            "wardpost_store_sync_seconds",
            "wardpost_certificate_expiry_timestamp_seconds",
            "wardpost_certificate_not_before_timestamp_seconds",
        ] {
            assert!(families.contains(name), "{name}");
        }
        assert!(!text.contains("clinic"), "{text}");
    }

    #[tokio::test]
    async fn the_histogram_of_syncs_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let page = page(directory.path()).await;
        let text = page.render().unwrap();
        let value = |start: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with(start)).unwrap();
            line.rsplit_once(' ').unwrap().1.parse().unwrap()
        };
        // Opening the directory wrote the main domain's keys.
        assert!(value("wardpost_store_batches_total") >= 1.0);
        let count = value("wardpost_store_sync_seconds_count");
        assert_eq!(value("wardpost_store_sync_seconds_bucket{le=\"+Inf\"}"), count);
    }
}
