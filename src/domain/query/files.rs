//! Single files, and what may be done with them.

use super::{AccessDecision, AccessMode, Asked};
use crate::domain::answer::Stat;
use crate::domain::rows::Extent;
use crate::domain::rules::{self, Describer, Reached};
use crate::domain::stop::{Stop, reject, settle};
use crate::domain::terms::{FileRef, LockProof, PathRef, Precondition};
use crate::domain::{ExtentAt, Fault, Fence, FileId, ReadStore, RejectionKind, UserId, tables};

fn describe(store: &dyn ReadStore, reached: Reached) -> Result<Stat, Stop> {
    Ok(Describer::new(store).stat(&reached.entry, reached.path, reached.access)?)
}

/// One entry.
///
/// # Errors
/// When the storage fails.
pub fn stat(store: &dyn ReadStore, user: UserId, file: &FileRef) -> Asked<Stat> {
    settle(rules::reach(store, user, file).and_then(|reached| describe(store, reached)))
}

/// An extent that something names, for jobs that act for nobody.
///
/// # Errors
/// When the storage fails.
pub fn extent(store: &dyn ReadStore, at: ExtentAt) -> Result<Option<Extent>, Fault> {
    tables::live_extent(store, at)
}

/// The rejection that a `Write` at this path would get now, before any byte is moved; otherwise how many bytes its owner
/// has room for. `bytes` is the size, where it is known, and else 0.
///
/// # Errors
/// When the storage fails.
pub fn precheck_write(store: &dyn ReadStore, user: UserId, at: &PathRef, bytes: u64) -> Asked<u64> {
    let room = |spot: rules::Spot| {
        let (usage, policy) = (tables::usage(store, spot.owner)?, tables::policy(store)?);
        rules::check_room(&usage, &policy, bytes, 1)?;
        Ok(rules::room(&usage, &policy))
    };
    settle(rules::spot(store, user, at).and_then(room))
}

/// The rejection that an `Update` would get now, and the rest, as of [`precheck_write`].
///
/// # Errors
/// When the storage fails.
pub fn precheck_update(
    store: &dyn ReadStore,
    user: UserId,
    file: &FileRef,
    precondition: Option<&Precondition>,
    lock: Option<&LockProof>,
    bytes: u64,
) -> Asked<u64> {
    let room = |reached: Reached| {
        let (mut usage, policy) = (tables::usage(store, reached.entry.owner)?, tables::policy(store)?);
        if !rules::keeps_versions(&policy) {
            // What is there makes room for what comes.
            let goes = reached.entry.file().map_or(0, |file| file.current.size);
            usage.bytes = usage.bytes.saturating_sub(goes);
        }
        rules::check_room(&usage, &policy, bytes, 0)?;
        Ok(rules::room(&usage, &policy))
    };
    settle(rules::allow_update(store, user, file, precondition, lock).and_then(room))
}

/// Whether a user may read or write a file now; asked by services that guard something of their own with it.
///
/// # Errors
/// When the storage fails.
pub fn access(
    store: &dyn ReadStore,
    user: UserId,
    file_id: FileId,
    mode: AccessMode,
    lock: Option<&LockProof>,
) -> Result<AccessDecision, Fault> {
    let reached = match settle(rules::reach_id(store, user, file_id))? {
        Ok(reached) => reached,
        Err(rejection) => {
            return Ok(AccessDecision { allowed: false, reason: rejection.detail, version: None, fence: Fence(0) });
        }
    };
    let file = reached.entry.file();
    let refused = match mode {
        AccessMode::Read => None,
        AccessMode::Write => settle(may_change(store, user, &reached, lock))?.err(),
    };
    Ok(AccessDecision {
        allowed: refused.is_none(),
        reason: refused.map_or_else(|| "allowed".to_owned(), |rejection| rejection.detail),
        version: file.map(|file| file.current.version),
        fence: file.map_or(Fence(0), |file| file.last_fence),
    })
}

fn may_change(store: &dyn ReadStore, user: UserId, reached: &Reached, lock: Option<&LockProof>) -> Result<(), Stop> {
    if !reached.may_write() {
        return Err(reject(RejectionKind::Forbidden, "the user may only read this: the owner can give a write grant"));
    }
    rules::check_lock(store, user, &reached.entry, lock)
}

/// An entry's label: the example of a next schema.
///
/// # Errors
/// When the storage fails.
#[cfg(feature = "next-schema")]
pub fn label(store: &dyn ReadStore, user: UserId, file: &FileRef) -> Asked<Option<String>> {
    settle(crate::domain::command::label_of(store, user, file))
}
