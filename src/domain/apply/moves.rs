//! Moves: one row of `Names` goes, one comes, and the entry's own changes, whatever is below it.

use super::Change;
use crate::domain::command::{FileRef, LockProof, PathRef};
use crate::domain::path::{MAX_COMPONENTS, MAX_PATH_BYTES};
use crate::domain::rows::{EntryKind, Extent, NO_PARENT};
use crate::domain::rules;
use crate::domain::stop::{Stop, require};
use crate::domain::{Outcome, RejectionKind, UserId, tables};

impl Change<'_> {
    /// Locks are on file ids and go along; what was shared stays shared, under its new path.
    pub(super) fn relocate(
        &mut self,
        user: UserId,
        from: &FileRef,
        to: &PathRef,
        lock: Option<&LockProof>,
    ) -> Result<Outcome, Stop> {
        let reached = rules::reach(self.store, user, from)?;
        let mut entry = reached.entry.clone();
        require(entry.parent != NO_PARENT, RejectionKind::InvalidRequest, "the root directory cannot be moved")?;
        require(
            reached.may_take_out(),
            RejectionKind::Forbidden,
            "moving this needs a write grant on the directory that it is in: ask its owner",
        )?;
        let spot = rules::spot(self.store, user, to)?;
        require(
            spot.owner == entry.owner,
            RejectionKind::InvalidRequest,
            "a move stays inside one owner's tree: name the same owner for both paths, or write a copy",
        )?;
        require(
            !spot.above.contains(&entry.file_id),
            RejectionKind::InvalidRequest,
            "a directory cannot be moved below itself: choose another path",
        )?;
        let below = match &entry.kind {
            EntryKind::Directory(extent) => *extent,
            EntryKind::File(content) => {
                rules::check_lock(self.store, user, &entry, content, lock)?;
                Extent::default()
            }
        };
        let components = spot.path.components().len() + below.components as usize;
        let bytes = spot.path.to_string().len() + below.bytes as usize;
        require(
            components <= MAX_COMPONENTS && bytes <= MAX_PATH_BYTES,
            RejectionKind::InvalidPath,
            "paths below this directory would become too long or too deep: choose a shorter path",
        )?;

        tables::unlink(self.store, &entry)?;
        (entry.parent, entry.name) = self.make_parents(&spot, below)?;
        tables::link(self.store, &entry)?;
        let access = spot
            .access
            .max(rules::access_through(self.store, user, entry.owner, &[entry.file_id])?.unwrap_or(spot.access));
        self.stat(&entry, spot.path, access)
    }
}
