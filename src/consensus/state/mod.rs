//! The state that is replicated, and its replacement as a whole when a snapshot is installed. What it lies on is behind
//! `medium`.

mod held;
#[cfg(test)]
pub(crate) mod in_memory;
mod medium;
mod on_disk;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use sha2::{Digest, Sha256};

use self::held::{BesideHeld, Held};
use self::medium::{Change, Medium, Rows, Walk};
use self::on_disk::OnDisk;
use super::machine::Machine;
use super::published::Published;
use super::records::{self, AppliedRecord, UsedRecord};
use super::rocks;
use super::types::{LogId, StoredMembership};
use crate::domain::plant::{Plant, planted};
use crate::domain::store::Row;
use crate::domain::{ClusterTime, Fault, ReadStore, Schema, Table};

/// Keys of `Table::Meta` that start with `raft.` are ours; the state machine does not touch them.
const APPLIED_KEY: &[u8] = b"raft.applied";
/// Written with each membership entry that is applied, and so the same on all nodes, and part of every snapshot.
const USED_KEY: &[u8] = b"raft.used";

/// How far this node has applied the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    pub index: Option<u64>,
    pub time: ClusterTime,
    pub schema: Schema,
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

/// The state, whichever generation it is at.
pub(crate) struct StateStore {
    medium: Box<dyn Medium>,
    current: RwLock<Arc<StateDb>>,
    applied: Published<Applied>,
}

/// One generation of the state.
pub(crate) struct StateDb {
    rows: Box<dyn Rows>,
    held: Held,
}

/// Reads of a generation.
pub(crate) struct Reads<'a>(Box<dyn ReadStore + 'a>);

impl ReadStore for Reads<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.0.get(table, key)
    }

    fn scan(&self, table: Table, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, Fault> {
        self.0.scan(table, from, to, limit)
    }
}

impl StateStore {
    /// Opens the state in the directory `root` with RocksDB, or makes an empty one.
    ///
    /// # Errors
    /// When it cannot be opened or is damaged.
    pub(crate) fn open(
        shared: &rocks::Shared,
        root: PathBuf,
        node_id: u64,
        machine: &dyn Machine,
    ) -> anyhow::Result<Self> {
        Self::on(Box::new(OnDisk::new(shared, root, node_id)), machine)
    }

    /// Takes up the state on a medium.
    ///
    /// # Errors
    /// When it cannot be opened or is damaged.
    fn on(medium: Box<dyn Medium>, machine: &dyn Machine) -> anyhow::Result<Self> {
        let db = StateDb::of(medium.open()?)?;
        let applied = db.progress(machine)?;
        Ok(Self { medium, current: RwLock::new(Arc::new(db)), applied: Published::new(applied) })
    }

    /// Opens the state in the directory `root` to be looked at: nothing is made, swept away or written.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub(crate) fn look(shared: &rocks::Shared, root: &Path) -> anyhow::Result<StateDb> {
        Ok(StateDb::of(on_disk::look(shared, root)?)?)
    }

    /// The generation of now. A caller keeps it for one query or one batch.
    pub(crate) fn db(&self) -> Arc<StateDb> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn applied(&self) -> Applied {
        *self.applied.get()
    }

    /// Returns when the entry is applied.
    pub(crate) async fn wait_for_applied(&self, index: u64) {
        self.applied.wait_for(|applied| (applied.index >= Some(index)).then_some(())).await;
    }

    pub(crate) fn set_applied(&self, applied: Applied) {
        self.applied.publish(applied);
    }

    pub(crate) fn background_errors(&self) -> u64 {
        self.db().rows.background_errors()
    }

    /// Goes over to the checkpoint in `source`, which stays as it is.
    ///
    /// # Errors
    /// When the next generation cannot be built or opened, or does not hold what `expected` says. The old one stays then.
    pub(crate) fn replace(&self, source: &Path, expected: &AppliedRecord, machine: &dyn Machine) -> anyhow::Result<()> {
        let db = StateDb::of(self.medium.build(source)?)?;
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
        self.medium.switch()?;
        let old = {
            let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *current, Arc::new(db))
        };
        old.rows.retire();
        drop(old);
        self.set_applied(applied);
        Ok(())
    }
}

impl StateDb {
    fn of(rows: Box<dyn Rows>) -> Result<Self, Fault> {
        let held = Held::load(&*rows.latest())?;
        Ok(Self { rows, held })
    }

    /// One consistent state to run a query on.
    pub(crate) fn view(&self) -> Reads<'_> {
        Reads(self.rows.view(Walk::Here))
    }

    /// The same for a walk over everything: what it reads does not drive out of the cache what others read again and
    /// again.
    pub(crate) fn view_once(&self) -> Reads<'_> {
        Reads(self.rows.view(Walk::Everywhere))
    }

    /// The latest state, for the one thread that applies and so knows that nothing changes beneath it.
    pub(crate) fn latest(&self) -> Reads<'_> {
        Reads(Box::new(BesideHeld { held: &self.held, medium: self.rows.latest() }))
    }

    /// Writes rows and the mark that goes with them, all or nothing.
    pub(crate) fn write(
        &self,
        changes: impl Iterator<Item = Change>,
        mark: &AppliedRecord,
        used: Option<BTreeSet<u64>>,
    ) -> Result<(), Fault> {
        let used = used.map(|ids| {
            let record = UsedRecord { ids: ids.into_iter().collect() };
            (Table::Meta, USED_KEY.to_vec(), Some(records::seal(USED_KEY, &record)))
        });
        let mark = (Table::Meta, APPLIED_KEY.to_vec(), Some(records::seal(APPLIED_KEY, mark)));
        let mut small = Vec::new();
        let changes = changes.chain([mark]).chain(used);
        self.rows.write(&mut changes.inspect(|change| {
            if change.0.is_small() {
                small.push(change.clone());
            }
        }))?;
        self.held.follow(small);
        Ok(())
    }

    /// Makes a copy of the state as it is now in `dir`, durably. What is copied is durable here, too, which is why the log
    /// may be purged up to a snapshot.
    pub(crate) fn checkpoint(&self, dir: &Path) -> anyhow::Result<()> {
        self.rows.checkpoint(dir)
    }

    #[cfg(test)]
    fn flush(&self, table: Table) {
        self.rows.flush(table);
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
        Fault(format!("the applied mark in {}: {error}", self.rows.place().display()))
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
                .map_err(|error| Fault(format!("the ids used in {}: {error}", self.rows.place().display())))?
                .ids
                .into_iter()
                .collect(),
            None => BTreeSet::new(),
        };
        used.extend(&members);
        Ok(Roster { members, used })
    }

    fn progress(&self, machine: &dyn Machine) -> Result<Applied, Fault> {
        machine
            .knows(&self.latest())
            .map_err(|fault| Fault(format!("{}: {}", self.rows.place().display(), fault.0)))?;
        let index = self.applied_record()?.last.map(|id| id.index);
        // An empty database may have no clock row yet.
        let time = if index.is_some() { machine.cluster_time(&self.latest())? } else { ClusterTime(0) };
        Ok(Applied { index, time, schema: machine.schema(&self.latest())? })
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
