//! Accounts, aliases and app passwords, as shown.

use super::{table, unix_text};
use crate::secret_text;
use serde::{Deserialize, Serialize};
use std::fmt;
use wardpost_directory::{Account, AppPassword};
use wardpost_mail::{AccountId, Address, Secret};

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountView {
    /// Its number, which logs and metrics name it by.
    pub id: AccountId,
    /// Its address.
    pub address: Address,
    /// The name shown to people.
    pub name: String,
    /// When it was made, RFC 3339.
    pub created: String,
    /// Other addresses that reach it.
    pub aliases: Vec<Address>,
    /// How many app passwords it has.
    pub app_passwords: usize,
    /// Whether this person may look after the box.
    #[serde(default)]
    pub administrator: bool,
    /// Whether pages ask for a code from an authenticator app, too.
    #[serde(default)]
    pub second_factor: bool,
}

impl AccountView {
    pub(crate) fn new(account: &Account, aliases: Vec<Address>, app_passwords: usize) -> Self {
        Self {
            id: account.id,
            address: account.address.clone(),
            name: account.name.clone(),
            created: unix_text(account.created),
            aliases,
            app_passwords,
            administrator: account.administrator,
            second_factor: account.second_factor,
        }
    }
}

impl fmt::Display for AccountView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.address)?;
        if !self.name.is_empty() {
            writeln!(f, "  name           {}", self.name)?;
        }
        writeln!(f, "  number         {}", self.id)?;
        writeln!(f, "  made           {}", self.created)?;
        writeln!(f, "  app passwords  {}", self.app_passwords)?;
        let yes_no = |yes| if yes { "yes" } else { "no" };
        writeln!(f, "  administrator  {}", yes_no(self.administrator))?;
        writeln!(f, "  second factor  {}", yes_no(self.second_factor))?;
        self.aliases.iter().try_for_each(|alias| writeln!(f, "  also reached   {alias}"))
    }
}

pub(super) fn accounts(accounts: &[AccountView], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let rows: Vec<_> = accounts
        .iter()
        .map(|one| [one.id.to_string(), one.address.to_string(), one.name.clone()])
        .collect();
    table::write(f, ["NUMBER", "ADDRESS", "NAME"], &rows)
}

/// An app password, without the password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppPasswordView {
    /// Its number within the account.
    pub slot: u32,
    /// What it is called.
    pub label: String,
    /// When it was made, RFC 3339.
    pub created: String,
}

impl From<AppPassword> for AppPasswordView {
    fn from(one: AppPassword) -> Self {
        Self { slot: one.slot, label: one.label, created: unix_text(one.created) }
    }
}

pub(super) fn app_passwords(list: &[AppPasswordView], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let rows: Vec<_> = list
        .iter()
        .map(|one| [one.slot.to_string(), one.created.clone(), one.label.clone()])
        .collect();
    table::write(f, ["NUMBER", "MADE", "LABEL"], &rows)
}

/// A secret that was made and is kept nowhere: whoever asked sees it this once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MadeSecret {
    /// The secret.
    #[serde(with = "secret_text")]
    pub secret: Secret<String>,
}

/// Only the secret, so that a script can take it as it is.
impl fmt::Display for MadeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.secret.expose())
    }
}

/// An alias.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasView {
    /// The address.
    pub address: Address,
    /// Whom it reaches.
    pub targets: Vec<Address>,
}

pub(super) fn aliases(aliases: &[AliasView], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let row = |one: &AliasView| {
        let targets: Vec<_> = one.targets.iter().map(Address::to_string).collect();
        [one.address.to_string(), targets.join(", ")]
    };
    table::write(f, ["ALIAS", "REACHES"], &aliases.iter().map(row).collect::<Vec<_>>())
}
