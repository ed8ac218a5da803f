//! RocksDB, set up for a small box and for values that are ciphertext already.

use super::segments::{Appender, Files, Pointer, Segments};
use super::{Change, Engine, EngineError, Visit};
use crate::column::Column;
use rocksdb::{
    BlockBasedOptions, BoundColumnFamily, Cache, ColumnFamilyDescriptor, DB, DBCompressionType,
    DBRecoveryMode, IteratorMode, LogLevel, Options, PrefixRange, ReadOptions, WriteBatch,
    WriteBufferManager, WriteOptions,
};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

const MIB: usize = 1 << 20;
/// What RocksDB may keep in memory: blocks of tables, their indexes and filters, and unflushed
/// writes, for which cached blocks make room.
const MEMORY: usize = 20 * MIB;
/// All unflushed writes together; also bounds what a restart has to replay.
const WRITE_BUFFERS: usize = 10 * MIB;
/// Values from this size on live in blob files and are not rewritten by each compaction.
const MIN_BLOB: u64 = 4096;
/// A write that removes something and writes no more than this makes room.
const BESIDES_REMOVING: usize = 64 * 1024;
/// Values from this size on are kept in [`Segments`], beside the database.
const LARGE: usize = 128 * 1024;
/// In a write with much in it, values from this size on: writing them once is worth a second sync.
const LARGE_AMONG_MANY: usize = 32 * 1024;
/// How much that is.
const MUCH: usize = 128 * 1024;
/// The column family of what points into the segments.
const POINTERS: &str = "values";
/// How much is moved in one piece of tidying up.
const MOVED_AT_ONCE: u64 = 4 * MIB as u64;

/// The last byte of what is kept under a key: before it comes the value itself.
const INLINE: u8 = 0;
/// Before it comes a [`Pointer`].
const POINTER: u8 = 1;

/// RocksDB with one column family a column, and large values beside it.
pub(crate) struct RocksEngine {
    db: DB,
    path: PathBuf,
    synced: WriteOptions,
    reserve: u64,
    segments: Segments,
    writing: Mutex<Writing>,
}

/// What only the one who writes needs.
struct Writing {
    appender: Appender,
    /// Files that could not be tidied up; not tried again before a restart.
    stuck: Vec<[u8; 8]>,
    untidy: bool,
}

/// A write being put together.
#[derive(Default)]
struct Draft<'c> {
    batch: WriteBatch,
    placed: Vec<Pointer>,
    freed: Vec<Pointer>,
    /// What the keys changed so far point to.
    now: HashMap<(Column, &'c [u8]), Option<Pointer>>,
    scratch: Vec<u8>,
    /// From which size on values are large.
    large: usize,
}

impl RocksEngine {
    /// Opens or makes the database; keeps `reserve` bytes of the disk free.
    pub(crate) fn open(path: &Path, reserve: u64) -> Result<Self, String> {
        let cache = Cache::new_lru_cache(MEMORY);
        let names = Column::ALL.iter().map(|column| column.name()).chain([POINTERS]);
        let families = names.map(|name| ColumnFamilyDescriptor::new(name, column_options(&cache)));
        let db = DB::open_cf_descriptors(&database_options(&cache), path, families)
            .map_err(rocksdb::Error::into_string)?;
        let mut synced = WriteOptions::default();
        synced.set_sync(true);
        let (segments, appender) = open_segments(&db, path)?;
        let writing = Writing { appender, stuck: Vec::new(), untidy: true };
        let path = path.to_owned();
        Ok(Self { db, path, synced, reserve, segments, writing: Mutex::new(writing) })
    }

    fn family(&self, column: Column) -> Result<Arc<BoundColumnFamily<'_>>, EngineError> {
        self.family_named(column.name())
    }

    fn family_named(&self, name: &str) -> Result<Arc<BoundColumnFamily<'_>>, EngineError> {
        self.db
            .cf_handle(name)
            .ok_or_else(|| EngineError::Failed(format!("column {name} is missing")))
    }

    /// What a key points to now.
    fn pointer(&self, column: Column, key: &[u8]) -> Result<Option<Pointer>, EngineError> {
        let kept = self.db.get_pinned_cf(&self.family(column)?, key).map_err(failed)?;
        match kept.as_deref().map(kind).transpose()? {
            Some(Kept::Pointer(pointer)) => Ok(Some(pointer)),
            Some(Kept::Inline(_)) | None => Ok(None),
        }
    }

    /// Adds one change; a large value is written into its file, not synced yet.
    fn draft<'c>(
        &self,
        draft: &mut Draft<'c>,
        appender: &mut Appender,
        change: &'c Change,
    ) -> Result<(), EngineError> {
        let Change { column, key, value } = change;
        let family = self.family(*column)?;
        let mut pointer = None;
        if holds_large(*column) {
            let before = match draft.now.get(&(*column, key.as_slice())) {
                Some(before) => *before,
                None => self.pointer(*column, key)?,
            };
            let index = self.family_named(POINTERS)?;
            if let Some(before) = before {
                draft.batch.delete_cf(&index, before.index_key());
                draft.freed.push(before);
            }
            if let Some(value) = value.as_ref().filter(|value| value.len() >= draft.large) {
                let placed = appender.append(&self.segments, value)?;
                draft.batch.put_cf(&index, placed.index_key(), placed.index_value(*column, key));
                draft.placed.push(placed);
                pointer = Some(placed);
            }
            draft.now.insert((*column, key), pointer);
        }
        match (value, pointer) {
            (_, Some(pointer)) => draft.batch.put_cf(&family, key, tagged(pointer)),
            (Some(value), None) => {
                draft.scratch.clear();
                draft.scratch.extend_from_slice(value);
                draft.scratch.push(INLINE);
                draft.batch.put_cf(&family, key, &draft.scratch);
            }
            (None, None) => draft.batch.delete_cf(&family, key),
        }
        Ok(())
    }

    /// Syncs the large values, then writes and syncs what points to them.
    fn commit(&self, writing: &mut Writing, draft: Draft<'_>) -> Result<(), EngineError> {
        if !draft.placed.is_empty() {
            writing.appender.sync(&self.segments)?;
        }
        let Draft { batch, placed, mut freed, .. } = draft;
        let written = self.db.write_opt(batch, &self.synced).map_err(failed);
        if written.is_err() {
            // After a failed sync the batch may yet be found at the next start. Until then what it
            // points to, and what it no longer points to, stays.
            freed.clear();
        }
        if !placed.is_empty() || !freed.is_empty() {
            writing.untidy |= writing.appender.account(&self.segments, &placed, &freed);
        }
        written
    }

    /// Moves some values out of a file that is mostly dead weight; the last one takes the file along.
    /// False: nothing points there.
    fn empty(&self, writing: &mut Writing, file: &[u8; 8]) -> Result<bool, EngineError> {
        let index = self.family_named(POINTERS)?;
        let mut draft = Draft::default();
        let mut moved = 0;
        let mut options = ReadOptions::default();
        options.set_iterate_range(PrefixRange(&file[..]));
        for entry in self.db.iterator_cf_opt(&index, options, IteratorMode::Start) {
            let (key, entry) = entry.map_err(failed)?;
            let (old, column, owner) =
                Pointer::from_index(&key, &entry).ok_or_else(|| broken("an index entry"))?;
            if self.pointer(column, &owner)? == Some(old) {
                let value = self.segments.hold().read(old)?;
                let new = writing.appender.append(&self.segments, &value)?;
                draft.batch.put_cf(&self.family(column)?, &owner, tagged(new));
                draft.batch.put_cf(&index, new.index_key(), new.index_value(column, &owner));
                draft.placed.push(new);
            }
            draft.batch.delete_cf(&index, &key);
            draft.freed.push(old);
            moved += old.len();
            if moved >= MOVED_AT_ONCE {
                break;
            }
        }
        let found = !draft.freed.is_empty();
        if found {
            self.commit(writing, draft)?;
        }
        Ok(found)
    }

    /// Refuses a write that would eat into the reserve.
    fn check_space(&self, changes: &[Change]) -> Result<(), EngineError> {
        if self.reserve == 0 {
            return Ok(());
        }
        let Ok(stat) = rustix::fs::statvfs(&self.path) else { return Ok(()) };
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free < needed(changes, self.reserve) { Err(EngineError::Full) } else { Ok(()) }
    }
}

/// How much space must be free for a write. Removing takes space too, before it gives any, and mostly
/// writes a little besides (counters, who is gone): a part of the reserve is for that, or nobody could
/// make room on a full disk.
fn needed(changes: &[Change], reserve: u64) -> u64 {
    let removes = changes.iter().any(|change| change.value.is_none());
    let written: usize = changes.iter().filter(|c| c.value.is_some()).map(Change::size).sum();
    let reserve = if removes && written <= BESIDES_REMOVING { reserve / 4 } else { reserve };
    let size: usize = changes.iter().map(Change::size).sum();
    reserve.saturating_add(size as u64)
}

impl Engine for RocksEngine {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        // Held until the database has answered: so the file that the answer points to is among these.
        let held = self.segments.hold();
        let kept = self.db.get_cf(&self.family(column)?, key).map_err(failed)?;
        let files = Arc::clone(&held);
        drop(held);
        let Some(mut kept) = kept else { return Ok(None) };
        match kind(&kept)? {
            Kept::Pointer(pointer) => files.read(pointer).map(Some),
            Kept::Inline(_) => {
                kept.pop();
                Ok(Some(kept))
            }
        }
    }

    fn scan(
        &self,
        column: Column,
        prefix: &[u8],
        start_after: Option<&[u8]>,
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<(), EngineError> {
        let mut options = ReadOptions::default();
        options.set_iterate_range(PrefixRange(prefix));
        // A walk through a mailbox must not push everything else out of the small cache.
        options.fill_cache(limit < 1000);
        let held = self.segments.hold();
        let mut entries = self.db.raw_iterator_cf_opt(&self.family(column)?, options);
        let files = Arc::clone(&held);
        drop(held);
        match start_after {
            Some(after) if after >= prefix => {
                entries.seek(after);
                if entries.key() == Some(after) {
                    entries.next();
                }
            }
            _ => entries.seek(prefix),
        }
        for _ in 0..limit {
            let Some((key, kept)) = entries.item() else { break };
            if visit(key, &resolve(kept, &files)?).is_break() {
                break;
            }
            entries.next();
        }
        entries.status().map_err(failed)
    }

    fn write(&self, changes: &[Change]) -> Result<(), EngineError> {
        self.check_space(changes)?;
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let size: usize = changes.iter().map(Change::size).sum();
        let large = if size < MUCH { LARGE } else { LARGE_AMONG_MANY };
        let mut draft = Draft { large, ..Draft::default() };
        for change in changes {
            self.draft(&mut draft, &mut writing.appender, change)?;
        }
        self.commit(&mut writing, draft)
    }

    fn tidy(&self) -> bool {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let writing = &mut *writing;
        if !writing.untidy {
            return false;
        }
        let Some(file) = writing.appender.mostly_dead(&self.segments, &writing.stuck) else {
            writing.untidy = false;
            return false;
        };
        match self.empty(writing, &file) {
            Ok(true) => {}
            Ok(false) => writing.stuck.push(file),
            Err(error) => {
                tracing::error!(?error, "a file of large values cannot be tidied up");
                writing.stuck.push(file);
            }
        }
        true
    }
}

/// Columns that have large values. For these the writer looks what a key pointed to before.
fn holds_large(column: Column) -> bool {
    matches!(column, Column::Message | Column::Queue | Column::Parcel)
}

/// What is kept under a key.
enum Kept<'k> {
    Inline(&'k [u8]),
    Pointer(Pointer),
}

fn kind(kept: &[u8]) -> Result<Kept<'_>, EngineError> {
    match kept.split_last() {
        Some((&INLINE, value)) => Ok(Kept::Inline(value)),
        Some((&POINTER, pointer)) => {
            Pointer::from_bytes(pointer).map(Kept::Pointer).ok_or_else(|| broken("a pointer"))
        }
        _ => Err(broken("a value")),
    }
}

fn resolve<'k>(kept: &'k [u8], files: &Files) -> Result<Cow<'k, [u8]>, EngineError> {
    match kind(kept)? {
        Kept::Inline(value) => Ok(Cow::Borrowed(value)),
        Kept::Pointer(pointer) => files.read(pointer).map(Cow::Owned),
    }
}

fn tagged(pointer: Pointer) -> [u8; 21] {
    let mut kept = [POINTER; 21];
    kept[..20].copy_from_slice(&pointer.to_bytes());
    kept
}

fn broken(what: &str) -> EngineError {
    EngineError::Failed(format!("{what} of the large values is broken"))
}

/// Takes up the files that the database points to.
fn open_segments(db: &DB, path: &Path) -> Result<(Segments, Appender), String> {
    let index = db.cf_handle(POINTERS).ok_or("the index of large values is missing")?;
    let mut pointers = Vec::new();
    for entry in db.iterator_cf(&index, IteratorMode::Start) {
        let (key, entry) = entry.map_err(rocksdb::Error::into_string)?;
        let pointer =
            Pointer::from_index(&key, &entry).ok_or("the index of large values is broken")?;
        pointers.push(pointer.0);
    }
    Segments::open(&path.join(POINTERS), pointers.into_iter()).map_err(|error| match error {
        EngineError::Full => "the disk is full".to_owned(),
        EngineError::Failed(text) => text,
    })
}

impl Drop for RocksEngine {
    fn drop(&mut self) {
        self.db.cancel_all_background_work(true);
    }
}

/// Tells a full disk from other errors. RocksDB goes on by itself once there is space again (its
/// file manager looks every few seconds); until then writes keep failing with this error.
fn failed(error: rocksdb::Error) -> EngineError {
    let text = error.into_string();
    if text.contains("No space left on device") || text.contains("Space limit reached") {
        EngineError::Full
    } else {
        EngineError::Failed(text)
    }
}

fn database_options(cache: &Cache) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    // After a crash everything up to the torn end of the log is taken: what was synced is there.
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_enable_pipelined_write(false);
    // Log files are used again: a sync need not write file sizes each time.
    options.set_recycle_log_file_num(2);
    options.set_max_total_wal_size(64 * MIB as u64);
    let writes = WriteBufferManager::new_write_buffer_manager_with_cache(
        WRITE_BUFFERS,
        false,
        cache.clone(),
    );
    options.set_write_buffer_manager(&writes);
    options.set_max_background_jobs(2);
    options.set_max_open_files(256);
    options.set_max_file_opening_threads(2);
    options.set_skip_stats_update_on_db_open(true);
    options.set_bytes_per_sync(MIB as u64);
    options.set_max_manifest_file_size(4 * MIB);
    // RocksDB's own log: small, and no dumps of statistics. It names files, never keys.
    options.set_log_level(LogLevel::Warn);
    options.set_max_log_file_size(MIB);
    options.set_keep_log_file_num(2);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

fn column_options(cache: &Cache) -> Options {
    let mut tables = BlockBasedOptions::default();
    tables.set_block_cache(cache);
    tables.set_block_size(16 << 10);
    tables.set_cache_index_and_filter_blocks(true);
    tables.set_pin_l0_filter_and_index_blocks_in_cache(true);
    tables.set_bloom_filter(10.0, false);
    tables.set_format_version(5);

    let mut options = Options::default();
    options.set_block_based_table_factory(&tables);
    // Ciphertext does not compress.
    options.set_compression_type(DBCompressionType::None);
    options.set_write_buffer_size(8 * MIB);
    options.set_max_write_buffer_number(3);
    options.set_target_file_size_base(16 * MIB as u64);
    options.set_max_bytes_for_level_base(64 * MIB as u64);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_arena_block_size(256 << 10);
    options.set_enable_blob_files(true);
    options.set_min_blob_size(MIN_BLOB);
    options.set_blob_file_size(64 * MIB as u64);
    options.set_blob_compression_type(DBCompressionType::None);
    options.set_enable_blob_gc(true);
    options.set_blob_gc_age_cutoff(0.25);
    options.set_blob_gc_force_threshold(0.5);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_removes_may_use_the_reserve() {
        let change = |value: Option<usize>| Change {
            column: Column::Mailbox,
            key: vec![1; 10],
            value: value.map(|size| vec![0; size]),
        };
        assert_eq!(needed(&[change(None)], 4000), 1010);
        // An expunge: messages go, counters are written.
        assert_eq!(needed(&[change(None), change(None), change(Some(70))], 4000), 1100);
        assert_eq!(needed(&[change(Some(70))], 4000), 4080);
        assert_eq!(needed(&[change(None), change(Some(100_000))], 4000), 104_020);
    }
}
