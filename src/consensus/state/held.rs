//! The rows of small tables, held in memory beside the medium: nearly every command reads them, and none of them grows
//! with the files.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use super::medium::Change;
use crate::domain::store::Row;
use crate::domain::{Fault, ReadStore, Table};

/// Rows that are read at once when a generation is taken up.
const PAGE: usize = 1024;

type Rows = BTreeMap<Table, BTreeMap<Vec<u8>, Vec<u8>>>;

/// All rows of the small tables, as of the last write.
pub(super) struct Held(RwLock<Rows>);

impl Held {
    /// Reads them from a generation that nobody writes meanwhile.
    pub(super) fn load(store: &dyn ReadStore) -> Result<Self, Fault> {
        let mut held = Rows::new();
        for table in Table::ALL.into_iter().filter(|table| table.is_small()) {
            let rows = held.entry(table).or_default();
            let mut from = Vec::new();
            loop {
                let page = store.scan(table, &from, None, PAGE)?;
                let full = page.len() == PAGE;
                rows.extend(page);
                match rows.last_key_value() {
                    Some((last, _)) if full => from = [&last[..], &[0]].concat(),
                    _ => break,
                }
            }
        }
        Ok(Self(RwLock::new(held)))
    }

    /// Follows what was written.
    pub(super) fn follow(&self, changes: Vec<Change>) {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (table, key, value) in changes {
            let rows = held.entry(table).or_default();
            match value {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
    }

    fn get(&self, table: Table, key: &[u8]) -> Option<Vec<u8>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&table)?.get(key).cloned()
    }
}

/// Reads of the latest state that ask the medium only for rows of large tables.
pub(super) struct BesideHeld<'a> {
    pub(super) held: &'a Held,
    pub(super) medium: Box<dyn ReadStore + 'a>,
}

impl ReadStore for BesideHeld<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        if table.is_small() { Ok(self.held.get(table, key)) } else { self.medium.get(table, key) }
    }

    fn scan(&self, table: Table, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, Fault> {
        self.medium.scan(table, from, to, limit)
    }
}
