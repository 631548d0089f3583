//! What one query of a user may read.

use std::cell::Cell;

use crate::domain::store::Row;
use crate::domain::{Fault, ReadStore, Table};

/// Gets and rows after which a page ends, whatever it holds by then. A page of a thousand files costs some 4,000 in one's
/// own tree. Eyeballed: below a tenth of a second where much of it has to come from the disk.
pub(super) const MAX_READS: usize = 10_000;

/// Counts what is read through it. It refuses nothing: an answer that is half read is none. Whoever makes a page asks
/// between two steps, each of which costs no more than a path is deep, whether to end it there.
pub(super) struct Budget<'a> {
    store: &'a dyn ReadStore,
    left: Cell<usize>,
}

impl<'a> Budget<'a> {
    pub(super) fn new(store: &'a dyn ReadStore) -> Self {
        Self { store, left: Cell::new(MAX_READS) }
    }

    pub(super) fn is_spent(&self) -> bool {
        self.left.get() == 0
    }

    fn spend(&self, reads: usize) {
        self.left.set(self.left.get().saturating_sub(reads));
    }
}

impl ReadStore for Budget<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.spend(1);
        self.store.get(table, key)
    }

    fn scan(&self, table: Table, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, Fault> {
        let rows = self.store.scan(table, from, to, limit)?;
        self.spend(1 + rows.len());
        Ok(rows)
    }
}
