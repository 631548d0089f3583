//! Deletes, as far as they are decided here: a file goes at once, a directory with something in it goes to the trash,
//! which is one renamed row, and is worked off by `Reap`.

use super::Change;
use crate::domain::command::{FileRef, LockProof, Precondition};
use crate::domain::rows::{Entry, NO_PARENT, TRASH};
use crate::domain::rules;
use crate::domain::stop::{Stop, require};
use crate::domain::{Fault, Outcome, RejectionKind, UserId, tables};

/// An entry that was shared with more users than this is not removed in one go.
const MAX_GRANTS_AT_ONCE: usize = 100;

impl Change<'_> {
    pub(super) fn delete(
        &mut self,
        user: UserId,
        file: &FileRef,
        recursive: bool,
        precondition: Option<&Precondition>,
        lock: Option<&LockProof>,
    ) -> Result<Outcome, Stop> {
        let reached = rules::reach(self.store, user, file)?;
        let entry = &reached.entry;
        require(entry.parent != NO_PARENT, RejectionKind::InvalidRequest, "the root directory cannot be deleted")?;
        require(
            reached.may_take_out(),
            RejectionKind::Forbidden,
            "deleting this needs a write grant on the directory that it is in: ask its owner",
        )?;
        let grants = tables::grantees(self.store, entry.file_id, MAX_GRANTS_AT_ONCE + 1)?.len();
        require(
            reached.is_owner() || grants == 0,
            RejectionKind::Forbidden,
            "this was shared, so only its owner may delete it: ask the owner",
        )?;
        let filled = entry.is_directory() && tables::has_children(self.store, entry.file_id)?;
        require(
            recursive || !filled,
            RejectionKind::NotEmpty,
            "the directory is not empty: delete what is in it first, or say recursive",
        )?;
        require(
            reached.is_owner() || !filled,
            RejectionKind::Forbidden,
            "only its owner may delete a directory with everything in it: ask the owner, or delete one by one",
        )?;
        if let Some(content) = entry.content() {
            rules::check_lock(self.store, user, entry, content, lock)?;
        }
        rules::check_precondition(entry, precondition)?;

        if filled || grants > MAX_GRANTS_AT_ONCE {
            self.trash(reached.entry)?;
        } else {
            self.remove_entry(&reached.entry, MAX_GRANTS_AT_ONCE)?;
        }
        Ok(Outcome::Done)
    }

    /// From here on nothing reaches what is below: not a path, for the name is gone; not an id, for its ancestors end
    /// in the trash; and so no grant and no lock.
    fn trash(&mut self, mut entry: Entry) -> Result<(), Fault> {
        tables::unlink(self.store, &entry)?;
        entry.parent = TRASH;
        entry.name = tables::keys::trash_name(entry.file_id);
        tables::link(self.store, &entry)
    }
}
