//! `Properties`.

use super::{keys, read, stretch, write};
use crate::domain::record::Record;
use crate::domain::rows::{Property, PropertyRow};
use crate::domain::{Fault, FileId, ReadStore, Store, Table};

/// The most properties of one entry.
pub(crate) const MAX_PROPERTIES: usize = 64;

pub(crate) fn property(store: &dyn ReadStore, file: FileId, name: &str) -> Result<Option<String>, Fault> {
    Ok(read::<PropertyRow>(store, Table::Properties, &keys::property(file, name))?.map(|row| row.0))
}

pub(crate) fn put_property(store: &mut dyn Store, file: FileId, name: &str, value: &str) -> Result<(), Fault> {
    write(store, Table::Properties, &keys::property(file, name), &PropertyRow(value.to_owned()))
}

pub(crate) fn delete_property(store: &mut dyn Store, file: FileId, name: &str) -> Result<(), Fault> {
    store.delete(Table::Properties, &keys::property(file, name))
}

/// All that an entry has, in the order of their names; one more than it may have at the most.
pub(crate) fn properties(store: &dyn ReadStore, file: FileId) -> Result<Vec<Property>, Fault> {
    let rows = stretch(store, Table::Properties, &keys::entry(file), &[], MAX_PROPERTIES + 1)?;
    rows.iter()
        .map(|(key, value)| {
            Ok(Property { name: keys::read_property(key)?.1, value: PropertyRow::from_bytes(value)?.0 })
        })
        .collect()
}
