//! Deletes, as far as they are decided here: a file goes at once, a directory with something in it goes to the trash,
//! which is one renamed row, and is worked off by `Reap`.

use super::{Act, Schema};
use crate::domain::change::Change;
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
        if let Some(content) = entry.content() {
            rules::check_lock(change.store, self.user, entry, content, self.lock.as_ref())?;
        }
        rules::check_precondition(entry, self.precondition.as_ref())?;

        if filled || grants > MAX_GRANTS_AT_ONCE {
            change.trash(reached.entry)?;
        } else {
            change.remove_entry(&reached.entry, MAX_GRANTS_AT_ONCE)?;
        }
        Ok(Outcome::Done)
    }
}
