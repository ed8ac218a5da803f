//! What the courier counts. No label names a person, an address or a domain.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};
use std::time::Duration;
use wardpost_mail::TlsGrade;

/// The courier's metrics.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    deliveries: IntCounterVec,
    attempts: IntCounterVec,
    tls_failures: IntCounterVec,
    seconds: HistogramVec,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let seconds = HistogramVec::new(
            HistogramOpts::new(
                "wardpost_courier_delivery_seconds",
                "Seconds from taking a message to its recipient's end, by route",
            )
            .buckets(vec![0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 600.0, 3600.0, 86400.0]),
            &["route"],
        )?;
        registry.register(Box::new(seconds.clone()))?;
        Ok(Self {
            deliveries: counter(
                "wardpost_courier_deliveries_total",
                "Recipients that were reached, by route and by TLS grade of the path",
                &["route", "grade"],
            )?,
            attempts: counter(
                "wardpost_courier_attempts_total",
                "Attempts for a recipient by outcome: delivered, deferred, failed, parcel",
                &["outcome"],
            )?,
            tls_failures: counter(
                "wardpost_courier_tls_failures_total",
                "Paths that did not reach the floor, by reason in the words of RFC 8460",
                &["reason"],
            )?,
            seconds,
        })
    }

    /// A recipient was reached.
    pub(crate) fn delivered(&self, route: &str, grade: Option<TlsGrade>, age: Duration) {
        let grade = grade.map_or("none", TlsGrade::name);
        self.deliveries.with_label_values(&[route, grade]).inc();
        self.seconds.with_label_values(&[route]).observe(age.as_secs_f64());
    }

    /// An attempt ended.
    pub(crate) fn attempt(&self, outcome: &str) {
        self.attempts.with_label_values(&[outcome]).inc();
    }

    /// A path fell short of the floor.
    pub(crate) fn tls_failure(&self, reason: &str) {
        self.tls_failures.with_label_values(&[reason]).inc();
    }
}
