//! The last report as metrics.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, GaugeVec, Opts};
use std::sync::Arc;
use wardpost_health::{Check, Examiner, State};

/// Shows the last report to Prometheus: a state set, one series for each check and state, of which
/// exactly one is 1 (docs/doctor.md). Register it once.
pub struct Metrics {
    examiner: Arc<dyn Examiner>,
    states: GaugeVec,
    when: Gauge,
}

impl Metrics {
    /// Over the reports of this examiner.
    ///
    /// # Errors
    /// Never, with names that Prometheus takes.
    pub fn new(examiner: Arc<dyn Examiner>) -> Result<Self, prometheus::Error> {
        let help = "How each check of the last examination came out: the state that holds is 1";
        let states = GaugeVec::new(Opts::new("wardpost_health", help), &["check", "state"])?;
        let when = Gauge::new(
            "wardpost_health_examined_timestamp_seconds",
            "When the last examination was made, Unix time; 0 before the first",
        )?;
        Ok(Self { examiner, states, when })
    }
}

impl Collector for Metrics {
    fn desc(&self) -> Vec<&Desc> {
        [self.states.desc(), self.when.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        if let Some(report) = self.examiner.latest() {
            for check in Check::ALL.into_iter().filter(|check| !check.is_for_boot_alone()) {
                let holds = report.state_of(check);
                for state in State::ALL {
                    let labels = [check.id(), state.name()];
                    self.states.with_label_values(&labels).set(f64::from(u8::from(state == holds)));
                }
            }
            self.when.set(report.when as f64);
        }
        [self.states.collect(), self.when.collect()].concat()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;
    use async_trait::async_trait;
    use parking_lot::Mutex;
    use prometheus::{Registry, TextEncoder};
    use wardpost_health::{Finding, Report};

    struct Once(Mutex<Option<Arc<Report>>>);

    #[async_trait]
    impl Examiner for Once {
        async fn examine(&self) -> Arc<Report> {
            self.latest().unwrap()
        }
        fn latest(&self) -> Option<Arc<Report>> {
            self.0.lock().clone()
        }
    }

    #[test]
    fn exactly_one_state_of_each_check_holds() {
        let (registry, once) = (Registry::new(), Arc::new(Once(Mutex::new(None))));
        registry.register(Box::new(Metrics::new(once.clone()).unwrap())).unwrap();
        let text = || TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        assert!(text().contains("wardpost_health_examined_timestamp_seconds 0\n"));
        assert!(!text().contains("wardpost_health{"));
        let finding = |state| Finding {
            check: "dns-mx".to_owned(),
            about: "clinic.test".to_owned(),
            title: String::new(),
            state,
            says: "clinic.test".to_owned(),
            to_do: String::new(),
        };
        let findings = vec![finding(State::Bad), finding(State::Good)];
        *once.0.lock() = Some(Arc::new(Report { when: 1_700_000_000, findings }));
        let said = text();
        assert!(said.contains("wardpost_health{check=\"dns-mx\",state=\"bad\"} 1\n"), "{said}");
        assert!(said.contains("wardpost_health{check=\"dns-mx\",state=\"good\"} 0\n"), "{said}");
        assert!(said.contains("wardpost_health{check=\"clock\",state=\"unknown\"} 1\n"), "{said}");
        assert!(said.contains("wardpost_health_examined_timestamp_seconds 1700000000\n"), "{said}");
        assert!(!said.contains("clinic") && !said.contains("\"units\""), "{said}");
        let held = said.lines().filter(|l| l.starts_with("wardpost_health{") && l.ends_with(" 1"));
        assert_eq!(held.count(), Check::ALL.len() - 4);
    }
}
