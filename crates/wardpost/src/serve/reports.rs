//! Reports, put together with what they need: DNS, the queue, the signer, a web client.

use super::state::State;
use crate::failure::Failure;
use async_trait::async_trait;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use wardpost_admin::ReportSender;
use wardpost_config::Config;
use wardpost_directory::{Directory, Resolution};
use wardpost_dns::Resolver;
use wardpost_mail::{DMARC_REPORTS, Domain, Envelope, ReversePath, TLS_REPORTS, TlsGrade};
use wardpost_net::{Https, HttpsLimits, HttpsTarget};
use wardpost_policy::Route;
use wardpost_queue::{Kind, NewItem, Queue};
use wardpost_reports::{
    Arrived, Letter, Post, PostError, ReportKind, Reports, ReportsError, SentNow,
};
use wardpost_signer::Signer;
use wardpost_store::{Batch, Committed, Store};
use wardpost_verdict::Roots;

/// How often counts are written down and reports that are due are made.
const TICK: Duration = Duration::from_secs(60);
/// What a web server may take and answer. What it says is of no interest.
const LIMITS: HttpsLimits = HttpsLimits { body: 64 << 10, time: Duration::from_secs(60) };

/// Makes reports and sends them.
#[derive(Clone)]
pub(crate) struct Reporting {
    reports: Reports,
    resolver: Arc<dyn Resolver>,
    post: Arc<dyn Post>,
}

impl Reporting {
    pub(crate) fn new(
        config: &Config,
        state: &State,
        resolver: Arc<dyn Resolver>,
        signer: Arc<Signer>,
        roots: &Roots,
    ) -> Result<Self, Failure> {
        let post = PostOffice {
            store: state.store.clone(),
            queue: state.queue.clone(),
            directory: state.directory.clone(),
            reports: state.reports.clone(),
            signer,
            https: Https::new(roots).map_err(Failure::from_error)?,
            resolver: Arc::clone(&resolver),
            floor: config.transport.floor,
        };
        Ok(Self { reports: state.reports.clone(), resolver, post: Arc::new(post) })
    }

    /// Works until aborted.
    pub(crate) async fn run(self) {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            ticks.tick().await;
            if let Err(error) = self.reports.tick(self.resolver.as_ref(), &self.post).await {
                tracing::error!(%error, "reports could not be made; it is tried again");
            }
        }
    }
}

#[async_trait]
impl ReportSender for Reporting {
    async fn send_now(&self) -> Result<SentNow, ReportsError> {
        self.reports.send_now(self.resolver.as_ref(), &self.post).await
    }
}

/// The ways out.
struct PostOffice {
    store: Store,
    queue: Queue,
    directory: Directory,
    reports: Reports,
    signer: Arc<Signer>,
    https: Https,
    resolver: Arc<dyn Resolver>,
    floor: TlsGrade,
}

#[async_trait]
impl Post for PostOffice {
    async fn mail(&self, letter: Letter, done: Batch) -> Result<Committed, PostError> {
        let failed = |error: &dyn std::fmt::Display| PostError(error.to_string());
        let Letter { submitter, to, message } = letter;
        let route = match self.directory.resolve(&to) {
            Resolution::NotOurs => Route::Direct { floor: self.floor },
            Resolution::Accounts(_) => Route::Local,
            Resolution::Unknown => return self.to_ourselves(&submitter, &to, &message, done).await,
        };
        let message = self.signer.sign(&submitter, message).map_err(|error| failed(&error))?;
        let item = NewItem {
            sender: None,
            envelope: Envelope::new(ReversePath::Null, [to]),
            message,
            routes: vec![route],
            kind: Kind::Report,
        };
        let queued = self.queue.enqueue_with(item, done).await;
        queued.map(|(_, committed)| committed).map_err(|error| failed(&error))
    }

    async fn https(&self, url: &str, media_type: &str, body: &[u8]) -> Result<(), PostError> {
        let Some((host, port, path)) = split(url) else {
            return Err(PostError("the record's address is no URL".to_owned()));
        };
        let found = self.resolver.addresses(&host).await;
        let found = found.map_err(|error| PostError(error.to_string()))?.value;
        let addresses: Vec<SocketAddr> =
            found.into_iter().map(|address| SocketAddr::new(address, port)).collect();
        let target = HttpsTarget { host: &host, addresses: &addresses, path: &path };
        let answer = self.https.post(target, media_type, body.to_vec(), LIMITS).await;
        match answer {
            Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
            Ok(answer) => Err(PostError(format!("the web server answered {}", answer.status))),
            Err(error) => Err(PostError(error.to_string())),
        }
    }
}

impl PostOffice {
    /// A report of ours about mail in our own name, wanted at our own report address.
    async fn to_ourselves(
        &self,
        submitter: &Domain,
        to: &wardpost_mail::Address,
        message: &[u8],
        done: Batch,
    ) -> Result<Committed, PostError> {
        let kind = match to.local() {
            TLS_REPORTS => Some(ReportKind::Tls),
            DMARC_REPORTS => Some(ReportKind::Dmarc),
            // Nobody here has this address, and nobody is to be told.
            _ => None,
        };
        if let Some(kind) = kind {
            let ours = self.directory.domains();
            let signed_by = std::slice::from_ref(submitter);
            let arrived = Arrived { kind, message, signed_by, dmarc_passed: true, ours: &ours };
            match self.reports.take_in(arrived).await {
                Err(error) if error.is_temporary() => return Err(PostError(error.to_string())),
                Err(error) => tracing::warn!(%error, "our own report was not taken"),
                Ok(_) => {}
            }
        }
        self.store.commit(done).await.map_err(|error| PostError(error.to_string()))
    }
}

/// Host, port and path of an `https:` URL.
fn split(url: &str) -> Option<(Domain, u16, String)> {
    let rest = url.strip_prefix("https://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let path = path.split('#').next().unwrap_or_default();
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (authority, 443),
    };
    let slash = if path.starts_with('/') { "" } else { "/" };
    Some((Domain::parse(host).ok()?, port, format!("{slash}{path}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_come_apart() {
        let parts = |url| split(url).map(|(host, port, path)| format!("{host} {port} {path}"));
        for (url, wanted) in [
            ("https://a.test", Some("a.test 443 /")),
            ("https://a.test/x/y?z=1#f", Some("a.test 443 /x/y?z=1")),
            ("https://a.test:8443?q", Some("a.test 8443 /?q")),
            ("https://a.test:port/", None),
            ("http://a.test/", None),
            ("https://u@a.test/", None),
        ] {
            assert_eq!(parts(url).as_deref(), wanted, "{url}");
        }
    }
}
