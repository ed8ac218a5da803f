//! Messages that wait to be picked up.

use super::Admin;
use crate::error::Failure;
use crate::request::ParcelRequest;
use crate::views::{Answer, CodeView, ParcelRow};
use wardpost_parcel::{ParcelId, ParcelView};

impl Admin {
    pub(super) async fn parcel(&self, request: ParcelRequest) -> Result<Answer, Failure> {
        let parcels = &self.parts.parcels;
        match request {
            ParcelRequest::List { sender } => {
                let sender = sender.map(|name| self.find(&name)).transpose()?;
                let found = parcels.list(sender.map(|account| account.id))?;
                Ok(Answer::Parcels(found.into_iter().map(|one| self.parcel_row(one)).collect()))
            }
            ParcelRequest::Show { id } => {
                Ok(Answer::Parcel(self.parcel_row(parcels.show(parse(&id)?)?)))
            }
            ParcelRequest::Code { recipient } => {
                let (code, lost) = parcels.new_code(&recipient).await?;
                tracing::warn!(lost = lost.len(), "new code issued to a parcel recipient");
                let lost = lost.into_iter().map(|one| self.parcel_row(one)).collect();
                Ok(Answer::Code(CodeView { code, lost }))
            }
            ParcelRequest::Unlock { id } => {
                parcels.unlock(parse(&id)?).await?;
                Ok(Answer::Done)
            }
            ParcelRequest::Recall { id } => {
                let recalled = parcels.recall(parse(&id)?).await?;
                tracing::info!(parcel = %recalled.id, "parcel recalled");
                Ok(Answer::Parcel(self.parcel_row(recalled)))
            }
        }
    }

    fn parcel_row(&self, parcel: ParcelView) -> ParcelRow {
        let sender = self.parts.directory.account(parcel.sender).map(|account| account.address);
        ParcelRow::new(parcel, sender)
    }
}

fn parse(id: &str) -> Result<ParcelId, Failure> {
    Ok(id.parse()?)
}
