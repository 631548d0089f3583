//! New entries.

use super::Change;
use crate::domain::answer::Access;
use crate::domain::path::MAX_COMPONENTS;
use crate::domain::rows::{BIN, DOOMED, Entry, EntryKind, NO_PARENT, Span, Trashed};
use crate::domain::rules::{Describer, Spot};
use crate::domain::stop::{Stop, astray};
use crate::domain::tables::{Counter, keys};
use crate::domain::{ClusterTime, Fault, FileId, FilePath, Outcome, UserId, tables};

impl Change<'_> {
    /// Makes an entry, and its parents where they are missing.
    pub(crate) fn create(&mut self, spot: &Spot, kind: EntryKind) -> Result<Entry, Stop> {
        let (parent, name) = self.make_parents(spot, Span::default())?;
        let entry = self.entry(parent, &name, spot.owner, kind)?;
        tables::link(self.store, &entry)?;
        Ok(entry)
    }

    /// Makes the directories that a spot's path still needs, for an entry below which paths reach `below` far. Answers
    /// with the entry's parent and name.
    pub(crate) fn make_parents(&mut self, spot: &Spot, below: Span) -> Result<(FileId, String), Stop> {
        let missing = spot.missing();
        let (name, directories) = missing.split_last().ok_or_else(|| astray("a path that is free is taken"))?;
        // What lies below each of the new directories, and last below the nearest one that is there: from the end.
        let mut spans = vec![above(below, name)];
        for directory in directories.iter().rev() {
            spans.push(above(spans[spans.len() - 1], directory));
        }
        let mut parent = spot.nearest.file_id;
        self.raise_span(spot.nearest.clone(), spans.pop().unwrap_or_default())?;
        for directory in directories {
            let span = spans.pop().unwrap_or_default();
            let entry = self.entry(parent, directory, spot.owner, EntryKind::Directory(span))?;
            tables::link(self.store, &entry)?;
            parent = entry.file_id;
        }
        Ok((parent, name.clone()))
    }

    /// Notes that paths below a directory now reach `below` far. An ancestor's span covers its children's, so the
    /// way up ends at the first one that is large enough: most often at once.
    fn raise_span(&mut self, mut directory: Entry, mut below: Span) -> Result<(), Stop> {
        // A root is at most as many steps up as a path has components. More are a circle, or deeper than any path.
        for _ in 0..=MAX_COMPONENTS {
            let EntryKind::Directory(span) = &mut directory.kind else {
                return Err(astray(format!("entry {} is a file and has children", directory.file_id)));
            };
            if span.components >= below.components && span.bytes >= below.bytes {
                return Ok(());
            }
            span.components = span.components.max(below.components);
            span.bytes = span.bytes.max(below.bytes);
            below = above(*span, &directory.name);
            tables::put_entry(self.store, &directory)?;
            if directory.parent == NO_PARENT {
                return Ok(());
            }
            directory = tables::known_entry(self.store, directory.parent)?;
        }
        Err(astray(format!("entry {} is too deep, or above itself", directory.file_id)))
    }

    fn entry(&mut self, parent: FileId, name: &str, owner: UserId, kind: EntryKind) -> Result<Entry, Stop> {
        Ok(Entry {
            file_id: FileId(Counter::File.take(self.store)?),
            parent,
            name: name.to_owned(),
            owner,
            created_at: self.wall,
            modified_at: self.wall,
            kind,
            properties: None,
        })
    }

    pub(crate) fn stat(&self, entry: &Entry, path: FilePath, access: Access) -> Result<Outcome, Stop> {
        Ok(Outcome::Stat(Box::new(Describer::new(self.store).stat(entry, path, access)?)))
    }

    /// From here on nothing reaches what is below: not a path, for the name is gone; not an id, for its ancestors end
    /// among what is doomed; and so no grant and no lock.
    pub(crate) fn doom(&mut self, mut entry: Entry) -> Result<(), Fault> {
        tables::unlink(self.store, &entry)?;
        entry.parent = DOOMED;
        entry.name = keys::doomed_name(entry.file_id);
        tables::link(self.store, &entry)
    }

    /// Puts an entry into its owner's trash. It is out of reach like what is doomed, but for its owner, who may have it
    /// back until its time has come, after `ms` milliseconds: what directories below it say counts no more.
    pub(crate) fn bin(&mut self, mut entry: Entry, path: FilePath, deleted_by: UserId, ms: u64) -> Result<(), Fault> {
        tables::unlink(self.store, &entry)?;
        entry.parent = BIN;
        entry.name = keys::binned_name(self.now, entry.file_id);
        tables::link(self.store, &entry)?;
        let (until, wall_until) = (self.now.plus_ms(ms), self.wall_in(ms));
        let row = Trashed { path, deleted_by, wall_deleted_at: self.wall, until, wall_until };
        tables::put_trashed(self.store, entry.owner, self.now, entry.file_id, &row)
    }

    /// The time of an entry in the trash has come, or its owner does not want it back.
    pub(crate) fn unbin(&mut self, owner: UserId, deleted_at: ClusterTime, file: FileId) -> Result<bool, Fault> {
        let Some(row) = tables::trashed(self.store, owner, deleted_at, file)? else { return Ok(false) };
        tables::delete_trashed(self.store, owner, deleted_at, file, &row)?;
        if let Some(entry) = tables::entry(self.store, file)?.filter(|entry| entry.parent == BIN) {
            self.doom(entry)?;
        }
        Ok(true)
    }
}

/// How far paths reach below the parent of something called `name`, below which they reach `below` far.
fn above(below: Span, name: &str) -> Span {
    // Paths are bounded far below these types' limits.
    let bytes = u32::try_from(name.len()).unwrap_or(u32::MAX).saturating_add(1);
    Span { components: below.components.saturating_add(1), bytes: below.bytes.saturating_add(bytes) }
}
