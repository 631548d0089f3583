//! `Users`, `Usernames`, `Tokens`, `Sessions`, `Grants`, `GrantsByFile`, `Locks` and `LocksByOwner`.

use super::keys::{self, Ending};
use super::{delete_expiry, put_expiry, read, stretch, write};
use crate::domain::record::Record;
use crate::domain::rows::{Grant, GrantRow, Lock, Nothing, Number, Token, User};
use crate::domain::{Fault, Fence, FileId, Permission, ReadStore, Sha256, Store, Table, UserId};

pub(crate) fn user(store: &dyn ReadStore, id: UserId) -> Result<Option<User>, Fault> {
    read(store, Table::Users, &keys::user(id))
}

pub(crate) fn user_id(store: &dyn ReadStore, username: &str) -> Result<Option<UserId>, Fault> {
    Ok(read::<Number>(store, Table::Usernames, username.as_bytes())?.map(|id| UserId(id.0)))
}

pub(crate) fn put_user(store: &mut dyn Store, user: &User) -> Result<(), Fault> {
    write(store, Table::Users, &keys::user(user.user_id), user)?;
    write(store, Table::Usernames, user.username.as_bytes(), &Number(user.user_id.0))
}

/// Of an account that has nothing any more.
pub(crate) fn delete_user(store: &mut dyn Store, user: &User) -> Result<(), Fault> {
    store.delete(Table::Users, &keys::user(user.user_id))?;
    store.delete(Table::Usernames, user.username.as_bytes())
}

pub(crate) fn token(store: &dyn ReadStore, hash: &Sha256) -> Result<Option<Token>, Fault> {
    read(store, Table::Tokens, &hash.0)
}

pub(crate) fn put_token(store: &mut dyn Store, hash: &Sha256, token: &Token) -> Result<(), Fault> {
    write(store, Table::Tokens, &hash.0, token)?;
    write(store, Table::Sessions, &keys::session(token.user, hash), &Nothing {})?;
    put_expiry(store, token.expires_at, &Ending::Session(*hash))
}

pub(crate) fn delete_token(store: &mut dyn Store, hash: &Sha256, token: &Token) -> Result<(), Fault> {
    store.delete(Table::Tokens, &hash.0)?;
    store.delete(Table::Sessions, &keys::session(token.user, hash))?;
    delete_expiry(store, token.expires_at, &Ending::Session(*hash))
}

/// At most `limit` sessions of a user, in no particular order: their hashes, those that begin with `mark` alone.
pub(crate) fn sessions_of(
    store: &dyn ReadStore,
    user: UserId,
    mark: &[u8],
    limit: usize,
) -> Result<Vec<Sha256>, Fault> {
    let prefix = [&keys::user(user)[..], mark].concat();
    let rows = stretch(store, Table::Sessions, &prefix, &[], limit)?;
    rows.iter().map(|(key, _)| Ok(keys::read_session(key)?.1)).collect()
}

pub(crate) fn grant(store: &dyn ReadStore, user: UserId, file: FileId) -> Result<Option<Permission>, Fault> {
    Ok(read::<GrantRow>(store, Table::Grants, &keys::grant(user, file))?.map(|row| row.0))
}

pub(crate) fn put_grant(store: &mut dyn Store, grant: &Grant) -> Result<(), Fault> {
    write(store, Table::Grants, &keys::grant(grant.user, grant.file_id), &GrantRow(grant.permission))?;
    write(store, Table::GrantsByFile, &keys::grant_by_file(grant.file_id, grant.user), &Nothing {})
}

pub(crate) fn delete_grant(store: &mut dyn Store, user: UserId, file: FileId) -> Result<(), Fault> {
    store.delete(Table::Grants, &keys::grant(user, file))?;
    store.delete(Table::GrantsByFile, &keys::grant_by_file(file, user))
}

/// At most `limit` of what was shared with a user, by file id, from `from` on.
pub(crate) fn grants_of(store: &dyn ReadStore, user: UserId, from: FileId, limit: usize) -> Result<Vec<Grant>, Fault> {
    let rows = stretch(store, Table::Grants, &keys::user(user), &keys::grant(user, from), limit)?;
    rows.into_iter()
        .map(|(key, value)| {
            let (user, file) = keys::read_pair(&key, Table::Grants)?;
            Ok(Grant { user: UserId(user), file_id: FileId(file), permission: GrantRow::from_bytes(&value)?.0 })
        })
        .collect()
}

/// At most `limit` of the users whom an entry itself was shared with.
pub(crate) fn grantees(store: &dyn ReadStore, file: FileId, limit: usize) -> Result<Vec<UserId>, Fault> {
    let rows = stretch(store, Table::GrantsByFile, &keys::entry(file), &[], limit)?;
    rows.into_iter().map(|(key, _)| Ok(UserId(keys::read_pair(&key, Table::GrantsByFile)?.1))).collect()
}

pub(crate) fn lock(store: &dyn ReadStore, file: FileId) -> Result<Option<Lock>, Fault> {
    read(store, Table::Locks, &keys::lock(file))
}

/// The file that a user's lock with this fence is on.
pub(crate) fn locked_file(store: &dyn ReadStore, owner: UserId, fence: Fence) -> Result<Option<FileId>, Fault> {
    Ok(read::<Number>(store, Table::LocksByOwner, &keys::lock_by_owner(owner, fence))?.map(|id| FileId(id.0)))
}

/// At most `limit` locks of a user by fence, from `from` on.
pub(crate) fn locks_of(
    store: &dyn ReadStore,
    owner: UserId,
    from: Fence,
    limit: usize,
) -> Result<Vec<(Fence, FileId)>, Fault> {
    let rows = stretch(store, Table::LocksByOwner, &keys::user(owner), &keys::lock_by_owner(owner, from), limit)?;
    rows.into_iter()
        .map(|(key, value)| {
            let fence = keys::read_pair(&key, Table::LocksByOwner)?.1;
            Ok((Fence(fence), FileId(Number::from_bytes(&value)?.0)))
        })
        .collect()
}

/// At most `limit` files of a tree that are locked.
pub(crate) fn locked_in_tree(store: &dyn ReadStore, tree: UserId, limit: usize) -> Result<Vec<FileId>, Fault> {
    let rows = stretch(store, Table::LocksByTree, &keys::user(tree), &[], limit)?;
    rows.iter().map(|(key, _)| Ok(FileId(keys::read_pair(key, Table::LocksByTree)?.1))).collect()
}

/// A lock has four rows: by file, by owner and fence, by the tree that the file is in, and by the time of its end.
pub(crate) fn put_lock(store: &mut dyn Store, file: FileId, lock: &Lock) -> Result<(), Fault> {
    write(store, Table::Locks, &keys::lock(file), lock)?;
    write(store, Table::LocksByOwner, &keys::lock_by_owner(lock.owner, lock.fence), &Number(file.0))?;
    write(store, Table::LocksByTree, &keys::lock_by_tree(lock.tree, file), &Nothing {})?;
    put_expiry(store, lock.expires_at, &Ending::Lock(file))
}

pub(crate) fn delete_lock(store: &mut dyn Store, file: FileId, lock: &Lock) -> Result<(), Fault> {
    store.delete(Table::Locks, &keys::lock(file))?;
    store.delete(Table::LocksByOwner, &keys::lock_by_owner(lock.owner, lock.fence))?;
    store.delete(Table::LocksByTree, &keys::lock_by_tree(lock.tree, file))?;
    delete_expiry(store, lock.expires_at, &Ending::Lock(file))
}
