//! Connections: TLS, HTTP/1.1 and HTTP/2, time limits, and the way out at shutdown.

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tower::{BoxError, Service, ServiceExt};
use wardpost_net::{Shutdown, Stream};

/// How long a request's header may take.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a connection may last: long enough for a large upload over a slow line.
const CONNECTION_LIMIT: Duration = Duration::from_secs(30 * 60);
/// How long a connection may go on after shutdown has begun.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// Octets of a request's header.
const MAX_HEADER: u32 = 16 * 1024;

/// The browser's end of the connection: an `axum` extension of every request.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The browser's address.
    pub peer: IpAddr,
    /// TLS version and suite, for Received fields.
    pub tls: Option<String>,
}

/// Where browsers are sent that came without TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redirects {
    /// To this address, `https://mail.clinic.test`, without a final slash; whoever asked for an IP
    /// address stays there, because the name may not be in the DNS yet.
    To(String),
    /// To the host that was asked for, at this port: for as long as nobody knows what we are called.
    SameHost {
        /// The port with TLS.
        port: u16,
    },
}

impl Redirects {
    /// Whether a host is the one we are called.
    fn is_own_name(&self, host: &str) -> bool {
        match self {
            Self::To(url) => url.parse::<Uri>().is_ok_and(|url| {
                url.host().is_some_and(|own| own.eq_ignore_ascii_case(host)) && !is_address(host)
            }),
            Self::SameHost { .. } => false,
        }
    }

    /// The port with TLS.
    fn port(&self) -> u16 {
        match self {
            Self::To(url) => url.parse::<Uri>().ok().and_then(|url| url.port_u16()).unwrap_or(443),
            Self::SameHost { port } => *port,
        }
    }

    /// Sends a browser that came without TLS to the same page with it; `own` is the host that was asked
    /// for, where it has paths of its own. Forms are not taken: what was in them has been sent in clear
    /// already, and must not look as if that had been all right.
    pub(crate) fn answer(&self, request: &Request, asked: Option<&str>, own: bool) -> Response {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return (StatusCode::FORBIDDEN, "This page needs https.\n").into_response();
        }
        let root = match (self, asked) {
            (Self::To(url), asked) if !own && !asked.is_some_and(is_address) => url.clone(),
            (_, Some(host)) if is_plain_host(host) => match self.port() {
                443 => format!("https://{host}"),
                port => format!("https://{host}:{port}"),
            },
            (Self::To(url), _) => url.clone(),
            (Self::SameHost { .. }, _) => {
                let text = "Please open this page with https:// before its address.\n";
                return (StatusCode::BAD_REQUEST, text).into_response();
            }
        };
        let path = request.uri().path();
        let target = if is_plain_path(path) { format!("{root}{path}") } else { root };
        // Browsers remember a permanent one for ever: only what is sure to stay, our own names.
        let status = match asked.is_some_and(|asked| own || self.is_own_name(asked)) {
            true => StatusCode::MOVED_PERMANENTLY,
            false => StatusCode::TEMPORARY_REDIRECT,
        };
        (status, [(header::LOCATION, target)]).into_response()
    }
}

/// Whether a path holds nothing but what our own addresses are made of.
fn is_plain_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-_.".contains(&b))
}

/// Whether a host is an IP address.
fn is_address(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.parse::<std::net::Ipv4Addr>().is_ok(),
    }
}

/// Whether a host is a name or an address and nothing else.
fn is_plain_host(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
        }
    }
}

pub(crate) async fn run(
    stream: Stream,
    router: Router,
    connection: Connection,
    shutdown: Shutdown,
) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(
        // The buffer bounds the header; bodies stream through it.
        4 * MAX_HEADER as usize,
    );
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(32)
        .max_header_list_size(MAX_HEADER)
        .keep_alive_interval(Duration::from_secs(60));
    let pages = TowerToHyperService::new(Pages { router, connection });
    let serving = builder.serve_connection(TokioIo::new(stream), pages);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = tokio::time::timeout(CONNECTION_LIMIT, serving.as_mut()) => ended,
        () = shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            tokio::time::timeout(SHUTDOWN_GRACE, serving.as_mut()).await
        }
    };
    if let Ok(Err(error)) = ended {
        tracing::debug!(error, "web: connection ended");
    }
}

/// The router, told for each request who is asking.
#[derive(Clone)]
struct Pages {
    router: Router,
    connection: Connection,
}

impl<B> Service<axum::http::Request<B>> for Pages
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: axum::http::Request<B>) -> Self::Future {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.connection.clone());
        Box::pin(self.router.clone().oneshot(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Redirects {
        Redirects::To("https://mail.clinic.test".to_owned())
    }

    fn answer(redirects: &Redirects, method: Method, uri: &str, host: Option<&str>) -> Response {
        let request = Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
        redirects.answer(&request, host, false)
    }

    #[test]
    fn clear_text_gets_a_redirect_to_our_own_name_and_nothing_else() {
        let location =
            |uri| answer(&ours(), Method::GET, uri, None).headers()[header::LOCATION].clone();
        assert_eq!(location("http://evil.test/p/abc_-9?x=y"), "https://mail.clinic.test/p/abc_-9");
        assert_eq!(location("http://evil.test//other.test"), "https://mail.clinic.test");
        assert_eq!(location("/%0d%0aX:y"), "https://mail.clinic.test");
        let post = answer(&ours(), Method::POST, "/p/abc", None);
        assert_eq!(post.status(), StatusCode::FORBIDDEN);
    }

    #[test]
    fn whoever_asked_for_an_address_stays_there_and_only_our_name_is_remembered() {
        let redirects = Redirects::To("https://mail.clinic.test:8443".to_owned());
        let to = |host| {
            let answer = answer(&redirects, Method::GET, "/staff", host);
            let location = answer.headers()[header::LOCATION].to_str().unwrap().to_owned();
            (answer.status().as_u16(), location)
        };
        let moved = |status, to: &str| (status, to.to_owned());
        let ours = "https://mail.clinic.test:8443/staff";
        assert_eq!(to(Some("192.0.2.7")), moved(307, "https://192.0.2.7:8443/staff"));
        assert_eq!(to(Some("[2001:db8::7]")), moved(307, "https://[2001:db8::7]:8443/staff"));
        assert_eq!(to(Some("mail.clinic.test")), moved(301, ours));
        for other in [Some("box.local"), Some("192.0.2.7.evil.test"), Some("[evil]"), None] {
            assert_eq!(to(other), moved(307, ours), "{other:?}");
        }
    }

    #[test]
    fn a_host_with_paths_of_its_own_stays_that_host() {
        let redirects = Redirects::To("https://mail.clinic.test:8443".to_owned());
        let request = Request::get("/mail/config-v1.1.xml").body(Body::empty()).unwrap();
        let answer = redirects.answer(&request, Some("autoconfig.clinic.test"), true);
        assert_eq!(
            answer.headers()[header::LOCATION],
            "https://autoconfig.clinic.test:8443/mail/config-v1.1.xml"
        );
    }

    #[test]
    fn before_we_have_a_name_the_redirect_goes_to_the_host_that_was_asked_for() {
        let redirects = Redirects::SameHost { port: 443 };
        let location = |host| {
            let answer = answer(&redirects, Method::GET, "/setup", Some(host));
            (answer.status(), answer.headers().get(header::LOCATION).cloned())
        };
        let moved = |to: &'static str| {
            (StatusCode::TEMPORARY_REDIRECT, Some(header::HeaderValue::from_static(to)))
        };
        assert_eq!(location("192.0.2.7"), moved("https://192.0.2.7/setup"));
        assert_eq!(location("[2001:db8::7]"), moved("https://[2001:db8::7]/setup"));
        assert_eq!(location("evil.test/x"), (StatusCode::BAD_REQUEST, None));
        assert_eq!(location("[evil]"), (StatusCode::BAD_REQUEST, None));
    }
}
