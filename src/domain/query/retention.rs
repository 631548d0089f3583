//! For how long directories keep what is below them.

use super::Asked;
use crate::domain::rows::Retention;
use crate::domain::rules;
use crate::domain::stop::{Stop, settle};
use crate::domain::terms::FileRef;
use crate::domain::{FileId, FilePath, ReadStore, UserId, tables};

/// What a directory says of itself, and what counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionStat {
    pub file_id: FileId,
    pub path: FilePath,
    /// Of a directory; a file has nothing of its own.
    pub own: Retention,
    /// For a file, or for what is in a directory.
    pub versions_keep: u32,
    pub versions_ms: u64,
    pub trash_ms: u64,
}

/// What counts for a file, or for what is in a directory.
///
/// # Errors
/// When the storage fails.
pub fn retention(store: &dyn ReadStore, user: UserId, file: &FileRef) -> Asked<RetentionStat> {
    settle(stat(store, user, file))
}

fn stat(store: &dyn ReadStore, user: UserId, file: &FileRef) -> Result<RetentionStat, Stop> {
    let reached = rules::reach(store, user, file)?;
    let (file_id, policy) = (reached.entry.file_id, tables::policy(store)?);
    let rules::Retained { versions_keep, versions_ms, trash_ms } =
        rules::retained(store, &policy, reached.directories())?;
    let own = tables::retention(store, file_id)?.unwrap_or_default();
    Ok(RetentionStat { file_id, path: reached.path, own, versions_keep, versions_ms, trash_ms })
}

/// The directories of a user's tree that have values of their own, in the order of their paths. What is in the trash is not
/// among them.
///
/// # Errors
/// When the storage fails.
pub fn retentions(store: &dyn ReadStore, user: UserId) -> Asked<Vec<RetentionStat>> {
    settle(all(store, user))
}

fn all(store: &dyn ReadStore, user: UserId) -> Result<Vec<RetentionStat>, Stop> {
    rules::account(store, user)?;
    let mut found = Vec::new();
    for (id, _) in tables::retentions(store)?.into_iter().filter(|(_, row)| row.owner == user) {
        if let Ok(one) = settle(stat(store, user, &FileRef::Id(id)))? {
            found.push(one);
        }
    }
    found.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}
