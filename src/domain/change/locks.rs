//! Locks that are in the way of a change, and that are not any more.

use super::Change;
use crate::domain::rows::Entry;
use crate::domain::rules::{self, Reached};
use crate::domain::stop::{Stop, reject, require};
use crate::domain::terms::LockProof;
use crate::domain::{Fault, Fence, RejectionKind, UserId, tables};

impl Change<'_> {
    /// Refuses to move or remove what is locked, in itself or below it, unless the owner of the tree breaks the locks.
    pub(crate) fn pass_locks(
        &mut self,
        user: UserId,
        reached: &Reached,
        proof: Option<&LockProof>,
        break_locks: bool,
    ) -> Result<(), Stop> {
        let entry = &reached.entry;
        require(
            !break_locks || reached.is_owner(),
            RejectionKind::Forbidden,
            "only the owner of the tree may break locks: ask the owner, or wait until they have ended",
        )?;
        if break_locks && proof.is_none() {
            return Ok(self.end_lock(entry)?);
        }
        if !entry.is_directory() {
            rules::check_lock(self.store, user, entry, proof)?;
            return Ok(self.end_void_lock(entry)?);
        }
        if proof.is_some() {
            return Err(reject(RejectionKind::Locked, "locks are on files: a directory is not locked, send no token"));
        }
        rules::check_locks_below(self.store, user, entry)
    }

    /// Takes away a lock whose holder may not write the file any more, so that it does not come back with the right.
    pub(crate) fn end_void_lock(&mut self, entry: &Entry) -> Result<(), Fault> {
        let never = entry.file().is_none_or(|file| file.last_fence == Fence(0));
        if never || rules::standing_lock(self.store, entry)?.is_some() { Ok(()) } else { self.end_lock(entry) }
    }

    pub(crate) fn end_lock(&mut self, entry: &Entry) -> Result<(), Fault> {
        match tables::lock(self.store, entry.file_id)? {
            Some(lock) => tables::delete_lock(self.store, entry.file_id, &lock),
            None => Ok(()),
        }
    }
}
