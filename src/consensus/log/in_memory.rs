//! The log in memory, with a modelled sync and a modelled power cut.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::medium::{Batch, Look, Mark, Medium, Step, Syncs};
use super::{LogOptions, LogStore};

/// The disk that a log lies on. It outlives the log, and its clones are the same disk.
#[derive(Clone)]
pub(crate) struct MemoryDisk(Arc<Mutex<Kept>>);

struct Kept {
    /// What a power cut leaves in any case.
    synced: Rows,
    /// Written since, in this order.
    unsynced: Vec<Batch>,
    /// What can be read: `synced` with `unsynced` over it.
    now: Rows,
    /// How many batches were synced since the disk was made. The next sync may end after a power cut.
    batches_synced: u64,
    /// Whether a log was ever opened here.
    formatted: bool,
    /// Raised by each power cut. Whoever opened the log before it does not write any more.
    cuts: u64,
    sync_time: Box<dyn FnMut() -> Duration + Send>,
    /// Whether syncs do what they say.
    honest: bool,
}

#[derive(Clone, Default)]
struct Rows {
    entries: BTreeMap<u64, Vec<u8>>,
    marks: BTreeMap<Mark, Vec<u8>>,
}

impl Rows {
    fn write(&mut self, batch: &Batch) {
        for step in &batch.steps {
            match step {
                Step::Put(index, record) => drop(self.entries.insert(*index, record.clone())),
                Step::Delete(range) => self.entries.retain(|index, _| !range.contains(index)),
                Step::SetMark(mark, record) => drop(self.marks.insert(*mark, record.clone())),
                Step::ClearMark(mark) => drop(self.marks.remove(mark)),
            }
        }
    }
}

impl MemoryDisk {
    /// An empty one. It asks how long each sync takes.
    pub(crate) fn new(sync_time: impl FnMut() -> Duration + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Kept {
            synced: Rows::default(),
            unsynced: Vec::new(),
            now: Rows::default(),
            batches_synced: 0,
            formatted: false,
            cuts: 0,
            sync_time: Box::new(sync_time),
            honest: true,
        })))
    }

    /// Takes up the log that lies here.
    ///
    /// # Errors
    /// As [`LogStore::open`].
    pub(crate) fn open(&self, options: LogOptions) -> anyhow::Result<LogStore> {
        let opened_at = {
            let mut kept = self.lock();
            kept.formatted = true;
            kept.cuts
        };
        LogStore::on(Arc::new(InMemory { disk: self.clone(), opened_at }), options)
    }

    /// From now on syncs take their time and make nothing durable.
    pub(crate) fn lie(&self) {
        self.lock().honest = false;
    }

    /// Whether a log was ever opened here.
    pub(crate) fn has_log(&self) -> bool {
        self.lock().formatted
    }

    /// Has the power fail: of the batches that were not synced, as many stay as `stay` says when it is told how many
    /// there are. They are those that were written first, as a write-ahead log would leave them.
    pub(crate) fn cut_power(&self, stay: impl FnOnce(usize) -> usize) {
        let mut kept = self.lock();
        let stay = stay(kept.unsynced.len());
        kept.sync(stay);
        kept.unsynced.clear();
        kept.now = kept.synced.clone();
        kept.cuts += 1;
    }

    /// Changes rows behind the back of whoever has the log open.
    pub(crate) fn tamper(&self, change: impl FnOnce(&mut BTreeMap<u64, Vec<u8>>)) {
        let mut kept = self.lock();
        change(&mut kept.now.entries);
        let entries = kept.now.entries.clone();
        kept.synced.entries = entries;
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Makes the oldest batches durable.
    fn sync(&mut self, count: usize) {
        for batch in self.unsynced.drain(..count) {
            self.synced.write(&batch);
        }
        self.batches_synced += count as u64;
    }
}

/// A log on it, as opened once.
struct InMemory {
    disk: MemoryDisk,
    opened_at: u64,
}

impl InMemory {
    fn lock(&self) -> Result<MutexGuard<'_, Kept>, String> {
        let kept = self.disk.lock();
        if kept.cuts == self.opened_at { Ok(kept) } else { Err("the power is off".into()) }
    }
}

impl Medium for InMemory {
    fn write(&self, batch: Batch) -> Result<(), String> {
        let mut kept = self.lock()?;
        kept.now.write(&batch);
        kept.unsynced.push(batch);
        Ok(())
    }

    fn mark(&self, mark: Mark) -> Result<Option<Vec<u8>>, String> {
        Ok(self.lock()?.now.marks.get(&mark).cloned())
    }

    fn scan(&self, range: Range<u64>, look: &mut Look<'_>) -> Result<(), String> {
        let kept = self.lock()?;
        for (index, record) in kept.now.entries.range(range) {
            if !look(*index, record)? {
                break;
            }
        }
        Ok(())
    }

    fn reclaim(&self, _: u64) {}

    fn background_errors(&self) -> u64 {
        0
    }

    /// What is written while a sync runs is not covered by it.
    fn syncs(self: Arc<Self>) -> Syncs {
        Syncs::Modelled(Box::new(move || {
            let log = Arc::clone(&self);
            Box::pin(async move {
                let (upto, time) = {
                    let mut kept = log.lock()?;
                    (kept.batches_synced + kept.unsynced.len() as u64, (kept.sync_time)())
                };
                tokio::time::sleep(time).await;
                let mut kept = log.lock()?;
                if kept.honest {
                    let count = upto.saturating_sub(kept.batches_synced);
                    kept.sync(usize::try_from(count).map_err(|error| error.to_string())?);
                }
                Ok(())
            })
        }))
    }
}
