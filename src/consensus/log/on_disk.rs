//! The log in RocksDB.
//!
//! Key layout: `entries` has the big-endian index, so that order of keys is order of the log; `marks` has one key for
//! each mark. A column family of their own keeps the marks, which are overwritten all the time, out of the way of
//! entries, which are only ever added, cut off or purged.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use rocksdb::{ColumnFamily, ColumnFamilyDescriptor, DB, Direction, IteratorMode, ReadOptions, WriteBatch};

use super::super::rocks;
use super::medium::{Batch, Look, Mark, Medium, Step, Syncs};

const ENTRIES: &str = "entries";
const MARKS: &str = "marks";

/// Memtables of the log. Small: what is in them is also in the write-ahead log, and is read again at once or never.
const WRITE_BUFFERS: usize = 32 << 20;

pub(super) struct OnDisk(DB);

impl OnDisk {
    pub(super) fn open(shared: &rocks::Shared, dir: &Path) -> Result<Self, rocksdb::Error> {
        let mut database = shared.database(WRITE_BUFFERS);
        rocks::refuse_damaged_wal(&mut database);
        let mut families = vec![ColumnFamilyDescriptor::new("default", shared.column_family(1 << 20))];
        for (name, write_buffer) in [(ENTRIES, WRITE_BUFFERS / 4), (MARKS, 1 << 20)] {
            families.push(ColumnFamilyDescriptor::new(name, shared.column_family(write_buffer)));
        }
        DB::open_cf_descriptors(&database, dir, families).map(Self)
    }

    fn entries(&self) -> &ColumnFamily {
        self.family(ENTRIES)
    }

    fn marks(&self) -> &ColumnFamily {
        self.family(MARKS)
    }

    fn family(&self, name: &str) -> &ColumnFamily {
        self.0.cf_handle(name).expect("opened with this column family")
    }
}

impl Medium for OnDisk {
    fn write(&self, batch: Batch) -> Result<(), String> {
        let (entries, marks) = (self.entries(), self.marks());
        let mut rows = WriteBatch::default();
        for step in batch.steps {
            match step {
                Step::Put(index, record) => rows.put_cf(entries, index.to_be_bytes(), record),
                Step::Delete(range) => {
                    // No key is as large as this one, so that the last index is deleted as well.
                    let end = if range.end == u64::MAX { [0xff; 9].to_vec() } else { range.end.to_be_bytes().to_vec() };
                    rows.delete_range_cf(entries, &range.start.to_be_bytes()[..], &end[..]);
                }
                Step::SetMark(mark, record) => rows.put_cf(marks, mark.key(), record),
                Step::ClearMark(mark) => rows.delete_cf(marks, mark.key()),
            }
        }
        self.0.write_opt(rows, &rocks::unsynced()).map_err(|error| error.to_string())
    }

    fn mark(&self, mark: Mark) -> Result<Option<Vec<u8>>, String> {
        self.0.get_cf(self.marks(), mark.key()).map_err(|error| error.to_string())
    }

    fn scan(&self, range: Range<u64>, look: &mut Look<'_>) -> Result<(), String> {
        let mut options = ReadOptions::default();
        options.set_verify_checksums(true);
        options.set_iterate_upper_bound(range.end.to_be_bytes());
        let from = range.start.to_be_bytes();
        let mut next = range.start;
        for row in self.0.iterator_cf_opt(self.entries(), options, IteratorMode::From(&from, Direction::Forward)) {
            let (key, value) = row.map_err(|error| format!("at entry {next} or after it: {error}"))?;
            let index = key.as_ref().try_into().map(u64::from_be_bytes).map_err(|_| "a key is no index".to_owned())?;
            if !look(index, &value)? {
                break;
            }
            next = index.saturating_add(1);
        }
        Ok(())
    }

    /// Whole files go now rather than at their next compaction.
    fn reclaim(&self, end: u64) {
        let last = end.saturating_sub(1).to_be_bytes();
        if let Err(error) = self.0.delete_file_in_range_cf(self.entries(), 0_u64.to_be_bytes(), last) {
            tracing::warn!(%error, "purged log files are not deleted yet");
        }
    }

    fn background_errors(&self) -> u64 {
        rocks::background_errors(&self.0)
    }

    fn syncs(self: Arc<Self>) -> Syncs {
        let dir = self.0.path().display().to_string();
        Syncs::Blocking(Box::new(move || {
            self.0.flush_wal(true).map_err(|error| format!("cannot sync the Raft log in {dir}: {error}"))
        }))
    }
}

#[cfg(test)]
impl OnDisk {
    pub(super) fn flush(&self) {
        self.0.flush_cf(self.entries()).unwrap();
    }

    pub(super) fn get(&self, index: u64) -> Vec<u8> {
        self.0.get_cf(self.entries(), index.to_be_bytes()).unwrap().unwrap()
    }
}
