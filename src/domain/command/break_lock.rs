use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::stop::{Stop, reject, require};
use crate::domain::terms::FileRef;
use crate::domain::{Outcome, RejectionKind, UserId, rules, tables};

record! {
    /// Ends somebody else's lock: the owner of the tree may, and an admin.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct BreakLock as "breaking of a lock" {
        pub user: UserId = 1,
        pub file: FileRef = 2,
    }
}

impl Act for BreakLock {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let entry = if rules::account(change.store, self.user)?.admin {
            rules::find(change.store, self.user, &self.file)?
        } else {
            let reached = rules::reach(change.store, self.user, &self.file)?;
            require(
                reached.is_owner(),
                RejectionKind::Forbidden,
                "only the owner of the tree may break a lock: ask the owner, or wait until it has ended",
            )?;
            reached.entry
        };
        if tables::lock(change.store, entry.file_id)?.is_none() {
            return Err(reject(RejectionKind::NotFound, "this file is not locked: nothing has to be broken"));
        }
        change.end_lock(&entry)?;
        Ok(Outcome::Done)
    }
}
