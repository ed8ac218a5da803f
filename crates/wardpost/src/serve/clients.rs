//! Mail programs that set themselves up, and phones that take their settings as a file.

use super::state::State;
use wardpost_clients::{Clients, Person, Settings};
use wardpost_config::Config;
use wardpost_directory::Account;
use wardpost_mail::Secret;
use wardpost_net::ServerTls;
use wardpost_staff::Profiles;

/// What mail programs are told.
pub(crate) fn clients(config: &Config, state: &State, tls: &ServerTls) -> Clients {
    let ours = state.directory.clone();
    Clients::new(Settings::from_config(config), tls, move |domain| ours.is_ours(domain))
}

/// Settings as a file, in the shape that the pages ask for.
pub(crate) struct Files(pub(crate) Clients);

impl Profiles for Files {
    fn profile(&self, account: &Account, app_password: &Secret<String>) -> Option<Secret<Vec<u8>>> {
        let person = Person {
            address: &account.address,
            name: &account.name,
            app_password: Some(app_password),
        };
        self.0
            .profile(&person)
            .map_err(|error| tracing::error!(%error, "a profile for a phone could not be made"))
            .ok()
    }
}
