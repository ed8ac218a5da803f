//! RocksDB, set up for a small box and for values that are ciphertext already.

use super::{Change, Engine, EngineError, Visit};
use crate::column::Column;
use rocksdb::{
    BlockBasedOptions, BoundColumnFamily, Cache, ColumnFamilyDescriptor, DB, DBCompressionType,
    DBRecoveryMode, LogLevel, Options, PrefixRange, ReadOptions, WriteBatch, WriteOptions,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MIB: usize = 1 << 20;
/// All that is cached of tables, their indexes and filters.
const BLOCK_CACHE: usize = 16 * MIB;
/// All unflushed writes together; also bounds what a restart has to replay.
const WRITE_BUFFERS: usize = 24 * MIB;
/// Values from this size on live in blob files and are not rewritten by each compaction.
const MIN_BLOB: u64 = 4096;

/// RocksDB with one column family a column.
pub(crate) struct RocksEngine {
    db: DB,
    path: PathBuf,
    synced: WriteOptions,
    reserve: u64,
}

impl RocksEngine {
    /// Opens or makes the database; keeps `reserve` bytes of the disk free.
    pub(crate) fn open(path: &Path, reserve: u64) -> Result<Self, String> {
        let cache = Cache::new_lru_cache(BLOCK_CACHE);
        let families = Column::ALL.iter().map(|column| {
            ColumnFamilyDescriptor::new(column.name(), column_options(*column, &cache))
        });
        let db = DB::open_cf_descriptors(&database_options(), path, families)
            .map_err(rocksdb::Error::into_string)?;
        let mut synced = WriteOptions::default();
        synced.set_sync(true);
        Ok(Self { db, path: path.to_owned(), synced, reserve })
    }

    fn family(&self, column: Column) -> Result<Arc<BoundColumnFamily<'_>>, EngineError> {
        self.db
            .cf_handle(column.name())
            .ok_or_else(|| EngineError::Failed(format!("column {} is missing", column.name())))
    }

    /// Refuses a write that would eat into the reserve.
    fn check_space(&self, changes: &[Change]) -> Result<(), EngineError> {
        if self.reserve == 0 {
            return Ok(());
        }
        let Ok(stat) = rustix::fs::statvfs(&self.path) else { return Ok(()) };
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let frees_only = changes.iter().all(|change| change.value.is_none());
        // Removing takes space too, before it gives any: a part of the reserve is for that.
        let reserve = if frees_only { self.reserve / 4 } else { self.reserve };
        let size: usize = changes.iter().map(Change::size).sum();
        if free < reserve.saturating_add(size as u64) { Err(EngineError::Full) } else { Ok(()) }
    }
}

impl Engine for RocksEngine {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.db.get_cf(&self.family(column)?, key).map_err(failed)
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
        let mut entries = self.db.raw_iterator_cf_opt(&self.family(column)?, options);
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
            let Some((key, value)) = entries.item() else { break };
            if visit(key, value).is_break() {
                break;
            }
            entries.next();
        }
        entries.status().map_err(failed)
    }

    fn write(&self, changes: &[Change]) -> Result<(), EngineError> {
        self.check_space(changes)?;
        let size: usize = changes.iter().map(|change| change.size() + 16).sum();
        let mut batch = WriteBatch::with_capacity_bytes(size + 16);
        for change in changes {
            let family = self.family(change.column)?;
            match &change.value {
                Some(value) => batch.put_cf(&family, &change.key, value),
                None => batch.delete_cf(&family, &change.key),
            }
        }
        self.db.write_opt(batch, &self.synced).map_err(failed)
    }
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

fn database_options() -> Options {
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
    options.set_db_write_buffer_size(WRITE_BUFFERS);
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

fn column_options(column: Column, cache: &Cache) -> Options {
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
    options.set_write_buffer_size(if column == Column::Message { 16 * MIB } else { 8 * MIB });
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
