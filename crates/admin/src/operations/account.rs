//! Accounts and app passwords.

use super::Admin;
use crate::error::Failure;
use crate::request::{AccountRequest, AppPasswordRequest};
use crate::views::{AccountView, Answer, AppPasswordView, MadeSecret};
use wardpost_directory::{Account, NewAccount, Removed};

impl Admin {
    pub(super) async fn account(&self, request: AccountRequest) -> Result<Answer, Failure> {
        match request {
            AccountRequest::Add { address, name, password, administrator } => {
                self.add_account(NewAccount { address, name, password, administrator }).await
            }
            AccountRequest::List => {
                let accounts = self.parts.directory.accounts();
                Ok(Answer::Accounts(accounts.iter().map(|one| self.account_view(one)).collect()))
            }
            AccountRequest::Show { account } => {
                let account = self.find(&account)?;
                Ok(Answer::Account(self.account_view(&account)))
            }
            AccountRequest::Remove { account } => self.remove_account(&account).await,
            AccountRequest::Passwd { account, current, new } => {
                let id = self.find(&account)?.id;
                self.parts.directory.change_password_with(id, &current, &new).await?;
                Ok(Answer::Done)
            }
            AccountRequest::Recover { account, kit, new } => {
                let id = self.find(&account)?.id;
                self.parts.directory.reset_with_recovery(id, &kit, &new).await?;
                tracing::warn!(account = %id, "password set with the recovery kit");
                Ok(Answer::Done)
            }
            AccountRequest::Administrator { account, administrator } => {
                let id = self.find(&account)?.id;
                self.parts.directory.set_administrator(id, administrator).await?;
                Ok(Answer::Done)
            }
            AccountRequest::RemoveSecondFactor { account } => {
                let id = self.find(&account)?.id;
                self.parts.directory.set_second_factor(id, None).await?;
                tracing::warn!(account = %id, "second factor removed by command");
                Ok(Answer::Done)
            }
            AccountRequest::AppPassword(request) => self.app_password(request).await,
        }
    }

    async fn add_account(&self, new: NewAccount) -> Result<Answer, Failure> {
        self.initialise().await?;
        let id = self.parts.directory.add_account(new).await?;
        let account = self.parts.directory.account(id);
        let account = account.ok_or_else(|| Failure::failed("the account vanished again"))?;
        Ok(Answer::Account(self.account_view(&account)))
    }

    async fn remove_account(&self, name: &str) -> Result<Answer, Failure> {
        let id = self.find(name)?.id;
        match self.parts.removal.remove(id).await? {
            Removed::Everything => Ok(Answer::Done),
            Removed::ButItsMail => Err(Failure::failed(
                "the account is removed and nobody can open its mail any more, but the mail could not be \
                 deleted just now and still takes its space; the daemon tries again every few minutes",
            )),
        }
    }

    async fn app_password(&self, request: AppPasswordRequest) -> Result<Answer, Failure> {
        let directory = &self.parts.directory;
        match request {
            AppPasswordRequest::Add { account, label, password } => {
                let id = self.find(&account)?.id;
                let unlocked = directory.unlock(id, &password).await?;
                let secret = directory.add_app_password(id, &unlocked, &label).await?;
                Ok(Answer::AppPassword(MadeSecret { secret }))
            }
            AppPasswordRequest::List { account } => {
                let id = self.find(&account)?.id;
                let slots = directory.app_passwords(id);
                Ok(Answer::AppPasswords(slots.into_iter().map(AppPasswordView::from).collect()))
            }
            AppPasswordRequest::Remove { account, slot } => {
                let id = self.find(&account)?.id;
                directory.remove_app_password(id, slot).await?;
                Ok(Answer::Done)
            }
        }
    }

    fn account_view(&self, account: &Account) -> AccountView {
        let aliases = self.parts.directory.aliases().into_iter();
        let reaching = aliases.filter(|alias| alias.targets.contains(&account.id));
        let app_passwords = self.parts.directory.app_passwords(account.id);
        AccountView::new(
            account,
            reaching.map(|alias| alias.address).collect(),
            app_passwords.len(),
        )
    }
}
