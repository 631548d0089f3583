use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::stop::Stop;
use crate::domain::terms::LockProof;
use crate::domain::{Outcome, UserId, rules, tables};

record! {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Unlock as "unlock" {
        pub user: UserId = 1,
        pub lock: LockProof = 2,
    }
}

impl Act for Unlock {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let (file_id, lock) = rules::held_lock(change.store, self.user, &self.lock)?;
        tables::delete_lock(change.store, file_id, &lock)?;
        Ok(Outcome::Done)
    }
}
