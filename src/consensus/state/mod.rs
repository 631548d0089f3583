//! The state machine's database, and its replacement as a whole when a snapshot is installed.
//!
//! Layout of the directory: one subdirectory for each generation of the database (`1`, `2`, …) and the file `current`,
//! which names one of them. A snapshot is installed by building the next generation beside the current one and
//! then replacing `current` by an atomic rename: a crash at any point leaves the old database or the new one, and
//! the other is swept away at the next start.
//!
//! Renaming the database's own directory would look simpler, but RocksDB opens its files by path whenever it needs
//! them, so every reader would have to be stopped first. This way running queries finish on the old generation, which
//! is deleted when the last of them lets go of it.

#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{ColumnFamilyDescriptor, DB, WriteBatch};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use self::view::{Families, Latest, View};
use super::damage;
use super::machine::Machine;
use super::records::{self, AppliedRecord, UsedRecord};
use super::types::{LogId, StoredMembership};
use super::{files, rocks};
use crate::domain::plant::{Plant, planted};
use crate::domain::{ClusterTime, Fault, ReadStore, Table};

/// Keys of `Table::Meta` that start with `raft.` are ours; the state machine does not touch them.
const APPLIED_KEY: &[u8] = b"raft.applied";
/// Written with each membership entry that is applied, and so the same on all nodes, and part of every snapshot.
const USED_KEY: &[u8] = b"raft.used";

/// Memtables of all tables together.
const WRITE_BUFFERS: usize = 64 << 20;
/// The memtable of one table.
const WRITE_BUFFER: usize = 16 << 20;
/// That of a table that the leader's job looks into from the front, again and again: what was deleted lies in the way until
/// the memtable is flushed. Eyeballed: some 30,000 rows, which take a few milliseconds to pass over.
const JOB_BUFFER: usize = 1 << 20;

const CURRENT: &str = "current";

/// How far this node has applied the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    pub index: Option<u64>,
    pub time: ClusterTime,
}

/// Who takes part, as far as this node has applied the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Roster {
    /// Voters and learners.
    pub members: BTreeSet<u64>,
    /// Every id that was ever a member's. None of them is given again: its node may have promised votes, and hold
    /// entries that nobody else remembers it to have.
    pub used: BTreeSet<u64>,
}

impl Roster {
    /// Ids are not used again, so this never becomes untrue.
    pub(crate) fn was_removed(&self, id: u64) -> bool {
        self.used.contains(&id) && !self.members.contains(&id)
    }
}

/// The state machine's database, whichever generation it is at.
pub(crate) struct StateStore {
    root: PathBuf,
    node_id: u64,
    shared: rocks::Shared,
    current: RwLock<Arc<StateDb>>,
    applied: watch::Sender<Applied>,
}

/// One generation of the database.
pub(crate) struct StateDb {
    dir: PathBuf,
    generation: u64,
    db: Option<DB>,
    obsolete: AtomicBool,
}

impl StateStore {
    /// Opens the database in `root`, or makes an empty one.
    ///
    /// # Errors
    /// When it cannot be opened or is damaged.
    pub(crate) fn open(
        shared: &rocks::Shared,
        root: PathBuf,
        node_id: u64,
        machine: &dyn Machine,
    ) -> anyhow::Result<Self> {
        files::make_dir(&root)?;
        let generation = match fs::read_to_string(root.join(CURRENT)) {
            Ok(text) => text.trim().parse().with_context(|| {
                damage::explain("state database", &root, node_id, &format!("its file {CURRENT} holds no number"))
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                point_to(&root, 1)?;
                1
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", root.join(CURRENT).display())),
        };
        sweep(&root, generation)?;
        let db = StateDb::open(shared, &root, generation, node_id)?;
        let applied = db.progress(machine)?;
        Ok(Self {
            root,
            node_id,
            shared: shared.clone(),
            current: RwLock::new(Arc::new(db)),
            applied: watch::Sender::new(applied),
        })
    }

    /// Opens the database in `root` to be looked at: nothing is made, swept away or written.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub(crate) fn look(shared: &rocks::Shared, root: &Path) -> anyhow::Result<StateDb> {
        let path = root.join(CURRENT);
        let text = fs::read_to_string(&path).with_context(|| {
            format!(
                "cannot read {}, which says where the state is: is this a directory node's data_dir?",
                path.display()
            )
        })?;
        let generation: u64 = text.trim().parse().with_context(|| format!("{} holds no number", path.display()))?;
        let dir = root.join(generation.to_string());
        anyhow::ensure!(dir.join("CURRENT").is_file(), "{} is named in {CURRENT} and not there", dir.display());
        let options = shared.state(WRITE_BUFFERS);
        let db = DB::open_cf_descriptors_read_only(&options, &dir, families(shared), false)
            .with_context(|| format!("cannot open the state database in {}", dir.display()))?;
        Ok(StateDb { dir, generation, db: Some(db), obsolete: AtomicBool::new(false) })
    }

    /// The database of now. A caller keeps it for one query or one batch.
    pub(crate) fn db(&self) -> Arc<StateDb> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn applied(&self) -> Applied {
        *self.applied.borrow()
    }

    pub(crate) fn watch_applied(&self) -> watch::Receiver<Applied> {
        self.applied.subscribe()
    }

    pub(crate) fn set_applied(&self, applied: Applied) {
        self.applied.send_replace(applied);
    }

    pub(crate) fn background_errors(&self) -> u64 {
        rocks::background_errors(self.db().rocks())
    }

    /// Goes over to the database files in `source`, which stay where they are.
    ///
    /// # Errors
    /// When the new database cannot be built or opened, or does not hold what `expected` says. The old one stays then.
    pub(crate) fn replace(&self, source: &Path, expected: &AppliedRecord, machine: &dyn Machine) -> anyhow::Result<()> {
        let generation = self.db().generation + 1;
        let dir = self.root.join(generation.to_string());
        files::remove_dir(&dir)?;
        files::clone_database(source, &dir)?;
        let db = StateDb::open(&self.shared, &self.root, generation, self.node_id)?;
        anyhow::ensure!(
            db.applied_record()? == *expected,
            "the snapshot in {} does not hold what its mark says: it is not installed",
            source.display()
        );
        let applied = db.progress(machine)?;
        if planted(Plant::TornSnapshotInstall) {
            // As if it went row by row into the old database, the mark first, and were cut short there.
            self.db().write(std::iter::empty(), expected, None)?;
            self.set_applied(applied);
            return Ok(());
        }
        point_to(&self.root, generation)?;
        let old = {
            let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *current, Arc::new(db))
        };
        old.obsolete.store(true, Ordering::Release);
        drop(old);
        self.set_applied(applied);
        Ok(())
    }
}

impl StateDb {
    fn open(shared: &rocks::Shared, root: &Path, generation: u64, node_id: u64) -> anyhow::Result<Self> {
        let dir = root.join(generation.to_string());
        let options = shared.state(WRITE_BUFFERS);
        let db = DB::open_cf_descriptors(&options, &dir, families(shared)).map_err(|error| {
            if error.kind() == rocksdb::ErrorKind::Corruption {
                anyhow::anyhow!(damage::explain("state database", &dir, node_id, error.as_ref()))
            } else {
                anyhow::anyhow!("cannot open the state database in {}: {error}", dir.display())
            }
        })?;
        Ok(Self { dir, generation, db: Some(db), obsolete: AtomicBool::new(false) })
    }

    pub(crate) fn rocks(&self) -> &DB {
        self.db.as_ref().expect("closed only when it is dropped")
    }

    /// One consistent state to run a query on.
    pub(crate) fn view(&self) -> View<'_> {
        View::new(self.rocks())
    }

    pub(crate) fn latest(&self) -> Latest<'_> {
        Latest::new(self.rocks())
    }

    /// Writes rows and the mark that goes with them, all or nothing.
    pub(crate) fn write(
        &self,
        changes: impl Iterator<Item = (Table, Vec<u8>, Option<Vec<u8>>)>,
        mark: &AppliedRecord,
        used: Option<BTreeSet<u64>>,
    ) -> Result<(), Fault> {
        let db = self.rocks();
        let families = Families::new(db);
        let mut batch = WriteBatch::default();
        for (table, key, value) in changes {
            match value {
                Some(value) => batch.put_cf(families.of(table), key, value),
                None => batch.delete_cf(families.of(table), key),
            }
        }
        batch.put_cf(families.of(Table::Meta), APPLIED_KEY, records::seal(APPLIED_KEY, mark));
        if let Some(ids) = used {
            let record = UsedRecord { ids: ids.into_iter().collect() };
            batch.put_cf(families.of(Table::Meta), USED_KEY, records::seal(USED_KEY, &record));
        }
        db.write_opt(batch, &rocks::unsynced())
            .map_err(|error| Fault(format!("cannot write to the state database in {}: {error}", self.dir.display())))
    }

    /// Makes a copy of the database as it is now in `dir`, of hard links as far as possible. What was in memory is
    /// flushed and synced by that, which is why the log may be purged up to a snapshot.
    pub(crate) fn checkpoint(&self, dir: &Path) -> anyhow::Result<()> {
        let made = Checkpoint::new(self.rocks()).and_then(|checkpoint| checkpoint.create_checkpoint(dir));
        made.with_context(|| format!("cannot take a checkpoint of {} into {}", self.dir.display(), dir.display()))
    }

    pub(crate) fn applied_record(&self) -> Result<AppliedRecord, Fault> {
        self.record_in(&self.latest())
    }

    fn record_in(&self, store: &dyn ReadStore) -> Result<AppliedRecord, Fault> {
        match store.get(Table::Meta, APPLIED_KEY)? {
            Some(bytes) => records::open(APPLIED_KEY, &bytes).map_err(|error| self.unreadable(&error)),
            None => Ok(AppliedRecord::default()),
        }
    }

    fn unreadable(&self, error: &dyn std::fmt::Display) -> Fault {
        Fault(format!("the applied mark in {}: {error}", self.dir.display()))
    }

    /// The last log entry in a view of the tables.
    pub(crate) fn applied_index(view: &dyn ReadStore) -> Result<Option<u64>, Fault> {
        let Some(bytes) = view.get(Table::Meta, APPLIED_KEY)? else { return Ok(None) };
        let record: AppliedRecord =
            records::open(APPLIED_KEY, &bytes).map_err(|error| Fault(format!("the applied mark: {error}")))?;
        Ok(record.last.map(|id| id.index))
    }

    pub(crate) fn applied_state(&self) -> Result<(Option<LogId>, StoredMembership), Fault> {
        self.applied_record()?.into_parts().map_err(|error| self.unreadable(&error))
    }

    pub(crate) fn roster(&self) -> Result<Roster, Fault> {
        // Both of one moment: a newcomer that is used and no member yet would be told that it was removed.
        let view = self.view();
        let (_, membership) = self.record_in(&view)?.into_parts().map_err(|error| self.unreadable(&error))?;
        let members: BTreeSet<u64> = membership.nodes().map(|(id, _)| *id).collect();
        let mut used = match view.get(Table::Meta, USED_KEY)? {
            Some(bytes) => records::open::<UsedRecord>(USED_KEY, &bytes)
                .map_err(|error| Fault(format!("the ids used in {}: {error}", self.dir.display())))?
                .ids
                .into_iter()
                .collect(),
            None => BTreeSet::new(),
        };
        used.extend(&members);
        Ok(Roster { members, used })
    }

    fn progress(&self, machine: &dyn Machine) -> Result<Applied, Fault> {
        machine.knows(&self.latest()).map_err(|fault| Fault(format!("{}: {}", self.dir.display(), fault.0)))?;
        let index = self.applied_record()?.last.map(|id| id.index);
        // An empty database may have no clock row yet.
        let time = if index.is_some() { machine.cluster_time(&self.latest())? } else { ClusterTime(0) };
        Ok(Applied { index, time })
    }
}

impl Drop for StateDb {
    fn drop(&mut self) {
        drop(self.db.take());
        if self.obsolete.load(Ordering::Acquire)
            && let Err(error) = files::remove_dir(&self.dir)
        {
            tracing::warn!(%error, "an old state database stays on the disk until the next start");
        }
    }
}

fn families(shared: &rocks::Shared) -> impl Iterator<Item = ColumnFamilyDescriptor> {
    let tables = Table::ALL.into_iter().map(|table| {
        let options = match table {
            Table::Repairs | Table::Garbage => shared.queue(JOB_BUFFER),
            table if is_queue(table) => shared.queue(WRITE_BUFFER),
            _ => shared.column_family(WRITE_BUFFER),
        };
        ColumnFamilyDescriptor::new(table.name(), options)
    });
    std::iter::once(ColumnFamilyDescriptor::new("default", shared.column_family(WRITE_BUFFER))).chain(tables)
}

/// Whether rows are looked for at the front of a stretch of the table, and deleted there.
fn is_queue(table: Table) -> bool {
    match table {
        Table::Names
        | Table::Placements
        | Table::Repairs
        | Table::Garbage
        | Table::Tokens
        | Table::Locks
        | Table::LocksByOwner
        | Table::Operations
        | Table::Expiries
        | Table::Holds
        | Table::Bare => true,
        Table::Entries
        | Table::Servers
        | Table::Ring
        | Table::Sweeps
        | Table::Users
        | Table::Usernames
        | Table::Grants
        | Table::GrantsByFile
        | Table::Policy
        | Table::Meta
        | Table::Children => false,
    }
}

/// SHA-256 over every row of the state machine, and their number. Our own marks are left out: they tell of the log.
///
/// # Errors
/// When the storage fails.
pub(crate) fn digest(store: &dyn ReadStore) -> Result<(String, u64), Fault> {
    const PAGE: usize = 1024;
    let (mut hash, mut rows) = (Sha256::new(), 0);
    let mut add = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    for table in Table::ALL {
        add(table.name().as_bytes());
        let mut from = Vec::new();
        loop {
            let page = store.scan(table, &from, None, PAGE)?;
            let ours = |key: &[u8]| table == Table::Meta && key.starts_with(b"raft.");
            for (key, value) in page.iter().filter(|(key, _)| !ours(key)) {
                add(key);
                add(value);
                rows += 1;
            }
            match page.last() {
                Some((last, _)) if page.len() == PAGE => from = [&last[..], &[0]].concat(),
                _ => break,
            }
        }
    }
    Ok((hex::encode(hash.finalize()), rows))
}

fn point_to(root: &Path, generation: u64) -> anyhow::Result<()> {
    files::write_atomically(&root.join(CURRENT), |file| writeln!(file, "{generation}"))
}

/// Removes generations that a crash left beside the current one.
fn sweep(root: &Path, current: u64) -> anyhow::Result<()> {
    for name in files::list_names(root)? {
        if name.parse::<u64>().is_ok_and(|generation| generation != current) {
            files::remove_dir(&root.join(&name))?;
        }
    }
    Ok(())
}
