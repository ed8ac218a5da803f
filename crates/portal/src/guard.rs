//! What holds for every page: who may send forms, what browsers are told, what is counted.

use crate::{Portal, pages, sts};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use std::sync::Arc;

/// What pages may do: show our own style, and send forms to us. No script, no picture, no frame but
/// our own, and nobody may frame us.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; \
     frame-src 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Sent with everything.
const HEADERS: [(HeaderName, &str); 9] = [
    (header::REFERRER_POLICY, "no-referrer"),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=63072000"),
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("origin-agent-cluster"), "?1"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
    (HeaderName::from_static("x-robots-tag"), "noindex, nofollow, noarchive"),
];

/// Wraps every request.
pub(crate) async fn around(
    State(portal): State<Arc<Portal>>,
    request: Request,
    next: Next,
) -> Response {
    let page = page_name(request.uri().path());
    let mut response = if from_elsewhere(request.method(), request.headers()) {
        pages::refused(&portal)
    } else if request.uri().path() != sts::PATH
        && sts::is_policy_host(&portal, request.uri(), request.headers())
    {
        pages::not_found(State(Arc::clone(&portal))).await
    } else {
        next.run(request).await
    };
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
        response = pages::too_large(&portal);
    }
    secure(response.headers_mut());
    let status = response.status();
    portal.metrics.requests.with_label_values(&[page, status.as_str()]).inc();
    response
}

/// Whether a form was sent by another site's page. Browsers say so in `Sec-Fetch-Site`; `Origin` tells
/// nothing here, because our own Referrer-Policy makes it `null`.
fn from_elsewhere(method: &Method, headers: &HeaderMap) -> bool {
    let safe = matches!(*method, Method::GET | Method::HEAD);
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    !safe && site.is_some_and(|site| site != b"same-origin" && site != b"none")
}

/// Adds what every response carries; a response that brings its own policy keeps it.
fn secure(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(PAGE_POLICY));
}

/// A page's name for metrics: the route, without what stands in it.
fn page_name(path: &str) -> &'static str {
    let mut segments = path.split('/').skip(1);
    match (segments.next(), segments.next(), segments.next()) {
        (Some(""), None, None) => "landing",
        (Some("p"), Some(_), None) => "link",
        (Some("m"), Some(_), None) => "message",
        (Some("m"), Some(_), Some("formatted")) => "formatted",
        (Some("m"), Some(_), Some("file")) => "file",
        (Some("m"), Some(_), Some("answer" | "sent")) => "answer",
        (Some("m"), Some(_), Some("password")) => "password",
        (Some("m"), Some(_), Some("leave")) | (Some("left"), None, None) => "leave",
        (Some("write"), None, None) => "write",
        (Some("style.css"), None, None) => "style",
        (Some(".well-known"), Some("mta-sts.txt"), None) => "mta-sts",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_names_hold_nothing_from_the_path() {
        assert_eq!(page_name("/"), "landing");
        assert_eq!(page_name("/p/secret-token"), "link");
        assert_eq!(page_name("/m/x/file/3"), "file");
        assert_eq!(page_name("/anything/else"), "other");
        assert_eq!(page_name(""), "other");
    }

    #[test]
    fn only_forms_from_our_own_pages_count() {
        let with = |site: &'static str| {
            HeaderMap::from_iter([(
                HeaderName::from_static("sec-fetch-site"),
                HeaderValue::from_static(site),
            )])
        };
        assert!(from_elsewhere(&Method::POST, &with("cross-site")));
        assert!(from_elsewhere(&Method::POST, &with("same-site")));
        assert!(!from_elsewhere(&Method::POST, &with("same-origin")));
        assert!(!from_elsewhere(&Method::GET, &with("cross-site")));
        assert!(!from_elsewhere(&Method::POST, &HeaderMap::new()), "old browsers send nothing");
    }
}
