//! One web site of all roles' pages.

use crate::guard::{from_elsewhere, secure};
use crate::serve::{Connection, Redirects, run};
use crate::{Shell, asked_host, page};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::get;
use prometheus::{IntCounterVec, Opts, Registry};
use std::sync::Arc;
use tower::ServiceExt;
use wardpost_mail::Domain;
use wardpost_net::{Accepted, ServerTls, Shutdown, TlsError};

/// Octets of a form, where a role says nothing else.
const SMALL_FORM: usize = 16 * 1024;

/// A path's name for metrics, if it is a page of this role: the route, without what stands in it.
pub type PageName = fn(&str) -> Option<&'static str>;

/// Whether a domain is one of ours.
type IsOurs = Arc<dyn Fn(&Domain) -> bool + Send + Sync>;

/// What a site is put together from.
pub struct SiteBuilder {
    shell: Shell,
    redirects: Redirects,
    pages: Router,
    names: Vec<PageName>,
    hosts: Vec<(&'static str, Router)>,
    is_ours: IsOurs,
    clear: Router,
}

impl SiteBuilder {
    /// Adds a role's pages. `name` names them for metrics.
    #[must_use]
    pub fn pages(mut self, router: Router, name: PageName) -> Self {
        self.pages = self.pages.merge(router);
        self.names.push(name);
        self
    }

    /// Gives host names that begin with `label` and a dot, and go on with a domain of ours, paths of
    /// their own: they answer these and no others.
    #[must_use]
    pub fn host(mut self, label: &'static str, router: Router) -> Self {
        match self.hosts.iter_mut().find(|(known, _)| *known == label) {
            Some((_, known)) => *known = std::mem::take(known).merge(router),
            None => self.hosts.push((label, router)),
        }
        self
    }

    /// Says which domains are ours; without it, none is.
    #[must_use]
    pub fn domains(mut self, ours: impl Fn(&Domain) -> bool + Send + Sync + 'static) -> Self {
        self.is_ours = Arc::new(ours);
        self
    }

    /// Adds what is answered on the port without TLS, under any host name, in place of a redirect.
    #[must_use]
    pub fn clear(mut self, router: Router) -> Self {
        self.clear = self.clear.merge(router);
        self
    }

    /// Puts the site together. `tls` gives the certificate; application protocols are chosen here.
    ///
    /// # Errors
    /// When the TLS library refuses the settings.
    pub fn build(self, tls: &ServerTls) -> Result<Arc<Site>, TlsError> {
        let tls = tls.with_alpn(&[b"h2", b"http/1.1"])?;
        let requests = IntCounterVec::new(
            Opts::new("wardpost_portal_requests_total", "Pages served, by page and HTTP status."),
            &["page", "status"],
        );
        let (shell, limit) = (Arc::new(self.shell), DefaultBodyLimit::max(SMALL_FORM));
        let own = Router::new()
            .route("/style.css", get(page::style))
            .route("/copy.js", get(page::copy_script))
            .route("/robots.txt", get(page::robots));
        let finish = |router: Router| with_fallbacks(router, &shell).layer(limit);
        Ok(Arc::new(Site {
            tls,
            pages: finish(self.pages.merge(own)),
            hosts: self.hosts.into_iter().map(|(label, r)| (label, finish(r))).collect(),
            clear: self.clear,
            shell,
            redirects: self.redirects,
            names: self.names,
            is_ours: self.is_ours,
            requests: requests.unwrap_or_else(|error| unreachable!("fixed names: {error}")),
        }))
    }
}

/// What is said where there is no page, or not in this way.
fn with_fallbacks(router: Router, shell: &Arc<Shell>) -> Router {
    let (missing, wrong) = (Arc::clone(shell), Arc::clone(shell));
    router
        .fallback(move || async move { page::not_found(&missing) })
        .method_not_allowed_fallback(move || async move { page::not_allowed(&wrong) })
}

/// All pages, and how they are served.
pub struct Site {
    tls: ServerTls,
    shell: Arc<Shell>,
    redirects: Redirects,
    pages: Router,
    names: Vec<PageName>,
    hosts: Vec<(&'static str, Router)>,
    is_ours: IsOurs,
    clear: Router,
    requests: IntCounterVec,
}

impl Site {
    /// Begins to put a site together: the frame around its own few pages, and where browsers are sent
    /// that come without TLS.
    pub fn builder(shell: Shell, redirects: Redirects) -> SiteBuilder {
        SiteBuilder {
            shell,
            redirects,
            pages: Router::new(),
            names: Vec::new(),
            hosts: Vec::new(),
            is_ours: Arc::new(|_| false),
            clear: Router::new(),
        }
    }

    /// Registers the site's metrics.
    ///
    /// # Errors
    /// When a metric of that name is registered already.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.requests.clone()))
    }

    /// Serves one connection to the HTTPS port, TLS handshake included, until it or `shutdown` ends.
    pub async fn serve_https(self: Arc<Self>, accepted: Accepted, shutdown: Shutdown) {
        let peer = accepted.peer.ip();
        let stream = match accepted.stream.upgrade_server(&self.tls, &[]).await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%error, "web: no TLS");
                return;
            }
        };
        let connection = Connection { peer, tls: stream.tls_info().map(|info| info.to_string()) };
        run(stream, self.router(), connection, shutdown).await;
    }

    /// Serves one connection to the HTTP port: redirects to HTTPS, and what was said to be answered in
    /// clear.
    pub async fn serve_http(self: Arc<Self>, accepted: Accepted, shutdown: Shutdown) {
        let connection = Connection { peer: accepted.peer.ip(), tls: None };
        run(accepted.stream, self.clear_router(), connection, shutdown).await;
    }

    /// What the HTTPS port answers. Requests carry a [`Connection`] in their extensions.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new().fallback(answer).with_state(Arc::clone(self))
    }

    /// What the HTTP port answers.
    fn clear_router(self: &Arc<Self>) -> Router {
        let site = Arc::clone(self);
        self.clear.clone().fallback(move |request: Request| async move {
            let asked = asked_host(request.uri(), request.headers());
            let own = site.host(request.uri(), request.headers()).is_some();
            site.redirects.answer(&request, asked.as_deref(), own)
        })
    }

    /// The paths of the host that is asked for, if it has paths of its own.
    fn host(&self, uri: &Uri, headers: &HeaderMap) -> Option<&Router> {
        let asked = asked_host(uri, headers)?;
        let (label, domain) = asked.split_once('.')?;
        let (_, router) = self.hosts.iter().find(|(known, _)| *known == label)?;
        let domain = Domain::parse(domain).ok()?;
        (self.is_ours)(&domain).then_some(router)
    }

    fn page_name(&self, path: &str) -> &'static str {
        let own = match path {
            "/style.css" => Some("style"),
            "/copy.js" => Some("script"),
            _ => None,
        };
        own.or_else(|| self.names.iter().find_map(|name| name(path))).unwrap_or("other")
    }
}

async fn answer(State(site): State<Arc<Site>>, request: Request) -> Response {
    let name = site.page_name(request.uri().path());
    let mut response = if from_elsewhere(request.method(), request.headers()) {
        page::refused(&site.shell)
    } else {
        let router = site.host(request.uri(), request.headers()).unwrap_or(&site.pages).clone();
        match router.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    };
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE && !is_page(&response) {
        response = page::too_large(&site.shell);
    }
    secure(response.headers_mut());
    site.requests.with_label_values(&[name, response.status().as_str()]).inc();
    response
}

/// Whether a response is in words for people already.
fn is_page(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

#[cfg(test)]
#[path = "site_tests.rs"]
mod tests;
