//! What the pages count. Labels name outcomes, never persons.

use prometheus::{IntCounterVec, IntGauge, Opts, Registry};
use wardpost_directory::AuthError;

/// The pages' counters.
pub(crate) struct Metrics {
    pub(crate) sessions: IntGauge,
    pub(crate) pending: IntGauge,
    pub(crate) links: IntGauge,
    sign_ins: IntCounterVec,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let sign_ins = IntCounterVec::new(
            Opts::new("wardpost_staff_sign_ins_total", "Tries to sign in on a page, by result."),
            &["result"],
        );
        Self {
            sessions: gauge("wardpost_staff_sessions", "People signed in on a page."),
            pending: gauge(
                "wardpost_staff_sign_ins_pending",
                "People who gave their password and have yet to give their code.",
            ),
            links: gauge(
                "wardpost_staff_connect_links",
                "Links waiting to bring an app password to a phone.",
            ),
            sign_ins: sign_ins.unwrap_or_else(|error| unreachable!("fixed names: {error}")),
        }
    }

    /// Counts a try to sign in, or one of its steps that failed.
    pub(crate) fn signed_in(&self, outcome: Result<(), AuthError>) {
        let result = match outcome {
            Ok(()) => "ok",
            Err(AuthError::Rejected) => "rejected",
            Err(AuthError::SlowDown(_)) => "slowed",
            Err(AuthError::Unavailable) => "unavailable",
        };
        self.sign_ins.with_label_values(&[result]).inc();
    }

    pub(crate) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        for gauge in [&self.sessions, &self.pending, &self.links] {
            registry.register(Box::new(gauge.clone()))?;
        }
        registry.register(Box::new(self.sign_ins.clone()))
    }
}

fn gauge(name: &str, help: &str) -> IntGauge {
    IntGauge::new(name, help).unwrap_or_else(|error| unreachable!("fixed names: {error}"))
}
