//! `wardpost doctor`: is everything as it should be? The daemon examines itself; without it, what can be
//! seen from here.

use crate::cli::DoctorOptions;
use crate::failure::Failure;
use crate::serve::set_up::{Ground, is_missing};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use wardpost_admin::{Answer, Client, ClientError, Request, Stage};
use wardpost_checkup::{Checkup, Parts, Settings, failed_units};
use wardpost_config::{Config, ConfigError};
use wardpost_dns::{HickoryResolver, OwnLook, TrustAnchor};
use wardpost_health::facts::Facts;
use wardpost_health::{Examiner, Report, State, judge};
use wardpost_mail::Domain;
use wardpost_net::{CertificateFacts, ServerTls};

/// How long a daemon that was started a moment ago may take to answer.
const STARTING: Duration = Duration::from_secs(2);
/// The same when the machine has just started: an old store may have to be read back first.
const BOOTING: Duration = Duration::from_secs(15);
/// Where the machine tells about its disk, in case that is asked.
const DISK: &str = "/run/wardpost-disk";

/// Examines, and says what was found.
pub(crate) fn doctor(file: &Path, options: &DoctorOptions, json: bool) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::during("starting"))?;
    let config = Config::load(file);
    let report = match config {
        Ok(config) if options.boot => boot(Some(&config), &config.admin_socket(), &runtime)?,
        Ok(config) => examination(&config, &runtime)?,
        // Before set-up there is none, and all is well all the same.
        Err(ConfigError::Unreadable { .. }) if options.boot && is_missing(file) => {
            let ground = Ground::look(file, Path::new(DISK))?;
            boot(None, &ground.provisional.admin_socket(), &runtime)?
        }
        Err(error) => return Err(error.into()),
    };
    match json {
        true => println!("{}", Answer::Health(report.clone()).json().map_err(Failure::from_error)?),
        false => print!("{report}"),
    }
    match report.worst() {
        State::Bad => Err(Failure::Said),
        _ => Ok(()),
    }
}

/// The daemon's own examination, or ours if it does not run.
fn examination(config: &Config, runtime: &tokio::runtime::Runtime) -> Result<Report, Failure> {
    match ask(&config.admin_socket(), STARTING, &Request::Doctor { boot: false }) {
        Ok(Answer::Health(report)) => Ok(report),
        Ok(_) => Err(Failure::Failed("the daemon answered something else".to_owned())),
        Err(ClientError::NotRunning(_)) => {
            let parts = parts(config)?;
            let checkup = Checkup::new(Settings::from_config(config), parts);
            Ok((*runtime.block_on(async { checkup.examine().await })).clone())
        }
        Err(error) => Err(error.into()),
    }
}

/// What there is without the daemon.
fn parts(config: &Config) -> Result<Parts, Failure> {
    let servers = &config.dns.servers;
    let anchor = match &config.dns.trust_anchor {
        Some(file) => Some(TrustAnchor::read_file(file).map_err(Failure::from_error)?),
        None => None,
    };
    let resolver = HickoryResolver::validating(servers, anchor).map_err(Failure::from_error)?;
    let files = config.tls.clone();
    let certificate = move || -> Option<CertificateFacts> {
        let files = files.as_ref()?;
        let tls = ServerTls::from_pem_files(&files.certificate, &files.private_key).ok()?;
        Some(tls.certificate())
    };
    Ok(Parts {
        own: Arc::new(OwnLook::new(servers).map_err(Failure::from_error)?),
        resolver: Arc::new(resolver),
        certificate: Box::new(certificate),
        daemon: None,
    })
}

/// Whether the machine came up well.
fn boot(
    config: Option<&Config>,
    socket: &Path,
    runtime: &tokio::runtime::Runtime,
) -> Result<Report, Failure> {
    let mut facts = Facts::new(0, hostname(config)?);
    facts.units = runtime.block_on(failed_units());
    let report = match ask(socket, BOOTING, &Request::Doctor { boot: true }) {
        Ok(Answer::Health(report)) => report,
        Err(ClientError::NotRunning(_)) => {
            facts.daemon = Some(false);
            Report::default()
        }
        // During set-up nothing is served yet.
        _ => match ask(socket, STARTING, &Request::Console) {
            Ok(Answer::Console(view)) if matches!(view.stage, Stage::SetUp(_)) => {
                facts.daemon = Some(true);
                Report::default()
            }
            Ok(_) => return Err(Failure::Failed("the daemon did not examine itself".to_owned())),
            Err(error) => return Err(error.into()),
        },
    };
    let when = report.when;
    Ok(Report { when, ..report.merged(judge(&facts)) })
}

fn hostname(config: Option<&Config>) -> Result<Domain, Failure> {
    match config {
        Some(config) => Ok(config.hostname.clone()),
        None => Domain::parse("localhost.localdomain").map_err(Failure::from_error),
    }
}

fn ask(socket: &Path, patience: Duration, request: &Request) -> Result<Answer, ClientError> {
    // The recovery kit never comes with these answers.
    Client::connect_within(socket, patience)?.call(request, drop)
}
