//! A store that counts what is asked of it.

use std::cell::Cell;

use ringmaster::domain::store::Row;
use ringmaster::domain::{Fault, MemoryStore, ReadStore, Store, Table};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) gets: usize,
    /// Of tables that are held in memory.
    pub(crate) held: usize,
    /// Rows that scans gave.
    pub(crate) scanned: usize,
    /// Rows that were put or deleted.
    pub(crate) changed: usize,
}

impl Work {
    pub(crate) fn reads(&self) -> usize {
        self.gets + self.scanned
    }
}

#[derive(Default)]
pub(crate) struct Counting {
    pub(crate) store: MemoryStore,
    work: Cell<Work>,
}

impl Counting {
    /// What was done since it was asked last.
    pub(crate) fn take(&self) -> Work {
        self.work.take()
    }

    fn note(&self, note: impl FnOnce(&mut Work)) {
        let mut work = self.work.get();
        note(&mut work);
        self.work.set(work);
    }
}

impl ReadStore for Counting {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.note(|work| *if table.is_small() { &mut work.held } else { &mut work.gets } += 1);
        self.store.get(table, key)
    }

    fn scan(&self, table: Table, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, Fault> {
        let rows = self.store.scan(table, from, to, limit)?;
        self.note(|work| work.scanned += rows.len());
        Ok(rows)
    }
}

impl Store for Counting {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        self.note(|work| work.changed += 1);
        self.store.put(table, key, value)
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), Fault> {
        self.note(|work| work.changed += 1);
        self.store.delete(table, key)
    }
}
