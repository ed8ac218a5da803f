//! Aliases.

use super::Admin;
use crate::error::Failure;
use crate::request::AliasRequest;
use crate::views::{AliasView, Answer};
use wardpost_directory::Alias;

impl Admin {
    pub(super) async fn alias(&self, request: AliasRequest) -> Result<Answer, Failure> {
        let directory = &self.parts.directory;
        match request {
            AliasRequest::Add { address, targets } => {
                let found: Result<Vec<_>, _> =
                    targets.iter().map(|name| self.find(name).map(|account| account.id)).collect();
                directory.add_alias(&address, found?).await?;
                tracing::info!("alias set");
                Ok(Answer::Done)
            }
            AliasRequest::List => {
                let aliases = directory.aliases();
                Ok(Answer::Aliases(aliases.iter().map(|one| self.alias_view(one)).collect()))
            }
            AliasRequest::Remove { address } => {
                directory.remove_alias(&address).await?;
                tracing::info!("alias removed");
                Ok(Answer::Done)
            }
        }
    }

    fn alias_view(&self, alias: &Alias) -> AliasView {
        let accounts = alias.targets.iter().filter_map(|id| self.parts.directory.account(*id));
        AliasView {
            address: alias.address.clone(),
            targets: accounts.map(|account| account.address).collect(),
        }
    }
}
