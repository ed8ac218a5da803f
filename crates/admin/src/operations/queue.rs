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
            QueueRequest::List { after, limit } => {
                let items = queue.list(after, limit.min(MAX_LIST))?;
                Ok(Answer::Queue(items.into_iter().map(QueueItemView::from).collect()))
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
