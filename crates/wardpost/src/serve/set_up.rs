//! Before there is a configuration: the pages of the set-up, until they are through.

use super::DRAIN;
use super::ports::silently;
use super::signals::{Signal, Signals};
use crate::failure::Failure;
use async_trait::async_trait;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wardpost_admin::{Answer, ConsoleView, Handler, Request, SetUpView, Stage};
use wardpost_config::Config;
use wardpost_mail::Domain;
use wardpost_net::{Limits, Listeners, SET_UP_HOST, ServerTls, Shutdown, systemd};
use wardpost_setup::{Done, Found, Machine, Seed, SetUp, make_folder, prepare, settle};
use wardpost_web::{Redirects, Shell, Site};

/// What a machine brings along for the configuration: beside it, or else with the package.
const SEED: &str = "set-up.toml";
const SEED_OF_PACKAGE: &str = "/usr/share/wardpost/set-up.toml";
/// Connections at once: one person's browser, and whoever else looks.
const PEOPLE: Limits = Limits { total: 200, per_ip: 50 };

/// Where the set-up works.
pub(crate) struct Ground {
    /// Where the configuration will be.
    pub(crate) file: PathBuf,
    /// Where the machine tells about its disk.
    pub(crate) disk: PathBuf,
    seed: Seed,
    /// The configuration as it would be, with names that nobody has.
    pub(crate) provisional: Config,
}

/// What the daemon goes on with.
pub(crate) struct Welcome {
    pub(crate) done: Done,
    pub(crate) https: Listeners,
    pub(crate) http: Listeners,
}

impl Ground {
    /// Reads what the machine brings along.
    ///
    /// # Errors
    /// When that has mistakes.
    pub(crate) fn look(file: &Path, disk: &Path) -> Result<Self, Failure> {
        let beside = file.with_file_name(SEED);
        let seed = [beside, PathBuf::from(SEED_OF_PACKAGE)].into_iter().find_map(|path| {
            let text = std::fs::read_to_string(&path).ok()?;
            Some(Seed::parse(&text, file).map_err(|error| (path, error)))
        });
        let seed = match seed.transpose() {
            Ok(seed) => seed.unwrap_or_default(),
            Err((path, error)) => {
                return Err(Failure::Usage(format!("{}: {error}", path.display())));
            }
        };
        let provisional = seed.provisional(file)?;
        Ok(Self { file: file.to_owned(), disk: disk.to_owned(), seed, provisional })
    }

    /// Makes ready: whatever would stop the set-up at its end stops it here.
    fn prepare(&self) -> Result<(), Failure> {
        let folder = self.file.parent().unwrap_or(Path::new("/"));
        let probe = folder.join(".wardpost-set-up");
        let writable = make_folder(folder)
            .and_then(|()| std::fs::write(&probe, ""))
            .and_then(|()| std::fs::remove_file(&probe));
        writable.map_err(|error| {
            Failure::Usage(format!(
                "the set-up may not write its configuration into {} ({error}); the directory must belong to the \
                 user that the server runs as",
                folder.display()
            ))
        })?;
        let data = &self.provisional.data_dir;
        match prepare(&self.file, data).map_err(Failure::during(data.display()))? {
            Found::Empty => Ok(()),
            Found::Data => Err(Failure::Usage(format!(
                "{} holds data, but its configuration {} is missing; bring it back from a copy (nothing was \
                 touched), or name the right one with --config",
                data.display(),
                self.file.display()
            ))),
        }
    }

    /// Serves the pages until the set-up is through; nothing when the daemon is to stop before that.
    pub(crate) async fn run(
        self,
        signals: &mut Signals,
    ) -> Result<Option<(Config, Welcome)>, Failure> {
        self.prepare()?;
        let config = &self.provisional;
        let tls = server_tls(config)?;
        let machine = Machine {
            config_file: self.file.clone(),
            seed: self.seed.clone(),
            provisional: config.clone(),
            disk: self.disk.clone(),
        };
        let set_up = SetUp::new(machine, env!("CARGO_PKG_VERSION"));
        let set_up = set_up.map_err(Failure::from_error)?;
        let bind = |service, addresses: &[SocketAddr]| {
            Listeners::bind(service, addresses).map_err(Failure::from_error)
        };
        let https = bind("https", &config.listen.https)?;
        let http = bind("http", &config.listen.http)?;
        let handler = SetUpHandler {
            set_up: Arc::clone(&set_up),
            https: https.local_addrs(),
            fingerprint: tls.certificate().fingerprint_text(),
        };
        let control_stop = Shutdown::new();
        let stopped = {
            let stop = control_stop.clone();
            async move { stop.cancelled().await }
        };
        let control = wardpost_admin::serve(&config.admin_socket(), Arc::new(handler), stopped);
        let control = tokio::spawn(control.map_err(Failure::from_error)?);
        let port = https.local_addrs().first().map_or(443, SocketAddr::port);
        let site =
            Site::builder(Shell::new("Your new mail server", None), Redirects::SameHost { port })
                .pages(set_up.router(), SetUp::page_name)
                .build(&tls)
                .map_err(Failure::from_error)?;
        let shutdown = Shutdown::new();
        let share = |listeners: &Listeners| listeners.share().map_err(Failure::during("listening"));
        let running = [
            serve(share(&https)?, &site, &shutdown, true),
            serve(share(&http)?, &site, &shutdown, false),
        ];
        let watchdog = tokio::spawn(systemd::watchdog());
        let network = Arc::clone(&set_up);
        let network = tokio::spawn(async move { network.watch_network().await });
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            "set-up: waiting for somebody at the page"
        );
        systemd::ready();
        let done = tokio::select! {
            done = set_up.done() => Some(done),
            () = stop(signals) => None,
        };
        // The last page goes out; whoever comes now waits in the sockets for the daemon.
        shutdown.begin();
        for listener in running {
            // A listener ends at once; one that panicked has ended too.
            let _ = listener.await;
        }
        shutdown.drain(DRAIN).await;
        control_stop.begin();
        let _ = control.await;
        watchdog.abort();
        network.abort();
        let Some(done) = done else {
            systemd::stopping();
            tracing::info!("stopped before the set-up was through; nothing was set up");
            return Ok(None);
        };
        let config = Config::load(&self.file)?;
        finish(&config, &self.file, &self.disk)?;
        tracing::info!("set-up: through; going on as the mail server");
        Ok(Some((config, Welcome { done, https, http })))
    }
}

/// What is left to do once the configuration is there, at every start. Until it is done the data directory
/// counts as the work of a set-up on its way, which the next set-up would clear away: so no mail goes in.
pub(crate) fn finish(config: &Config, file: &Path, disk: &Path) -> Result<(), Failure> {
    settle(file, &config.data_dir, disk).map_err(Failure::during(format!(
        "removing the mark of the set-up from {}",
        config.data_dir.display()
    )))
}

fn server_tls(config: &Config) -> Result<ServerTls, Failure> {
    let name = Domain::parse(SET_UP_HOST).map_err(Failure::from_error)?;
    let tls = match &config.tls {
        Some(files) => ServerTls::from_pem_files(&files.certificate, &files.private_key),
        None => ServerTls::self_signed(&config.data_dir, &name),
    };
    tls.map_err(Failure::from_error)
}

fn serve(
    listeners: Listeners,
    site: &Arc<Site>,
    shutdown: &Shutdown,
    tls: bool,
) -> tokio::task::JoinHandle<()> {
    let (site, stop) = (Arc::clone(site), shutdown.clone());
    let handle = move |accepted| {
        let (site, stop) = (Arc::clone(&site), stop.clone());
        async move {
            if tls {
                site.serve_https(accepted, stop).await
            } else {
                site.serve_http(accepted, stop).await
            }
        }
    };
    tokio::spawn(listeners.run(PEOPLE, shutdown.clone(), silently, handle))
}

async fn stop(signals: &mut Signals) {
    // There is nothing to read again yet.
    while signals.next().await == Signal::Reload {
        systemd::ready();
    }
}

/// What is answered over the control socket meanwhile.
struct SetUpHandler {
    set_up: Arc<SetUp>,
    https: Vec<SocketAddr>,
    fingerprint: String,
}

#[async_trait]
impl Handler for SetUpHandler {
    async fn handle(&self, request: Request) -> Result<Answer, wardpost_admin::Failure> {
        if !matches!(request, Request::Status | Request::Console) {
            let message = "this server is not set up yet: open its page in a browser and answer five questions; \
                           `wardpost console --once` shows the page's address and the code";
            return Err(wardpost_admin::Failure {
                kind: wardpost_admin::FailureKind::Refused,
                message: message.to_owned(),
            });
        }
        let status = self.set_up.status();
        Ok(Answer::Console(Box::new(ConsoleView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            https: self.https.clone(),
            fingerprint: self.fingerprint.clone(),
            stage: Stage::SetUp(SetUpView {
                code: status.code,
                pause_seconds: status.pause.map_or(0, |pause| pause.as_secs() + 1),
                begun: status.begun,
                unlock: status.unlock,
            }),
        })))
    }
}

/// Whether there is no configuration.
pub(crate) fn is_missing(file: &Path) -> bool {
    matches!(std::fs::symlink_metadata(file), Err(error) if error.kind() == ErrorKind::NotFound)
}
