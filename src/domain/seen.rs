//! Rows that one command has read already.
//!
//! A command is made of steps, and several of them look at the same rows: who asks, which server has a copy. Each step
//! asks for what it needs, and none has to hand its rows to the next; the storage is asked once.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::{Fault, ReadStore, Table, store::Row};

type Rows = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Reads of a store that stays as it is. It lasts for one command, which reads a few thousand rows at the most.
pub(crate) struct Seen<'a> {
    base: &'a dyn ReadStore,
    rows: RefCell<BTreeMap<Table, Rows>>,
}

impl<'a> Seen<'a> {
    pub(crate) fn new(base: &'a dyn ReadStore) -> Self {
        Self { base, rows: RefCell::default() }
    }
}

impl ReadStore for Seen<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let mut tables = self.rows.borrow_mut();
        let rows = tables.entry(table).or_default();
        if let Some(value) = rows.get(key) {
            return Ok(value.clone());
        }
        let value = self.base.get(table, key)?;
        rows.insert(key.to_vec(), value.clone());
        Ok(value)
    }

    fn scan(&self, table: Table, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, Fault> {
        self.base.scan(table, from, to, limit)
    }
}
