//! Connections: TLS, HTTP/1.1 and HTTP/2, time limits, and the way out at shutdown.

use crate::{Portal, pages};
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tower::{BoxError, Service, ServiceExt};
use wardpost_net::{Accepted, Shutdown, Stream};

/// How long a request's header may take.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a connection may last: long enough for a large upload over a slow line.
const CONNECTION_LIMIT: Duration = Duration::from_secs(30 * 60);
/// How long a connection may go on after shutdown has begun.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// Octets of a request's header.
const MAX_HEADER: u32 = 16 * 1024;

/// The browser's address, as the connection tells it.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) peer: IpAddr,
    /// TLS version and suite, for Received fields.
    pub(crate) tls: Option<String>,
}

pub(crate) async fn https(portal: Arc<Portal>, accepted: Accepted, shutdown: Shutdown) {
    let peer = accepted.peer.ip();
    let stream = match accepted.stream.upgrade_server(&portal.tls, &[]).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, "portal: no TLS");
            return;
        }
    };
    let connection = Connection { peer, tls: stream.tls_info().map(|info| info.to_string()) };
    run(stream, Pages { router: portal.router(), connection }, shutdown).await;
}

pub(crate) async fn http(portal: Arc<Portal>, accepted: Accepted, shutdown: Shutdown) {
    let url = portal.settings.url.clone();
    let router =
        Router::new().fallback(move |request: Request| async move { redirect(&url, &request) });
    let connection = Connection { peer: accepted.peer.ip(), tls: None };
    run(accepted.stream, Pages { router, connection }, shutdown).await;
}

/// Sends a browser that came without TLS to the same page with it. Forms are not taken: what was in
/// them has been sent in clear already, and must not look as if that had been all right.
fn redirect(url: &str, request: &Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return (StatusCode::FORBIDDEN, "This page needs https.\n").into_response();
    }
    let path = request.uri().path();
    let target = if pages::is_plain_path(path) { format!("{url}{path}") } else { url.to_owned() };
    (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, target)]).into_response()
}

async fn run(stream: Stream, pages: Pages, shutdown: Shutdown) {
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
    let serving = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(pages));
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = tokio::time::timeout(CONNECTION_LIMIT, serving.as_mut()) => ended,
        () = shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            tokio::time::timeout(SHUTDOWN_GRACE, serving.as_mut()).await
        }
    };
    if let Ok(Err(error)) = ended {
        tracing::debug!(error, "portal: connection ended");
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

    fn answer(method: Method, uri: &str) -> Response {
        let request = Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
        redirect("https://mail.clinic.test", &request)
    }

    #[test]
    fn clear_text_gets_a_redirect_to_our_own_name_and_nothing_else() {
        let location = |uri| answer(Method::GET, uri).headers()[header::LOCATION].clone();
        assert_eq!(location("http://evil.test/p/abc_-9?x=y"), "https://mail.clinic.test/p/abc_-9");
        assert_eq!(location("http://evil.test//other.test"), "https://mail.clinic.test");
        assert_eq!(location("/%0d%0aX:y"), "https://mail.clinic.test");
        assert_eq!(answer(Method::POST, "/p/abc").status(), StatusCode::FORBIDDEN);
    }
}
