//! `Children` and `Filled`: how much a directory holds, and which of its names lead to a file.
//!
//! Both are kept where names are linked and unlinked, and nowhere else. They answer without a walk what a scan of `Names`
//! answers only after it has passed whatever lies in the way: whether a directory is empty (deleted names lie there), and
//! where the next file is (empty directories do).

use super::keys;
use super::{entry, read, write};
use crate::domain::path::MAX_COMPONENTS;
use crate::domain::record::Record;
use crate::domain::rows::{Children, Entry, NO_PARENT, Number, TRASH};
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

/// Whether a name that leads to this entry leads to a file.
pub(crate) fn is_filled(store: &dyn ReadStore, entry: &Entry) -> Result<bool, Fault> {
    Ok(!entry.is_directory() || number_of_children(store, entry.file_id)?.filled > 0)
}

/// An entry has come under its parent.
pub(super) fn came(store: &mut dyn Store, entry: &Entry) -> Result<(), Fault> {
    let mut children = number_of_children(store, entry.parent)?;
    children.all = children.all.saturating_add(1);
    put(store, entry.parent, children)?;
    if is_filled(store, entry)? { climb(store, entry, Climb::Filled) } else { Ok(()) }
}

/// An entry has gone from under its parent.
pub(super) fn went(store: &mut dyn Store, entry: &Entry) -> Result<(), Fault> {
    let mut children = number_of_children(store, entry.parent)?;
    children.all = children.all.saturating_sub(1);
    put(store, entry.parent, children)?;
    if is_filled(store, entry)? { climb(store, entry, Climb::Emptied) } else { Ok(()) }
}

#[derive(Clone, Copy)]
enum Climb {
    Filled,
    Emptied,
}

/// Writes down that a name leads to a file now, or does not any more, and the same of the directories above for which it
/// is the first or was the last. Nothing is kept of what hangs in the trash: nobody lists it. It goes no higher than a path
/// reaches: a restore may have brought a directory that is above itself.
fn climb(store: &mut dyn Store, from: &Entry, climb: Climb) -> Result<(), Fault> {
    let (mut parent, mut name, mut id) = (from.parent, from.name.clone(), from.file_id);
    for _ in 0..=MAX_COMPONENTS {
        if parent == NO_PARENT || parent == TRASH {
            break;
        }
        let key = keys::name(parent, &name);
        let mut children = number_of_children(store, parent)?;
        let goes_on = match climb {
            Climb::Filled => {
                write(store, Table::Filled, &key, &Number(id.0))?;
                children.filled = children.filled.saturating_add(1);
                children.filled == 1
            }
            Climb::Emptied => {
                store.delete(Table::Filled, &key)?;
                children.filled = children.filled.saturating_sub(1);
                children.filled == 0
            }
        };
        put(store, parent, children)?;
        // A restored directory may come after what is in it.
        let Some(above) = (if goes_on { entry(store, parent)? } else { None }) else { break };
        (id, parent, name) = (above.file_id, above.parent, above.name);
    }
    Ok(())
}

/// At most `limit` names of one directory that lead to files, between two keys.
pub(crate) fn filled_between(
    store: &dyn ReadStore,
    from: &[u8],
    to: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<(String, FileId)>, Fault> {
    let rows = store.scan(Table::Filled, from, to, limit)?;
    rows.iter().map(|(key, value)| Ok((keys::read_name(key)?.1, FileId(Number::from_bytes(value)?.0)))).collect()
}
