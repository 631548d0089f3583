use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::Lock;
use crate::domain::rules;
use crate::domain::stop::Stop;
use crate::domain::terms::LockProof;
use crate::domain::{Outcome, UserId, tables};

record! {
    /// More time for a lock. Who has lost the right to write the file may not keep it locked.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Renew as "renewal" {
        pub user: UserId = 1,
        pub lock: LockProof = 2,
        /// 1,000 to 3,600,000, from now.
        pub ttl_ms: u64 = 3,
    }
}

impl Act for Renew {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    // It takes no room: its rows take the place of the lock's.
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        rules::check_lock_ttl(self.ttl_ms)?;
        let (file_id, lock) = rules::held_lock(change.store, self.user, &self.lock)?;
        rules::check_may_lock(&rules::reach_id(change.store, self.user, file_id)?)?;
        tables::delete_lock(change.store, file_id, &lock)?;
        let lock = Lock {
            ttl_ms: self.ttl_ms,
            expires_at: change.now.plus_ms(self.ttl_ms),
            wall_expires_at: change.wall_in(self.ttl_ms),
            ..lock
        };
        tables::put_lock(change.store, file_id, &lock)?;
        Ok(Outcome::Locked { file_id, fence: lock.fence, expires_at: lock.wall_expires_at })
    }
}
