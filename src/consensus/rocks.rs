//! RocksDB as both stores use it: bounded memory, bounded files, checksums always on.

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, Options, WriteOptions, properties,
};

use crate::listener::descriptors;

/// Where nobody names another size. The cache holds blocks of both stores, their indexes and filters included. Sized so
/// that a node with a million files stays far below 500 MiB while its hot rows are in memory; what does not fit is in the
/// kernel's page cache.
pub(super) const DEFAULT_CACHE_BYTES: usize = 160 << 20;

/// Open files of the Raft log, which is short.
const LOG_OPEN_FILES: i32 = 256;

/// Open files of the state: one that is not kept open is opened, and its footer and its index's top read, for each get
/// that meets it. A hundred million files are some 70 GB in files of 64 MiB.
const STATE_OPEN_FILES: u64 = 4096;

/// Flushes and compactions at the same time, of both stores together. A flush must not wait for a compaction of another
/// of the twenty families, or writes stall.
const BACKGROUND_JOBS: i32 = 4;

/// A file of a table that is eaten from the front is compacted when so many of so many rows in a stretch are deletions.
/// Eyeballed: what a scan for the first row has to pass over then costs less than a tenth of a millisecond.
const DELETIONS_WINDOW: usize = 1024;
const DELETIONS: usize = 512;
/// Or when this part of the whole file is.
const DELETIONS_RATIO: f64 = 0.5;

/// What both stores of a node share.
#[derive(Clone)]
pub(crate) struct Shared {
    cache: Cache,
}

impl Shared {
    /// With a cache of the default size.
    pub(crate) fn new() -> Self {
        Self::with_cache(DEFAULT_CACHE_BYTES)
    }

    pub(crate) fn with_cache(bytes: usize) -> Self {
        Self { cache: Cache::new_lru_cache(bytes) }
    }

    /// Options of a database whose memtables hold at most `write_buffers` bytes.
    pub(crate) fn database(&self, write_buffers: usize) -> Options {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_paranoid_checks(true);
        options.set_db_write_buffer_size(write_buffers);
        options.set_max_total_wal_size(2 * write_buffers as u64);
        options.set_max_open_files(LOG_OPEN_FILES);
        options.set_max_background_jobs(BACKGROUND_JOBS);
        // Smooths out write-back; without it one large sync stalls the commits behind it.
        options.set_bytes_per_sync(1 << 20);
        options.set_wal_bytes_per_sync(1 << 20);
        options.set_max_manifest_file_size(16 << 20);
        options.set_keep_log_file_num(4);
        options.set_max_log_file_size(4 << 20);
        options.set_stats_dump_period_sec(0);
        options
    }

    /// Options of the state's database, which may have many files.
    pub(crate) fn state(&self, write_buffers: usize) -> Options {
        let mut options = self.database(write_buffers);
        options.set_max_open_files(state_open_files(descriptors::allowed()));
        options
    }

    /// Options of a column family whose one memtable holds at most `write_buffer` bytes.
    pub(crate) fn column_family(&self, write_buffer: usize) -> Options {
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&self.cache);
        blocks.set_block_size(4 << 10);
        blocks.set_bloom_filter(10.0, false);
        // Index and filters in blocks of their own, of which a get needs one each. In one piece they are megabytes a file,
        // and with more files than the cache has room for each get would read them anew.
        blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
        blocks.set_partition_filters(true);
        blocks.set_metadata_block_size(4 << 10);
        blocks.set_cache_index_and_filter_blocks(true);
        // The blocks that say where the others are: a few kilobytes a file.
        blocks.set_pin_top_level_index_and_filter(true);
        blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
        blocks.set_format_version(5);
        let mut options = Options::default();
        options.set_block_based_table_factory(&blocks);
        options.set_write_buffer_size(write_buffer);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_level_compaction_dynamic_level_bytes(true);
        options
    }

    /// The same for rows that are read at the front and deleted there. Without it the deletions lie in the way of each
    /// scan until something else has them compacted.
    pub(crate) fn queue(&self, write_buffer: usize) -> Options {
        let mut options = self.column_family(write_buffer);
        options.add_compact_on_deletion_collector_factory(DELETIONS_WINDOW, DELETIONS, DELETIONS_RATIO);
        options
    }
}

/// Half of what the process may have open, as the other half is connections; as few as were ever kept at the least.
fn state_open_files(allowed: u64) -> i32 {
    i32::try_from((allowed / 2).clamp(256, STATE_OPEN_FILES)).unwrap_or(i32::MAX)
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

#[cfg(test)]
mod tests {
    use rocksdb::perf::{PerfContext, PerfMetric, PerfStatsLevel, set_perf_stats};
    use rocksdb::{ColumnFamilyDescriptor, DB};

    use super::*;

    #[test]
    fn the_state_has_4096_files_open_where_it_may() {
        assert_eq!(state_open_files(1024), 512);
        assert_eq!(state_open_files(64), 256);
        assert_eq!(state_open_files(1 << 20), 4096);
        assert!(descriptors::allowed() >= 256, "{}", descriptors::allowed());
    }

    /// Bytes that a get reads where nothing that it needs is in the cache, on the average.
    fn bytes_of_a_get(shared: &Shared, options: Options) -> u64 {
        const ROWS: u64 = 200_000;
        const GETS: u64 = 200;
        let spread = |number: u64| number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let dir = tempfile::tempdir().unwrap();
        let families = [ColumnFamilyDescriptor::new("default", options)];
        let db = DB::open_cf_descriptors(&shared.state(64 << 20), dir.path(), families).unwrap();
        for row in 0..ROWS {
            db.put(spread(row).to_be_bytes(), [spread(row), spread(spread(row))].map(u64::to_be_bytes).concat())
                .unwrap();
        }
        db.flush().unwrap();
        db.compact_range(None::<&[u8]>, None::<&[u8]>);
        set_perf_stats(PerfStatsLevel::EnableCount);
        let mut counts = PerfContext::default();
        counts.reset();
        for row in 0..GETS {
            assert!(db.get(spread(row * (ROWS / GETS)).to_be_bytes()).unwrap().is_some());
        }
        let bytes = counts.metric(PerfMetric::BlockReadByte);
        set_perf_stats(PerfStatsLevel::Disable);
        bytes / GETS
    }

    /// A file of some megabytes as one of a thousand that share a cache: what they have in it is next to nothing.
    #[test]
    fn with_more_files_than_the_cache_has_room_for_a_get_reads_a_few_small_blocks() {
        let shared = Shared::with_cache(64 << 10);
        let partitioned = bytes_of_a_get(&shared, shared.column_family(64 << 20));
        let mut whole = BlockBasedOptions::default();
        whole.set_block_cache(&shared.cache);
        whole.set_bloom_filter(10.0, false);
        whole.set_cache_index_and_filter_blocks(true);
        let mut options = Options::default();
        options.set_block_based_table_factory(&whole);
        let whole = bytes_of_a_get(&shared, options);
        assert!(partitioned <= 20_000, "{partitioned}");
        assert!(whole > 100_000, "this is what it would be: {whole}");
    }
}
