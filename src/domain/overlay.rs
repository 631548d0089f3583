//! Changes held back over a store that stays as it is.
//!
//! `apply` runs each command in one, so that a rejection leaves nothing behind; `consensus` runs a whole batch in
//! one over RocksDB (whose Rust binding has no indexed batch) and writes it out as a single `WriteBatch`.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use super::{Fault, ReadStore, Store, Table, store::Row};

/// How many rows of the base one step of a merged scan reads at most, and at least: a scan for one row should not
/// go back to the base for every row that was deleted here.
const MAX_STEP: usize = 1024;
const MIN_STEP: usize = 16;

/// Reads see the base with this overlay's own changes over it.
pub struct Overlay<'a> {
    base: &'a dyn ReadStore,
    /// `None` is a deletion.
    changes: BTreeMap<Table, BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
}

impl<'a> Overlay<'a> {
    pub fn new(base: &'a dyn ReadStore) -> Self {
        Self { base, changes: BTreeMap::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many rows were put or deleted.
    pub fn len(&self) -> usize {
        self.changes.values().map(BTreeMap::len).sum()
    }

    /// The changes, ordered by table and key; no value means that the row is to be deleted.
    pub fn into_changes(self) -> impl Iterator<Item = (Table, Vec<u8>, Option<Vec<u8>>)> + use<> {
        self.changes.into_iter().flat_map(|(table, rows)| rows.into_iter().map(move |(key, value)| (table, key, value)))
    }

    fn set(&mut self, table: Table, key: &[u8], value: Option<Vec<u8>>) {
        self.changes.entry(table).or_default().insert(key.to_vec(), value);
    }
}

impl ReadStore for Overlay<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        match self.changes.get(&table).and_then(|rows| rows.get(key)) {
            Some(value) => Ok(value.clone()),
            None => self.base.get(table, key),
        }
    }

    fn scan(&self, table: Table, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, Fault> {
        if limit == 0 || to.is_some_and(|to| to <= from) {
            return Ok(Vec::new());
        }
        let range = (Bound::Included(from), to.map_or(Bound::Unbounded, Bound::Excluded));
        let mut own = self.changes.get(&table).into_iter().flat_map(|rows| rows.range::<[u8], _>(range)).peekable();
        if own.peek().is_none() {
            return self.base.scan(table, from, to, limit);
        }

        let mut out = Vec::new();
        let mut base: VecDeque<Row> = VecDeque::new();
        let mut base_from = Some(from.to_vec());
        while out.len() < limit {
            if base.is_empty()
                && let Some(start) = base_from.take()
            {
                let step = (limit - out.len()).clamp(MIN_STEP, MAX_STEP);
                base = self.base.scan(table, &start, to, step)?.into();
                if base.len() == step {
                    base_from = base.back().map(|(last, _)| successor(last));
                }
            }
            let base_first = match (base.front(), own.peek()) {
                (None, None) => break,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some((base_key, _)), Some((own_key, _))) => {
                    if base_key == *own_key {
                        base.pop_front();
                        // The own row replaces it; the base may have run dry, so look again.
                        if let Some((key, Some(value))) = own.next() {
                            out.push((key.clone(), value.clone()));
                        }
                        continue;
                    }
                    base_key < *own_key
                }
            };
            if base_first {
                out.extend(base.pop_front());
            } else if let Some((key, Some(value))) = own.next() {
                out.push((key.clone(), value.clone()));
            }
        }
        Ok(out)
    }
}

impl Store for Overlay<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        self.set(table, key, Some(value.to_vec()));
        Ok(())
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), Fault> {
        self.set(table, key, None);
        Ok(())
    }
}

/// The least key above `key`.
fn successor(key: &[u8]) -> Vec<u8> {
    let mut next = key.to_vec();
    next.push(0);
    next
}
