//! One directory's children, and one user's locks.

use super::budget::Budget;
use super::cursor::{Cursor, Paged};
use super::{Asked, HeldLock, LockPage, MAX_PAGE, Page};
use crate::domain::rules::{self, Describer};
use crate::domain::stop::{Stop, require, settle};
use crate::domain::tables::keys;
use crate::domain::terms::FileRef;
use crate::domain::{Fence, FilePath, ReadStore, RejectionKind, UserId, tables};

/// A directory's children, in the order of their names' bytes.
///
/// # Errors
/// When the storage fails.
pub fn list(
    store: &dyn ReadStore,
    user: UserId,
    directory: &FileRef,
    cursor: Option<&str>,
    limit: usize,
) -> Asked<Page> {
    settle(list_page(&Budget::new(store), user, directory, cursor, limit.clamp(1, MAX_PAGE)))
}

fn list_page(
    store: &Budget<'_>,
    user: UserId,
    directory: &FileRef,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page, Stop> {
    let cursor = Cursor::read(Paged::Children, cursor)?;
    let reached = rules::reach(store, user, directory)?;
    let id = reached.entry.file_id;
    require(
        reached.entry.is_directory(),
        RejectionKind::InvalidRequest,
        "this is a file: list the directory that it is in, or use /stat",
    )?;
    let from = cursor.after.first().map(|name| keys::after(&keys::name(id, name)));
    let mut children = tables::children(store, id, from.as_deref().unwrap_or_default(), limit + 1)?;
    let mut more = children.len() > limit;
    children.truncate(limit);

    let mut page = Page::default();
    let mut describer = Describer::new(store);
    let mut last = None;
    for (name, child) in children {
        if store.is_spent() {
            more = true;
            break;
        }
        last = Some(name.clone());
        let Some(entry) = tables::entry(store, child)? else { continue };
        let own = rules::access_through(store, user, entry.owner, &[child])?;
        let mut components = reached.path.components().to_vec();
        components.push(name);
        // What no path can name is shown by no list.
        let Some(path) = FilePath::from_components(components) else { continue };
        page.stats.push(describer.stat(&entry, path, own.unwrap_or(reached.access).max(reached.access))?);
    }
    if let Some(name) = last.filter(|_| more) {
        page.next = Some(Cursor::new(Paged::Children, 0, vec![name]).write());
    }
    Ok(page)
}

/// The locks that a user holds, in the order in which they were taken. A lock on a file that was taken from the user,
/// or that waits in the trash, is not shown.
///
/// # Errors
/// When the storage fails.
pub fn locks(store: &dyn ReadStore, user: UserId, cursor: Option<&str>, limit: usize) -> Asked<LockPage> {
    settle(locks_page(&Budget::new(store), user, cursor, limit.clamp(1, MAX_PAGE)))
}

fn locks_page(store: &Budget<'_>, user: UserId, cursor: Option<&str>, limit: usize) -> Result<LockPage, Stop> {
    let cursor = Cursor::read(Paged::Locks, cursor)?;
    let mut held = tables::locks_of(store, user, Fence(cursor.from), limit + 1)?;
    let mut page = LockPage::default();
    let from = |fence: Fence| Some(Cursor::new(Paged::Locks, fence.0, Vec::new()).write());
    if held.len() > limit {
        page.next = held.pop().and_then(|(fence, _)| from(fence));
    }
    for (fence, file_id) in held {
        // Each costs a path's depth, twice.
        if store.is_spent() {
            page.next = from(fence);
            break;
        }
        let Ok(reached) = settle(rules::reach_id(store, user, file_id))? else { continue };
        let Some(lock) = rules::standing_lock(store, &reached.entry)?.filter(|lock| lock.fence == fence) else {
            continue;
        };
        page.locks.push(HeldLock { file_id, path: reached.path, fence, expires_at: lock.wall_expires_at });
    }
    Ok(page)
}
