//! What is counted.

use crate::AcmeError;
use crate::trouble::Kind;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Counters of certificates from the authority.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    issued: IntCounter,
    failures: IntCounterVec,
    next_try: IntGauge,
    left_out: IntGauge,
}

impl Metrics {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            issued: IntCounter::new(
                "wardpost_acme_certificates_total",
                "Certificates that the authority has issued",
            )?,
            failures: IntCounterVec::new(
                Opts::new(
                    "wardpost_acme_failures_total",
                    "Attempts to get a certificate that failed, by reason",
                ),
                &["reason"],
            )?,
            next_try: IntGauge::new(
                "wardpost_acme_next_try_timestamp_seconds",
                "When the next certificate is asked for, Unix time",
            )?,
            left_out: IntGauge::new(
                "wardpost_acme_names_left_out",
                "Names that are not in the certificate because they failed",
            )?,
        })
    }

    pub(crate) fn register(&self, registry: &Registry) -> Result<(), AcmeError> {
        registry.register(Box::new(self.issued.clone()))?;
        registry.register(Box::new(self.failures.clone()))?;
        registry.register(Box::new(self.next_try.clone()))?;
        Ok(registry.register(Box::new(self.left_out.clone()))?)
    }

    pub(crate) fn issued(&self) {
        self.issued.inc();
    }

    pub(crate) fn failed(&self, kind: Kind) {
        self.failures.with_label_values(&[kind.name()]).inc();
    }

    pub(crate) fn standing(&self, next_try: i64, left_out: usize) {
        self.next_try.set(next_try);
        self.left_out.set(i64::try_from(left_out).unwrap_or(i64::MAX));
    }
}
