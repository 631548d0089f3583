//! Entries and names.

use super::Report;
use crate::domain::path::{MAX_COMPONENTS, MAX_PATH_BYTES};
use crate::domain::record::Record;
use crate::domain::rows::{BIN, Children, DOOMED, Entry, EntryKind, FIRST_FILE_ID, NO_PARENT, Number, Span};
use crate::domain::tables::{self, Counter, keys};
use crate::domain::{Fault, FileId, FilePath, ReadStore, Table, UserId};

pub(super) fn check(report: &mut Report<'_>) -> Result<(), Fault> {
    let next = Counter::File.peek(report.store)?;
    report.each(Table::Entries, |report, store, key, value| {
        let entry = Entry::from_bytes(value)?;
        let id = entry.file_id;
        report.expect("entry_has_its_id", key == keys::entry(id), || format!("entry {id} is stored as {key:?}"));
        report.expect("file_ids_are_below_the_next", (FIRST_FILE_ID..next).contains(&id.0), || {
            format!("entry {id}, next {next}")
        });
        if let Some(file) = entry.file() {
            let last = tables::last_fence(store)?;
            report.expect("fences_are_below_the_counter", file.last_fence <= last, || {
                format!("file {id} had fence {}, the last given is {last}", file.last_fence)
            });
        }
        place(report, store, &entry)
    })?;
    for table in [Table::Names, Table::Bare] {
        report.each(table, |report, store, key, value| {
            let (parent, name) = keys::read_name(key)?;
            let id = FileId(Number::from_bytes(value)?.0);
            let entry = tables::entry(store, id)?;
            let holds = entry.is_some_and(|entry| entry.parent == parent && entry.name == name);
            report.expect("names_lead_to_their_entries", holds, || format!("name {name:?} in {parent} leads to {id}"));
            Ok(())
        })?;
    }
    children(report)
}

/// Names are in the table in which they are looked for, and as many as the directory's number says.
fn children(report: &mut Report<'_>) -> Result<(), Fault> {
    for table in [Table::Names, Table::Bare] {
        let mut found: Option<(FileId, u64)> = None;
        report.each(table, |report, store, key, value| {
            let (parent, name) = keys::read_name(key)?;
            let id = FileId(Number::from_bytes(value)?.0);
            let leads = tables::entry(store, id)?.map(|entry| tables::is_filled(store, &entry)).transpose()?;
            let named = table == Table::Names;
            let out = parent == DOOMED || parent == BIN;
            let holds = leads.is_none_or(|leads| leads == named || out && named);
            report.expect("names_are_where_they_lead", holds, || format!("name {name:?} in {parent} leads to {id}"));
            match &mut found {
                Some((directory, count)) if *directory == parent => *count += 1,
                _ => {
                    counted(report, table, found)?;
                    found = Some((parent, 1));
                }
            }
            Ok(())
        })?;
        counted(report, table, found)?;
    }
    report.each(Table::Children, |report, store, key, value| {
        let Children { all, filled } = Children::from_bytes(value)?;
        let any = |table| Ok::<_, Fault>(!store.scan(table, key, keys::end_of(key).as_deref(), 1)?.is_empty());
        let trash = key == keys::entry(DOOMED) || key == keys::entry(BIN);
        let holds =
            all > 0 && any(Table::Names)? == (filled > 0 || trash) && any(Table::Bare)? == (all > filled && !trash);
        report.expect("what_is_counted_is_there", holds, || format!("{key:?}: {all}, {filled}"));
        Ok(())
    })
}

fn counted(report: &mut Report<'_>, table: Table, found: Option<(FileId, u64)>) -> Result<(), Fault> {
    let Some((directory, found)) = found else { return Ok(()) };
    let Children { all, filled } = tables::number_of_children(report.store, directory)?;
    let kept = match table {
        Table::Names if directory != DOOMED && directory != BIN => filled,
        Table::Names => all,
        _ => all.saturating_sub(filled),
    };
    report.expect("children_are_counted", kept == found, || format!("directory {directory}: {kept}, {found}"));
    Ok(())
}

/// Where an entry is.
fn place(report: &mut Report<'_>, store: &dyn ReadStore, entry: &Entry) -> Result<(), Fault> {
    let id = entry.file_id;
    if entry.parent == NO_PARENT {
        let user = tables::user(store, entry.owner)?;
        let holds = user.is_some_and(|user| user.root == id) && entry.is_directory() && entry.name.is_empty();
        report.expect("roots_belong_to_users", holds, || format!("entry {id} has no parent and is no user's root"));
        return Ok(());
    }
    let named = tables::child(store, entry.parent, &entry.name)?;
    report.expect("entries_have_their_names", named == Some(id), || format!("entry {id}: its name leads to {named:?}"));
    if entry.parent == DOOMED {
        let holds = entry.name == keys::doomed_name(id);
        report.expect("doomed_names_are_ids", holds, || format!("entry {id} is doomed and called {:?}", entry.name));
        return Ok(());
    }
    if entry.parent == BIN {
        let row = match keys::read_binned_name(&entry.name, id) {
            Some(deleted_at) => tables::trashed(store, entry.owner, deleted_at, id)?,
            None => None,
        };
        report.expect("what_is_in_the_bin_is_listed", row.is_some(), || format!("entry {id}: {:?}", entry.name));
        return Ok(());
    }
    let valid = FilePath::parse(&format!("/{}", entry.name)).is_ok_and(|path| path.components().len() == 1);
    report.expect("names_are_valid", valid, || format!("entry {id} is called {:?}", entry.name));

    let parent = tables::entry(store, entry.parent)?;
    let extent = parent.as_ref().and_then(|parent| match parent.kind {
        EntryKind::Directory(extent) => Some(extent),
        EntryKind::File(_) => None,
    });
    report.expect("parents_are_directories", extent.is_some(), || format!("entry {id} is in {}", entry.parent));
    let same = match parent {
        Some(parent) if parent.owner != entry.owner => {
            hands_over(store, parent.owner, entry.owner)? || hands_over(store, entry.owner, parent.owner)?
        }
        _ => true,
    };
    report.expect("trees_have_one_owner", same, || format!("entry {id} is in somebody else's tree"));
    let own = match &entry.kind {
        EntryKind::Directory(extent) => *extent,
        EntryKind::File(_) => Span::default(),
    };
    let covered = extent.is_none_or(|extent| {
        extent.components > own.components && extent.bytes as usize > own.bytes as usize + entry.name.len()
    });
    report.expect("extents_cover_what_is_below", covered, || format!("entry {id} reaches beyond its parent's extent"));
    ancestors(report, store, entry)
}

/// Whether what is the one's becomes the other's, or was to and is doomed.
fn hands_over(store: &dyn ReadStore, from: UserId, to: UserId) -> Result<bool, Fault> {
    Ok(match tables::removal(store, from)? {
        Some(removal) => removal.heir == to,
        None => tables::user(store, from)?.is_none(),
    })
}

/// Follows the parents up to a root or to what is deleted.
fn ancestors(report: &mut Report<'_>, store: &dyn ReadStore, entry: &Entry) -> Result<(), Fault> {
    let id = entry.file_id;
    let (mut components, mut bytes) = (1, 1 + entry.name.len());
    let mut parent = entry.parent;
    while parent != NO_PARENT && parent != DOOMED && parent != BIN {
        let Some(above) = tables::entry(store, parent)? else { return Ok(()) };
        if above.parent != NO_PARENT && above.parent != DOOMED && above.parent != BIN {
            components += 1;
            bytes += 1 + above.name.len();
        }
        if components > MAX_COMPONENTS {
            break;
        }
        parent = above.parent;
    }
    report.expect(
        "paths_are_bounded_and_have_no_circle",
        components <= MAX_COMPONENTS && bytes <= MAX_PATH_BYTES,
        || format!("entry {id} has a path of {components} components and {bytes} bytes, or is above itself"),
    );
    Ok(())
}
