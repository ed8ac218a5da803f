//! What the pages count. Labels name pages and outcomes, never persons.

use prometheus::{IntCounter, IntGauge, Registry};

/// The pages' counters.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub(crate) opens: IntCounter,
    pub(crate) wrong_codes: IntCounter,
    pub(crate) answers: IntCounter,
    pub(crate) written: IntCounter,
    pub(crate) passwords: IntCounter,
    pub(crate) visits: IntGauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            opens: counter(
                "wardpost_parcel_opens_total",
                "Parcels opened with the right link and code.",
            ),
            wrong_codes: counter(
                "wardpost_parcel_wrong_codes_total",
                "Tries to open a parcel that failed for a wrong link or code, or were slowed.",
            ),
            answers: counter("wardpost_portal_answers_total", "Answers written on the portal."),
            written: counter(
                "wardpost_portal_written_total",
                "Messages written to the practice with the web form.",
            ),
            passwords: counter(
                "wardpost_portal_passwords_set_total",
                "Recipients who chose a password of their own.",
            ),
            visits: IntGauge::new(
                "wardpost_portal_visits",
                "Visits in progress: opened parcels held in memory.",
            )
            .unwrap_or_else(|error| unreachable!("fixed names: {error}")),
        }
    }

    pub(crate) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.visits.clone()))?;
        for counter in
            [&self.opens, &self.wrong_codes, &self.answers, &self.written, &self.passwords]
        {
            registry.register(Box::new(counter.clone()))?;
        }
        Ok(())
    }
}

fn counter(name: &str, help: &str) -> IntCounter {
    IntCounter::new(name, help).unwrap_or_else(|error| unreachable!("fixed names: {error}"))
}
