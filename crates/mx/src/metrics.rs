//! What is counted. No label bears anything that a client sent.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Upper bounds of the delivery time histogram, in seconds.
const BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// Counters of the mail service on port 25.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub(crate) open: IntGauge,
    pub(crate) sessions: IntCounterVec,
    pub(crate) tls: IntCounterVec,
    pub(crate) refused: IntCounterVec,
    pub(crate) kept_out: IntCounter,
    pub(crate) let_in: IntCounter,
    pub(crate) messages: IntCounterVec,
    pub(crate) bytes: IntCounter,
    pub(crate) seconds: Histogram,
}

impl Metrics {
    /// Counters at zero.
    #[allow(clippy::expect_used)] // The names are constants; a test makes them.
    pub(crate) fn new() -> Self {
        const FIXED: &str = "metric names and labels are constants that are valid";
        let counters = |name: &str, help: &str, label: &str| {
            IntCounterVec::new(Opts::new(name, help), &[label]).expect(FIXED)
        };
        let seconds = HistogramOpts::new(
            "wardpost_mx_delivery_seconds",
            "Time from the end of a message's data to its synced delivery",
        );
        Self {
            open: IntGauge::new("wardpost_mx_open_sessions", "Open connections on port 25")
                .expect(FIXED),
            sessions: counters(
                "wardpost_mx_sessions_total",
                "Ended sessions on port 25 by how they ended",
                "end",
            ),
            tls: counters(
                "wardpost_mx_tls_total",
                "Senders (MAIL) taken on port 25, by TLS version of the session",
                "version",
            ),
            refused: counters(
                "wardpost_mx_refused_total",
                "Commands, recipients and messages refused on port 25, by reason",
                "reason",
            ),
            kept_out: IntCounter::new(
                "wardpost_mx_cleartext_kept_out_total",
                "Sessions on port 25 that were refused for want of TLS and ended without it",
            )
            .expect(FIXED),
            let_in: IntCounter::new(
                "wardpost_mx_cleartext_let_in_total",
                "Senders (MAIL) taken on port 25 without TLS, by exception or setting",
            )
            .expect(FIXED),
            messages: counters(
                "wardpost_mx_messages_total",
                "Messages that came in whole, by what became of them",
                "disposition",
            ),
            bytes: IntCounter::new("wardpost_mx_message_bytes_total", "Octets of messages taken")
                .expect(FIXED),
            seconds: Histogram::with_opts(seconds.buckets(BUCKETS.to_vec())).expect(FIXED),
        }
    }

    /// Makes the counters part of a metrics page.
    ///
    /// # Errors
    /// When they are registered there already.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.open.clone()))?;
        registry.register(Box::new(self.sessions.clone()))?;
        registry.register(Box::new(self.tls.clone()))?;
        registry.register(Box::new(self.refused.clone()))?;
        registry.register(Box::new(self.kept_out.clone()))?;
        registry.register(Box::new(self.let_in.clone()))?;
        registry.register(Box::new(self.messages.clone()))?;
        registry.register(Box::new(self.bytes.clone()))?;
        registry.register(Box::new(self.seconds.clone()))
    }

    pub(crate) fn refuse(&self, reason: &str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    pub(crate) fn message(&self, disposition: &str) {
        self.messages.with_label_values(&[disposition]).inc();
    }
}
