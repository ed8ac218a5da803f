//! Our MTA-STS policy (RFC 8461 §3.3), under the name `mta-sts.` and each of our domains.
//!
//! Under that name there is the policy and nothing else; under any other name there is no policy.

use crate::{Portal, pages};
use axum::extract::State;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use wardpost_mail::Domain;

/// Where the policy is (RFC 8461 §3.3).
pub(crate) const PATH: &str = "/.well-known/mta-sts.txt";

pub(crate) async fn policy(
    State(portal): State<Arc<Portal>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    match &portal.settings.mta_sts {
        Some(policy) if is_policy_host(&portal, &uri, &headers) => {
            let vouched_for = !portal.tls.certificate().self_issued;
            let text = policy.clone().served(vouched_for).text();
            ([(header::CONTENT_TYPE, "text/plain")], text).into_response()
        }
        _ => pages::not_found(State(portal)).await,
    }
}

/// Whether the request is to the policy host of a domain of ours.
pub(crate) fn is_policy_host(portal: &Portal, uri: &Uri, headers: &HeaderMap) -> bool {
    asked_host(uri, headers)
        .as_deref()
        .and_then(|host| host.strip_prefix("mta-sts."))
        .and_then(|domain| Domain::parse(domain).ok())
        .is_some_and(|domain| portal.directory.is_ours(&domain))
}

/// The host that is asked for: HTTP/2 names it in the request's target, HTTP/1.1 in a field.
fn asked_host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let authority = match uri.authority() {
        Some(authority) => authority.clone(),
        None => Authority::try_from(headers.get(header::HOST)?.as_bytes()).ok()?,
    };
    Some(authority.host().to_ascii_lowercase())
}
