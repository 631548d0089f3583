//! One row of `Names` goes, one comes, and the entry's own changes, whatever is below it.

use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::NO_PARENT;
use crate::domain::stop::{Stop, require};
use crate::domain::terms::{FileRef, LockProof, PathRef};
use crate::domain::{Outcome, RejectionKind, UserId, rules, tables};

record! {
    /// Another place or name for an entry. Locks are on file ids and go along; what was shared stays shared, under its new
    /// path.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Move as "move" {
        pub user: UserId = 1,
        pub from: FileRef = 2,
        pub to: PathRef = 3,
        pub lock: Option<LockProof> = 4,
        /// The owner of the tree may move what others have locked.
        pub break_locks: bool = 5,
    }
}

impl Act for Move {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let reached = rules::reach(change.store, self.user, &self.from)?;
        let mut entry = reached.entry.clone();
        require(entry.parent != NO_PARENT, RejectionKind::InvalidRequest, "the root directory cannot be moved")?;
        require(
            reached.may_take_out(),
            RejectionKind::Forbidden,
            "moving this needs a write grant on the directory that it is in: ask its owner",
        )?;
        rules::check_handed_over(change.store, &reached)?;
        let spot = rules::spot(change.store, self.user, &self.to)?;
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
        change.pass_locks(self.user, &reached, self.lock.as_ref(), self.break_locks)?;
        let below = rules::check_depth(&spot.path, &entry)?;
        tables::unlink(change.store, &entry)?;
        (entry.parent, entry.name) = change.make_parents(&spot, below)?;
        tables::link(change.store, &entry)?;
        let access = spot
            .access
            .max(rules::access_through(change.store, self.user, entry.owner, &[entry.file_id])?.unwrap_or(spot.access));
        change.stat(&entry, spot.path, access)
    }
}
