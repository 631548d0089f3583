//! Locks: exclusive leases on a file for writing, each with a fence of its own.

use super::Change;
use crate::domain::command::{FileRef, LockProof};
use crate::domain::rows::{EntryKind, Lock};
use crate::domain::rules;
use crate::domain::stop::{Stop, reject, require};
use crate::domain::{FileId, Outcome, RejectionKind, Sha256, UserId, tables};

impl Change<'_> {
    pub(super) fn lock(
        &mut self,
        user: UserId,
        file: &FileRef,
        ttl_ms: u64,
        mac_hash: &Sha256,
    ) -> Result<Outcome, Stop> {
        check_ttl(ttl_ms)?;
        let reached = rules::reach(self.store, user, file)?;
        let mut entry = reached.entry.clone();
        let EntryKind::File(content) = &mut entry.kind else {
            return Err(reject(RejectionKind::InvalidRequest, "locks are on files: name a file below this directory"));
        };
        check_right(reached.may_write())?;
        let file_id = reached.entry.file_id;
        if let Some(lock) = tables::lock(self.store, file_id)? {
            let detail = if lock.owner == user {
                "you have locked this file already: renew that lock, or unlock it first"
            } else {
                "somebody else has locked this file: try again when the lock has ended"
            };
            return Err(reject(RejectionKind::Locked, detail));
        }
        let fence = tables::take_fence(self.store)?;
        content.last_fence = fence;
        tables::put_entry(self.store, &entry)?;
        let lock = Lock {
            owner: user,
            mac_hash: *mac_hash,
            fence,
            ttl_ms,
            expires_at: self.now.plus_ms(ttl_ms),
            wall_expires_at: self.wall_in(ttl_ms),
        };
        tables::put_lock(self.store, file_id, &lock)?;
        Ok(locked(file_id, &lock))
    }

    /// Who has lost the right to write the file may not keep it locked.
    pub(super) fn renew(&mut self, user: UserId, proof: &LockProof, ttl_ms: u64) -> Result<Outcome, Stop> {
        check_ttl(ttl_ms)?;
        let (file_id, lock) = rules::held_lock(self.store, user, proof)?;
        check_right(rules::reach_id(self.store, user, file_id)?.may_write())?;
        tables::delete_lock(self.store, file_id, &lock)?;
        let lock = Lock { ttl_ms, expires_at: self.now.plus_ms(ttl_ms), wall_expires_at: self.wall_in(ttl_ms), ..lock };
        tables::put_lock(self.store, file_id, &lock)?;
        Ok(locked(file_id, &lock))
    }

    pub(super) fn unlock(&mut self, user: UserId, proof: &LockProof) -> Result<Outcome, Stop> {
        let (file_id, lock) = rules::held_lock(self.store, user, proof)?;
        tables::delete_lock(self.store, file_id, &lock)?;
        Ok(Outcome::Done)
    }
}

fn locked(file_id: FileId, lock: &Lock) -> Outcome {
    Outcome::Locked { file_id, fence: lock.fence, expires_at: lock.wall_expires_at }
}

fn check_right(may_write: bool) -> Result<(), Stop> {
    require(may_write, RejectionKind::Forbidden, "you may only read this file: ask its owner for a write grant")
}

fn check_ttl(ttl_ms: u64) -> Result<(), Stop> {
    require(
        (1000..=3_600_000).contains(&ttl_ms),
        RejectionKind::InvalidRequest,
        "ttl_ms is 1,000 to 3,600,000: ask for less and renew the lock",
    )
}
