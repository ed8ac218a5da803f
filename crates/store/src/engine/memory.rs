//! An engine in memory, for tests.

use super::{Change, Engine, EngineError, Visit};
use crate::column::Column;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// Ordered maps, one a column.
#[derive(Default)]
pub(crate) struct MemoryEngine {
    columns: RwLock<[Map; Column::ALL.len()]>,
}

impl Engine for MemoryEngine {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let columns = self.columns.read().unwrap_or_else(PoisonError::into_inner);
        Ok(columns[column.index()].get(key).cloned())
    }

    fn scan(
        &self,
        column: Column,
        prefix: &[u8],
        start_after: Option<&[u8]>,
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<(), EngineError> {
        let start = match start_after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        // Copied before visiting: a visitor may write.
        let found: Vec<(Vec<u8>, Vec<u8>)> = {
            let columns = self.columns.read().unwrap_or_else(PoisonError::into_inner);
            columns[column.index()]
                .range::<[u8], _>((start, Bound::Unbounded))
                .take_while(|(key, _)| key.starts_with(prefix))
                .take(limit)
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        };
        for (key, value) in &found {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, changes: &[Change]) -> Result<(), EngineError> {
        let mut columns = self.columns.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            let map = &mut columns[change.column.index()];
            match &change.value {
                Some(value) => map.insert(change.key.clone(), value.clone()),
                None => map.remove(&change.key),
            };
        }
        Ok(())
    }
}
