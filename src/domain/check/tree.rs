//! Entries, names, and which copies records name.

use std::collections::{BTreeMap, BTreeSet};

use super::Report;
use crate::domain::path::{MAX_COMPONENTS, MAX_PATH_BYTES};
use crate::domain::record::Record;
use crate::domain::rows::{
    Children, Content, Entry, EntryKind, FIRST_FILE_ID, NO_PARENT, Number, Placement, Span, TRASH, Tally,
};
use crate::domain::tables::{self, Counter, MAX_COPIES, keys};
use crate::domain::{Fault, FileId, FilePath, ReadStore, ServerId, Table};

/// What the records name at one server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) all: Tally,
    /// As much of it as a recount has come past.
    pub(super) recounted: Tally,
}

pub(super) fn check(report: &mut Report<'_>) -> Result<BTreeMap<ServerId, Named>, Fault> {
    let mut held = BTreeMap::new();
    let next = Counter::File.peek(report.store)?;
    report.each(Table::Entries, |report, store, key, value| {
        let entry = Entry::from_bytes(value)?;
        let id = entry.file_id;
        report.expect("entry_has_its_id", key == keys::entry(id), || format!("entry {id} is stored as {key:?}"));
        report.expect("file_ids_are_below_the_next", (FIRST_FILE_ID..next).contains(&id.0), || {
            format!("entry {id}, next {next}")
        });
        place(report, store, &entry)?;
        if let Some(content) = entry.content() {
            copies(report, store, &entry, content, &mut held)?;
        }
        Ok(())
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
    children(report)?;
    report.each(Table::Placements, |report, store, key, value| {
        let (server, blob) = keys::read_placement(key)?;
        let placement = Placement::from_bytes(value)?;
        let entry = tables::entry(store, placement.file_id)?;
        let holds = entry.as_ref().and_then(Entry::content).is_some_and(|content| {
            content.blob_id == blob
                && content.version == placement.version
                && content.replicas.iter().any(|replica| replica.server_id == server)
        });
        report.expect("placements_have_replicas", holds, || format!("{blob} on {server} for {placement:?}"));
        Ok(())
    })?;
    Ok(held)
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
            let holds = leads.is_none_or(|leads| leads == named || parent == TRASH && named);
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
        let trash = key == keys::entry(TRASH);
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
        Table::Names if directory != TRASH => filled,
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
    if entry.parent == TRASH {
        let holds = entry.name == keys::trash_name(id);
        report.expect("trash_names_are_ids", holds, || format!("entry {id} is called {:?} in the trash", entry.name));
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
    let same = parent.is_none_or(|parent| parent.owner == entry.owner);
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

/// Follows the parents up to a root or to the trash.
fn ancestors(report: &mut Report<'_>, store: &dyn ReadStore, entry: &Entry) -> Result<(), Fault> {
    let id = entry.file_id;
    let (mut components, mut bytes) = (1, 1 + entry.name.len());
    let mut parent = entry.parent;
    while parent != NO_PARENT && parent != TRASH {
        let Some(above) = tables::entry(store, parent)? else { return Ok(()) };
        if above.parent != NO_PARENT && above.parent != TRASH {
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

/// Which copies a record names.
fn copies(
    report: &mut Report<'_>,
    store: &dyn ReadStore,
    entry: &Entry,
    content: &Content,
    held: &mut BTreeMap<ServerId, Named>,
) -> Result<(), Fault> {
    let id = entry.file_id;
    let servers: BTreeSet<_> = content.replicas.iter().map(|replica| replica.server_id).collect();
    let named = (1..=usize::from(MAX_COPIES)).contains(&content.replicas.len());
    report.expect("files_name_one_to_five_copies", named, || format!("file {id}: {}", content.replicas.len()));
    report.expect("copies_are_on_distinct_servers", servers.len() == content.replicas.len(), || {
        format!("file {id}: {:?}", content.replicas)
    });
    let numbered = content.version.0 >= 1 && content.placement_rev >= content.version.0;
    report.expect("versions_start_at_one", numbered, || format!("file {id} is at {}", content.version));
    let listed = content.owed.map(|copies| tables::repair(store, copies, id)).transpose()?;
    report.expect("owed_files_are_listed", listed != Some(None), || format!("file {id} is owed {:?}", content.owed));
    let last = tables::last_fence(store)?;
    report.expect("fences_are_below_the_counter", content.last_fence <= last, || {
        format!("file {id} had fence {}, the last given is {last}", content.last_fence)
    });
    for (position, replica) in content.replicas.iter().enumerate() {
        let server = replica.server_id;
        let placement = tables::placement(store, server, content.blob_id)?;
        let placed = placement == Some(Placement { file_id: id, version: content.version });
        report.expect("replicas_have_placements", placed, || format!("file {id} on {server}: {placement:?}"));
        let garbage = tables::garbage(store, server, content.blob_id, replica.copy_id)?;
        report.expect("no_copy_is_both_named_and_garbage", garbage.is_none(), || format!("file {id} on {server}"));
        let at = tables::server(store, server)?;
        let epoch = at.as_ref().map(|at| at.epoch);
        let known = epoch.is_some_and(|epoch| (1..=epoch.0).contains(&replica.epoch.0));
        report.expect("replicas_are_on_known_servers", known, || format!("file {id}: {replica:?}, epoch {epoch:?}"));
        let named = held.entry(server).or_default();
        let stale = epoch != Some(replica.epoch);
        named.all.step(stale, position, content.size, true);
        let through = at.and_then(|at| at.recount?.through);
        if through.is_some_and(|through| content.blob_id <= through) {
            named.recounted.step(stale, position, content.size, true);
        }
    }
    Ok(())
}
