//! The pages for staff, given what they work with.

use super::state::State;
use async_trait::async_trait;
use std::net::SocketAddr;
use std::sync::Arc;
use wardpost_config::Config;
use wardpost_directory::{Directory, DirectoryError};
use wardpost_health::Examiner;
use wardpost_mail::AccountId;
use wardpost_mailbox::Mailboxes;
use wardpost_net::ServerTls;
use wardpost_publish::records::Source;
use wardpost_staff::{MailPorts, Parts, Removal, Settings, Staff, Watching};

/// The pages for staff.
pub(crate) fn staff(
    config: &Config,
    state: &State,
    tls: &ServerTls,
    examiner: Arc<dyn Examiner>,
    records: Arc<dyn Source>,
) -> Arc<Staff> {
    let removal =
        Remover { directory: state.directory.clone(), mailboxes: state.mailboxes.clone() };
    let parts = Parts {
        directory: state.directory.clone(),
        examiner,
        records,
        tls: tls.clone(),
        profiles: None,
        removal: Arc::new(removal),
    };
    Staff::new(settings(config), parts)
}

fn settings(config: &Config) -> Settings {
    let port = |addresses: &[SocketAddr]| addresses.first().map(SocketAddr::port);
    Settings {
        url: config.portal.url.clone(),
        practice: config.practice.name.clone(),
        phone: config.practice.phone.clone(),
        hostname: config.hostname.clone(),
        ports: MailPorts {
            imaps: port(&config.listen.imaps),
            submissions: port(&config.listen.submissions),
            submission: port(&config.listen.submission),
        },
        watching: Watching {
            addresses: config.listen.metrics.clone(),
            token_file: config.metrics.token_file.clone(),
            client_certificates: config.metrics.client_ca.is_some(),
        },
    }
}

/// Removes an account, and then its mail.
struct Remover {
    directory: Directory,
    mailboxes: Mailboxes,
}

#[async_trait]
impl Removal for Remover {
    async fn remove(&self, account: AccountId) -> Result<(), DirectoryError> {
        self.directory.remove_account(account).await?;
        // From here on nothing opens the mail any more; deleting it frees the room it takes.
        let deleted = self.mailboxes.remove_account(account).await;
        deleted.map(drop).map_err(|error| DirectoryError::Store(error.to_string()))
    }
}
