//! What is counted. No label bears anything that a client sent.

use prometheus::{IntCounterVec, IntGauge, Opts, Registry};
use wardpost_policy::Route;

/// Counters of submission.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub(crate) open: IntGauge,
    pub(crate) sessions: IntCounterVec,
    pub(crate) logins: IntCounterVec,
    pub(crate) refused: IntCounterVec,
    pub(crate) messages: IntCounterVec,
    pub(crate) recipients: IntCounterVec,
}

impl Metrics {
    /// Counters at zero.
    #[allow(clippy::expect_used)] // The names are constants; a test makes them.
    pub(crate) fn new() -> Self {
        const FIXED: &str = "metric names and labels are constants that are valid";
        let counters = |name: &str, help: &str, label: &str| {
            IntCounterVec::new(Opts::new(name, help), &[label]).expect(FIXED)
        };
        Self {
            open: IntGauge::new("wardpost_submission_open_sessions", "Open submission connections")
                .expect(FIXED),
            sessions: counters(
                "wardpost_submission_sessions_total",
                "Ended submission sessions by how they ended",
                "end",
            ),
            logins: counters(
                "wardpost_submission_logins_total",
                "Log-ins for submission by outcome: ok, rejected, slowed, unavailable",
                "outcome",
            ),
            refused: counters(
                "wardpost_submission_refused_total",
                "Commands, recipients and messages refused on submission, by reason",
                "reason",
            ),
            messages: counters(
                "wardpost_submission_messages_total",
                "Messages submitted whole by outcome: queued, refused, failed",
                "outcome",
            ),
            recipients: counters(
                "wardpost_submission_recipients_total",
                "Recipients of queued messages by planned route",
                "route",
            ),
        }
    }

    /// Makes the counters part of a metrics page.
    ///
    /// # Errors
    /// When they are registered there already.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.open.clone()))?;
        registry.register(Box::new(self.sessions.clone()))?;
        registry.register(Box::new(self.logins.clone()))?;
        registry.register(Box::new(self.refused.clone()))?;
        registry.register(Box::new(self.messages.clone()))?;
        registry.register(Box::new(self.recipients.clone()))
    }

    pub(crate) fn login(&self, outcome: &str) {
        self.logins.with_label_values(&[outcome]).inc();
    }

    pub(crate) fn refuse(&self, reason: &str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    pub(crate) fn message(&self, outcome: &str) {
        self.messages.with_label_values(&[outcome]).inc();
    }

    pub(crate) fn routes(&self, routes: &[Route]) {
        for route in routes {
            self.recipients.with_label_values(&[route.name()]).inc();
        }
    }
}
