//! `wardpost serve`: the daemon, from opening its data to closing it.
//!
//! The order matters. The control socket is there before the first port is bound, so that whoever has
//! seen a port open can give commands; everything is bound before systemd is told that we are ready. On
//! the way down new connections end first, open sessions get time to finish, the courier finishes what it is in the middle of, and the
//! store closes last: by then nobody can be promised anything any more.

mod adapters;
pub(crate) mod certificates;
mod clients;
mod dns;
mod doctor;
mod families;
mod metrics;
mod ports;
pub(crate) mod publishing;
mod remover;
mod reports;
mod roles;
pub(crate) mod scraping;
pub(crate) mod set_up;
mod signals;
mod site;
mod staff;
mod state;

use crate::cli::ServeOptions;
use crate::failure::Failure;
use crate::{logging, process, system_key};
use adapters::{Program, Routes};
use ports::{Ports, Served};
use publishing::Publishing;
use remover::Remover;
use roles::Roles;
use set_up::{Ground, Welcome};
use signals::{Signal, Signals};
use state::State;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::task::JoinHandle;
use wardpost_admin::{Admin, Parts};
use wardpost_checkup::Checkup;
use wardpost_config::Config;
use wardpost_courier::Courier;
use wardpost_keys::SystemKey;
use wardpost_net::{ServerTls, Shutdown, system_roots, systemd};
use wardpost_queue::Queue;
use wardpost_sts::Policies;
use wardpost_wall::Wall;

/// How long sessions get to finish when the daemon stops.
const DRAIN: Duration = Duration::from_secs(10);
/// How often what is over is deleted: parcels, histories, mail of removed accounts.
const EXPIRY: Duration = Duration::from_secs(300);
/// How often other domains' policies are looked through for those to be fetched again.
const REFRESH: Duration = Duration::from_secs(3600);
/// The first time; a machine that has just started may have no network yet.
const FIRST_REFRESH: Duration = Duration::from_secs(300);
/// How often who came without TLS is written to the disk.
const COUNTS: Duration = Duration::from_secs(60);

/// Runs the daemon until it is told to stop. `file` is where the configuration was read.
pub(crate) fn serve(config: Config, file: &Path, options: &ServeOptions) -> Result<(), Failure> {
    logging::start(&config.log);
    set_up::finish(&config, file, &options.disk)?;
    run(async move |signals| daemon(&config, signals, None).await)
}

/// Asks the questions of the set-up, and then runs the daemon.
pub(crate) fn set_up(file: &Path, options: &ServeOptions) -> Result<(), Failure> {
    let ground = Ground::look(file, &options.disk)?;
    logging::start(&ground.provisional.log);
    run(async move |signals| match ground.run(signals).await? {
        Some((config, welcome)) => daemon(&config, signals, Some(welcome)).await,
        None => Ok(()),
    })
}

fn run(work: impl AsyncFnOnce(&mut Signals) -> Result<(), Failure>) -> Result<(), Failure> {
    process::raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("wardpost")
        .enable_all()
        .build()
        .map_err(Failure::during("starting"))?;
    let result = runtime.block_on(async {
        let mut signals = Signals::new().map_err(Failure::during("listening for signals"))?;
        work(&mut signals).await
    });
    // Sessions that outstayed the drain end here, and nothing waits for them.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

/// The daemon; `welcome` is what the set-up left, if it has just ended.
async fn daemon(
    config: &Config,
    signals: &mut Signals,
    welcome: Option<Welcome>,
) -> Result<(), Failure> {
    let key: SystemKey = system_key::load_or_create(config)?;
    let state = State::open(config, &key).await?;
    drop(key);
    let result = serve_state(config, &state, signals, welcome).await;
    state.close().await;
    result
}

async fn serve_state(
    config: &Config,
    state: &State,
    signals: &mut Signals,
    welcome: Option<Welcome>,
) -> Result<(), Failure> {
    let shutdown = Shutdown::new();
    let tls = certificates::server_tls(config, state, welcome.is_some())?;
    let resolver = dns::resolver(config, &state.store)?;
    let roots = system_roots();
    let roles = Roles::new(config, state, &tls, resolver.clone(), roots.clone())?;
    let program = Arc::new(Program::new(config, &tls, resolver.validated_by()));
    let publishing = Arc::new(Publishing::new(config, state, &tls).map_err(Failure::from_error)?);
    publishing.observe().await;
    let acme = certificates::acme(config, state, &tls, &resolver, &publishing, roots)?;
    if let Some(acme) = &acme {
        acme.register(&roles.registry).map_err(Failure::from_error)?;
    }
    let control_stop = Shutdown::new();
    let certifier = acme.clone().map(certificates::certifier);
    let remover = Arc::new(Remover::new(state));
    let parts = Parts {
        certifier,
        ..parts(config, state, &roles, &publishing, &remover, Arc::clone(&program))
    };
    let admin = Arc::new(Admin::new(parts));
    let patient = doctor::Patient {
        config,
        state,
        roles: &roles,
        tls: &tls,
        publishing: &publishing,
        resolver: &resolver,
        acme: acme.as_ref(),
    };
    let checkup = doctor::checkup(&patient, &program, &admin)?;
    program.examined_by(Arc::<Checkup>::clone(&checkup));
    let control = control(config, Arc::clone(&admin), &control_stop)?;
    let (done, sockets) = welcome.map(|it| (it.done, (it.https, it.http))).unzip();
    let ports = Ports::bind(&config.listen, sockets)?;
    program.listening(ports.views());
    let control = tokio::spawn(control);
    let clients = clients::clients(config, state, &tls);
    let files = Arc::new(clients::Files(clients.clone()));
    let examiner = Arc::<Checkup>::clone(&checkup);
    let removal = Arc::<Remover>::clone(&remover);
    let staff = staff::staff(config, state, &tls, examiner, admin, files, removal);
    if let Some(done) = done {
        staff::hand_over(state, &staff, &done).await;
    }
    let site = site::site(config, state, &tls, &roles, &staff, &clients, acme.as_ref())?;
    let served = Served { config, state, tls: &tls, roles: &roles, site: &site };
    let running = ports.serve(&served, &shutdown);
    let courier = tokio::spawn(Arc::clone(&roles.courier).run(shutdown.clone()));
    let upkeep = tokio::spawn(upkeep(Arc::clone(&roles.courier), state.queue.clone(), remover));
    let refresh = tokio::spawn(refresh(roles.policies.clone()));
    let dns = tokio::spawn(dns::watch(resolver, state.store.clone(), dns::record(config)));
    let watching = tokio::spawn(Arc::clone(&publishing).watch());
    let reporting = tokio::spawn(roles.reporting.clone().run());
    let counting = tokio::spawn(write_counts(state.wall.clone()));
    let examining = tokio::spawn(checkup.run());
    let certifying = acme.map(|acme| tokio::spawn(acme.run()));
    let watchdog = tokio::spawn(systemd::watchdog());
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "ready");
    systemd::ready();
    until_stopped(signals, &tls, &publishing).await;
    tracing::info!("stopping");
    systemd::stopping();
    certifying.inspect(JoinHandle::abort);
    upkeep.abort();
    refresh.abort();
    dns.abort();
    watching.abort();
    counting.abort();
    examining.abort();
    reporting.abort();
    stop(&shutdown, running, courier).await;
    flush(&state.wall).await;
    if let Err(error) = state.reports.flush().await {
        tracing::warn!(%error, "the last counts for reports could not be written");
    }
    control_stop.begin();
    // The task ends with the request just made; that it may have panicked changes nothing now.
    let _ = control.await;
    watchdog.abort();
    tracing::info!("stopped");
    Ok(())
}

/// Everything that the control interface works with.
fn parts(
    config: &Config,
    state: &State,
    roles: &Roles,
    publishing: &Publishing,
    remover: &Arc<Remover>,
    program: Arc<Program>,
) -> Parts {
    Parts {
        directory: state.directory.clone(),
        removal: Arc::<Remover>::clone(remover),
        queue: state.queue.clone(),
        parcels: state.parcels.clone(),
        policies: roles.policies.clone(),
        keys: state.keys.clone(),
        own: Arc::clone(&publishing.own),
        pins: state.pins.clone(),
        floor: config.transport.floor,
        wall: state.wall.clone(),
        reports: state.reports.clone(),
        reporter: Arc::new(roles.reporting.clone()),
        host: program,
        routes: Arc::new(Routes::new(config, state, roles)),
        certifier: None,
    }
}

/// Makes the control socket; the future serves it.
fn control(
    config: &Config,
    admin: Arc<Admin>,
    stop: &Shutdown,
) -> Result<impl Future<Output = ()> + Send + use<>, Failure> {
    let stop = stop.clone();
    let stopped = async move { stop.cancelled().await };
    wardpost_admin::serve(&config.admin_socket(), admin, stopped).map_err(Failure::from_error)
}

/// Deletes parcels whose time is over, and tells senders what was never read; deletes old histories, and
/// mail whose account was removed. At the start, and every now and then.
async fn upkeep(courier: Arc<Courier>, queue: Queue, remover: Arc<Remover>) {
    let mut ticks = tokio::time::interval(EXPIRY);
    loop {
        ticks.tick().await;
        remover.sweep().await;
        match courier.purge_parcels().await {
            Ok(purged) if purged.messages > 0 => {
                let unread = purged.unread.len();
                tracing::info!(messages = purged.messages, unread, "expired parcels deleted");
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "expired parcels could not be deleted"),
        }
        match queue.purge_history().await {
            Ok(0) => {}
            Ok(items) => tracing::info!(items, "old histories of the queue deleted"),
            Err(error) => tracing::error!(%error, "old histories could not be deleted"),
        }
    }
}

/// Keeps other domains' policies from running out (RFC 8461 §10.2).
async fn refresh(policies: Policies) {
    let first = tokio::time::Instant::now() + FIRST_REFRESH;
    let mut ticks = tokio::time::interval_at(first, REFRESH);
    loop {
        ticks.tick().await;
        policies.refresh().await;
    }
}

/// Writes who came without TLS to the disk, every now and then.
async fn write_counts(wall: Wall) {
    let mut ticks = tokio::time::interval(COUNTS);
    loop {
        ticks.tick().await;
        flush(&wall).await;
    }
}

async fn flush(wall: &Wall) {
    if let Err(error) = wall.flush().await {
        tracing::warn!(%error, "who came without TLS could not be written; it is tried again");
    }
}

/// Returns when the daemon is to stop; reads certificates again whenever it is asked to.
async fn until_stopped(signals: &mut Signals, tls: &ServerTls, publishing: &Publishing) {
    while let Signal::Reload = signals.next().await {
        systemd::reloading();
        match tls.reload() {
            Ok(()) => {
                tracing::info!("the certificate was read again");
                publishing.observe().await;
            }
            Err(error) => {
                tracing::error!(%error, "the certificate could not be read; the old one stays")
            }
        }
        systemd::ready();
    }
}

/// Ends listeners, sessions and courier, in no more than [`DRAIN`].
async fn stop(shutdown: &Shutdown, listeners: Vec<JoinHandle<()>>, courier: JoinHandle<()>) {
    let deadline = SystemTime::now() + DRAIN;
    shutdown.begin();
    for listener in listeners {
        // A listener ends at once; one that panicked has ended too.
        let _ = listener.await;
    }
    let left = shutdown.drain(DRAIN).await;
    if left > 0 {
        tracing::warn!(sessions = left, "sessions were cut off");
    }
    let rest = deadline.duration_since(SystemTime::now()).unwrap_or_default();
    if tokio::time::timeout(rest.max(Duration::from_millis(100)), courier).await.is_err() {
        tracing::warn!("attempts of the courier were cut off; they will be made again");
    }
}
