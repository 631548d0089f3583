//! The place for something new.

use super::reach::{access_through, not_found, tree_of};
use crate::domain::answer::Access;
use crate::domain::path::{MAX_COMPONENTS, MAX_PATH_BYTES};
use crate::domain::rows::{Entry, EntryKind, Span, User};
use crate::domain::stop::{Stop, reject, require};
use crate::domain::terms::PathRef;
use crate::domain::{FileId, FilePath, ReadStore, RejectionKind, UserId, tables};

/// A path where nothing is yet, and where the user may put something.
#[derive(Clone, Debug)]
pub(crate) struct Spot {
    /// Whose tree it is in.
    pub(crate) owner: UserId,
    pub(crate) path: FilePath,
    /// The deepest directory on the way that is there.
    pub(crate) nearest: Entry,
    /// The ids from the root to `nearest`.
    pub(crate) above: Vec<FileId>,
    /// What the user may do with `nearest`, and so with what is made below it.
    pub(crate) access: Access,
}

impl Spot {
    /// The components that are not there yet; never empty, the last one is the new entry's own.
    pub(crate) fn missing(&self) -> &[String] {
        &self.path.components()[self.above.len() - 1..]
    }
}

/// How far paths reach below an entry, if they stay within bounds when it is at `path`.
pub(crate) fn check_depth(path: &FilePath, entry: &Entry) -> Result<Span, Stop> {
    let below = match &entry.kind {
        EntryKind::Directory(span) => *span,
        EntryKind::File(_) => Span::default(),
    };
    let components = path.components().len() + below.components as usize;
    let bytes = path.to_string().len() + below.bytes as usize;
    require(
        components <= MAX_COMPONENTS && bytes <= MAX_PATH_BYTES,
        RejectionKind::InvalidPath,
        "paths below this directory would become too long or too deep: choose a shorter path",
    )?;
    Ok(below)
}

/// Finds the place for a new entry at a path. Parents that are missing will be made, so that what counts is the right
/// to write in the deepest directory that is there.
pub(crate) fn spot(store: &dyn ReadStore, user: UserId, at: &PathRef) -> Result<Spot, Stop> {
    place_in(store, user, &tree_of(store, user, at)?, at)
}

/// The same in the tree of an account that nobody need act as.
pub(crate) fn spot_in(store: &dyn ReadStore, owner: &User, at: &PathRef) -> Result<Spot, Stop> {
    place_in(store, owner.user_id, owner, at)
}

fn place_in(store: &dyn ReadStore, user: UserId, owner: &User, at: &PathRef) -> Result<Spot, Stop> {
    let mut above = vec![owner.root];
    let mut id = owner.root;
    for name in at.path.components() {
        match tables::child(store, id, name)? {
            Some(child) => {
                above.push(child);
                id = child;
            }
            None => break,
        }
    }
    let access = access_through(store, user, owner.user_id, &above)?.ok_or_else(not_found)?;
    if above.len() > at.path.components().len() {
        return Err(reject(
            RejectionKind::AlreadyExists,
            "this path is taken: choose another, or use /update for a file",
        ));
    }
    let nearest = tables::known_entry(store, id)?;
    if !nearest.is_directory() {
        let detail = "a file stands where this path needs a directory: choose another path, or move the file away";
        return Err(reject(RejectionKind::AlreadyExists, detail));
    }
    require(
        access >= Access::Write,
        RejectionKind::Forbidden,
        "you may only read this directory: ask its owner for a write grant",
    )?;
    Ok(Spot { owner: owner.user_id, path: at.path.clone(), nearest, above, access })
}
