//! What files were, what waits in the trash, and how much of it there is.

use super::cursor::{Cursor, Paged};
use super::{Asked, MAX_PAGE};
use crate::domain::answer::Stat;
use crate::domain::rows::{Entry, File, FileVersion, Usage};
use crate::domain::rules::{self, Describer, Reached};
use crate::domain::stop::{Stop, reject, require, settle};
use crate::domain::tables::{self, keys};
use crate::domain::terms::{FileRef, Policy};
use crate::domain::{
    ClusterTime, Fault, FileId, FilePath, ReadStore, RejectionKind, Sha256, UserId, Version, WallTime,
};

/// One state of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionStat {
    pub version: Version,
    pub size: u64,
    /// Nothing where the bytes came in parts.
    pub sha256: Option<Sha256>,
    pub content_type: String,
    /// A username.
    pub made_by: String,
    pub made_at: WallTime,
    /// Until when it is kept; nothing for the current one.
    pub kept_until: Option<WallTime>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionPage {
    /// The newest first.
    pub versions: Vec<VersionStat>,
    pub next: Option<String>,
}

/// What was deleted and can be had back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrashStat {
    pub file_id: FileId,
    /// Where it was.
    pub path: FilePath,
    /// Of a file; nothing for a directory.
    pub size: Option<u64>,
    /// A username.
    pub deleted_by: String,
    pub deleted_at: WallTime,
    pub kept_until: WallTime,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrashPage {
    /// What was deleted first comes first.
    pub entries: Vec<TrashStat>,
    pub next: Option<String>,
}

/// What a user has, and may have; 0 for any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageStat {
    pub bytes: u64,
    pub files: u64,
    pub max_bytes: u64,
    pub max_files: u64,
}

/// A file that its user may change: older versions may hold what a reader was not meant to see.
fn history(store: &dyn ReadStore, user: UserId, file: &FileRef) -> Result<(Reached, File), Stop> {
    let reached = rules::reach(store, user, file)?;
    let Some(file) = reached.entry.file().cloned() else {
        return Err(reject(RejectionKind::InvalidRequest, "this is a directory: only files have versions"));
    };
    require(
        reached.may_write(),
        RejectionKind::Forbidden,
        "you may only read this file as it is: ask its owner for a write grant to see what it was",
    )?;
    Ok((reached, file))
}

/// The versions of a file, the newest first.
///
/// # Errors
/// When the storage fails.
pub fn versions(
    store: &dyn ReadStore,
    user: UserId,
    file: &FileRef,
    cursor: Option<&str>,
    limit: usize,
) -> Asked<VersionPage> {
    settle(version_page(store, user, file, cursor, limit.clamp(1, MAX_PAGE)))
}

fn version_page(
    store: &dyn ReadStore,
    user: UserId,
    file: &FileRef,
    cursor: Option<&str>,
    limit: usize,
) -> Result<VersionPage, Stop> {
    let cursor = Cursor::read(Paged::Versions, cursor)?;
    let (reached, file) = history(store, user, file)?;
    let mut names = Describer::new(store);
    let mut page = VersionPage::default();
    let mut below = Version(cursor.from);
    if cursor.from == 0 {
        below = file.current.version;
        page.versions.push(shown(&mut names, file.current, reached.entry.modified_at, None)?);
    }
    for old in tables::versions_below(store, reached.entry.file_id, below, limit + 1)? {
        if page.versions.len() == limit {
            let last = page.versions.last().map_or(0, |last| last.version.0);
            page.next = Some(Cursor::new(Paged::Versions, last, Vec::new()).write());
            break;
        }
        page.versions.push(shown(&mut names, old.file, old.made_at, Some(old.wall_until))?);
    }
    Ok(page)
}

fn shown(
    names: &mut Describer<'_>,
    file: FileVersion,
    made_at: WallTime,
    kept_until: Option<WallTime>,
) -> Result<VersionStat, Fault> {
    Ok(VersionStat {
        version: file.version,
        size: file.size,
        sha256: file.sha256,
        content_type: file.content_type,
        made_by: names.username(file.made_by)?,
        made_at,
        kept_until,
    })
}

/// A file as it was in one of its versions, for a read.
///
/// # Errors
/// When the storage fails.
pub fn stat_version(store: &dyn ReadStore, user: UserId, file: &FileRef, version: Version) -> Asked<Stat> {
    settle(find_version(store, user, file, version))
}

fn find_version(store: &dyn ReadStore, user: UserId, file: &FileRef, version: Version) -> Result<Stat, Stop> {
    let (reached, file) = history(store, user, file)?;
    let mut names = Describer::new(store);
    let mut stat = names.stat(&reached.entry, reached.path, reached.access)?;
    if file.current.version != version {
        let old = tables::version(store, reached.entry.file_id, version)?.ok_or_else(|| {
            reject(RejectionKind::NotFound, "this version is not kept: `ringmaster history` lists those that are")
        })?;
        stat.content = Some(names.content(&old.file)?);
        stat.modified_at = old.made_at;
    }
    Ok(stat)
}

/// What a user has deleted, or others in the user's tree.
///
/// # Errors
/// When the storage fails.
pub fn trash(store: &dyn ReadStore, user: UserId, cursor: Option<&str>, limit: usize) -> Asked<TrashPage> {
    settle(trash_page(store, user, cursor, limit.clamp(1, MAX_PAGE)))
}

fn trash_page(store: &dyn ReadStore, user: UserId, cursor: Option<&str>, limit: usize) -> Result<TrashPage, Stop> {
    let cursor = Cursor::read(Paged::Trash, cursor)?;
    rules::account(store, user)?;
    let from = cursor.after.first().and_then(|id| id.parse().ok()).map(FileId);
    let from = from.map(|file| keys::after(&keys::trashed(user, ClusterTime(cursor.from), file)));
    let mut rows = tables::trash_of(store, user, &from.unwrap_or_default(), limit + 1)?;
    let mut page = TrashPage::default();
    if rows.len() > limit {
        rows.truncate(limit);
        page.next = rows
            .last()
            .map(|(deleted_at, file, _)| Cursor::new(Paged::Trash, deleted_at.0, vec![file.0.to_string()]).write());
    }
    let mut names = Describer::new(store);
    for (_, file_id, row) in rows {
        let entry = tables::entry(store, file_id)?;
        page.entries.push(TrashStat {
            file_id,
            path: row.path,
            size: entry.as_ref().and_then(Entry::file).map(|file| file.current.size),
            deleted_by: names.username(row.deleted_by)?,
            deleted_at: row.wall_deleted_at,
            kept_until: row.wall_until,
        });
    }
    Ok(page)
}

/// What a user has, and may have.
///
/// # Errors
/// When the storage fails.
pub fn usage(store: &dyn ReadStore, user: UserId) -> Result<UsageStat, Fault> {
    Ok(UsageStat::of(&tables::usage(store, user)?, &tables::policy(store)?))
}

impl UsageStat {
    pub(super) fn of(usage: &Usage, policy: &Policy) -> Self {
        Self {
            bytes: usage.bytes,
            files: usage.files,
            max_bytes: usage.max_bytes.unwrap_or(policy.quota_bytes),
            max_files: usage.max_files.unwrap_or(policy.quota_files),
        }
    }
}
