//! The tables of the state machine, read from RocksDB.

use rocksdb::{ColumnFamily, DB, Direction, IteratorMode, ReadOptions, Snapshot};

use crate::domain::plant::{Plant, planted};
use crate::domain::store::Row;
use crate::domain::{Fault, ReadStore, Table};

/// Reads of one consistent state, for queries.
pub(crate) struct View<'a> {
    db: &'a DB,
    snapshot: Snapshot<'a>,
}

impl<'a> View<'a> {
    pub(super) fn new(db: &'a DB) -> Self {
        Self { db, snapshot: db.snapshot() }
    }
}

impl ReadStore for View<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.snapshot.get_cf(family(self.db, table), key).map_err(|error| fault(self.db, table, &error))
    }

    fn scan(&self, table: Table, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, Fault> {
        if planted(Plant::QueryOverTwoSnapshots) {
            return Latest(self.db).scan(table, from, to, limit);
        }
        let mode = IteratorMode::From(from, Direction::Forward);
        let rows = self.snapshot.iterator_cf_opt(family(self.db, table), upto(to), mode);
        collect(self.db, table, rows, limit)
    }
}

/// Reads of the latest state, for the one thread that applies and so knows that nothing changes beneath it.
pub(crate) struct Latest<'a>(pub(super) &'a DB);

impl ReadStore for Latest<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.0.get_cf(family(self.0, table), key).map_err(|error| fault(self.0, table, &error))
    }

    fn scan(&self, table: Table, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, Fault> {
        let mode = IteratorMode::From(from, Direction::Forward);
        collect(self.0, table, self.0.iterator_cf_opt(family(self.0, table), upto(to), mode), limit)
    }
}

pub(super) fn family(db: &DB, table: Table) -> &ColumnFamily {
    db.cf_handle(table.name()).expect("the database is opened with a column family for each table")
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
