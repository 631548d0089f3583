//! `Retention`.

use super::{keys, read, write};
use crate::domain::record::Record;
use crate::domain::rows::Retention;
use crate::domain::{Fault, FileId, ReadStore, Store, Table};

/// The most directories with values of their own: their rows are held in memory, and one look goes over all of them.
pub(crate) const MAX_RETENTIONS: usize = 1000;

/// A directory's own values.
pub(crate) fn retention(store: &dyn ReadStore, directory: FileId) -> Result<Option<Retention>, Fault> {
    read(store, Table::Retention, &keys::entry(directory))
}

/// All of them, by the id of the directory; one more than there may be at the most.
pub(crate) fn retentions(store: &dyn ReadStore) -> Result<Vec<(FileId, Retention)>, Fault> {
    let rows = store.scan(Table::Retention, &[], None, MAX_RETENTIONS + 1)?;
    rows.iter()
        .map(|(key, value)| Ok((FileId(keys::read_u64(key, Table::Retention)?), Retention::from_bytes(value)?)))
        .collect()
}

pub(crate) fn put_retention(store: &mut dyn Store, directory: FileId, row: &Retention) -> Result<(), Fault> {
    write(store, Table::Retention, &keys::entry(directory), row)
}

/// A directory has no values of its own any more. Whether it had any.
pub(crate) fn delete_retention(store: &mut dyn Store, directory: FileId) -> Result<bool, Fault> {
    // Most have none, and a deletion would be written all the same.
    let had = retention(store, directory)?.is_some();
    if had {
        store.delete(Table::Retention, &keys::entry(directory))?;
    }
    Ok(had)
}
