//! Ports: bound first, served when everything is put together.

use super::metrics::MetricsPage;
use super::roles::Roles;
use super::state::State;
use crate::failure::Failure;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::task::JoinHandle;
use wardpost_admin::ListenerView;
use wardpost_config::{Config, Listen};
use wardpost_mx::Mx;
use wardpost_net::{Accepted, Limits, Listeners, ServerTls, Shutdown, TooMany};
use wardpost_web::Site;

/// All bound ports.
pub(crate) struct Ports {
    mx: Listeners,
    submission: Listeners,
    submissions: Listeners,
    imaps: Listeners,
    https: Listeners,
    http: Listeners,
    metrics: Listeners,
}

/// Whom the ports serve.
pub(crate) struct Served<'a> {
    pub(crate) config: &'a Config,
    pub(crate) state: &'a State,
    pub(crate) tls: &'a ServerTls,
    pub(crate) roles: &'a Roles,
    pub(crate) site: &'a Arc<Site>,
}

impl Ports {
    /// Binds everything that is configured; `web` are the sockets of https and http that the set-up had,
    /// in which browsers wait already.
    pub(crate) fn bind(
        listen: &Listen,
        web: Option<(Listeners, Listeners)>,
    ) -> Result<Self, Failure> {
        let bind = |service, addresses: &[SocketAddr]| {
            Listeners::bind(service, addresses).map_err(Failure::from_error)
        };
        let (https, http) = match web {
            Some(bound) => bound,
            None => (bind("https", &listen.https)?, bind("http", &listen.http)?),
        };
        Ok(Self {
            mx: bind("mx", &listen.mx)?,
            submission: bind("submission", &listen.submission)?,
            submissions: bind("submissions", &listen.submissions)?,
            imaps: bind("imaps", &listen.imaps)?,
            https,
            http,
            metrics: bind("metrics", &listen.metrics)?,
        })
    }

    /// Where we listen, for people.
    pub(crate) fn views(&self) -> Vec<ListenerView> {
        let named = [
            ("mx", &self.mx),
            ("submission", &self.submission),
            ("submissions", &self.submissions),
            ("imaps", &self.imaps),
            ("https", &self.https),
            ("http", &self.http),
            ("metrics", &self.metrics),
        ];
        let view = |(service, listeners): (&str, &Listeners)| ListenerView {
            service: service.to_owned(),
            addresses: listeners.local_addrs(),
        };
        named.into_iter().map(view).filter(|view| !view.addresses.is_empty()).collect()
    }

    /// Starts accepting, each service in a task that ends with `shutdown`.
    pub(crate) fn serve(self, served: &Served<'_>, shutdown: &Shutdown) -> Vec<JoinHandle<()>> {
        let Served { config, state, tls, roles, site } = served;
        let limits = &config.limits;
        let people = Limits { total: limits.connections, per_ip: limits.connections_per_address };
        let servers = Limits { per_ip: limits.mx_connections_per_address, ..people };
        let start = Start { shutdown: shutdown.clone() };
        let mx = Arc::clone(&roles.mx);
        let submission = Arc::clone(&roles.submission);
        let submissions = Arc::clone(&roles.submission);
        let imap = Arc::clone(&roles.imap);
        let (https, http) = (Arc::clone(site), Arc::clone(site));
        let page = Arc::new(MetricsPage::new(config, roles, state, tls));
        vec![
            start.service(self.mx, servers, Mx::turned_away, move |accepted, shutdown| {
                Arc::clone(&mx).serve(accepted, shutdown)
            }),
            start.service(self.submission, people, Mx::turned_away, move |accepted, shutdown| {
                Arc::clone(&submission).serve_starttls(accepted, shutdown)
            }),
            start.service(self.submissions, people, silently, move |accepted, shutdown| {
                Arc::clone(&submissions).serve_tls(accepted, shutdown)
            }),
            start.service(self.imaps, people, silently, move |accepted, shutdown| {
                Arc::clone(&imap).serve(accepted, shutdown)
            }),
            start.service(self.https, people, silently, move |accepted, shutdown| {
                Arc::clone(&https).serve_https(accepted, shutdown)
            }),
            start.service(self.http, people, silently, move |accepted, shutdown| {
                Arc::clone(&http).serve_http(accepted, shutdown)
            }),
            start.service(self.metrics, people, silently, move |accepted, shutdown| {
                Arc::clone(&page).serve(accepted, shutdown)
            }),
        ]
    }
}

/// In TLS from the first byte there is nobody to say anything to.
pub(crate) fn silently(_why: TooMany) -> Vec<u8> {
    Vec::new()
}

struct Start {
    shutdown: Shutdown,
}

impl Start {
    fn service<H, F>(
        &self,
        listeners: Listeners,
        limits: Limits,
        refuse: fn(TooMany) -> Vec<u8>,
        serve: H,
    ) -> JoinHandle<()>
    where
        H: Fn(Accepted, Shutdown) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let shutdown = self.shutdown.clone();
        let handle = move |accepted| serve(accepted, shutdown.clone());
        tokio::spawn(listeners.run(limits, self.shutdown.clone(), refuse, handle))
    }
}
