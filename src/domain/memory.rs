//! The state machine's tables in memory: for tests, models and simulation.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::{Fault, ReadStore, Store, Table, store::Row};

/// Every table as a `BTreeMap`. Two stores are equal when all their rows are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryStore {
    tables: BTreeMap<Table, BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl MemoryStore {
    pub fn new() -> Self {
        Self::default()
    }

    /// All rows, ordered by table and key.
    pub fn rows(&self) -> impl Iterator<Item = (Table, &[u8], &[u8])> {
        self.tables.iter().flat_map(|(table, rows)| rows.iter().map(|(key, value)| (*table, &key[..], &value[..])))
    }
}

impl ReadStore for MemoryStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.tables.get(&table).and_then(|rows| rows.get(key)).cloned())
    }

    fn scan(&self, table: Table, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, Fault> {
        let Some(rows) = self.tables.get(&table) else { return Ok(Vec::new()) };
        // `BTreeMap::range` panics on a range that ends before it begins.
        if to.is_some_and(|to| to <= from) {
            return Ok(Vec::new());
        }
        let range = (Bound::Included(from), to.map_or(Bound::Unbounded, Bound::Excluded));
        Ok(rows.range::<[u8], _>(range).take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

impl Store for MemoryStore {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        self.tables.entry(table).or_default().insert(key.to_vec(), value.to_vec());
        Ok(())
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), Fault> {
        if let Some(rows) = self.tables.get_mut(&table) {
            rows.remove(key);
            // A table that became empty equals one that never held anything.
            if rows.is_empty() {
                self.tables.remove(&table);
            }
        }
        Ok(())
    }
}
