//! How a user gets to an entry, and with what rights.

use crate::domain::answer::Access;
use crate::domain::path::MAX_COMPONENTS;
use crate::domain::rows::{BIN, DOOMED, Entry, NO_PARENT, User};
use crate::domain::stop::{Stop, astray, reject, require};
use crate::domain::terms::{FileRef, PathRef};
use crate::domain::{Fault, FileId, FilePath, Permission, ReadStore, RejectionKind, UserId, tables};

/// An entry that a user may at least read.
#[derive(Clone, Debug)]
pub(crate) struct Reached {
    pub(crate) entry: Entry,
    pub(crate) path: FilePath,
    /// By a grant on the entry or on anything above it.
    pub(crate) access: Access,
    /// By a grant on what is above it alone: it is what counts where the entry is taken out of its directory.
    pub(crate) inherited: Option<Access>,
    /// The directories that it is in, the nearest first.
    pub(crate) above: Vec<FileId>,
}

impl Reached {
    pub(crate) fn is_owner(&self) -> bool {
        self.access == Access::Owner
    }

    pub(crate) fn may_write(&self) -> bool {
        self.access >= Access::Write
    }

    /// The directories that it is in, the nearest first; of a directory, first that itself.
    pub(crate) fn directories(&self) -> impl Iterator<Item = FileId> {
        let own = self.entry.is_directory().then_some(self.entry.file_id);
        own.into_iter().chain(self.above.iter().copied())
    }

    /// Whether the user may change the directory that the entry is in.
    pub(crate) fn may_take_out(&self) -> bool {
        self.inherited.is_some_and(|access| access >= Access::Write)
    }
}

/// The same words whether nothing is there or the user must not know that something is.
pub(crate) fn not_found() -> Stop {
    reject(
        RejectionKind::NotFound,
        "there is no such file or directory, or it is not shared with you: GET /all lists what you can reach",
    )
}

/// The caller's account.
pub(crate) fn account(store: &dyn ReadStore, user: UserId) -> Result<User, Stop> {
    let user = tables::user(store, user)?
        .ok_or_else(|| reject(RejectionKind::Unauthenticated, "there is no such account: log in again"))?;
    require(!user.disabled, RejectionKind::Unauthenticated, "this account is disabled: ask an admin")?;
    Ok(user)
}

/// The account in whose tree a path is.
pub(super) fn tree_of(store: &dyn ReadStore, user: UserId, at: &PathRef) -> Result<User, Stop> {
    let caller = account(store, user)?;
    match &at.owner {
        None => Ok(caller),
        Some(name) if *name == caller.username => Ok(caller),
        Some(name) => {
            let id = tables::user_id(store, name)?.ok_or_else(not_found)?;
            // What it had is in its heir's tree.
            if tables::removal(store, id)?.is_some() {
                return Err(not_found());
            }
            tables::user(store, id)?.ok_or_else(|| astray(format!("the username of account {id} leads nowhere")))
        }
    }
}

/// The best that `user` was given on any of `ids`, all in the tree of `owner`.
pub(crate) fn access_through(
    store: &dyn ReadStore,
    user: UserId,
    owner: UserId,
    ids: &[FileId],
) -> Result<Option<Access>, Fault> {
    // What is being handed over is its heir's at once.
    if user == owner || tables::removal(store, owner)?.is_some_and(|removal| removal.heir == user) {
        return Ok(Some(Access::Owner));
    }
    let mut best = None;
    for id in ids {
        best = best.max(tables::grant(store, user, *id)?.map(access_of));
        if best == Some(Access::Write) {
            break;
        }
    }
    Ok(best)
}

fn access_of(permission: Permission) -> Access {
    match permission {
        Permission::Read => Access::Read,
        Permission::Write => Access::Write,
    }
}

/// The entry that a request names, if the user may read it.
pub(crate) fn reach(store: &dyn ReadStore, user: UserId, file: &FileRef) -> Result<Reached, Stop> {
    match file {
        FileRef::Id(id) => reach_id(store, user, *id),
        FileRef::Path(at) => reach_path(store, user, at),
    }
}

/// The entry that a request names, whoever may read it: for an admin, who has to know that it is there.
pub(crate) fn find(store: &dyn ReadStore, user: UserId, file: &FileRef) -> Result<Entry, Stop> {
    match file {
        FileRef::Id(id) => {
            let entry = tables::entry(store, *id)?.ok_or_else(not_found)?;
            Ok(trace(store, entry.owner, *id)?.entry)
        }
        FileRef::Path(at) => {
            let owner = tree_of(store, user, at)?;
            Ok(walk_down(store, owner.user_id, &owner, at)?.entry)
        }
    }
}

fn reach_path(store: &dyn ReadStore, user: UserId, at: &PathRef) -> Result<Reached, Stop> {
    walk_down(store, user, &tree_of(store, user, at)?, at)
}

fn walk_down(store: &dyn ReadStore, user: UserId, owner: &User, at: &PathRef) -> Result<Reached, Stop> {
    let mut above = Vec::with_capacity(at.path.components().len());
    let mut id = owner.root;
    for name in at.path.components() {
        above.push(id);
        id = tables::child(store, id, name)?.ok_or_else(not_found)?;
    }
    let entry = tables::known_entry(store, id)?;
    let mut reached = judge(store, user, entry, at.path.clone(), above)?;
    reached.above.reverse();
    Ok(reached)
}

/// A file reached by its id is still reached through its ancestors: what they give counts, and in the
/// trash nothing is found.
pub(crate) fn reach_id(store: &dyn ReadStore, user: UserId, id: FileId) -> Result<Reached, Stop> {
    account(store, user)?;
    trace(store, user, id)
}

/// The same for an account that nobody need act as.
pub(crate) fn trace(store: &dyn ReadStore, user: UserId, id: FileId) -> Result<Reached, Stop> {
    let entry = tables::entry(store, id)?.ok_or_else(not_found)?;
    let mut above = Vec::new();
    let mut names = Vec::new();
    let (mut parent, mut name) = (entry.parent, entry.name.clone());
    while parent != NO_PARENT {
        if parent == DOOMED || parent == BIN {
            return Err(not_found());
        }
        if above.len() > MAX_COMPONENTS {
            return Err(astray(format!("entry {id} is too deep, or above itself")));
        }
        above.push(parent);
        names.push(name);
        let directory = tables::known_entry(store, parent)?;
        (parent, name) = (directory.parent, directory.name);
    }
    names.reverse();
    let path = FilePath::from_components(names).ok_or_else(|| astray(format!("the path of entry {id} is too long")))?;
    judge(store, user, entry, path, above)
}

fn judge(
    store: &dyn ReadStore,
    user: UserId,
    entry: Entry,
    path: FilePath,
    above: Vec<FileId>,
) -> Result<Reached, Stop> {
    let inherited = access_through(store, user, entry.owner, &above)?;
    let own = access_through(store, user, entry.owner, &[entry.file_id])?;
    let access = inherited.max(own).ok_or_else(not_found)?;
    Ok(Reached { entry, path, access, inherited, above })
}
