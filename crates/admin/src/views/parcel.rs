//! Parcels, as shown.

use super::{size_text, table, time_text};
use crate::secret_text;
use serde::{Deserialize, Serialize};
use std::fmt;
use wardpost_mail::{Address, Secret};
use wardpost_parcel::ParcelView;

/// A message that waits to be picked up, without the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParcelRow {
    /// Its name inside the practice; leads to no link.
    pub id: String,
    /// Whose message it is; absent when the account is gone.
    pub sender: Option<Address>,
    /// For whom.
    pub recipient: Address,
    /// When it was made, RFC 3339.
    pub created: String,
    /// When it is deleted, RFC 3339.
    pub expires: String,
    /// `waiting`, `opened`, `answered`, `recalled`, `expired` or `superseded`.
    pub state: String,
    /// When it was opened, oldest first, RFC 3339.
    pub opened: Vec<String>,
    /// How often it was opened.
    pub views: u32,
    /// Wrong codes since the last right one.
    pub wrong_codes: u32,
    /// Locked after too many wrong codes.
    pub locked: bool,
    /// Octets.
    pub size: u64,
}

impl ParcelRow {
    pub(crate) fn new(parcel: ParcelView, sender: Option<Address>) -> Self {
        Self {
            id: parcel.id.to_string(),
            sender,
            recipient: parcel.recipient,
            created: time_text(parcel.created),
            expires: time_text(parcel.expires),
            state: parcel.state.name().to_owned(),
            opened: parcel.opened_at.into_iter().map(time_text).collect(),
            views: parcel.views,
            wrong_codes: parcel.wrong_codes,
            locked: parcel.locked,
            size: parcel.size,
        }
    }

    fn state_text(&self) -> String {
        if self.locked { format!("{} (locked)", self.state) } else { self.state.clone() }
    }
}

pub(super) fn parcels(parcels: &[ParcelRow], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let row = |one: &ParcelRow| {
        let sender = one.sender.as_ref().map(Address::to_string);
        [
            one.id.clone(),
            one.created.clone(),
            sender.unwrap_or_else(|| "(removed)".to_owned()),
            one.recipient.to_string(),
            one.state_text(),
        ]
    };
    let rows: Vec<_> = parcels.iter().map(row).collect();
    table::write(f, ["PARCEL", "MADE", "FROM", "FOR", "STATE"], &rows)
}

impl fmt::Display for ParcelRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "parcel {} ({})", self.id, size_text(self.size))?;
        if let Some(sender) = &self.sender {
            writeln!(f, "  from         {sender}")?;
        }
        writeln!(f, "  for          {}", self.recipient)?;
        writeln!(f, "  made         {}", self.created)?;
        writeln!(f, "  deleted      {}", self.expires)?;
        writeln!(f, "  state        {}", self.state_text())?;
        writeln!(f, "  wrong codes  {}", self.wrong_codes)?;
        self.opened.iter().try_for_each(|time| writeln!(f, "  opened       {time}"))
    }
}

/// A new code, seen this once, and what it costs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CodeView {
    /// The code.
    #[serde(with = "secret_text")]
    pub code: Secret<String>,
    /// Parcels that cannot be opened any more: they have to be sent again.
    pub lost: Vec<ParcelRow>,
}

impl fmt::Display for CodeView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.code.expose())?;
        if self.lost.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nThese were sealed to the old code and have to be sent again:")?;
        parcels(&self.lost, f)
    }
}
