//! What is counted. No label names a domain or anything else a stranger chose.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use wardpost_message::report::ReportKind;

/// Counters of reports.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub(crate) sent: IntCounterVec,
    pub(crate) failed: IntCounterVec,
    pub(crate) received: IntCounterVec,
    pub(crate) sessions: IntCounterVec,
    pub(crate) failures: IntCounterVec,
    pub(crate) messages: IntCounterVec,
    pub(crate) uncounted: IntCounter,
}

impl Metrics {
    /// Counters at zero.
    #[allow(clippy::expect_used)] // The names are constants; a test makes them.
    pub(crate) fn new() -> Self {
        const FIXED: &str = "metric names and labels are constants that are valid";
        let counters = |name: &str, help: &str, labels: &[&str]| {
            IntCounterVec::new(Opts::new(name, help), labels).expect(FIXED)
        };
        let metrics = Self {
            sent: counters(
                "wardpost_reports_sent_total",
                "Reports handed to the queue (mail) or to a web server (https)",
                &["kind", "way"],
            ),
            failed: counters(
                "wardpost_reports_failed_total",
                "Reports that could not be sent and were given up",
                &["kind"],
            ),
            received: counters(
                "wardpost_reports_received_total",
                "Reports about us that came in, by what became of them",
                &["kind", "outcome"],
            ),
            sessions: counters(
                "wardpost_tlsrpt_sessions_total",
                "TLS sessions with our servers that others told us of (RFC 8460), proven senders only",
                &["result"],
            ),
            failures: counters(
                "wardpost_tlsrpt_failures_total",
                "Failed TLS sessions with our servers that others told us of, by result type (RFC 8460)",
                &["type"],
            ),
            messages: counters(
                "wardpost_dmarc_messages_total",
                "Messages in our name that others told us of, by DMARC result, proven senders only",
                &["result"],
            ),
            uncounted: IntCounter::new(
                "wardpost_reports_uncounted_total",
                "Sessions and messages left out of reports because there were too many domains",
            )
            .expect(FIXED),
        };
        for result in ["success", "failure"] {
            metrics.sessions.with_label_values(&[result]);
        }
        for result in ["pass", "fail"] {
            metrics.messages.with_label_values(&[result]);
        }
        metrics
    }

    /// Makes the counters part of a metrics page.
    ///
    /// # Errors
    /// When they are registered there already.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.sent.clone()))?;
        registry.register(Box::new(self.failed.clone()))?;
        registry.register(Box::new(self.received.clone()))?;
        registry.register(Box::new(self.sessions.clone()))?;
        registry.register(Box::new(self.failures.clone()))?;
        registry.register(Box::new(self.messages.clone()))?;
        registry.register(Box::new(self.uncounted.clone()))
    }

    pub(crate) fn came(&self, kind: ReportKind, outcome: &str) {
        self.received.with_label_values(&[kind.name(), outcome]).inc();
    }
}
