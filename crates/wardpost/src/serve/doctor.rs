//! What the examination of this server may know of the running daemon.

use super::adapters::Program;
use super::publishing::Publishing;
use super::roles::Roles;
use super::state::State;
use crate::failure::Failure;
use async_trait::async_trait;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use wardpost_acme::Acme;
use wardpost_admin::{Admin, Host};
use wardpost_checkup::{Checkup, Daemon, Metrics, Parts, Settings};
use wardpost_config::Config;
use wardpost_dns::{HickoryResolver, ValidatedBy};
use wardpost_health::facts::{AuthorityFacts, LeftOutFacts, QueueFacts};
use wardpost_mx::Mx;
use wardpost_net::ServerTls;
use wardpost_pins::{Pattern, Pins};
use wardpost_publish::records::Source;
use wardpost_queue::Queue;
use wardpost_store::{Batch, Column, Store};

/// Where the examination of a boot writes to the store: a version byte (1), then when.
const KEY: &[u8] = b"doctor-wrote";
const VERSION: u8 = 1;

/// The daemon, to whoever examines it.
struct Running {
    /// Whoever answers over the control socket knows the examiner, too, and so does the program.
    admin: Weak<Admin>,
    program: Weak<Program>,
    acme: Option<Acme>,
    mx: Arc<Mx>,
    pins: Pins,
    queue: Queue,
    store: Store,
    dns: watch::Receiver<ValidatedBy>,
}

/// What the examiner is made from.
pub(crate) struct Patient<'a> {
    pub(crate) config: &'a Config,
    pub(crate) state: &'a State,
    pub(crate) roles: &'a Roles,
    pub(crate) tls: &'a ServerTls,
    pub(crate) publishing: &'a Publishing,
    pub(crate) resolver: &'a HickoryResolver,
    pub(crate) acme: Option<&'a Acme>,
}

/// The examiner of the running daemon.
pub(crate) fn checkup(
    patient: &Patient<'_>,
    program: &Arc<Program>,
    admin: &Arc<Admin>,
) -> Result<Arc<Checkup>, Failure> {
    let running = Running {
        admin: Arc::downgrade(admin),
        program: Arc::downgrade(program),
        acme: patient.acme.cloned(),
        mx: Arc::clone(&patient.roles.mx),
        pins: patient.state.pins.clone(),
        queue: patient.state.queue.clone(),
        store: patient.state.store.clone(),
        dns: patient.resolver.validated_by(),
    };
    let tls = patient.tls.clone();
    let parts = Parts {
        own: Arc::clone(&patient.publishing.own),
        resolver: Arc::new(patient.resolver.clone()),
        certificate: Box::new(move || Some(tls.certificate())),
        daemon: Some(Arc::new(running)),
    };
    let checkup = Checkup::new(Settings::from_config(patient.config), parts);
    let metrics = Metrics::new(Arc::<Checkup>::clone(&checkup)).map_err(Failure::from_error)?;
    patient.roles.registry.register(Box::new(metrics)).map_err(Failure::from_error)?;
    Ok(checkup)
}

#[async_trait]
impl Daemon for Running {
    fn source(&self) -> Option<Arc<dyn Source>> {
        self.admin.upgrade().map(|admin| admin as Arc<dyn Source>)
    }

    fn validated_by(&self) -> ValidatedBy {
        *self.dns.borrow()
    }

    fn queue(&self) -> QueueFacts {
        let queue = self.queue.stats();
        let oldest = queue.oldest_age.unwrap_or(Duration::ZERO).as_secs();
        QueueFacts { messages: queue.items, oldest, late: u64::MAX }
    }

    fn last_visit(&self, from_internet: bool) -> Option<SystemTime> {
        self.mx.last_visit(from_internet)
    }

    fn authority(&self) -> Option<AuthorityFacts> {
        let status = self.acme.as_ref()?.status();
        let failed = status.last_failure;
        let left_out = status.left_out.into_iter().map(|left| LeftOutFacts {
            name: left.name.to_string(),
            says: left.says,
            to_do: left.to_do,
        });
        Some(AuthorityFacts {
            to_do: failed.as_ref().map(|failed| failed.to_do.clone()).unwrap_or_default(),
            failure: failed.map(|failed| failed.says),
            next_try: status.next_try,
            left_out: left_out.collect(),
        })
    }

    fn smarthost(&self) -> bool {
        let pin = self.pins.get(&Pattern::Any);
        pin.is_some_and(|pin| pin.smarthost().is_some() && !pin.has_ended(SystemTime::now()))
    }

    async fn write(&self) -> Result<(), String> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let record = [&[VERSION][..], &now.as_secs().to_be_bytes()].concat();
        let mut batch = Batch::new();
        batch.put(Column::System, KEY, record);
        self.store.commit(batch).await.map(drop).map_err(|error| error.to_string())
    }

    fn listeners(&self) -> Vec<(String, SocketAddr)> {
        let program = self.program.upgrade();
        let listeners = program.map(|program| program.listeners()).into_iter().flatten();
        let each = listeners.flat_map(|listener| {
            let service = listener.service;
            listener.addresses.into_iter().map(move |address| (service.clone(), address))
        });
        each.collect()
    }
}
