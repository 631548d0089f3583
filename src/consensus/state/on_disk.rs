//! The state in RocksDB.
//!
//! Layout of the directory: one subdirectory for each generation of the database (`1`, `2`, …) and the file `current`,
//! which names one of them. A snapshot is installed by building the next generation beside the current one and
//! then replacing `current` by an atomic rename: a crash at any point leaves the old database or the new one, and
//! the other is swept away at the next start.
//!
//! Renaming the database's own directory would look simpler, but RocksDB opens its files by path whenever it needs
//! them, so every reader would have to be stopped first. This way running queries finish on the old generation, which
//! is deleted when the last of them lets go of it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Context;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{ColumnFamilyDescriptor, DB, Options, WriteBatch};

use super::super::{damage, files, rocks};
use super::medium::{Change, Medium, Rows, Walk};
use super::view::{Families, Latest, View};
use crate::domain::{Fault, ReadStore, Table};

/// Memtables of all tables together.
const WRITE_BUFFERS: usize = 64 << 20;
/// The memtable of one table.
const WRITE_BUFFER: usize = 16 << 20;
/// That of a table that the leader's job looks into from the front, again and again: what was deleted lies in the way until
/// the memtable is flushed. Eyeballed: some 30,000 rows, which take a few milliseconds to pass over.
const JOB_BUFFER: usize = 1 << 20;

const CURRENT: &str = "current";

/// A directory with generations.
pub(super) struct OnDisk {
    root: PathBuf,
    node_id: u64,
    shared: rocks::Shared,
    /// The current generation.
    generation: AtomicU64,
}

/// One generation of the database.
struct Generation {
    dir: PathBuf,
    db: Option<DB>,
    obsolete: AtomicBool,
}

impl OnDisk {
    pub(super) fn new(shared: &rocks::Shared, root: PathBuf, node_id: u64) -> Self {
        Self { root, node_id, shared: shared.clone(), generation: AtomicU64::new(0) }
    }

    fn open_generation(&self, generation: u64) -> anyhow::Result<Box<dyn Rows>> {
        let dir = self.root.join(generation.to_string());
        let options = self.shared.state(WRITE_BUFFERS);
        let families = families(&self.shared).chain(strangers(&self.shared, &dir));
        let db = DB::open_cf_descriptors(&options, &dir, families).map_err(|error| {
            if error.kind() == rocksdb::ErrorKind::Corruption {
                anyhow::anyhow!(damage::explain("state database", &dir, self.node_id, error.as_ref()))
            } else {
                anyhow::anyhow!("cannot open the state database in {}: {error}", dir.display())
            }
        })?;
        Ok(Box::new(Generation { dir, db: Some(db), obsolete: AtomicBool::new(false) }))
    }

    fn next(&self) -> u64 {
        self.generation.load(Ordering::Relaxed) + 1
    }
}

impl Medium for OnDisk {
    fn open(&self) -> anyhow::Result<Box<dyn Rows>> {
        let root = &self.root;
        files::make_dir(root)?;
        let generation = match fs::read_to_string(root.join(CURRENT)) {
            Ok(text) => text.trim().parse().with_context(|| {
                damage::explain("state database", root, self.node_id, &format!("its file {CURRENT} holds no number"))
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                point_to(root, 1)?;
                1
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", root.join(CURRENT).display())),
        };
        sweep(root, generation)?;
        self.generation.store(generation, Ordering::Relaxed);
        self.open_generation(generation)
    }

    fn build(&self, checkpoint: &Path) -> anyhow::Result<Box<dyn Rows>> {
        let dir = self.root.join(self.next().to_string());
        files::remove_dir(&dir)?;
        files::clone_database(checkpoint, &dir)?;
        self.open_generation(self.next())
    }

    fn switch(&self) -> anyhow::Result<()> {
        point_to(&self.root, self.next())?;
        self.generation.store(self.next(), Ordering::Relaxed);
        Ok(())
    }
}

/// Opens the current generation in `root` to be looked at: nothing is made, swept away or written.
///
/// # Errors
/// When there is none, or it cannot be read.
pub(super) fn look(shared: &rocks::Shared, root: &Path) -> anyhow::Result<Box<dyn Rows>> {
    let path = root.join(CURRENT);
    let text = fs::read_to_string(&path).with_context(|| {
        format!("cannot read {}, which says where the state is: is this a directory node's data_dir?", path.display())
    })?;
    let generation: u64 = text.trim().parse().with_context(|| format!("{} holds no number", path.display()))?;
    let dir = root.join(generation.to_string());
    anyhow::ensure!(dir.join("CURRENT").is_file(), "{} is named in {CURRENT} and not there", dir.display());
    let options = shared.state(WRITE_BUFFERS);
    let db = DB::open_cf_descriptors_read_only(&options, &dir, families(shared).chain(strangers(shared, &dir)), false)
        .with_context(|| format!("cannot open the state database in {}", dir.display()))?;
    Ok(Box::new(Generation { dir, db: Some(db), obsolete: AtomicBool::new(false) }))
}

impl Generation {
    fn rocks(&self) -> &DB {
        self.db.as_ref().expect("closed only when it is dropped")
    }
}

impl Rows for Generation {
    fn view(&self, walk: Walk) -> Box<dyn ReadStore + '_> {
        let view = View::new(self.rocks());
        Box::new(match walk {
            Walk::Here => view,
            Walk::Everywhere => view.once(),
        })
    }

    fn latest(&self) -> Box<dyn ReadStore + '_> {
        Box::new(Latest::new(self.rocks()))
    }

    fn write(&self, changes: &mut dyn Iterator<Item = Change>) -> Result<(), Fault> {
        let db = self.rocks();
        let families = Families::new(db);
        let mut batch = WriteBatch::default();
        for (table, key, value) in changes {
            match value {
                Some(value) => batch.put_cf(families.of(table), key, value),
                None => batch.delete_cf(families.of(table), key),
            }
        }
        db.write_opt(batch, &rocks::unsynced())
            .map_err(|error| Fault(format!("cannot write to the state database in {}: {error}", self.dir.display())))
    }

    /// Of hard links as far as possible. What was in memory is flushed and synced.
    fn checkpoint(&self, dir: &Path) -> anyhow::Result<()> {
        let made = Checkpoint::new(self.rocks()).and_then(|checkpoint| checkpoint.create_checkpoint(dir));
        made.with_context(|| format!("cannot take a checkpoint of {} into {}", self.dir.display(), dir.display()))
    }

    fn background_errors(&self) -> u64 {
        rocks::background_errors(self.rocks())
    }

    fn place(&self) -> &Path {
        &self.dir
    }

    fn retire(&self) {
        self.obsolete.store(true, Ordering::Release);
    }

    #[cfg(test)]
    fn flush(&self, table: Table) {
        self.rocks().flush_cf(Families::new(self.rocks()).of(table)).unwrap();
    }
}

impl Drop for Generation {
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

/// The families of tables that this program does not know: a newer one was here before. They are opened, because RocksDB
/// asks for it, and nobody writes them. Whether the newer one has used them says the schema.
fn strangers(shared: &rocks::Shared, dir: &Path) -> impl Iterator<Item = ColumnFamilyDescriptor> {
    // Where there is no database yet, there are none.
    let names = DB::list_cf(&Options::default(), dir).unwrap_or_default();
    let strange = names.into_iter().filter(|name| name != "default" && Table::named(name).is_none());
    strange.map(|name| ColumnFamilyDescriptor::new(name, shared.column_family(WRITE_BUFFER)))
}

/// Whether rows are looked for at the front of a stretch of the table, and deleted there.
fn is_queue(table: Table) -> bool {
    matches!(
        table,
        Table::Names
            | Table::Placements
            | Table::Repairs
            | Table::Garbage
            | Table::Tokens
            | Table::Locks
            | Table::LocksByOwner
            | Table::LocksByTree
            | Table::Extents
            | Table::Dead
            | Table::Uploads
            | Table::Parts
            | Table::Pieces
            | Table::Trash
            | Table::Versions
            | Table::Operations
            | Table::Expiries
            | Table::Holds
            | Table::Bare
    )
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
