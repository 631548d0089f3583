//! New entries.

use super::Change;
use crate::domain::answer::Access;
use crate::domain::command::PathRef;
use crate::domain::rows::{Entry, EntryKind, Extent, NO_PARENT};
use crate::domain::rules::{self, Describer, Spot};
use crate::domain::stop::Stop;
use crate::domain::tables::Counter;
use crate::domain::{Fault, FileId, FilePath, Outcome, UserId, WallTime, tables};

impl Change<'_> {
    pub(super) fn mkdir(&mut self, user: UserId, at: &PathRef) -> Result<Outcome, Stop> {
        let spot = rules::spot(self.store, user, at)?;
        let entry = self.create(&spot, EntryKind::Directory(Extent::default()))?;
        self.stat(&entry, spot.path, spot.access)
    }

    /// Makes an entry, and its parents where they are missing.
    pub(super) fn create(&mut self, spot: &Spot, kind: EntryKind) -> Result<Entry, Stop> {
        let (parent, name) = self.make_parents(spot, Extent::default())?;
        let entry = self.entry(parent, &name, spot.owner, kind)?;
        tables::link(self.store, &entry)?;
        Ok(entry)
    }

    /// Makes the directories that a spot's path still needs, for an entry below which paths reach `below` far. Answers
    /// with the entry's parent and name.
    pub(super) fn make_parents(&mut self, spot: &Spot, below: Extent) -> Result<(FileId, String), Stop> {
        let missing = spot.missing();
        let (name, directories) =
            missing.split_last().ok_or_else(|| Fault("a spot has no room for an entry".to_owned()))?;
        // What lies below each of the new directories, and last below the nearest one that is there: from the end.
        let mut extents = vec![above(below, name)];
        for directory in directories.iter().rev() {
            extents.push(above(extents[extents.len() - 1], directory));
        }
        let mut parent = spot.nearest.file_id;
        self.raise_extent(spot.nearest.clone(), extents.pop().unwrap_or_default())?;
        for directory in directories {
            let extent = extents.pop().unwrap_or_default();
            let entry = self.entry(parent, directory, spot.owner, EntryKind::Directory(extent))?;
            tables::link(self.store, &entry)?;
            parent = entry.file_id;
        }
        Ok((parent, name.clone()))
    }

    /// Notes that paths below a directory now reach `below` far. An ancestor's extent covers its children's, so the
    /// way up ends at the first one that is large enough: most often at once.
    fn raise_extent(&mut self, mut directory: Entry, mut below: Extent) -> Result<(), Fault> {
        loop {
            let EntryKind::Directory(extent) = &mut directory.kind else {
                return Err(Fault(format!("entry {} is a file and has children", directory.file_id)));
            };
            if extent.components >= below.components && extent.bytes >= below.bytes {
                return Ok(());
            }
            extent.components = extent.components.max(below.components);
            extent.bytes = extent.bytes.max(below.bytes);
            below = above(*extent, &directory.name);
            tables::put_entry(self.store, &directory)?;
            if directory.parent == NO_PARENT {
                return Ok(());
            }
            directory = tables::known_entry(self.store, directory.parent)?;
        }
    }

    fn entry(&mut self, parent: FileId, name: &str, owner: UserId, kind: EntryKind) -> Result<Entry, Fault> {
        Ok(Entry {
            file_id: FileId(Counter::File.take(self.store)?),
            parent,
            name: name.to_owned(),
            owner,
            created_at: self.wall,
            modified_at: self.wall,
            kind,
        })
    }

    pub(super) fn stat(&self, entry: &Entry, path: FilePath, access: Access) -> Result<Outcome, Stop> {
        Ok(Outcome::Stat(Box::new(Describer::new(self.store).stat(entry, path, access)?)))
    }

    /// The wall clock's reading `ms` milliseconds after this entry, for people to see.
    pub(super) fn wall_in(&self, ms: u64) -> WallTime {
        WallTime(self.wall.0.saturating_add(ms))
    }
}

/// How far paths reach below the parent of something called `name`, below which they reach `below` far.
fn above(below: Extent, name: &str) -> Extent {
    // Paths are bounded far below these types' limits.
    let bytes = u32::try_from(name.len()).unwrap_or(u32::MAX).saturating_add(1);
    Extent { components: below.components.saturating_add(1), bytes: below.bytes.saturating_add(bytes) }
}
