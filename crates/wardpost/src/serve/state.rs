//! What the daemon keeps: the store and everything in it.

use crate::failure::Failure;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use wardpost_config::Config;
use wardpost_directory::Directory;
use wardpost_keys::SystemKey;
use wardpost_mail::Address;
use wardpost_mailbox::Mailboxes;
use wardpost_parcel::Parcels;
use wardpost_pins::Pins;
use wardpost_publish::KeyPlan;
use wardpost_queue::Queue;
use wardpost_reports::Reports;
use wardpost_store::Store;
use wardpost_wall::Wall;

/// Everything that lies in the store.
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) directory: Directory,
    pub(crate) mailboxes: Mailboxes,
    pub(crate) queue: Queue,
    pub(crate) parcels: Parcels,
    pub(crate) keys: KeyPlan,
    pub(crate) pins: Pins,
    pub(crate) wall: Wall,
    pub(crate) reports: Reports,
}

impl State {
    /// Opens the store, making it if the data directory is new, and what lies in it.
    pub(crate) async fn open(config: &Config, key: &SystemKey) -> Result<Self, Failure> {
        let store = Store::open(&config.data_dir, key).map_err(Failure::from_error)?;
        Self::of(config, store).await
    }

    /// What lies in a store.
    pub(crate) async fn of(config: &Config, store: Store) -> Result<Self, Failure> {
        let options = directory_options(config);
        let directory = Directory::open_with(store.clone(), &config.domain, options).await;
        let queue = Queue::open(store.clone(), queue_options(config)).await;
        Ok(Self {
            directory: directory.map_err(Failure::from_error)?,
            mailboxes: Mailboxes::new(store.clone()),
            queue: queue.map_err(Failure::from_error)?,
            parcels: Parcels::open(store.clone(), parcel_options(config)),
            keys: KeyPlan::open(store.clone()).map_err(Failure::from_error)?,
            pins: Pins::open(store.clone()).map_err(Failure::from_error)?,
            wall: Wall::open(store.clone()).map_err(Failure::from_error)?,
            reports: reports(config, store.clone())?,
            store,
        })
    }

    /// Writes what waits and closes the store. Whoever still holds a part of it gets errors.
    pub(crate) async fn close(self) {
        let closing = tokio::task::spawn_blocking(move || self.store.close());
        if tokio::time::timeout(Duration::from_secs(30), closing).await.is_err() {
            tracing::error!("the store did not close in time");
        }
    }
}

/// Records of DKIM keys stay for as long as our queue keeps mail that was signed with them, and a week
/// more for the queues of others.
fn directory_options(config: &Config) -> wardpost_directory::Options {
    wardpost_directory::Options {
        dkim_overlap: config.queue.give_up + Duration::from_secs(7 * 24 * 3600),
        ..wardpost_directory::Options::default()
    }
}

fn reports(config: &Config, store: Store) -> Result<Reports, Failure> {
    let contact = Address::parse(&format!("postmaster@{}", config.domain));
    let settings = wardpost_reports::Settings {
        domain: config.domain.clone(),
        organization: config.practice.name.clone(),
        contact: contact.map_err(Failure::from_error)?,
        clock: Arc::new(SystemTime::now),
    };
    Reports::open(store, settings).map_err(Failure::from_error)
}

fn queue_options(config: &Config) -> wardpost_queue::Options {
    wardpost_queue::Options {
        lifetime: config.queue.give_up,
        delay_after: config.queue.delay_report,
        history: config.queue.history,
        ..wardpost_queue::Options::default()
    }
}

fn parcel_options(config: &Config) -> wardpost_parcel::Options {
    wardpost_parcel::Options {
        lifetime: config.portal.parcel_lifetime,
        ..wardpost_parcel::Options::default()
    }
}
