//! Mail that waits to go out.

use super::Admin;
use crate::error::Failure;
use crate::request::QueueRequest;
use crate::views::{Answer, QueueItemView};

/// Most items in one list.
const MAX_LIST: usize = 10_000;

impl Admin {
    pub(super) async fn queue(&self, request: QueueRequest) -> Result<Answer, Failure> {
        let queue = &self.parts.queue;
        match request {
            QueueRequest::List { after, limit, ended } => {
                let limit = limit.min(MAX_LIST);
                let items = match ended {
                    true => queue.list_ended(after, limit)?,
                    false => queue.list(after, limit)?,
                };
                let rows = items.into_iter().map(|item| QueueItemView::from(item).for_list());
                Ok(Answer::Queue(rows.collect()))
            }
            QueueRequest::Show { id } => Ok(Answer::QueueItem(queue.show(id)?.into())),
            QueueRequest::Retry { id } => {
                queue.retry(id)?;
                tracing::info!(item = %id, "retry asked for");
                Ok(Answer::Done)
            }
            QueueRequest::Drop { id } => {
                queue.drop_item(id).await?;
                tracing::warn!(item = %id, "item dropped from the queue");
                Ok(Answer::Done)
            }
        }
    }
}
