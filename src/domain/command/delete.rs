//! Deletes. What goes into the trash hangs there as a whole, whatever is below it: one renamed row. What goes for good goes
//! at once where that is little, and else hangs among what is doomed, and is worked off by `Reap`.

use super::{Act, Schema};
use crate::domain::change::{Change, MAX_VERSIONS_AT_ONCE};
use crate::domain::record::declare::record;
use crate::domain::rows::NO_PARENT;
use crate::domain::stop::{Stop, require};
use crate::domain::terms::{FileRef, LockProof, Precondition};
use crate::domain::{Outcome, RejectionKind, UserId, rules, tables};

/// An entry that was shared with more users than this is not removed in one go.
const MAX_GRANTS_AT_ONCE: usize = 100;

record! {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Delete as "delete" {
        pub user: UserId = 1,
        pub file: FileRef = 2,
        /// A directory with everything in it.
        pub recursive: bool = 3,
        pub precondition: Option<Precondition> = 4,
        pub lock: Option<LockProof> = 5,
        /// Past the trash.
        pub permanently: bool = 6,
        /// The owner of the tree may delete what others have locked.
        pub break_locks: bool = 7,
    }
}

impl Act for Delete {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let reached = rules::reach(change.store, self.user, &self.file)?;
        let entry = &reached.entry;
        require(entry.parent != NO_PARENT, RejectionKind::InvalidRequest, "the root directory cannot be deleted")?;
        require(
            reached.may_take_out(),
            RejectionKind::Forbidden,
            "deleting this needs a write grant on the directory that it is in: ask its owner",
        )?;
        let grants = tables::grantees(change.store, entry.file_id, MAX_GRANTS_AT_ONCE + 1)?.len();
        require(
            reached.is_owner() || grants == 0,
            RejectionKind::Forbidden,
            "this was shared, so only its owner may delete it: ask the owner",
        )?;
        let filled = entry.is_directory() && tables::has_children(change.store, entry.file_id)?;
        require(
            self.recursive || !filled,
            RejectionKind::NotEmpty,
            "the directory is not empty: delete what is in it first, or say recursive",
        )?;
        require(
            reached.is_owner() || !filled,
            RejectionKind::Forbidden,
            "only its owner may delete a directory with everything in it: ask the owner, or delete one by one",
        )?;
        rules::check_handed_over(change.store, &reached)?;
        change.pass_locks(self.user, &reached, self.lock.as_ref(), self.break_locks)?;
        rules::check_precondition(entry, self.precondition.as_ref())?;

        let kept = entry.file().map_or(0, |file| file.kept);
        let much = filled || grants > MAX_GRANTS_AT_ONCE || kept > MAX_VERSIONS_AT_ONCE as u64;
        // There is nothing in an empty directory to be had back.
        let trash_ms = change.retained(&reached)?.trash_ms;
        let binned = !self.permanently && trash_ms > 0 && (filled || !entry.is_directory());
        if binned {
            if let Some(lock) = tables::lock(change.store, entry.file_id)? {
                tables::delete_lock(change.store, entry.file_id, &lock)?;
            }
            change.bin(reached.entry, reached.path, self.user, trash_ms)?;
        } else if much {
            change.doom(reached.entry)?;
        } else {
            change.remove_entry(&reached.entry, MAX_GRANTS_AT_ONCE)?;
        }
        Ok(Outcome::Done)
    }
}
