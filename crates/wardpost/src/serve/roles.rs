//! The roles, each given what it works with.

use super::adapters::signer;
use super::publishing::mta_sts;
use super::reports::Reporting;
use super::scraping::Guard;
use super::state::State;
use crate::failure::Failure;
use async_trait::async_trait;
use prometheus::Registry;
use prometheus::process_collector::ProcessCollector;
use std::sync::Arc;
use std::time::Duration;
use wardpost_config::Config;
use wardpost_courier::{Courier, StsPolicies};
use wardpost_dns::{HickoryResolver, Resolver};
use wardpost_imap::Imap;
use wardpost_mail::{Address, Domain};
use wardpost_mx::{Claim, Facts, Mx, SenderFacts};
use wardpost_net::{ClientTls, Https, ServerTls, extend_roots};
use wardpost_portal::Portal;
use wardpost_sender_auth::SenderAuth;
use wardpost_signer::Signer;
use wardpost_sts::Policies;
use wardpost_submission::Submission;
use wardpost_verdict::{Roots, StsFacts};

/// How long finding out about a sender may take.
const SENDER_TIME_LIMIT: Duration = Duration::from_secs(20);
/// A parcel's answer may be as large as this, however large messages may be.
const MAX_ANSWER: usize = 25 << 20;

/// The roles, and what they share.
pub(crate) struct Roles {
    pub(crate) registry: Registry,
    pub(crate) mx: Arc<Mx>,
    pub(crate) submission: Arc<Submission>,
    pub(crate) imap: Arc<Imap>,
    pub(crate) portal: Arc<Portal>,
    pub(crate) courier: Arc<Courier>,
    pub(crate) policies: Policies,
    pub(crate) reporting: Reporting,
    pub(crate) scraping: Guard,
}

impl Roles {
    pub(crate) fn new(
        config: &Config,
        state: &State,
        tls: &ServerTls,
        resolver: HickoryResolver,
        system_roots: Roots,
    ) -> Result<Self, Failure> {
        let extra = config.transport.extra_roots.as_deref();
        let roots = Arc::new(extend_roots(system_roots, extra).map_err(Failure::from_error)?);
        let signer = Arc::new(signer(state.directory.clone()));
        let policies = policies(state, &resolver, &roots)?;
        let registry = Registry::new();
        let asks: Arc<dyn Resolver> = Arc::new(resolver.clone());
        let reporting = Reporting::new(config, state, asks, Arc::clone(&signer), &roots)?;
        let roles = Self {
            mx: mx(config, state, tls, &resolver, &roots)?,
            submission: submission(config, state, tls, &signer),
            imap: imap(config, state, tls),
            portal: portal(config, state, tls),
            courier: courier(config, state, resolver, roots, &policies, &signer, &registry)?,
            policies,
            reporting,
            scraping: Guard::new(&config.metrics, tls)?,
            registry,
        };
        state.reports.metrics().register(&roles.registry).map_err(Failure::from_error)?;
        roles.register().map_err(Failure::from_error)?;
        Ok(roles)
    }

    fn register(&self) -> Result<(), prometheus::Error> {
        self.registry.register(Box::new(ProcessCollector::for_self()))?;
        self.mx.metrics().register(&self.registry)?;
        self.submission.metrics().register(&self.registry)?;
        self.imap.metrics().register(&self.registry)?;
        self.portal.register(&self.registry)
    }
}

fn mx(
    config: &Config,
    state: &State,
    tls: &ServerTls,
    resolver: &HickoryResolver,
    roots: &Arc<Roots>,
) -> Result<Arc<Mx>, Failure> {
    let senders = wardpost_sender_auth::Settings {
        hostname: config.hostname.clone(),
        time_limit: SENDER_TIME_LIMIT,
        trusted_sealers: config.inbound.trusted_arc_sealers.clone(),
    };
    let settings = wardpost_mx::Settings {
        roots: Arc::clone(roots),
        ..wardpost_mx::Settings::from_config(config)
    };
    Ok(Mx::new(
        settings,
        tls.asking_clients().map_err(Failure::from_error)?,
        state.directory.clone(),
        state.mailboxes.clone(),
        Arc::new(Senders(SenderAuth::new(resolver.hickory(), senders))),
        state.wall.clone(),
        state.reports.clone(),
    ))
}

/// Sender checks in the shape port 25 asks for.
struct Senders(SenderAuth);

#[async_trait]
impl SenderFacts for Senders {
    async fn facts(&self, claim: Claim<'_>) -> Facts {
        let Claim { peer, helo, sender, message } = claim;
        let found = self.0.facts(wardpost_sender_auth::Claim { peer, helo, sender, message }).await;
        Facts {
            inbound: found.inbound,
            authentication_results: found.authentication_results,
            evidence: found.evidence,
        }
    }
}

fn submission(
    config: &Config,
    state: &State,
    tls: &ServerTls,
    signer: &Arc<Signer>,
) -> Arc<Submission> {
    Submission::new(
        wardpost_submission::Settings::from_config(config),
        tls.clone(),
        state.directory.clone(),
        state.queue.clone(),
        Arc::clone(signer),
        state.pins.clone(),
    )
}

fn imap(config: &Config, state: &State, tls: &ServerTls) -> Arc<Imap> {
    let settings = wardpost_imap::Settings {
        append_limit: config.limits.message_bytes as u64,
        ..wardpost_imap::Settings::default()
    };
    Imap::new(settings, state.directory.clone(), state.mailboxes.clone(), tls.clone())
}

fn portal(config: &Config, state: &State, tls: &ServerTls) -> Arc<Portal> {
    let settings = wardpost_portal::Settings {
        url: config.portal.url.clone(),
        practice: config.practice.name.clone(),
        phone: config.practice.phone.clone(),
        hostname: config.hostname.clone(),
        max_answer: config.limits.message_bytes.min(MAX_ANSWER),
        mta_sts: mta_sts(config),
    };
    let (directory, mailboxes) = (state.directory.clone(), state.mailboxes.clone());
    Portal::new(settings, directory, mailboxes, state.parcels.clone(), tls)
}

/// What other domains demand of those who send them mail.
fn policies(state: &State, resolver: &HickoryResolver, roots: &Roots) -> Result<Policies, Failure> {
    let https = Https::new(roots).map_err(Failure::from_error)?;
    Policies::open(state.store.clone(), Arc::new(resolver.clone()), https)
        .map_err(Failure::from_error)
}

/// Other domains' policies in the shape the courier asks for.
struct Sts(Policies);

#[async_trait]
impl StsPolicies for Sts {
    async fn facts(&self, domain: &Domain) -> StsFacts {
        self.0.facts(domain).await
    }
}

fn courier(
    config: &Config,
    state: &State,
    resolver: HickoryResolver,
    roots: Arc<Roots>,
    policies: &Policies,
    signer: &Arc<Signer>,
    registry: &Registry,
) -> Result<Arc<Courier>, Failure> {
    let parts = wardpost_courier::Parts {
        resolver: Arc::new(resolver),
        sts: Arc::new(Sts(policies.clone())),
        tls: ClientTls::new().map_err(Failure::from_error)?,
        roots,
        queue: state.queue.clone(),
        parcels: state.parcels.clone(),
        pins: state.pins.clone(),
        mailboxes: state.mailboxes.clone(),
        directory: state.directory.clone(),
        signer: Arc::clone(signer),
        reports: state.reports.clone(),
    };
    Courier::new(courier_settings(config)?, parts, registry).map_err(Failure::from_error)
}

fn courier_settings(config: &Config) -> Result<wardpost_courier::Settings, Failure> {
    // Notices and reports come from nobody in particular; answers to it reach somebody all the same.
    let postmaster = Address::parse(&format!("postmaster@{}", config.domain));
    let postmaster = postmaster.map_err(Failure::from_error)?;
    Ok(wardpost_courier::Settings {
        smtp_port: config.transport.smtp_port,
        own_addresses: config.listen.mx.clone(),
        practice: config.practice.name.clone(),
        phone: config.practice.phone.clone(),
        portal_url: config.portal.url.clone(),
        ..wardpost_courier::Settings::new(&config.hostname, postmaster)
    })
}
