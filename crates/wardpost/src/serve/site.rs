//! The web site, put together from the roles that have pages.

use super::roles::Roles;
use super::state::State;
use crate::failure::Failure;
use axum::Router;
use std::sync::Arc;
use wardpost_acme::Acme;
use wardpost_clients::Clients;
use wardpost_config::Config;
use wardpost_net::ServerTls;
use wardpost_portal::Portal;
use wardpost_setup::SetUp;
use wardpost_staff::Staff;
use wardpost_web::{Redirects, Shell, Site};

/// The pages on the HTTPS port, and what the HTTP port answers.
pub(crate) fn site(
    config: &Config,
    state: &State,
    tls: &ServerTls,
    roles: &Roles,
    staff: &Arc<Staff>,
    clients: &Clients,
    acme: Option<&Acme>,
) -> Result<Arc<Site>, Failure> {
    let shell = Shell::new(&config.practice.name, config.practice.phone.as_deref());
    let ours = state.directory.clone();
    // What an authority asks to know that our names are ours.
    let (asked, tls) = match acme {
        Some(acme) => (acme.http_router(), tls.answering(acme.challenges())),
        None => (Router::new(), tls.clone()),
    };
    let site = Site::builder(shell.clone(), Redirects::To(config.portal.url.clone()))
        .domains(move |domain| ours.is_ours(domain))
        .pages(roles.portal.router(), Portal::page_name)
        .pages(staff.router(), Staff::page_name)
        .pages(clients.router(), Clients::page_name)
        .pages(SetUp::afterwards(shell), SetUp::page_name)
        .host("mta-sts", roles.portal.policy_router())
        .host("autoconfig", clients.autoconfig_router())
        .host("autodiscover", clients.autodiscover_router())
        .clear(asked)
        .build(&tls)
        .map_err(Failure::from_error)?;
    site.register(&roles.registry).map_err(Failure::from_error)?;
    staff.register(&roles.registry).map_err(Failure::from_error)?;
    Ok(site)
}
