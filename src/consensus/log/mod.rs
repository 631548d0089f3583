//! The Raft log on disk: entries, the vote, and the marks of what is purged and committed.
//!
//! An append goes to RocksDB's write-ahead log without a sync and returns; the entries can be read from then on, so
//! openraft sends them to followers while this node's own disk still works. One thread syncs for everybody, see
//! `flusher`.
//!
//! Key layout: `entries` has the big-endian index, so that order of keys is order of the log; `marks` has one key for
//! each mark. Both hold sealed records (`records`). A column family of their own keeps the marks, which are overwritten
//! all the time, out of the way of entries, which are only ever added, cut off or purged.

mod flusher;
mod pace;
mod reader;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openraft::OptionalSend;
use openraft::storage::{LogState, RaftLogStorage};
use prost::Message;
use rocksdb::{ColumnFamily, ColumnFamilyDescriptor, DB, WriteBatch};

use self::flusher::Flusher;
pub(crate) use self::pace::SyncPace;
use super::records::{self, EntryRecord, LogIdRecord, VoteRecord};
use super::stopper::Stopper;
use super::types::{Entry, IoFlushed, LogId, TypeConfig, Vote};
use super::{damage, rocks};
use crate::telemetry::Histogram;

const ENTRIES: &str = "entries";
const MARKS: &str = "marks";
const VOTE: &[u8] = b"vote";
const PURGED: &[u8] = b"purged";
const COMMITTED: &[u8] = b"committed";

/// Memtables of the log. Small: what is in them is also in the write-ahead log, and is read again at once or never.
const WRITE_BUFFERS: usize = 32 << 20;

/// What the log is opened with.
pub(crate) struct LogOptions {
    pub dir: PathBuf,
    /// For messages.
    pub node_id: u64,
    pub max_read_bytes: usize,
    pub sync_delay: Option<Duration>,
    pub stopper: Stopper,
}

/// The log. Cheap to clone; the database closes with the last clone.
#[derive(Clone)]
pub(crate) struct LogStore(Arc<Inner>);

struct Inner {
    // Declared before the database, so that the thread has ended when that closes.
    flusher: Flusher,
    db: Arc<DB>,
    ends: Mutex<Ends>,
    max_read_bytes: usize,
    damage: Damage,
    appended_bytes: Arc<AtomicU64>,
}

/// Where the log ends on either side. Kept in memory, because openraft asks often.
#[derive(Clone, Debug, Default)]
struct Ends {
    purged: Option<LogId>,
    last: Option<LogId>,
    vote: Option<Vote>,
}

impl LogStore {
    /// Opens the log, reads it once from end to end and checks every entry. The log is short (see
    /// `Tuning::snapshot_after`), and damage that is found at the start does no harm yet.
    ///
    /// # Errors
    /// When the log cannot be opened or is damaged. Nothing is deleted or repaired then.
    pub(crate) fn open(shared: &rocks::Shared, options: LogOptions) -> anyhow::Result<Self> {
        let damage = Damage { dir: options.dir.clone(), node_id: options.node_id, stopper: options.stopper.clone() };
        let mut database = shared.database(WRITE_BUFFERS);
        rocks::refuse_damaged_wal(&mut database);
        let mut families = vec![ColumnFamilyDescriptor::new("default", shared.column_family(1 << 20))];
        for (name, write_buffer) in [(ENTRIES, WRITE_BUFFERS / 4), (MARKS, 1 << 20)] {
            families.push(ColumnFamilyDescriptor::new(name, shared.column_family(write_buffer)));
        }
        let db = DB::open_cf_descriptors(&database, &options.dir, families)
            .map_err(|error| anyhow::anyhow!(damage.explain_open(&error)))?;
        let db = Arc::new(db);
        let ends = reader::check_whole(&db).map_err(|what| anyhow::anyhow!(damage.explain(&what)))?;
        let synced = Arc::clone(&db);
        let sync = move || {
            let dir = synced.path().display();
            synced.flush_wal(true).map_err(|error| format!("cannot sync the Raft log in {dir}: {error}"))
        };
        let flusher = Flusher::start(sync, options.sync_delay, options.stopper);
        Ok(Self(Arc::new(Inner {
            flusher,
            db,
            ends: Mutex::new(ends),
            max_read_bytes: options.max_read_bytes,
            damage,
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

    /// Whether nothing was ever stored here.
    pub(crate) fn is_pristine(&self) -> bool {
        let ends = self.ends();
        ends.vote.is_none() && ends.last.is_none()
    }

    pub(crate) fn background_errors(&self) -> u64 {
        rocks::background_errors(&self.0.db)
    }

    fn ends(&self) -> Ends {
        self.0.ends.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_ends(&self, change: impl FnOnce(&mut Ends)) {
        change(&mut self.0.ends.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn mark(&self, key: &[u8]) -> io::Result<Option<LogId>> {
        let record: Option<LogIdRecord> = read_mark(&self.0.db, key).map_err(|what| self.0.damage.report(&what))?;
        Ok(record.as_ref().map(Into::into))
    }

    fn write(&self, batch: WriteBatch) -> io::Result<()> {
        self.0.db.write_opt(batch, &rocks::unsynced()).map_err(|error| {
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
        let mut batch = WriteBatch::default();
        batch.put_cf(family(&self.0.db, MARKS), VOTE, records::seal(VOTE, &VoteRecord::from(vote)));
        self.write(batch)?;
        self.0.flusher.sync().await?;
        self.set_ends(|ends| ends.vote = Some(*vote));
        Ok(())
    }

    /// Not synced: the mark only saves work at the next start. After a power failure it may be older than what was
    /// committed, and the leader of the day says how far to go.
    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let mut batch = WriteBatch::default();
        if let Some(id) = &committed {
            let record = LogIdRecord::from(id);
            batch.put_cf(family(&self.0.db, MARKS), COMMITTED, records::seal(COMMITTED, &record));
        } else {
            batch.delete_cf(family(&self.0.db, MARKS), COMMITTED);
        }
        self.write(batch)
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        self.mark(COMMITTED)
    }

    async fn append<I>(&mut self, entries: I, callback: IoFlushed) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut batch = WriteBatch::default();
        let mut last = None;
        {
            let family = family(&self.0.db, ENTRIES);
            for entry in entries {
                let key = entry.log_id.index.to_be_bytes();
                batch.put_cf(family, key, records::seal(&key, &EntryRecord::from(&entry)));
                last = Some(entry.log_id);
            }
        }
        self.0.appended_bytes.fetch_add(batch.size_in_bytes() as u64, Ordering::Relaxed);
        self.write(batch)?;
        if last.is_some() {
            self.set_ends(|ends| ends.last = last);
        }
        self.0.flusher.sync_then(callback);
        Ok(())
    }

    /// Not synced here: the write-ahead log keeps the order, so the sync of whatever is appended next covers it.
    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let from = last.map_or(0, |id| id.index + 1).to_be_bytes();
        let mut batch = WriteBatch::default();
        batch.delete_range_cf(family(&self.0.db, ENTRIES), from.as_slice(), [0xff; 9].as_slice());
        self.write(batch)?;
        self.set_ends(|ends| {
            let cut = last.or(ends.purged);
            if ends.last.map(|id| id.index) > cut.map(|id| id.index) {
                ends.last = cut;
            }
        });
        Ok(())
    }

    /// Entries that come back after a power failure are below the purge mark or are purged again.
    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        let end = (upto.index + 1).to_be_bytes();
        let entries = family(&self.0.db, ENTRIES);
        let mut batch = WriteBatch::default();
        batch.put_cf(family(&self.0.db, MARKS), PURGED, records::seal(PURGED, &LogIdRecord::from(&upto)));
        batch.delete_range_cf(entries, 0_u64.to_be_bytes().as_slice(), end.as_slice());
        self.write(batch)?;
        // Whole files below the mark go now rather than at their next compaction; but not before the mark is on the disk:
        // their deletion is durable at once, and a log whose entries are gone and whose mark is old is a damaged one.
        // A failure costs space, not safety.
        self.0.flusher.sync().await?;
        if let Err(error) = self.0.db.delete_file_in_range_cf(entries, 0_u64.to_be_bytes(), upto.index.to_be_bytes()) {
            tracing::warn!(%error, "purged log files are not deleted yet");
        }
        self.set_ends(|ends| {
            ends.purged = Some(upto);
            if ends.last.is_none_or(|last| last.index < upto.index) {
                ends.last = Some(upto);
            }
        });
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

fn family<'a>(db: &'a DB, name: &str) -> &'a ColumnFamily {
    db.cf_handle(name).expect("opened with this column family")
}

fn read_mark<M: Message + Default>(db: &DB, key: &[u8]) -> Result<Option<M>, String> {
    let name = String::from_utf8_lossy(key);
    let bytes = db.get_pinned_cf(family(db, MARKS), key).map_err(|error| format!("mark {name}: {error}"))?;
    bytes.map(|bytes| records::open(key, &bytes).map_err(|error| format!("mark {name}: {error}"))).transpose()
}
