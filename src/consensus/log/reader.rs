//! Reading the log: ranges for replication and apply, and the whole of it once at the start.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};

use futures_util::{Stream, StreamExt as _};
use openraft::OptionalSend;
use openraft::storage::RaftLogReader;

use super::super::records::{self, EntryRecord, LogIdRecord, VoteRecord};
use super::super::types::{Entry, LogId, TypeConfig, Vote};
use super::medium::{Mark, Medium};
use super::{Ends, LogStore, read_mark};

/// Whoever reads from further behind the end of the log than this many entries may have to wait for the disk. What is
/// nearer was just written and is in memory. Eyeballed: a tenth of a second's worth.
const NEAR: u64 = 1_000;

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
        self.fetch(start, end).await
    }

    /// Reads in bounded pieces as the consumer goes on, so that replaying a long log at the start holds only one of
    /// them in memory.
    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = Result<Entry, io::Error>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (start, end) = bounds(&range);
        let cursor = Cursor { log: self.clone(), next: start, end, piece: Vec::new().into_iter() };
        Box::pin(futures_util::stream::unfold(Some(cursor), |cursor| async move { cursor?.step().await }).fuse())
    }
}

struct Cursor {
    log: LogStore,
    next: u64,
    end: u64,
    piece: std::vec::IntoIter<Entry>,
}

impl Cursor {
    async fn step(mut self) -> Option<(io::Result<Entry>, Option<Self>)> {
        loop {
            if let Some(entry) = self.piece.next() {
                self.next = entry.log_id.index + 1;
                return Some((Ok(entry), Some(self)));
            }
            if self.next >= self.end {
                return None;
            }
            match self.log.fetch(self.next, self.end).await {
                Ok(piece) if piece.is_empty() => return None,
                Ok(piece) => self.piece = piece.into_iter(),
                Err(error) => return Some((Err(error), None)),
            }
        }
    }
}

impl LogStore {
    /// As [`Self::read`], off Raft's own threads where it may take long.
    async fn fetch(&self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        let max_bytes = self.0.max_read_bytes;
        if self.ends().next().saturating_sub(start) <= NEAR {
            return self.read(start, end, max_bytes);
        }
        let log = self.clone();
        let read = self.0.tasks.blocking(move || log.read(start, end, max_bytes)).await;
        read.unwrap_or_else(|ended| Err(io::Error::other(ended)))
    }

    /// The entries of `start..end` that there are, up to about `max_bytes` of them but at least one. All that should be
    /// there are: a hole is damage, and this node must neither apply nor send what is behind it.
    fn read(&self, start: u64, end: u64, max_bytes: usize) -> io::Result<Vec<Entry>> {
        loop {
            let ends = self.ends();
            let due = start.max(ends.first())..end.min(ends.next());
            match read_due(&*self.0.medium, due, max_bytes) {
                Ok(entries) => return Ok(entries),
                // They were purged or cut off while they were read.
                Err(_) if self.ends().cuts != ends.cuts => {}
                Err(what) => return Err(self.0.damage.report(&what)),
            }
        }
    }
}

fn read_due(medium: &dyn Medium, due: Range<u64>, max_bytes: usize) -> Result<Vec<Entry>, String> {
    let mut entries: Vec<Entry> = Vec::new();
    let (mut bytes, mut full, end) = (0, false, due.end);
    let next = scan(medium, due, None, |entry, size| {
        bytes += size;
        full = bytes > max_bytes && !entries.is_empty();
        if !full {
            entries.push(entry);
        }
        !full
    })?;
    if full || next >= end { Ok(entries) } else { Err(missing(next, end)) }
}

/// Reads the whole log and checks that it has every entry it should have.
pub(super) fn check_whole(medium: &dyn Medium) -> Result<Ends, String> {
    let purged = read_mark::<LogIdRecord>(medium, Mark::Purged)?.as_ref().map(Into::into);
    let vote = read_mark::<VoteRecord>(medium, Mark::Vote)?.as_ref().map(Into::into);
    let mut ends = Ends { purged, last: purged, vote, begins: 0, cuts: 0 };
    // The first entry of a log is at 0, which openraft writes when the cluster forms. A follower's may start later only
    // where a snapshot or a purge left a mark.
    scan(medium, ends.first()..u64::MAX, purged, |entry, _| {
        ends.last = Some(entry.log_id);
        true
    })?;
    Ok(ends)
}

/// Calls `take` with each entry of a range, which come after `previous`, and its size until it says stop. Gives the
/// index after the last one that was sound.
///
/// # Errors
/// When an entry is damaged, or one is missing before another.
fn scan(
    medium: &dyn Medium,
    range: Range<u64>,
    mut previous: Option<LogId>,
    mut take: impl FnMut(Entry, usize) -> bool,
) -> Result<u64, String> {
    let mut next = range.start;
    if range.is_empty() {
        return Ok(next);
    }
    medium.scan(range, &mut |index, value| {
        if index != next {
            return Err(missing(next, index));
        }
        let record: EntryRecord =
            records::open(&index.to_be_bytes(), value).map_err(|error| format!("entry {index}: {error}"))?;
        let entry = record.into_entry().map_err(|error| format!("entry {index}: {error}"))?;
        if entry.log_id.index != index {
            return Err(format!("entry {index} says that it is entry {}", entry.log_id.index));
        }
        if previous.is_some_and(|previous| previous >= entry.log_id) {
            return Err(format!("entry {index} is of an earlier leader than what comes before it"));
        }
        previous = Some(entry.log_id);
        next = index + 1;
        Ok(take(entry, value.len()))
    })?;
    Ok(next)
}

fn missing(start: u64, end: u64) -> String {
    format!("the entries {start} to {} are missing", end - 1)
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
