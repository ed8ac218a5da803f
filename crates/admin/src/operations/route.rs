//! How a message would go.

use super::Admin;
use crate::error::Failure;
use crate::views::Answer;
use wardpost_mail::Address;

impl Admin {
    pub(super) async fn route(&self, from: &Address, to: &Address) -> Result<Answer, Failure> {
        Ok(Answer::Route(self.parts.routes.explain(from, to).await))
    }
}
