//! Reading the log: ranges for replication and apply, and the whole of it once at the start.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};

use futures_util::{Stream, StreamExt as _};
use openraft::OptionalSend;
use openraft::storage::RaftLogReader;
use rocksdb::{DB, Direction, IteratorMode, ReadOptions};

use super::super::records::{self, EntryRecord, LogIdRecord, VoteRecord};
use super::super::types::{Entry, TypeConfig, Vote};
use super::{ENTRIES, Ends, LogStore, PURGED, VOTE, family, read_mark};

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (start, end) = bounds(&range);
        self.read(start, end, usize::MAX)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.ends().vote)
    }

    /// What one append to a follower carries.
    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start, end, self.0.max_read_bytes)
    }

    /// Reads in bounded pieces as the consumer goes on, so that replaying a long log at the start holds only one of
    /// them in memory.
    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = Result<Entry, io::Error>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (start, end) = bounds(&range);
        let cursor = Cursor { log: self.clone(), next: start, end, piece: Vec::new().into_iter() };
        Box::pin(futures_util::stream::unfold(Some(cursor), |cursor| async move { cursor?.step() }).fuse())
    }
}

struct Cursor {
    log: LogStore,
    next: u64,
    end: u64,
    piece: std::vec::IntoIter<Entry>,
}

impl Cursor {
    fn step(mut self) -> Option<(io::Result<Entry>, Option<Self>)> {
        loop {
            if let Some(entry) = self.piece.next() {
                self.next = entry.log_id.index + 1;
                return Some((Ok(entry), Some(self)));
            }
            if self.next >= self.end {
                return None;
            }
            match self.log.read(self.next, self.end, self.log.0.max_read_bytes) {
                Ok(piece) if piece.is_empty() => return None,
                Ok(piece) => self.piece = piece.into_iter(),
                Err(error) => return Some((Err(error), None)),
            }
        }
    }
}

impl LogStore {
    /// The entries of `start..end` that there are, up to about `max_bytes` of them but at least one.
    fn read(&self, start: u64, end: u64, max_bytes: usize) -> io::Result<Vec<Entry>> {
        let first = self.ends().purged.map_or(0, |id| id.index + 1);
        let mut entries: Vec<Entry> = Vec::new();
        let mut bytes = 0;
        scan(&self.0.db, start.max(first), end, |entry, size| {
            bytes += size;
            if bytes > max_bytes && !entries.is_empty() {
                return false;
            }
            entries.push(entry);
            true
        })
        .map_err(|what| self.0.damage.report(&what))?;
        Ok(entries)
    }
}

/// Reads the whole log and checks that it has every entry it should have.
pub(super) fn check_whole(db: &DB) -> Result<Ends, String> {
    let purged = read_mark::<LogIdRecord>(db, PURGED)?.as_ref().map(Into::into);
    let vote = read_mark::<VoteRecord>(db, VOTE)?.as_ref().map(Into::into);
    let mut ends = Ends { purged, last: purged, vote };
    let start = ends.purged.map_or(0, |id| id.index + 1);
    let mut first = None;
    scan(db, start, u64::MAX, |entry, _| {
        first.get_or_insert(entry.log_id.index);
        ends.last = Some(entry.log_id);
        true
    })?;
    match first {
        // The first entry of a log is at 0, which openraft writes when the cluster forms. A follower's may start later
        // only where a snapshot or a purge left a mark.
        Some(first) if first != start => Err(format!("the entries {start} to {} are missing", first - 1)),
        _ => Ok(ends),
    }
}

/// Calls `take` with each entry of `start..end` and its size until it says stop.
///
/// # Errors
/// When an entry is damaged, or one is missing between two others.
fn scan(db: &DB, start: u64, end: u64, mut take: impl FnMut(Entry, usize) -> bool) -> Result<(), String> {
    if start >= end {
        return Ok(());
    }
    let mut options = ReadOptions::default();
    options.set_verify_checksums(true);
    options.set_iterate_upper_bound(end.to_be_bytes());
    let from = start.to_be_bytes();
    let mut expected: Option<u64> = None;
    for row in db.iterator_cf_opt(family(db, ENTRIES), options, IteratorMode::From(&from, Direction::Forward)) {
        let (key, value) = row.map_err(|error| format!("after entry {}: {error}", expected.unwrap_or(start)))?;
        let index = key.as_ref().try_into().map(u64::from_be_bytes).map_err(|_| "a key is no index".to_owned())?;
        if let Some(expected) = expected
            && index != expected
        {
            return Err(format!("the entries {expected} to {} are missing", index - 1));
        }
        let record: EntryRecord = records::open(&key, &value).map_err(|error| format!("entry {index}: {error}"))?;
        let entry = record.into_entry().map_err(|error| format!("entry {index}: {error}"))?;
        if entry.log_id.index != index {
            return Err(format!("entry {index} says that it is entry {}", entry.log_id.index));
        }
        expected = Some(index + 1);
        if !take(entry, value.len()) {
            break;
        }
    }
    Ok(())
}

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(end) => end.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}
