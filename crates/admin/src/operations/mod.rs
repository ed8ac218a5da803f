//! What is done for a request: one file for each noun.

mod account;
mod alias;
mod console;
mod dkim;
mod domain;
mod parcel;
mod pin;
mod queue;
mod report;
mod route;
mod status;
mod sts;
mod tls;
mod wall;

use crate::error::Failure;
use crate::request::Request;
use crate::server::Handler;
use crate::views::{AcmeView, Answer, CertificateView, ListenerView, RouteView};
use async_trait::async_trait;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use wardpost_directory::{Account, Directory, Removal};
use wardpost_dns::OwnRecords;
use wardpost_health::{Examiner, Report};
use wardpost_mail::{Address, Domain, Secret, TlsGrade};
use wardpost_net::ServerTls;
use wardpost_parcel::Parcels;
use wardpost_pins::Pins;
use wardpost_publish::{KeyPlan, OwnPolicy};
use wardpost_queue::Queue;
use wardpost_reports::{Reports, ReportsError, SentNow};
use wardpost_sts::Policies;
use wardpost_wall::Wall;

/// What only the program knows and can do.
pub trait Host: Send + Sync {
    /// The program's version.
    fn version(&self) -> &'static str;
    /// Our mail host name.
    fn hostname(&self) -> &Domain;
    /// When the daemon started.
    fn started(&self) -> SystemTime;
    /// Where it listens.
    fn listeners(&self) -> Vec<ListenerView>;
    /// Its certificate.
    fn certificate(&self) -> CertificateView;
    /// How DNS answers are validated, in words.
    fn dns(&self) -> String;
    /// Our side of TLS.
    fn tls(&self) -> &ServerTls;
    /// The file that the key of the certificate is read from, where one is configured.
    fn key_file(&self) -> Option<PathBuf>;
    /// What was found at the last look at the server's health, if there was one.
    fn health(&self) -> Option<Report> {
        None
    }
    /// Who examines the server, once somebody does.
    fn examiner(&self) -> Option<Arc<dyn Examiner>> {
        None
    }
    /// The MTA-STS policy that is configured, if there is to be one.
    fn mta_sts(&self) -> Option<OwnPolicy>;
    /// Our public addresses, where they are configured.
    fn addresses(&self) -> Vec<IpAddr> {
        Vec::new()
    }
    /// The names in CAA records of the authority that our certificates come from, if we know it.
    fn authorities(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Finds out how a message would go. Talks to other mail servers, but sends nothing.
#[async_trait]
pub trait RouteExplainer: Send + Sync {
    /// How a message from one to the other would go, and why.
    async fn explain(&self, from: &Address, to: &Address) -> RouteView;
}

/// Sends reports to other domains.
#[async_trait]
pub trait ReportSender: Send + Sync {
    /// Makes and sends reports of everything counted so far.
    async fn send_now(&self) -> Result<SentNow, ReportsError>;
}

/// Whoever gets our certificates from an authority.
#[async_trait]
pub trait Certifier: Send + Sync {
    /// How things stand.
    fn status(&self) -> AcmeView;
    /// Asks for a certificate now, and waits for a while for what comes of it: with the next key, whether
    /// or not its record is published; with a new account. `None` when it takes longer; then it goes on
    /// all the same.
    async fn renew(&self, next_key: bool, new_account: bool) -> Option<AcmeView>;
}

/// Everything requests are about.
pub struct Parts {
    /// Accounts, aliases and domains.
    pub directory: Directory,
    /// Who removes accounts, with their mail.
    pub removal: Arc<dyn Removal>,
    /// What waits to go out.
    pub queue: Queue,
    /// What waits to be picked up.
    pub parcels: Parcels,
    /// Other domains' MTA-STS policies.
    pub policies: Policies,
    /// The keys of our certificate.
    pub keys: KeyPlan,
    /// Our own records in the DNS.
    pub own: Arc<dyn OwnRecords>,
    /// Rules for domains.
    pub pins: Pins,
    /// How good TLS must be where no rule says otherwise.
    pub floor: TlsGrade,
    /// Who is kept out for want of TLS, and exceptions.
    pub wall: Wall,
    /// What is counted for reports, and what reports say about us.
    pub reports: Reports,
    /// Who sends reports.
    pub reporter: Arc<dyn ReportSender>,
    /// The program.
    pub host: Arc<dyn Host>,
    /// The judge of routes.
    pub routes: Arc<dyn RouteExplainer>,
    /// Who gets our certificates from an authority, where one is configured.
    pub certifier: Option<Arc<dyn Certifier>>,
}

/// Carries out requests.
pub struct Admin {
    parts: Parts,
    /// The recovery kit's secret between its making and its being handed out.
    kit: Mutex<Option<Secret<String>>>,
}

impl Admin {
    /// Takes everything requests are about.
    pub fn new(parts: Parts) -> Self {
        Self { parts, kit: Mutex::new(None) }
    }

    /// Makes the recovery certificate unless it is there.
    async fn initialise(&self) -> Result<(), Failure> {
        if let Some(kit) = self.parts.directory.initialise().await? {
            self.keep_kit(kit.secret);
        }
        Ok(())
    }

    /// The account of an address, or of a local part in the main domain.
    fn find(&self, name: &str) -> Result<Account, Failure> {
        let address = match name.contains('@') {
            true => Address::parse(name),
            false => {
                let domains = self.parts.directory.domains();
                let main = domains.first().map(Domain::as_str).unwrap_or_default();
                Address::parse(&format!("{name}@{main}"))
            }
        };
        address
            .ok()
            .and_then(|address| self.parts.directory.account_by_address(&address))
            .ok_or_else(|| Failure::not_found("there is no such account"))
    }
}

#[async_trait]
impl Handler for Admin {
    async fn handle(&self, request: Request) -> Result<Answer, Failure> {
        match request {
            Request::Status => self.status(),
            Request::Console => Ok(self.console()),
            Request::Doctor { boot } => self.doctor(boot).await,
            Request::Setup => self.setup().await,
            Request::Account(request) => self.account(request).await,
            Request::Alias(request) => self.alias(request).await,
            Request::Domain(request) => self.domain(request).await,
            Request::Tls(request) => self.tls(request).await,
            Request::Route { from, to } => self.route(&from, &to).await,
            Request::Queue(request) => self.queue(request).await,
            Request::Parcel(request) => self.parcel(request).await,
            Request::Sts(request) => self.sts(&request),
            Request::Pin(request) => self.pin(request).await,
            Request::Report(request) => self.report(request).await,
            Request::Exception(request) => self.exception(request).await,
        }
    }

    fn take_kit(&self) -> Option<Secret<String>> {
        self.kit.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn keep_kit(&self, kit: Secret<String>) {
        *self.kit.lock().unwrap_or_else(PoisonError::into_inner) = Some(kit);
    }
}
