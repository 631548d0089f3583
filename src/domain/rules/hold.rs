//! Locks and preconditions.
//!
//! A lock holds as long as its row is there, whatever the time: only an applied `Expire` (or `Unlock`, or the end of
//! the file) takes it away. If each command compared the lock's deadline with its own time stamp, a leader that had
//! just begun to lead, and had not watched the time go by, could end a lock whose holder still relies on it.

use super::reach::{Reached, reach_id};
use crate::domain::plant::{Plant, planted};
use crate::domain::rows::{Entry, File, Lock};
use crate::domain::stop::{Stop, reject, require};
use crate::domain::terms::{Etag, LockProof, Precondition};
use crate::domain::{Fault, Fence, FileId, ReadStore, RejectionKind, UserId, tables};

/// Whether a change of a file may go ahead: while the file is locked, only for its holder; while it is not, for
/// everybody but one who comes with an older fence than the file's last and so has slept through a lock.
pub(crate) fn check_lock(
    store: &dyn ReadStore,
    user: UserId,
    entry: &Entry,
    file: &File,
    proof: Option<&LockProof>,
) -> Result<(), Stop> {
    // A file that was never locked has no fence.
    let mut lock = if file.last_fence == Fence(0) { None } else { tables::lock(store, entry.file_id)? };
    if planted(Plant::LockExpiredByTheClock) {
        let now = tables::cluster_time(store)?;
        lock = lock.filter(|lock| lock.expires_at > now);
    }
    match (lock, proof) {
        (None, None) => Ok(()),
        (None, Some(proof)) => require(
            proof.fence >= file.last_fence,
            RejectionKind::Locked,
            "this lock has ended and somebody else has locked the file since: read it again, then lock it anew",
        ),
        (Some(_), None) => Err(reject(
            RejectionKind::Locked,
            "the file is locked: send its Lock-Token if the lock is yours, or try again when it has ended",
        )),
        (Some(lock), Some(proof)) => require(
            lock.owner == user && proves(proof, &lock),
            RejectionKind::Locked,
            "the file is locked and this is not the lock's token: try again when the lock has ended",
        ),
    }
}

/// Whether a token belongs to a lock.
fn proves(proof: &LockProof, lock: &Lock) -> bool {
    proof.fence == lock.fence && proof.mac_hash == lock.mac_hash
}

/// The lock that a user holds by a token, on a file that is still there.
pub(crate) fn held_lock(store: &dyn ReadStore, user: UserId, proof: &LockProof) -> Result<(FileId, Lock), Stop> {
    let ended = || reject(RejectionKind::Locked, "this lock has ended, or the token is not yours: lock the file anew");
    let file = tables::locked_file(store, user, proof.fence)?.ok_or_else(ended)?;
    let lock = tables::lock(store, file)?.ok_or_else(ended)?;
    if !proves(proof, &lock) || !is_live(store, file)? {
        return Err(ended());
    }
    Ok((file, lock))
}

/// Whether an entry is in its owner's tree, rather than below the trash.
fn is_live(store: &dyn ReadStore, file: FileId) -> Result<bool, Fault> {
    let Some(entry) = tables::entry(store, file)? else { return Ok(false) };
    match reach_id(store, entry.owner, file) {
        Ok(_) => Ok(true),
        Err(Stop::Rejected(_)) => Ok(false),
        Err(Stop::Fault(fault)) => Err(fault),
    }
}

pub(crate) fn check_precondition(entry: &Entry, precondition: Option<&Precondition>) -> Result<(), Stop> {
    let at = |file: &File| Etag { file_id: entry.file_id, version: file.current.version };
    let holds = precondition.is_none_or(|condition| {
        condition.exists || entry.file().is_some_and(|file| condition.one_of.contains(&at(file)))
    });
    require(
        holds,
        RejectionKind::VersionConflict,
        "another version is there than If-Match names: read the file again and repeat the change on what is there",
    )
}

pub(crate) fn check_lock_ttl(ttl_ms: u64) -> Result<(), Stop> {
    require(
        (1000..=3_600_000).contains(&ttl_ms),
        RejectionKind::InvalidRequest,
        "ttl_ms is 1,000 to 3,600,000: ask for less and renew the lock",
    )
}

pub(crate) fn check_may_lock(reached: &Reached) -> Result<(), Stop> {
    require(
        reached.may_write(),
        RejectionKind::Forbidden,
        "you may only read this file: ask its owner for a write grant",
    )
}
