//! For how long something is kept: the nearest directory that says counts, value by value, and else the policy.

use super::limits::check_kept;
use super::reach::Reached;
use crate::domain::rows::Retention;
use crate::domain::stop::{Stop, reject, require};
use crate::domain::tables::{self, MAX_RETENTIONS};
use crate::domain::terms::{FileRef, Policy};
use crate::domain::{Fault, FileId, ReadStore, RejectionKind, UserId};

/// The most directories of one tree with values of their own.
const MAX_OF_ONE: usize = 100;

/// What counts for an entry, or for what is in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retained {
    pub(crate) versions_keep: u32,
    pub(crate) versions_ms: u64,
    pub(crate) trash_ms: u64,
}

impl Retained {
    /// Whether an update keeps what was there before.
    pub(crate) fn keeps_versions(&self) -> bool {
        self.versions_keep > 0 && self.versions_ms > 0
    }
}

/// What counts below these directories, of which each is in the next one. The table is held in memory: where it is asked for
/// each of them, the storage is not.
pub(crate) fn retained(
    store: &dyn ReadStore,
    policy: &Policy,
    directories: impl Iterator<Item = FileId>,
) -> Result<Retained, Fault> {
    let mut nearest = Retention::default();
    for id in directories {
        if let Some(row) = tables::retention(store, id)? {
            nearest.versions_keep = nearest.versions_keep.or(row.versions_keep);
            nearest.versions_ms = nearest.versions_ms.or(row.versions_ms);
            nearest.trash_ms = nearest.trash_ms.or(row.trash_ms);
        }
    }
    Ok(Retained {
        versions_keep: nearest.versions_keep.unwrap_or(policy.versions_keep),
        versions_ms: nearest.versions_ms.unwrap_or(policy.versions_ms),
        trash_ms: nearest.trash_ms.unwrap_or(policy.trash_ms),
    })
}

/// The directory whose values a user may set.
pub(crate) fn retaining(store: &dyn ReadStore, user: UserId, file: &FileRef) -> Result<Reached, Stop> {
    let reached = super::reach(store, user, file)?;
    require(reached.is_owner(), RejectionKind::Forbidden, "only its owner may say how long it keeps: ask the owner")?;
    require(
        reached.entry.is_directory(),
        RejectionKind::InvalidRequest,
        "this is a file: name the directory that it is in, for all that is below that",
    )?;
    Ok(reached)
}

/// What can be told from the values alone.
pub(crate) fn check_retention(row: &Retention) -> Result<(), Stop> {
    check_kept(row.versions_keep.unwrap_or(0), row.versions_ms.unwrap_or(0), row.trash_ms.unwrap_or(0))
}

/// Whether one more directory of this owner may have values of its own.
pub(crate) fn check_more_retention(store: &dyn ReadStore, owner: UserId) -> Result<(), Stop> {
    let rows = tables::retentions(store)?;
    let refused = |detail: String| Err(reject(RejectionKind::QuotaExceeded, detail));
    if rows.iter().filter(|(_, row)| row.owner == owner).count() >= MAX_OF_ONE {
        return refused(format!(
            "{MAX_OF_ONE} directories of this tree say how long they keep, those in the trash among them: clear one, \
             `ringmaster retention` lists them, or set it further up"
        ));
    }
    if rows.len() >= MAX_RETENTIONS {
        return refused(format!(
            "{MAX_RETENTIONS} directories of this cluster say how long they keep, and there may be no more: set it \
             further up, or clear one that is needed no more, as `ringmaster retention` lists them"
        ));
    }
    Ok(())
}
