//! The courier itself: takes work, hands it to the route's own module, records what came of it.

use crate::metrics::Metrics;
use crate::probe::PathReport;
use crate::settings::{Parts, Settings};
use prometheus::Registry;
use std::sync::Arc;
use wardpost_mail::{Domain, TlsGrade};
use wardpost_net::Shutdown;

/// Carries what the queue holds to where it belongs.
pub struct Courier {
    #[allow(dead_code)]
    pub(crate) settings: Settings,
    #[allow(dead_code)]
    pub(crate) parts: Parts,
    #[allow(dead_code)]
    pub(crate) metrics: Metrics,
}

impl Courier {
    /// Sets the courier up and registers its metrics.
    ///
    /// # Errors
    /// When `registry` has the courier's metrics already.
    pub fn new(
        settings: Settings,
        parts: Parts,
        registry: &Registry,
    ) -> Result<Arc<Self>, prometheus::Error> {
        let metrics = Metrics::register(registry)?;
        Ok(Arc::new(Self { settings, parts, metrics }))
    }

    /// Works until `shutdown`, and returns when the attempts under way have ended.
    pub async fn run(self: Arc<Self>, shutdown: Shutdown) {
        let _ = shutdown;
        unimplemented!()
    }

    /// Looks at the path to a domain: look-ups, handshakes, verdicts; no mail.
    pub async fn probe(&self, domain: &Domain, floor: TlsGrade) -> PathReport {
        let _ = (domain, floor);
        unimplemented!()
    }
}
