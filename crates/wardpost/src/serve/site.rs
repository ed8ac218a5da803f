//! The web site, put together from the roles that have pages.

use super::roles::Roles;
use super::state::State;
use crate::failure::Failure;
use std::sync::Arc;
use wardpost_config::Config;
use wardpost_net::ServerTls;
use wardpost_portal::Portal;
use wardpost_web::{Redirects, Shell, Site};

/// The pages on the HTTPS port, and what the HTTP port answers.
pub(crate) fn site(
    config: &Config,
    state: &State,
    tls: &ServerTls,
    roles: &Roles,
) -> Result<Arc<Site>, Failure> {
    let shell = Shell::new(&config.practice.name, config.practice.phone.as_deref());
    let ours = state.directory.clone();
    let site = Site::builder(shell, Redirects::To(config.portal.url.clone()))
        .domains(move |domain| ours.is_ours(domain))
        .pages(roles.portal.router(), Portal::page_name)
        .host("mta-sts", roles.portal.policy_router())
        .build(tls)
        .map_err(Failure::from_error)?;
    site.register(&roles.registry).map_err(Failure::from_error)?;
    Ok(site)
}
