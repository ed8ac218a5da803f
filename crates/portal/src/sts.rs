//! Our MTA-STS policy (RFC 8461 §3.3), under the name `mta-sts.` and each of our domains.
//!
//! Under that name there is the policy and nothing else; under any other name there is no policy.

use crate::{Portal, pages};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Where the policy is (RFC 8461 §3.3).
pub(crate) const PATH: &str = "/.well-known/mta-sts.txt";

pub(crate) async fn policy(State(portal): State<Arc<Portal>>) -> Response {
    match &portal.settings.mta_sts {
        Some(policy) => {
            let vouched_for = !portal.tls.certificate().self_issued;
            let text = policy.clone().served(vouched_for).text();
            ([(header::CONTENT_TYPE, "text/plain")], text).into_response()
        }
        None => pages::not_found(&portal),
    }
}
