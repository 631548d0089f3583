//! RocksDB as both stores use it: bounded memory, bounded files, checksums always on.

use rocksdb::{BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, Options, WriteOptions, properties};

/// Blocks of both stores, their indexes and filters included. Sized so that a node with a million files stays far below
/// 500 MiB while its hot rows are in memory; what does not fit is in the kernel's page cache.
const BLOCK_CACHE_BYTES: usize = 160 << 20;

/// Open files of one store. Each costs a table reader outside the block cache; a hundred million files would otherwise
/// keep thousands.
const MAX_OPEN_FILES: i32 = 256;

/// What both stores of a node share.
#[derive(Clone)]
pub(crate) struct Shared {
    cache: Cache,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self { cache: Cache::new_lru_cache(BLOCK_CACHE_BYTES) }
    }

    /// Options of a database whose memtables hold at most `write_buffers` bytes.
    pub(crate) fn database(&self, write_buffers: usize) -> Options {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_paranoid_checks(true);
        options.set_db_write_buffer_size(write_buffers);
        options.set_max_total_wal_size(2 * write_buffers as u64);
        options.set_max_open_files(MAX_OPEN_FILES);
        options.set_max_background_jobs(2);
        // Smooths out write-back; without it one large sync stalls the commits behind it.
        options.set_bytes_per_sync(1 << 20);
        options.set_wal_bytes_per_sync(1 << 20);
        options.set_max_manifest_file_size(16 << 20);
        options.set_keep_log_file_num(4);
        options.set_max_log_file_size(4 << 20);
        options.set_stats_dump_period_sec(0);
        options
    }

    /// Options of a column family whose one memtable holds at most `write_buffer` bytes.
    pub(crate) fn column_family(&self, write_buffer: usize) -> Options {
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&self.cache);
        blocks.set_block_size(4 << 10);
        blocks.set_bloom_filter(10.0, false);
        blocks.set_cache_index_and_filter_blocks(true);
        blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
        blocks.set_format_version(5);
        let mut options = Options::default();
        options.set_block_based_table_factory(&blocks);
        options.set_write_buffer_size(write_buffer);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_level_compaction_dynamic_level_bytes(true);
        options
    }
}

/// A torn last record is what a power failure leaves, and drops only what was never acknowledged; any other damage in a
/// write-ahead log is an error. The default mode would quietly cut the log short at the first damaged record.
pub(crate) fn refuse_damaged_wal(options: &mut Options) {
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_track_and_verify_wals_in_manifest(true);
}

/// Writes that go to the write-ahead log and are not synced.
pub(crate) fn unsynced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(false);
    options
}

/// How many flushes and compactions failed since the database was opened.
pub(crate) fn background_errors(db: &rocksdb::DB) -> u64 {
    db.property_int_value(properties::BACKGROUND_ERRORS).ok().flatten().unwrap_or(0)
}
