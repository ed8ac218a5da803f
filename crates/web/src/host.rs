//! Which host name a request is for.

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};

/// The host that is asked for, in lower case and without a port: HTTP/2 names it in the request's
/// target, HTTP/1.1 in a field.
pub fn asked_host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let authority = match uri.authority() {
        Some(authority) => authority.clone(),
        None => Authority::try_from(headers.get(header::HOST)?.as_bytes()).ok()?,
    };
    Some(authority.host().to_ascii_lowercase())
}
