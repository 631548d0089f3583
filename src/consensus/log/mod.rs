//! The Raft log on disk: entries, the vote, and the marks of what is purged and committed.
//!
//! An append goes to RocksDB's write-ahead log without a sync and returns; the entries can be read from then on, so
//! openraft sends them to followers while this node's own disk still works. One thread syncs for everybody, see
//! `flusher`.
//!
//! What it lies on is behind `medium`. All rows are sealed records (`records`), whatever keeps them.

mod flusher;
#[cfg(test)]
pub(crate) mod in_memory;
mod medium;
mod on_disk;
mod pace;
mod reader;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openraft::OptionalSend;
use openraft::storage::{LogState, RaftLogStorage};

use self::flusher::{Flusher, FlusherOptions};
use self::medium::{Batch, Mark, Medium};
use self::on_disk::OnDisk;
pub(crate) use self::pace::SyncPace;
use super::acknowledged::Acknowledged;
use super::records::{self, AcknowledgedRecord, EntryRecord, LogIdRecord, RecollectionsRecord, VoteRecord};
use super::stopper::Stopper;
use super::tasks::Tasks;
use super::types::{Entry, IoFlushed, LogId, TypeConfig, Vote};
use super::{damage, rocks};
use crate::domain::NodeId;
use crate::domain::record::Message;
use crate::telemetry::Histogram;

/// What the log is opened with.
pub(crate) struct LogOptions {
    pub dir: PathBuf,
    /// For messages.
    pub node_id: u64,
    pub max_read_bytes: usize,
    pub sync_delay: Option<Duration>,
    pub stopper: Stopper,
    /// Where it does what may block for long.
    pub tasks: Tasks,
}

/// The log. Cheap to clone; what it lies on closes with the last clone.
#[derive(Clone)]
pub(crate) struct LogStore(Arc<Inner>);

struct Inner {
    // Declared before the medium, so that the thread has ended when that closes.
    flusher: Flusher,
    medium: Arc<dyn Medium>,
    ends: Mutex<Ends>,
    max_read_bytes: usize,
    damage: Damage,
    tasks: Tasks,
    appended_bytes: Arc<AtomicU64>,
}

/// Where the log ends on either side. Kept in memory, because openraft asks often.
#[derive(Clone, Debug, Default)]
struct Ends {
    purged: Option<LogId>,
    last: Option<LogId>,
    vote: Option<Vote>,
    /// Where it began when it was empty: at 0, but in tests of openraft's.
    begins: u64,
    /// How often entries were purged or cut off, counted before they are gone.
    cuts: u64,
}

impl Ends {
    /// The first entry that is not purged, if there is one.
    fn first(&self) -> u64 {
        self.purged.map_or(self.begins, |id| id.index + 1)
    }

    /// The entry after the last.
    fn next(&self) -> u64 {
        self.last.map_or(0, |id| id.index + 1).max(self.first())
    }
}

impl LogStore {
    /// Opens the log in RocksDB.
    ///
    /// # Errors
    /// As [`Self::on`], and when RocksDB cannot be opened.
    pub(crate) fn open(shared: &rocks::Shared, options: LogOptions) -> anyhow::Result<Self> {
        let damage = Damage::of(&options);
        let medium =
            OnDisk::open(shared, &options.dir).map_err(|error| anyhow::anyhow!(damage.explain_open(&error)))?;
        Self::on(Arc::new(medium), options)
    }

    /// Takes up the log on a medium, reads it once from end to end and checks every entry. The log is short (see
    /// `Tuning::snapshot_after`), and damage that is found at the start does no harm yet.
    ///
    /// # Errors
    /// When the log cannot be read or is damaged. Nothing is deleted or repaired then.
    fn on(medium: Arc<impl Medium>, options: LogOptions) -> anyhow::Result<Self> {
        let damage = Damage::of(&options);
        let ends = reader::check_whole(&*medium).map_err(|what| anyhow::anyhow!(damage.explain(&what)))?;
        let syncs = Arc::clone(&medium).syncs();
        let LogOptions { sync_delay, stopper, max_read_bytes, tasks, .. } = options;
        Ok(Self(Arc::new(Inner {
            flusher: Flusher::start(syncs, FlusherOptions { sync_delay, stopper }),
            medium,
            ends: Mutex::new(ends),
            max_read_bytes,
            damage,
            tasks,
            appended_bytes: Arc::default(),
        })))
    }

    /// How often the log was synced since it was opened.
    pub(crate) fn syncs(&self) -> u64 {
        self.0.flusher.syncs()
    }

    /// How long syncs took in the last seconds, nothing where there were none.
    pub(crate) fn sync_pace(&self) -> Option<SyncPace> {
        self.0.flusher.pace()
    }

    /// How long each sync took since it was opened, in seconds.
    pub(crate) fn sync_seconds(&self) -> Histogram {
        self.0.flusher.durations()
    }

    /// How many bytes of entries were appended since it was opened.
    pub(crate) fn appended_bytes(&self) -> u64 {
        self.0.appended_bytes.load(Ordering::Relaxed)
    }

    /// The counter of that.
    pub(crate) fn appended(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.0.appended_bytes)
    }

    /// Where the log was last purged.
    pub(crate) fn purged_index(&self) -> Option<u64> {
        self.ends().purged.map(|id| id.index)
    }

    /// The last entry, also where it is purged.
    pub(crate) fn last_index(&self) -> Option<u64> {
        let ends = self.ends();
        ends.last.or(ends.purged).map(|id| id.index)
    }

    /// The vote and the last entry, as a point that this node may have acknowledged. Where it was synced is not looked at:
    /// it has no less than this.
    pub(crate) fn held(&self) -> Acknowledged {
        let ends = self.ends();
        let index = ends.last.or(ends.purged).map(|id| id.index);
        ends.vote
            .as_ref()
            .map_or(Acknowledged { index, ..Acknowledged::default() }, |vote| Acknowledged::new(vote, index))
    }

    /// Where this node, `own`, was made leader by its last vote: what it counts itself for, which is what it has synced.
    pub(crate) fn leads_up_to(&self, own: NodeId) -> Option<Acknowledged> {
        let vote = self.ends().vote.filter(|vote| vote.committed && vote.leader_id.node_id == own.0)?;
        Some(Acknowledged::new(&vote, self.0.flusher.synced_upto()))
    }

    /// What was last written down of the others.
    ///
    /// # Errors
    /// When it is damaged.
    pub(crate) fn recollections(&self) -> anyhow::Result<BTreeMap<NodeId, Acknowledged>> {
        let record = read_mark::<RecollectionsRecord>(&*self.0.medium, Mark::Recollections);
        let record = record.map_err(|what| anyhow::anyhow!(self.0.damage.explain(&what)))?;
        let points = record.into_iter().flat_map(|record| record.of);
        Ok(points
            .map(|point| {
                let AcknowledgedRecord { member, term, leader, index } = point;
                (NodeId(member), Acknowledged { term, leader, index })
            })
            .collect())
    }

    /// Not synced on its own: it is there after the next sync of what is appended, and after any end of the process.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn write_recollections(&self, of: &BTreeMap<NodeId, Acknowledged>) -> io::Result<()> {
        let record = |(member, point): (&NodeId, &Acknowledged)| {
            let Acknowledged { term, leader, index } = *point;
            AcknowledgedRecord { member: member.0, term, leader, index }
        };
        let record = RecollectionsRecord { of: of.iter().map(record).collect() };
        let mut batch = Batch::default();
        batch.set_mark(Mark::Recollections, seal_mark(Mark::Recollections, &record));
        self.write(batch)
    }

    /// Whether nothing was ever stored here.
    pub(crate) fn is_pristine(&self) -> bool {
        let ends = self.ends();
        ends.vote.is_none() && ends.last.is_none()
    }

    pub(crate) fn background_errors(&self) -> u64 {
        self.0.medium.background_errors()
    }

    fn ends(&self) -> Ends {
        self.0.ends.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_ends(&self, change: impl FnOnce(&mut Ends)) {
        change(&mut self.0.ends.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn write(&self, batch: Batch) -> io::Result<()> {
        self.0.medium.write(batch).map_err(|error| {
            let dir = self.0.damage.dir.display();
            let message = damage::with_remedy(format!("cannot write to the Raft log in {dir}: {error}"));
            self.0.damage.stopper.stop(message.clone());
            io::Error::other(message)
        })
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let ends = self.ends();
        Ok(LogState { last_purged_log_id: ends.purged, last_log_id: ends.last.or(ends.purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let mut batch = Batch::default();
        batch.set_mark(Mark::Vote, seal_mark(Mark::Vote, &VoteRecord::from(vote)));
        self.write(batch)?;
        self.0.flusher.sync().await?;
        self.set_ends(|ends| ends.vote = Some(*vote));
        Ok(())
    }

    /// Not synced: the mark only saves work at the next start. After a power failure it may be older than what was
    /// committed, and the leader of the day says how far to go.
    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let mut batch = Batch::default();
        match &committed {
            Some(id) => batch.set_mark(Mark::Committed, seal_mark(Mark::Committed, &LogIdRecord::from(id))),
            None => batch.clear_mark(Mark::Committed),
        }
        self.write(batch)
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        let record = read_mark::<LogIdRecord>(&*self.0.medium, Mark::Committed);
        Ok(record.map_err(|what| self.0.damage.report(&what))?.as_ref().map(Into::into))
    }

    async fn append<I>(&mut self, entries: I, callback: IoFlushed) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut batch = Batch::default();
        let (mut first, mut last) = (None, None);
        for entry in entries {
            let index = entry.log_id.index;
            first.get_or_insert(index);
            batch.put(index, records::seal(&index.to_be_bytes(), &EntryRecord::from(&entry)));
            last = Some(entry.log_id);
        }
        self.0.appended_bytes.fetch_add(batch.entry_bytes(), Ordering::Relaxed);
        self.write(batch)?;
        if let (Some(first), Some(last)) = (first, last) {
            self.set_ends(|ends| {
                if ends.last.replace(last).is_none() {
                    ends.begins = first;
                }
            });
        }
        self.0.flusher.sync_then(callback, last.map(|id| id.index));
        Ok(())
    }

    /// Synced, though whatever is appended next would sync it as well: what comes next may be a snapshot instead, which
    /// is installed durably and not by way of this log. If a power cut then took the truncation, entries that contradict
    /// the state would be back, and this node could not start any more. It is rare: a leader has changed.
    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        // Before the entries are gone, so that no reader takes their absence for damage.
        self.set_ends(|ends| {
            let cut = last.or(ends.purged);
            if ends.last.map(|id| id.index) > cut.map(|id| id.index) {
                ends.last = cut;
            }
            ends.cuts += 1;
        });
        let mut batch = Batch::default();
        batch.delete(last.map_or(0, |id| id.index + 1)..u64::MAX);
        self.write(batch)?;
        self.0.flusher.sync().await?;
        self.0.flusher.cut(last.map(|id| id.index));
        Ok(())
    }

    /// Entries that come back after a power failure are below the purge mark or are purged again.
    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.set_ends(|ends| {
            ends.purged = Some(upto);
            if ends.last.is_none_or(|last| last.index < upto.index) {
                ends.last = Some(upto);
            }
            ends.cuts += 1;
        });
        let end = upto.index + 1;
        let mut batch = Batch::default();
        batch.set_mark(Mark::Purged, seal_mark(Mark::Purged, &LogIdRecord::from(&upto)));
        batch.delete(0..end);
        self.write(batch)?;
        // Not before the mark is on the disk: the medium may delete whole files, durably and at once, and a log whose
        // entries are gone and whose mark is old is a damaged one.
        self.0.flusher.sync().await?;
        // It may delete many files and sync what it has done, so not on Raft's threads. Waited for all the same: nothing
        // must hold the medium open that whoever closes the log does not know of. Room that a node which ends does not get
        // back comes with its next purge.
        let medium = Arc::clone(&self.0.medium);
        let _ = self.0.tasks.blocking(move || medium.reclaim(end)).await;
        Ok(())
    }
}

/// What a damaged log comes to: a message that says what to do, and the end of the process.
struct Damage {
    dir: PathBuf,
    node_id: u64,
    stopper: Stopper,
}

impl Damage {
    fn of(options: &LogOptions) -> Self {
        Self { dir: options.dir.clone(), node_id: options.node_id, stopper: options.stopper.clone() }
    }

    fn explain(&self, what: &str) -> String {
        damage::explain("Raft log", &self.dir, self.node_id, what)
    }

    fn explain_open(&self, error: &rocksdb::Error) -> String {
        if error.kind() == rocksdb::ErrorKind::Corruption {
            self.explain(error.as_ref())
        } else {
            format!("cannot open the Raft log in {}: {error}", self.dir.display())
        }
    }

    /// Has the process end, and gives the error to hand to openraft, which stops on it.
    fn report(&self, what: &str) -> io::Error {
        let message = self.explain(what);
        self.stopper.stop(message.clone());
        io::Error::other(message)
    }
}

fn seal_mark(mark: Mark, record: &impl Message) -> Vec<u8> {
    records::seal(mark.key(), record)
}

fn read_mark<M: Message>(medium: &dyn Medium, mark: Mark) -> Result<Option<M>, String> {
    let name = String::from_utf8_lossy(mark.key());
    let bytes = medium.mark(mark).map_err(|error| format!("mark {name}: {error}"))?;
    bytes.map(|bytes| records::open(mark.key(), &bytes).map_err(|error| format!("mark {name}: {error}"))).transpose()
}
