//! A set of changes that happens as a whole or not at all.

use crate::column::Column;

/// Changes and preconditions; see [`Store::submit`](crate::Store::submit).
#[derive(Default)]
pub struct Batch {
    pub(crate) changes: Vec<(Column, Vec<u8>, Option<Vec<u8>>)>,
    pub(crate) conditions: Vec<(Column, Vec<u8>, Option<Vec<u8>>)>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a value.
    pub fn put(
        &mut self,
        column: Column,
        key: impl Into<Vec<u8>>,
        value: impl AsRef<[u8]>,
    ) -> &mut Self {
        self.changes.push((column, key.into(), Some(value.as_ref().to_vec())));
        self
    }

    /// Removes a value; no error when there is none.
    pub fn delete(&mut self, column: Column, key: impl Into<Vec<u8>>) -> &mut Self {
        self.changes.push((column, key.into(), None));
        self
    }

    /// The batch is refused as [`Conflict`](crate::CommitError::Conflict) when the key has a value.
    pub fn require_absent(&mut self, column: Column, key: impl Into<Vec<u8>>) -> &mut Self {
        self.conditions.push((column, key.into(), None));
        self
    }

    /// The batch is refused as [`Conflict`](crate::CommitError::Conflict) unless the key has this
    /// very value.
    pub fn require_value(
        &mut self,
        column: Column,
        key: impl Into<Vec<u8>>,
        expected: impl AsRef<[u8]>,
    ) -> &mut Self {
        self.conditions.push((column, key.into(), Some(expected.as_ref().to_vec())));
        self
    }

    /// Adds all that another batch holds: both happen as one, or neither.
    pub fn append(&mut self, other: Self) -> &mut Self {
        self.changes.extend(other.changes);
        self.conditions.extend(other.conditions);
        self
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.conditions.is_empty()
    }
}
