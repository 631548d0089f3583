//! `Entries` and `Names`.

use super::children::{come, go};
use super::{keys, number_of_children, read, write};
use crate::domain::record::Record;
use crate::domain::rows::{Entry, NO_PARENT, Number};
use crate::domain::stop::{Stop, astray};
use crate::domain::store::Row;
use crate::domain::{Fault, FileId, ReadStore, Store, Table};

pub(crate) fn entry(store: &dyn ReadStore, id: FileId) -> Result<Option<Entry>, Fault> {
    read(store, Table::Entries, &keys::entry(id))
}

/// An entry that another row names.
pub(crate) fn known_entry(store: &dyn ReadStore, id: FileId) -> Result<Entry, Stop> {
    entry(store, id)?.ok_or_else(|| astray(format!("entry {id} is named and not there")))
}

/// Changes an entry's row and no other.
pub(crate) fn put_entry(store: &mut dyn Store, entry: &Entry) -> Result<(), Fault> {
    write(store, Table::Entries, &keys::entry(entry.file_id), entry)
}

/// Puts a new entry under its parent, or one that was unlinked under another.
pub(crate) fn link(store: &mut dyn Store, entry: &Entry) -> Result<(), Fault> {
    if entry.parent != NO_PARENT {
        come(store, entry)?;
    }
    put_entry(store, entry)
}

/// Takes an entry's name away; its own row stays.
pub(crate) fn unlink(store: &mut dyn Store, entry: &Entry) -> Result<(), Fault> {
    go(store, entry)
}

pub(crate) fn delete_entry(store: &mut dyn Store, entry: &Entry) -> Result<(), Fault> {
    unlink(store, entry)?;
    store.delete(Table::Entries, &keys::entry(entry.file_id))
}

pub(crate) fn child(store: &dyn ReadStore, parent: FileId, name: &str) -> Result<Option<FileId>, Fault> {
    let key = keys::name(parent, name);
    // Most names lead to files. Who makes a new one reads the numbers in any case.
    let mut found = read::<Number>(store, Table::Names, &key)?;
    if found.is_none() && number_of_children(store, parent)?.any_bare() {
        found = read(store, Table::Bare, &key)?;
    }
    Ok(found.map(|id| FileId(id.0)))
}

/// At most `limit` children in the order of their names, from the key `from` on.
pub(crate) fn children(
    store: &dyn ReadStore,
    parent: FileId,
    from: &[u8],
    limit: usize,
) -> Result<Vec<(String, FileId)>, Fault> {
    let prefix = keys::entry(parent);
    children_between(store, from.max(&prefix), keys::end_of(&prefix).as_deref(), limit)
}

/// At most `limit` children between two keys, both of one parent.
pub(crate) fn children_between(
    store: &dyn ReadStore,
    from: &[u8],
    to: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<(String, FileId)>, Fault> {
    let mut rows = store.scan(Table::Names, from, to, limit)?;
    let bare = store.scan(Table::Bare, from, to, limit)?;
    if !bare.is_empty() {
        rows.extend(bare);
        rows.sort_unstable();
        rows.truncate(limit);
    }
    named(&rows)
}

/// The same of those that are files or have one somewhere below.
pub(crate) fn filled_between(
    store: &dyn ReadStore,
    from: &[u8],
    to: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<(String, FileId)>, Fault> {
    named(&store.scan(Table::Names, from, to, limit)?)
}

fn named(rows: &[Row]) -> Result<Vec<(String, FileId)>, Fault> {
    rows.iter().map(|(key, value)| Ok((keys::read_name(key)?.1, FileId(Number::from_bytes(value)?.0)))).collect()
}

/// One get: a scan would pass over the names that were deleted in the directory.
pub(crate) fn has_children(store: &dyn ReadStore, parent: FileId) -> Result<bool, Fault> {
    Ok(number_of_children(store, parent)?.all > 0)
}
