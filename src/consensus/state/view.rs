//! The tables of the state machine, read from RocksDB.

use std::cell::Cell;

use rocksdb::{ColumnFamily, DB, Direction, IteratorMode, ReadOptions, Snapshot};

use crate::domain::plant::{Plant, planted};
use crate::domain::store::Row;
use crate::domain::{Fault, ReadStore, Table};

/// How far a walk over the whole state reads ahead.
const READAHEAD: usize = 2 << 20;

/// Reads of one consistent state, for queries.
pub(crate) struct View<'a> {
    families: Families<'a>,
    snapshot: Snapshot<'a>,
    /// What every get of this view is made with.
    gets: ReadOptions,
    once: bool,
}

impl<'a> View<'a> {
    pub(super) fn new(db: &'a DB) -> Self {
        let snapshot = db.snapshot();
        let mut gets = ReadOptions::default();
        gets.set_snapshot(&snapshot);
        Self { families: Families::new(db), snapshot, gets, once: false }
    }

    /// For a walk over everything, which comes to each row once: what it reads does not drive out of the cache what
    /// others read again and again.
    pub(crate) fn once(mut self) -> Self {
        self.gets.fill_cache(false);
        self.once = true;
        self
    }
}

impl ReadStore for View<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.families.get(table, key, &self.gets)
    }

    fn scan(&self, table: Table, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, Fault> {
        if planted(Plant::QueryOverTwoSnapshots) {
            return Latest::new(self.families.db).scan(table, from, to, limit);
        }
        let mut options = upto(to);
        if self.once {
            options.fill_cache(false);
            options.set_readahead_size(READAHEAD);
        }
        let mode = IteratorMode::From(from, Direction::Forward);
        let rows = self.snapshot.iterator_cf_opt(self.families.of(table), options, mode);
        collect(self.families.db, table, rows, limit)
    }
}

/// Reads of the latest state, for the one thread that applies and so knows that nothing changes beneath it.
pub(crate) struct Latest<'a> {
    families: Families<'a>,
    gets: ReadOptions,
}

impl<'a> Latest<'a> {
    pub(super) fn new(db: &'a DB) -> Self {
        Self { families: Families::new(db), gets: ReadOptions::default() }
    }
}

impl ReadStore for Latest<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.families.get(table, key, &self.gets)
    }

    fn scan(&self, table: Table, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, Fault> {
        let db = self.families.db;
        let mode = IteratorMode::From(from, Direction::Forward);
        collect(db, table, db.iterator_cf_opt(self.families.of(table), upto(to), mode), limit)
    }
}

/// The handles of the column families. RocksDB's binding finds them by name, in a map; each is looked for once.
pub(super) struct Families<'a> {
    db: &'a DB,
    known: [Cell<Option<&'a ColumnFamily>>; Table::ALL.len()],
}

impl<'a> Families<'a> {
    pub(super) fn new(db: &'a DB) -> Self {
        Self { db, known: [const { Cell::new(None) }; Table::ALL.len()] }
    }

    pub(super) fn of(&self, table: Table) -> &'a ColumnFamily {
        let known = &self.known[table as usize];
        known.get().unwrap_or_else(|| {
            let found = self.db.cf_handle(table.name());
            let found = found.expect("the database is opened with a column family for each table");
            known.set(Some(found));
            found
        })
    }

    fn get(&self, table: Table, key: &[u8], options: &ReadOptions) -> Result<Option<Vec<u8>>, Fault> {
        self.db.get_cf_opt(self.of(table), key, options).map_err(|error| fault(self.db, table, &error))
    }
}

fn upto(to: Option<&[u8]>) -> ReadOptions {
    let mut options = ReadOptions::default();
    if let Some(to) = to {
        options.set_iterate_upper_bound(to);
    }
    options
}

fn collect(
    db: &DB,
    table: Table,
    rows: impl Iterator<Item = Result<(Box<[u8]>, Box<[u8]>), rocksdb::Error>>,
    limit: usize,
) -> Result<Vec<Row>, Fault> {
    rows.take(limit)
        .map(|row| row.map(|(key, value)| (key.into(), value.into())).map_err(|error| fault(db, table, &error)))
        .collect()
}

fn fault(db: &DB, table: Table, error: &rocksdb::Error) -> Fault {
    Fault(format!("cannot read table {} in {}: {error}", table.name(), db.path().display()))
}
