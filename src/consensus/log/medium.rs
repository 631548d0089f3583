//! What the log lies on: RocksDB (`on_disk`), or memory with a modelled sync (`in_memory`).
//!
//! A medium keeps rows and knows nothing of what is in them. It promises this: a batch is written whole or not at all;
//! batches become durable in the order in which they were written; after a sync, everything that was written before it
//! began is durable. A power cut leaves what was synced, and of the rest a prefix.

use std::ops::Range;
use std::sync::Arc;

use futures_util::future::BoxFuture;

/// The marks beside the entries. Each is one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    Vote,
    Purged,
    Committed,
    /// What other members have acknowledged to this one.
    Recollections,
}

impl Mark {
    /// The key on the disk, which the checksum of the mark's record covers, too.
    pub(super) const fn key(self) -> &'static [u8] {
        match self {
            Self::Vote => b"vote",
            Self::Purged => b"purged",
            Self::Committed => b"committed",
            Self::Recollections => b"recollections",
        }
    }
}

/// Changes that are written together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    pub(super) steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Put(u64, Vec<u8>),
    /// The entries of a range go.
    Delete(Range<u64>),
    SetMark(Mark, Vec<u8>),
    ClearMark(Mark),
}

impl Batch {
    pub(super) fn put(&mut self, index: u64, record: Vec<u8>) {
        self.steps.push(Step::Put(index, record));
    }

    pub(super) fn delete(&mut self, range: Range<u64>) {
        self.steps.push(Step::Delete(range));
    }

    pub(super) fn set_mark(&mut self, mark: Mark, record: Vec<u8>) {
        self.steps.push(Step::SetMark(mark, record));
    }

    pub(super) fn clear_mark(&mut self, mark: Mark) {
        self.steps.push(Step::ClearMark(mark));
    }

    /// Bytes of the entries in it, with their keys.
    pub(super) fn entry_bytes(&self) -> u64 {
        let size = |step: &Step| if let Step::Put(_, record) = step { record.len() + size_of::<u64>() } else { 0 };
        self.steps.iter().map(size).sum::<usize>() as u64
    }
}

/// Looks at a row, the index first; false ends the scan, an error is one about this row.
pub(super) type Look<'a> = dyn FnMut(u64, &[u8]) -> Result<bool, String> + 'a;

/// Keeps the rows of one log. Errors are sentences for people.
pub(super) trait Medium: Send + Sync + 'static {
    /// Writes without a sync. What is written can be read from then on.
    fn write(&self, batch: Batch) -> Result<(), String>;

    fn mark(&self, mark: Mark) -> Result<Option<Vec<u8>>, String>;

    /// The entries of a range in their order, all of one moment.
    fn scan(&self, range: Range<u64>, look: &mut Look<'_>) -> Result<(), String>;

    /// Gives back the room of entries below `end`, which were deleted, durably, before. A failure costs room only.
    fn reclaim(&self, end: u64);

    /// How often work in the background failed since the medium was opened.
    fn background_errors(&self) -> u64;

    fn syncs(self: Arc<Self>) -> Syncs;
}

/// How a medium is synced, by one sync after another.
pub(super) enum Syncs {
    /// Blocks, so it gets a thread of its own.
    Blocking(Box<dyn FnMut() -> Result<(), String> + Send>),
    /// Takes modelled time, on the runtime that opens the log.
    #[cfg_attr(not(test), expect(dead_code, reason = "only a simulation has one"))]
    Modelled(Box<dyn FnMut() -> BoxFuture<'static, Result<(), String>> + Send>),
}
