//! `Versions`, `Trash` and `Usage`.

use super::keys::{self, Ending};
use super::{delete_expiry, put_expiry, read, stretch, write};
use crate::domain::record::Record;
use crate::domain::rows::{BIN, OldVersion, Trashed, Usage};
use crate::domain::{ClusterTime, Fault, FileId, ReadStore, Store, Table, UserId, Version};

pub(crate) fn version(store: &dyn ReadStore, file: FileId, version: Version) -> Result<Option<OldVersion>, Fault> {
    read(store, Table::Versions, &keys::version(file, version))
}

pub(crate) fn put_version(store: &mut dyn Store, file: FileId, old: &OldVersion) -> Result<(), Fault> {
    write(store, Table::Versions, &keys::version(file, old.file.version), old)?;
    put_expiry(store, old.until, &Ending::Version(file, old.file.version))
}

pub(crate) fn delete_version(store: &mut dyn Store, file: FileId, old: &OldVersion) -> Result<(), Fault> {
    store.delete(Table::Versions, &keys::version(file, old.file.version))?;
    delete_expiry(store, old.until, &Ending::Version(file, old.file.version))
}

/// At most `limit` of the old versions of a file below `below`, the newest first.
pub(crate) fn versions_below(
    store: &dyn ReadStore,
    file: FileId,
    below: Version,
    limit: usize,
) -> Result<Vec<OldVersion>, Fault> {
    let from = keys::after(&keys::version(file, below));
    let rows = stretch(store, Table::Versions, &keys::entry(file), &from, limit)?;
    rows.iter().map(|(_, value)| OldVersion::from_bytes(value)).collect()
}

pub(crate) fn trashed(
    store: &dyn ReadStore,
    owner: UserId,
    deleted_at: ClusterTime,
    file: FileId,
) -> Result<Option<Trashed>, Fault> {
    read(store, Table::Trash, &keys::trashed(owner, deleted_at, file))
}

/// When an owner deleted an entry that is in the trash.
pub(crate) fn binned_at(store: &dyn ReadStore, owner: UserId, file: FileId) -> Result<Option<ClusterTime>, Fault> {
    let entry = super::entry(store, file)?.filter(|entry| entry.parent == BIN && entry.owner == owner);
    Ok(entry.and_then(|entry| keys::read_binned_name(&entry.name, file)))
}

pub(crate) fn put_trashed(
    store: &mut dyn Store,
    owner: UserId,
    deleted_at: ClusterTime,
    file: FileId,
    row: &Trashed,
) -> Result<(), Fault> {
    write(store, Table::Trash, &keys::trashed(owner, deleted_at, file), row)?;
    put_expiry(store, row.until, &Ending::Trash(owner, deleted_at, file))
}

pub(crate) fn delete_trashed(
    store: &mut dyn Store,
    owner: UserId,
    deleted_at: ClusterTime,
    file: FileId,
    row: &Trashed,
) -> Result<(), Fault> {
    store.delete(Table::Trash, &keys::trashed(owner, deleted_at, file))?;
    delete_expiry(store, row.until, &Ending::Trash(owner, deleted_at, file))
}

/// At most `limit` of what an owner deleted, from the key `from` on, what was deleted first coming first.
pub(crate) fn trash_of(
    store: &dyn ReadStore,
    owner: UserId,
    from: &[u8],
    limit: usize,
) -> Result<Vec<(ClusterTime, FileId, Trashed)>, Fault> {
    let rows = stretch(store, Table::Trash, &keys::user(owner), from, limit)?;
    rows.iter()
        .map(|(key, value)| {
            let (_, deleted_at, file) = keys::read_trashed(key)?;
            Ok((deleted_at, file, Trashed::from_bytes(value)?))
        })
        .collect()
}

pub(crate) fn usage(store: &dyn ReadStore, user: UserId) -> Result<Usage, Fault> {
    Ok(read(store, Table::Usage, &keys::user(user))?.unwrap_or_default())
}

pub(crate) fn put_usage(store: &mut dyn Store, user: UserId, usage: &Usage) -> Result<(), Fault> {
    if *usage == Usage::default() {
        return store.delete(Table::Usage, &keys::user(user));
    }
    write(store, Table::Usage, &keys::user(user), usage)
}
