//! The pages for staff, given what they work with.

use super::state::State;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use wardpost_config::Config;
use wardpost_directory::{Removal, Way};
use wardpost_health::Examiner;
use wardpost_net::ServerTls;
use wardpost_publish::records::Source;
use wardpost_setup::Done;
use wardpost_staff::{MailPorts, Parts, Profiles, Settings, Staff, Watching};

/// Where the appliance is told to switch itself off (systemd/appliance). On other machines nobody listens.
const POWER: &str = "/run/wardpost-power";

/// The pages for staff.
pub(crate) fn staff(
    config: &Config,
    state: &State,
    tls: &ServerTls,
    examiner: Arc<dyn Examiner>,
    records: Arc<dyn Source>,
    profiles: Arc<dyn Profiles>,
    removal: Arc<dyn Removal>,
) -> Arc<Staff> {
    let parts = Parts {
        directory: state.directory.clone(),
        examiner,
        records,
        tls: tls.clone(),
        profiles: Some(profiles),
        removal,
    };
    Staff::new(settings(config), parts)
}

/// Lets the first administrator in by the last link of the set-up. Failing that, they sign in.
pub(crate) async fn hand_over(state: &State, staff: &Staff, done: &Done) {
    let (address, nobody) = (done.address.to_string(), IpAddr::from(Ipv4Addr::LOCALHOST));
    let login = state.directory.authenticate(&address, &done.password, nobody, Way::Page).await;
    match login {
        Ok(login) => staff.hand_over(&done.token, login),
        Err(error) => tracing::warn!(%error, "the set-up's last link will ask for the password"),
    }
}

fn settings(config: &Config) -> Settings {
    // A person who types them in and a program that asks get the same ones.
    let ports = wardpost_clients::Settings::from_config(config);
    Settings {
        url: config.portal.url.clone(),
        practice: config.practice.name.clone(),
        phone: config.practice.phone.clone(),
        hostname: config.hostname.clone(),
        ports: MailPorts {
            imaps: ports.imaps,
            submissions: ports.submissions,
            submission: ports.submission,
        },
        watching: Watching {
            addresses: config.listen.metrics.clone(),
            token_file: config.metrics.token_file.clone(),
            client_certificates: config.metrics.client_ca.is_some(),
        },
        power: Path::new(POWER).is_dir().then(|| POWER.into()),
    }
}
