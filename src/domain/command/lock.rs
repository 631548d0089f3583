use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::{self, EntryKind};
use crate::domain::rules;
use crate::domain::stop::{Stop, reject, require};
use crate::domain::terms::FileRef;
use crate::domain::{Fence, Outcome, RejectionKind, Sha256, UserId, tables};

record! {
    /// An exclusive lease on a file for writing, with a fence of its own.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Lock as "lock command" {
        pub user: UserId = 1,
        pub file: FileRef = 2,
        /// 1,000 to 3,600,000.
        pub ttl_ms: u64 = 3,
        /// SHA-256 of the token's mac.
        pub mac_hash: Sha256 = 4,
    }
}

impl Act for Lock {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        rules::check_lock_ttl(self.ttl_ms)?;
        let reached = rules::reach(change.store, self.user, &self.file)?;
        let mut entry = reached.entry.clone();
        let EntryKind::File(file) = &mut entry.kind else {
            return Err(reject(RejectionKind::InvalidRequest, "locks are on files: name a file below this directory"));
        };
        rules::check_may_lock(&reached)?;
        let file_id = reached.entry.file_id;
        change.end_void_lock(&reached.entry)?;
        if let Some(lock) = tables::lock(change.store, file_id)? {
            let detail = if lock.owner == self.user {
                "you have locked this file already: renew that lock, or unlock it first"
            } else {
                "somebody else has locked this file: try again when the lock has ended"
            };
            return Err(reject(RejectionKind::Locked, detail));
        }
        let held = tables::locks_of(change.store, self.user, Fence(0), rules::MAX_LOCKS)?.len();
        require(
            held < rules::MAX_LOCKS,
            RejectionKind::TooManyRequests,
            "you hold 1,000 locks, as many as one user may: unlock some, or wait until some have ended",
        )?;
        let fence = tables::take_fence(change.store)?;
        file.last_fence = fence;
        tables::put_entry(change.store, &entry)?;
        let lock = rows::Lock {
            owner: self.user,
            mac_hash: self.mac_hash,
            fence,
            ttl_ms: self.ttl_ms,
            expires_at: change.now.plus_ms(self.ttl_ms),
            wall_expires_at: change.wall_in(self.ttl_ms),
            tree: reached.entry.owner,
        };
        tables::put_lock(change.store, file_id, &lock)?;
        Ok(Outcome::Locked { file_id, fence, expires_at: lock.wall_expires_at })
    }
}
