//! Locks and preconditions.
//!
//! A lock holds as long as its row is there, whatever the time: only an applied `Expire` (or `Unlock`, or the end of
//! the file) takes it away. If each command compared the lock's deadline with its own time stamp, a leader that had
//! just begun to lead, and had not watched the time go by, could end a lock whose holder still relies on it.

use super::reach::{Reached, reach_id, trace};
use crate::domain::path::MAX_COMPONENTS;
use crate::domain::plant::{Plant, planted};
use crate::domain::rows::{Entry, File, Lock};
use crate::domain::stop::{Stop, reject, require};
use crate::domain::terms::{Etag, LockProof, Precondition};
use crate::domain::{Fault, Fence, FileId, ReadStore, RejectionKind, UserId, tables};

/// Locks of one tree that a change of a directory looks at.
const MAX_LOCKS_IN_TREE: usize = 256;

/// The lock on a file that counts. A lock goes with the right to take it: one whose holder may not write the file any more
/// keeps nobody out.
pub(crate) fn standing_lock(store: &dyn ReadStore, entry: &Entry) -> Result<Option<Lock>, Fault> {
    // A file that was never locked has no fence.
    if entry.file().is_none_or(|file| file.last_fence == Fence(0)) {
        return Ok(None);
    }
    let Some(lock) = tables::lock(store, entry.file_id)? else { return Ok(None) };
    Ok(may_still_write(store, &lock, entry)?.then_some(lock))
}

fn may_still_write(store: &dyn ReadStore, lock: &Lock, entry: &Entry) -> Result<bool, Fault> {
    if lock.owner == entry.owner {
        return Ok(true);
    }
    match reach_id(store, lock.owner, entry.file_id) {
        Ok(reached) => Ok(reached.may_write()),
        Err(Stop::Rejected(_)) => Ok(false),
        Err(Stop::Fault(fault)) => Err(fault),
    }
}

/// Whether a change of a file may go ahead: while the file is locked, only for its holder; while it is not, for everybody
/// but one who comes with a token. Whoever sends one relies on a lock that has ended, and somebody may have changed the
/// file since.
pub(crate) fn check_lock(
    store: &dyn ReadStore,
    user: UserId,
    entry: &Entry,
    proof: Option<&LockProof>,
) -> Result<(), Stop> {
    let mut lock = standing_lock(store, entry)?;
    if planted(Plant::LockExpiredByTheClock) {
        let now = tables::cluster_time(store)?;
        lock = lock.filter(|lock| lock.expires_at > now);
    }
    match (lock, proof) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(reject(
            RejectionKind::Locked,
            "this lock has ended, and the file may have changed since: read it again, then lock it anew, or send no token",
        )),
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

/// Whether a directory can be moved or removed with all that is below it: not while others hold locks there.
pub(crate) fn check_locks_below(store: &dyn ReadStore, user: UserId, directory: &Entry) -> Result<(), Stop> {
    let locked = tables::locked_in_tree(store, directory.owner, MAX_LOCKS_IN_TREE + 1)?;
    require(
        locked.len() <= MAX_LOCKS_IN_TREE,
        RejectionKind::Locked,
        "too many files are locked in this tree to look at all of them: try again later, or say break_locks",
    )?;
    for file in locked {
        let Some(entry) = tables::entry(store, file)? else { continue };
        let Some(path) = path_below(store, &entry, directory.file_id)? else { continue };
        let Some(lock) = standing_lock(store, &entry)? else { continue };
        if lock.owner != user {
            let detail = format!(
                "somebody else has locked {path} in this directory: try again when the lock has ended, or, in your own \
                 tree, say break_locks"
            );
            return Err(reject(RejectionKind::Locked, detail));
        }
    }
    Ok(())
}

/// The way to an entry from a directory that it is below.
fn path_below(store: &dyn ReadStore, entry: &Entry, directory: FileId) -> Result<Option<String>, Fault> {
    let (mut names, mut parent) = (vec![entry.name.clone()], entry.parent);
    while parent != directory {
        let above = if names.len() <= MAX_COMPONENTS { tables::entry(store, parent)? } else { None };
        let Some(above) = above else { return Ok(None) };
        names.push(above.name);
        parent = above.parent;
    }
    names.reverse();
    Ok(Some(names.join("/")))
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
    match trace(store, entry.owner, file) {
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
