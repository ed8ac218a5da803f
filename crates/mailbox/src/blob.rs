//! Bodies, and how many messages share each.
//!
//! A body is written in the batch that adds its first messages and removed in the batch that removes
//! the last. The count of sharers is kept beside it (no count means one). Whoever changes a count
//! names, as a precondition of the batch, the count it saw; when another batch came first, the store
//! refuses and the operation is done again from the start. So counts are right after any crash, and no
//! lock is held over accounts.

use std::collections::HashMap;

use wardpost_store::{Batch, Column, Store};

use crate::error::MailboxError;
use crate::layout::{BlobId, body_key, shares_key};
use crate::records::{decode, encode};

/// How often an operation is done anew when others change the same counts.
pub(crate) const ATTEMPTS: usize = 40;

/// Changes in the number of sharers, gathered for one batch.
#[derive(Debug, Default)]
pub(crate) struct Shares(HashMap<BlobId, i64>);

impl Shares {
    /// One more message has this body.
    pub(crate) fn gain(&mut self, blob: BlobId) {
        *self.0.entry(blob).or_default() += 1;
    }

    /// One message less has this body.
    pub(crate) fn lose(&mut self, blob: BlobId) {
        *self.0.entry(blob).or_default() -= 1;
    }

    /// Writes the new counts, with what they rest upon, into the batch; bodies nobody has any more
    /// are deleted.
    pub(crate) fn write(self, store: &Store, batch: &mut Batch) -> Result<(), MailboxError> {
        for (blob, change) in self.0.into_iter().filter(|(_, change)| *change != 0) {
            let key = shares_key(&blob);
            let kept = store.get(Column::Message, &key)?;
            let before = match &kept {
                Some(bytes) => {
                    batch.require_value(Column::Message, key.clone(), bytes);
                    decode::<u32>(bytes, "shares")?
                }
                None => {
                    batch.require_absent(Column::Message, key.clone());
                    1
                }
            };
            let after = i64::from(before) + change;
            match after {
                ..=0 => {
                    batch.delete(Column::Message, body_key(&blob));
                    batch.delete(Column::Message, key);
                }
                1 => {
                    batch.delete(Column::Message, key);
                }
                _ => write_count(batch, &blob, after as u32),
            }
        }
        Ok(())
    }
}

/// Sets the count of a body.
pub(crate) fn write_count(batch: &mut Batch, blob: &BlobId, count: u32) {
    batch.put(Column::Message, shares_key(blob), encode(&count));
}
