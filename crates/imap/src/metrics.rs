//! What is counted. No label bears anything that a client sent.

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

/// Upper bounds of the command time histogram, in seconds.
const BUCKETS: [f64; 10] = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// Counters of the IMAP service.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub(crate) sessions: IntGauge,
    pub(crate) commands: IntCounterVec,
    pub(crate) seconds: HistogramVec,
    pub(crate) rejected: IntCounter,
}

impl Metrics {
    /// Counters at zero.
    #[allow(clippy::expect_used)] // The names are constants; a test makes them.
    pub(crate) fn new() -> Self {
        const FIXED: &str = "metric names and labels are constants that are valid";
        let commands = Opts::new("wardpost_imap_commands_total", "IMAP commands by outcome");
        let seconds = HistogramOpts::new(
            "wardpost_imap_command_seconds",
            "Time from a complete IMAP command to its tagged answer, IDLE excepted",
        );
        Self {
            sessions: IntGauge::new("wardpost_imap_sessions", "Open IMAP connections")
                .expect(FIXED),
            commands: IntCounterVec::new(commands, &["command", "outcome"]).expect(FIXED),
            seconds: HistogramVec::new(seconds.buckets(BUCKETS.to_vec()), &["command"])
                .expect(FIXED),
            rejected: IntCounter::new(
                "wardpost_imap_malformed_total",
                "IMAP commands that could not be read",
            )
            .expect(FIXED),
        }
    }

    /// How many connections are open.
    pub fn sessions(&self) -> i64 {
        self.sessions.get()
    }

    /// Makes the counters part of a metrics page.
    ///
    /// # Errors
    /// When they are registered there already.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.sessions.clone()))?;
        registry.register(Box::new(self.commands.clone()))?;
        registry.register(Box::new(self.seconds.clone()))?;
        registry.register(Box::new(self.rejected.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_on_the_page_once() {
        let (metrics, registry) = (Metrics::new(), Registry::new());
        metrics.register(&registry).unwrap();
        metrics.commands.with_label_values(&["noop", "ok"]).inc();
        metrics.seconds.with_label_values(&["noop"]).observe(0.1);
        let names: Vec<String> = registry.gather().iter().map(|f| f.name().to_owned()).collect();
        assert_eq!(
            names,
            [
                "wardpost_imap_command_seconds",
                "wardpost_imap_commands_total",
                "wardpost_imap_malformed_total",
                "wardpost_imap_sessions",
            ]
        );
        assert!(metrics.register(&registry).is_err());
    }
}
