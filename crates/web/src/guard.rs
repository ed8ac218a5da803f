//! What holds for every page: who may send forms, and what browsers are told.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::response::Response;

/// What pages may do: show our own style, and send forms to us. No script, no picture, no frame but
/// our own, and nobody may frame us.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; \
     frame-src 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The same, and our own script files.
const SCRIPT_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

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

/// Lets a page use our own script files, such as `/copy.js`.
pub fn with_script(mut response: Response) -> Response {
    let policy = HeaderValue::from_static(SCRIPT_POLICY);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

/// Whether a form was sent by another site's page. Browsers say so in `Sec-Fetch-Site`; `Origin` tells
/// nothing here, because our own Referrer-Policy makes it `null`.
pub(crate) fn from_elsewhere(method: &Method, headers: &HeaderMap) -> bool {
    let safe = matches!(*method, Method::GET | Method::HEAD);
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    !safe && site.is_some_and(|site| site != b"same-origin" && site != b"none")
}

/// Adds what every response carries; a response that brings its own policy keeps it.
pub(crate) fn secure(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(PAGE_POLICY));
}

#[cfg(test)]
mod tests {
    use super::*;

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
