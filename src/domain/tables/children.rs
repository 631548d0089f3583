//! `Names`, `Bare` and `Children`: what is in a directory, which of it leads to a file, and how much it is.
//!
//! A name that is a file, or a directory with a file somewhere below it, stands in `Names`; that of a directory without
//! stands in `Bare`, and goes over when the first file comes below it or the last one goes. So a walk for files reads
//! `Names` alone and meets nothing but files and what leads to them, however many empty directories there are. A second
//! table of all names that lead to files would do the same and would cost each file one row more. What hangs in the
//! trash is in `Names`, whatever it is: nobody walks there for files.
//!
//! `Children` has the numbers. Whether a directory is empty is one get: a scan would pass over all that was deleted in it.

use super::keys;
use super::{entry, read, write};
use crate::domain::path::MAX_COMPONENTS;
use crate::domain::rows::{BIN, Children, DOOMED, Entry, NO_PARENT, Number};
use crate::domain::{Fault, FileId, ReadStore, Store, Table};

pub(crate) fn number_of_children(store: &dyn ReadStore, directory: FileId) -> Result<Children, Fault> {
    Ok(read(store, Table::Children, &keys::entry(directory))?.unwrap_or_default())
}

fn put(store: &mut dyn Store, directory: FileId, children: Children) -> Result<(), Fault> {
    let key = keys::entry(directory);
    if children == Children::default() {
        return store.delete(Table::Children, &key);
    }
    write(store, Table::Children, &key, &children)
}

/// Whether the name of this entry leads to a file.
pub(crate) fn is_filled(store: &dyn ReadStore, entry: &Entry) -> Result<bool, Fault> {
    Ok(!entry.is_directory() || number_of_children(store, entry.file_id)?.filled > 0)
}

/// Where names in this directory stand that lead to a file, or to none.
fn table_of(parent: FileId, filled: bool) -> Table {
    if filled || parent == DOOMED || parent == BIN { Table::Names } else { Table::Bare }
}

fn put_name(store: &mut dyn Store, entry: &Entry, filled: bool) -> Result<(), Fault> {
    let key = keys::name(entry.parent, &entry.name);
    write(store, table_of(entry.parent, filled), &key, &Number(entry.file_id.0))
}

fn delete_name(store: &mut dyn Store, entry: &Entry, filled: bool) -> Result<(), Fault> {
    store.delete(table_of(entry.parent, filled), &keys::name(entry.parent, &entry.name))
}

/// An entry comes under its parent.
pub(super) fn come(store: &mut dyn Store, entry: &Entry) -> Result<(), Fault> {
    let filled = is_filled(store, entry)?;
    put_name(store, entry, filled)?;
    let mut children = number_of_children(store, entry.parent)?;
    children.all = children.all.saturating_add(1);
    put(store, entry.parent, children)?;
    if filled { climb(store, entry.parent, Climb::Filled) } else { Ok(()) }
}

/// An entry goes from under its parent.
pub(super) fn go(store: &mut dyn Store, entry: &Entry) -> Result<(), Fault> {
    let filled = is_filled(store, entry)?;
    delete_name(store, entry, filled)?;
    let mut children = number_of_children(store, entry.parent)?;
    children.all = children.all.saturating_sub(1);
    put(store, entry.parent, children)?;
    if filled { climb(store, entry.parent, Climb::Emptied) } else { Ok(()) }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Climb {
    Filled,
    Emptied,
}

/// A directory has one more name that leads to a file, or one less. Where it is the first, or was the last, the
/// directory's own name goes over to the other table, and the same is true of its parent. It goes no higher than a path
/// reaches: what a restore brings may be deeper, or above itself.
fn climb(store: &mut dyn Store, directory: FileId, climb: Climb) -> Result<(), Fault> {
    let mut at = directory;
    for _ in 0..=MAX_COMPONENTS {
        if at == NO_PARENT || at == DOOMED || at == BIN {
            break;
        }
        let mut children = number_of_children(store, at)?;
        let (before, filled) = (children.filled, climb == Climb::Filled);
        children.filled = if filled { before.saturating_add(1) } else { before.saturating_sub(1) };
        let turns = (before == 0) != (children.filled == 0);
        put(store, at, children)?;
        // A restored directory may come after what is in it.
        let Some(entry) = (if turns { entry(store, at)? } else { None }) else { break };
        if entry.parent != NO_PARENT {
            delete_name(store, &entry, !filled)?;
            put_name(store, &entry, filled)?;
        }
        at = entry.parent;
    }
    Ok(())
}
