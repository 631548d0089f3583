//! The state in memory, with a modelled power cut. A checkpoint is a directory with one file, so what becomes of
//! snapshots, here and on their way to other nodes, is what becomes of real ones.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;

use super::super::files;
use super::super::machine::Machine;
use super::StateStore;
use super::medium::{Change, Medium, Rows, Walk};
use crate::domain::store::Row;
use crate::domain::{Fault, MemoryStore, ReadStore, Store, Table};

const FILE: &str = "rows";

/// Where a state lies. It outlives the state, and its clones are the same place.
#[derive(Clone)]
pub(crate) struct MemoryTables(Arc<Mutex<Kept>>);

struct Kept {
    current: u64,
    generations: BTreeMap<u64, Generation>,
    /// Raised by each power cut. Whoever opened the state before it does not write any more.
    cuts: u64,
}

#[derive(Clone, Default)]
struct Generation {
    /// What a power cut leaves in any case: the last checkpoint.
    durable: MemoryStore,
    /// Written since, in this order.
    unsynced: Vec<Vec<Change>>,
    /// What is read: `durable` with `unsynced` over it. Shared with the views that look at it.
    now: Arc<MemoryStore>,
}

impl MemoryTables {
    pub(crate) fn new() -> Self {
        let generations = BTreeMap::from([(1, Generation::default())]);
        Self(Arc::new(Mutex::new(Kept { current: 1, generations, cuts: 0 })))
    }

    /// Takes up the state that lies here.
    ///
    /// # Errors
    /// As [`StateStore::open`].
    pub(crate) fn open(&self, machine: &dyn Machine) -> anyhow::Result<StateStore> {
        let opened_at = self.lock().cuts;
        StateStore::on(Box::new(InMemory { tables: self.clone(), opened_at }), machine)
    }

    /// Has the power fail: of the writes since the last checkpoint as many stay as `stay` says when it is told how many
    /// there are, those that were written first.
    pub(crate) fn cut_power(&self, stay: impl FnOnce(usize) -> usize) {
        let mut kept = self.lock();
        let current = kept.current;
        kept.generations.retain(|number, _| *number == current);
        if let Some(generation) = kept.generations.get_mut(&current) {
            let stay = stay(generation.unsynced.len());
            for changes in generation.unsynced.drain(..).take(stay) {
                write(&mut generation.durable, &changes);
            }
            generation.now = Arc::new(generation.durable.clone());
        }
        kept.cuts += 1;
    }

    /// How many generations there are.
    pub(crate) fn generations(&self) -> usize {
        self.lock().generations.len()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write(store: &mut MemoryStore, changes: &[Change]) {
    for (table, key, value) in changes {
        let written = match value {
            Some(value) => store.put(*table, key, value),
            None => store.delete(*table, key),
        };
        written.expect("memory takes what it is given");
    }
}

struct InMemory {
    tables: MemoryTables,
    opened_at: u64,
}

impl InMemory {
    fn generation(&self, number: u64) -> Box<dyn Rows> {
        Box::new(Opened {
            tables: self.tables.clone(),
            number,
            opened_at: self.opened_at,
            place: PathBuf::from(format!("memory/{number}")),
            obsolete: AtomicBool::new(false),
        })
    }
}

impl Medium for InMemory {
    fn open(&self) -> anyhow::Result<Box<dyn Rows>> {
        let mut kept = self.tables.lock();
        let current = kept.current;
        kept.generations.retain(|number, _| *number == current);
        Ok(self.generation(current))
    }

    fn build(&self, checkpoint: &Path) -> anyhow::Result<Box<dyn Rows>> {
        let path = checkpoint.join(FILE);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let rows: Vec<(String, Vec<u8>, Vec<u8>)> = rmp_serde::from_slice(&bytes).context("a checkpoint is damaged")?;
        let mut store = MemoryStore::new();
        for (table, key, value) in rows {
            let table = Table::named(&table).with_context(|| format!("a checkpoint has a table {table}"))?;
            store.put(table, &key, &value)?;
        }
        let mut kept = self.tables.lock();
        let number = kept.current + 1;
        let generation = Generation { durable: store.clone(), unsynced: Vec::new(), now: Arc::new(store) };
        kept.generations.insert(number, generation);
        Ok(self.generation(number))
    }

    fn switch(&self) -> anyhow::Result<()> {
        self.tables.lock().current += 1;
        Ok(())
    }
}

/// A generation, as opened once.
struct Opened {
    tables: MemoryTables,
    number: u64,
    opened_at: u64,
    place: PathBuf,
    obsolete: AtomicBool,
}

impl Opened {
    fn with<T>(&self, look: impl FnOnce(&mut Generation) -> T) -> Result<T, Fault> {
        let mut kept = self.tables.lock();
        if kept.cuts != self.opened_at {
            return Err(Fault("the power is off".into()));
        }
        kept.generations.get_mut(&self.number).map(look).ok_or_else(|| Fault("the generation is gone".into()))
    }
}

impl Rows for Opened {
    fn view(&self, _: Walk) -> Box<dyn ReadStore + '_> {
        Box::new(Seen(self.with(|generation| Arc::clone(&generation.now))))
    }

    fn latest(&self) -> Box<dyn ReadStore + '_> {
        Box::new(Latest(self))
    }

    fn write(&self, changes: &mut dyn Iterator<Item = Change>) -> Result<(), Fault> {
        let changes: Vec<Change> = changes.collect();
        self.with(|generation| {
            write(Arc::make_mut(&mut generation.now), &changes);
            generation.unsynced.push(changes);
        })
    }

    fn checkpoint(&self, dir: &Path) -> anyhow::Result<()> {
        let rows = self.with(|generation| {
            generation.durable = generation.now.as_ref().clone();
            generation.unsynced.clear();
            Arc::clone(&generation.now)
        })?;
        fs::create_dir(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let rows: Vec<(&str, &[u8], &[u8])> =
            rows.rows().map(|(table, key, value)| (table.name(), key, value)).collect();
        let bytes = rmp_serde::to_vec(&rows)?;
        files::write_atomically(&dir.join(FILE), |file| file.write_all(&bytes))
    }

    fn background_errors(&self) -> u64 {
        0
    }

    fn place(&self) -> &Path {
        &self.place
    }

    fn retire(&self) {
        self.obsolete.store(true, Ordering::Release);
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if self.obsolete.load(Ordering::Acquire) {
            let mut kept = self.tables.lock();
            if kept.current != self.number {
                kept.generations.remove(&self.number);
            }
        }
    }
}

/// The rows of one moment, whatever is written after.
struct Seen(Result<Arc<MemoryStore>, Fault>);

impl ReadStore for Seen {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.0.as_ref().map_err(Clone::clone)?.get(table, key)
    }

    fn scan(&self, table: Table, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, Fault> {
        self.0.as_ref().map_err(Clone::clone)?.scan(table, from, to, limit)
    }
}

struct Latest<'a>(&'a Opened);

impl ReadStore for Latest<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.0.with(|generation| generation.now.get(table, key))?
    }

    fn scan(&self, table: Table, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, Fault> {
        self.0.with(|generation| generation.now.scan(table, from, to, limit))?
    }
}
