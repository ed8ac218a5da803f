//! What the status screen shows while mail is served.

use super::Admin;
use crate::views::{Answer, ConsoleView, ServingView, Stage};

impl Admin {
    pub(super) fn console(&self) -> Answer {
        let parts = &self.parts;
        let queue = parts.queue.stats();
        let certificate = parts.host.tls().certificate();
        let https = parts.host.listeners().into_iter().find(|one| one.service == "https");
        Answer::Console(Box::new(ConsoleView {
            version: parts.host.version().to_owned(),
            https: https.map(|one| one.addresses).unwrap_or_default(),
            fingerprint: certificate.fingerprint_text(),
            stage: Stage::Serving(ServingView {
                hostname: parts.host.hostname().clone(),
                self_signed: certificate.self_issued,
                queue_messages: queue.items,
                queue_oldest_seconds: queue.oldest_age.map(|age| age.as_secs()),
                health: parts.host.health(),
            }),
        }))
    }
}
