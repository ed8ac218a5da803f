//! Who is kept out for want of TLS, and exceptions.

use super::Admin;
use crate::error::{Failure, FailureKind};
use crate::request::ExceptionRequest;
use crate::views::{Answer, CleartextView, ExceptionView};
use wardpost_config::CleartextException;

impl Admin {
    /// Who came without TLS within so many days.
    pub(super) fn cleartext_report(&self, days: u16) -> Answer {
        let wall = &self.parts.wall;
        Answer::Cleartext(CleartextView::new(days, wall.visitors(days)))
    }

    pub(super) async fn exception(&self, request: ExceptionRequest) -> Result<Answer, Failure> {
        let wall = &self.parts.wall;
        match request {
            ExceptionRequest::Add { who, days, reason } => {
                let made = wall.except(read(&who)?, days, &reason).await?;
                tracing::info!(days, "exception from TLS made");
                Ok(Answer::Exceptions(vec![ExceptionView::new(&made)]))
            }
            ExceptionRequest::List => {
                let all = wall.exceptions();
                Ok(Answer::Exceptions(all.iter().map(ExceptionView::new).collect()))
            }
            ExceptionRequest::Remove { who } => {
                wall.revoke(&read(&who)?).await?;
                tracing::info!("exception from TLS taken back");
                Ok(Answer::Done)
            }
        }
    }
}

fn read(who: &str) -> Result<CleartextException, Failure> {
    CleartextException::parse(who)
        .map_err(|error| Failure::new(FailureKind::BadRequest, error.to_string()))
}
