//! Works off what is doomed, depth first, files and emptied directories alike, and then the contents that nothing names
//! any more.
//!
//! `Meta` keeps the place where the last batch ended. Looking for the first row that is left would do as well, but in
//! an LSM tree it passes over the tombstones of everything removed before: quadratic in the size of the directory.
//! The place stays true because nothing but `Reap` changes anything there. New arrivals at its top may sort
//! before the place; they are found when the end was reached and the search starts over.

use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::{DOOMED, Dead};
use crate::domain::stop::Stop;
use crate::domain::tables::{self, keys};
use crate::domain::{ClusterTime, Fault, FileId, Outcome, Table};

/// A command touches about a thousand rows.
const MAX_ROWS: u32 = 1000;
/// Names that one look into a directory reads.
const LOOK: usize = 16;
/// Looks of one command. Going into a directory takes away no row, and a restored tree may be deeper than any path.
const MAX_LOOKS: u32 = 250;
/// A content's own, and where it is listed.
const ROWS_OF_CONTENT: u32 = 2;

/// A directory below what is doomed and a key of `Names`: everything in the directory before the key was removed.
struct Place {
    directory: FileId,
    from: Vec<u8>,
}

impl Place {
    fn start(directory: FileId) -> Self {
        Self { directory, from: keys::entry(directory).to_vec() }
    }
}

record! {
    /// Works off what is doomed and dead.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Reap as "reaping" {
        /// It stops at the first entry after so many rows, which the rows of an entry with properties and a few older
        /// versions can exceed by some two hundred; no more than 1,000 in any case.
        pub limit: u32 = 1,
        /// Room is wanted: what nothing named before this goes though it is not due, since no running read needs it.
        pub unread_before: ClusterTime = 2,
    }
}

impl Act for Reap {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    // What is doomed may have come before what is below it.
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let limit = self.limit.clamp(1, MAX_ROWS);
        let (mut rows, mut looks) = (0, 0);
        let mut place = match tables::reaped_through(change.store)? {
            Some(from) => Place { directory: keys::read_name(&from)?.0, from },
            None => Place::start(DOOMED),
        };
        while rows < limit && looks < MAX_LOOKS {
            looks += 1;
            if !reap_from(change, &mut place, limit, &mut rows)? {
                tables::put_reaped_through(change.store, None)?;
                let more = bury(change, limit, self.unread_before, &mut rows)?;
                return Ok(Outcome::Progress { rows, more });
            }
        }
        let doomed = place.directory != DOOMED || tables::has_children(change.store, DOOMED)?;
        tables::put_reaped_through(change.store, doomed.then_some(place.from))?;
        let more = doomed || !tables::dead(change.store, change.now, self.unread_before, 1)?.is_empty();
        Ok(Outcome::Progress { rows: rows.max(u32::from(more)), more })
    }
}

/// One look into the directory at `place`: removes its files, goes into the first directory in it, or, when it is
/// empty, removes it and goes back up. `false` when nothing is doomed.
fn reap_from(change: &mut Change<'_>, place: &mut Place, limit: u32, rows: &mut u32) -> Result<bool, Fault> {
    let children = tables::children(change.store, place.directory, &place.from, LOOK)?;
    if children.is_empty() {
        return leave(change, place, limit, rows);
    }
    for (name, id) in children {
        let key = keys::name(place.directory, &name);
        let Some(entry) = tables::entry(change.store, id)? else {
            // Who stops at what leads nowhere never comes to what is behind it.
            change.store.delete(Table::Names, &key)?;
            *rows = rows.saturating_add(1);
            place.from = keys::after(&key);
            continue;
        };
        if entry.is_directory() {
            *place = Place::start(id);
            return Ok(true);
        }
        let removal = change.remove_entry(&entry, grants_within(limit.saturating_sub(*rows)))?;
        *rows = rows.saturating_add(removal.rows);
        if !removal.complete {
            // Who goes on behind it finds the directory empty, and leaves it without its parent.
            place.from = key;
            break;
        }
        place.from = keys::after(&key);
        if *rows >= limit {
            break;
        }
    }
    Ok(true)
}

fn leave(change: &mut Change<'_>, place: &mut Place, limit: u32, rows: &mut u32) -> Result<bool, Fault> {
    if place.directory == DOOMED {
        let start = Place::start(DOOMED);
        let started = place.from == start.from;
        *place = start;
        return Ok(!started);
    }
    let Some(directory) = tables::entry(change.store, place.directory)? else {
        *place = Place::start(DOOMED);
        return Ok(true);
    };
    let key = keys::name(directory.parent, &directory.name);
    let removal = change.remove_entry(&directory, grants_within(limit.saturating_sub(*rows)))?;
    *rows = rows.saturating_add(removal.rows);
    if removal.complete {
        *place = Place { directory: directory.parent, from: keys::after(&key) };
    }
    Ok(true)
}

/// Releases what extents of dead contents are left. Whether more are.
fn bury(change: &mut Change<'_>, limit: u32, unread_before: ClusterTime, rows: &mut u32) -> Result<bool, Fault> {
    let before = *rows;
    let more = bury_some(change, limit, unread_before, rows)?;
    if *rows > before {
        tables::note_dead_from(change.store, change.now)?;
    }
    Ok(more)
}

fn bury_some(change: &mut Change<'_>, limit: u32, unread_before: ClusterTime, rows: &mut u32) -> Result<bool, Fault> {
    for (due, id, row) in tables::dead(change.store, change.now, unread_before, LOOK)? {
        if *rows >= limit {
            return Ok(true);
        }
        if let Some(until) = tables::pinned_until(change.store, id)? {
            let later = until.max(change.now.plus_ms(1000));
            tables::delete_dead(change.store, due, id)?;
            tables::put_dead(change.store, later, id, &Dead { since: change.now, ..row })?;
            *rows = rows.saturating_add(ROWS_OF_CONTENT);
            continue;
        }
        let (released, left) = change.bury(id, row, limit.saturating_sub(*rows) as usize)?;
        *rows = rows.saturating_add(u32::try_from(released).unwrap_or(u32::MAX)).saturating_add(ROWS_OF_CONTENT);
        if let Some(left) = left {
            tables::put_dead(change.store, due, id, &left)?;
            return Ok(true);
        }
        tables::delete_dead(change.store, due, id)?;
    }
    Ok(!tables::dead(change.store, change.now, unread_before, 1)?.is_empty())
}

/// A grant has two rows.
fn grants_within(rows: u32) -> usize {
    (rows / 2).max(1) as usize
}
