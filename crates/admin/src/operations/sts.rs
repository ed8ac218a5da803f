//! Other domains' MTA-STS policies.

use super::Admin;
use crate::error::Failure;
use crate::request::StsRequest;
use crate::views::{Answer, StsPolicyView};

impl Admin {
    pub(super) fn sts(&self, request: &StsRequest) -> Result<Answer, Failure> {
        match request {
            StsRequest::List => {
                let kept = self.parts.policies.list().map_err(Failure::failed)?;
                Ok(Answer::StsPolicies(kept.into_iter().map(StsPolicyView::from).collect()))
            }
        }
    }
}
