//! `Garbage`, `Holds`, `Repairs` and `Sweeps`: what is to go, what keeps it, what is owed, and how far the walks have
//! come.

use super::keys::{self, Ending};
use super::meta::note_repair;
use super::{delete_expiry, put_expiry, read, stretch, write};
use crate::domain::record::Record;
use crate::domain::rows::{Garbage, Hold, Repair, Sweep, SweepKind};
use crate::domain::{BlobId, ClusterTime, CopyAt, CopyId, ExtentAt, Fault, HoldId, ReadStore, ServerId, Store, Table};

pub(crate) fn garbage(
    store: &dyn ReadStore,
    server: ServerId,
    blob: BlobId,
    copy: CopyId,
) -> Result<Option<Garbage>, Fault> {
    read(store, Table::Garbage, &keys::garbage(server, blob, copy))
}

/// At most `limit` of the copies of the blob on the server that are listed.
pub(crate) fn garbage_of(
    store: &dyn ReadStore,
    server: ServerId,
    blob: BlobId,
    limit: usize,
) -> Result<Vec<CopyId>, Fault> {
    let rows = stretch(store, Table::Garbage, &keys::placement(server, blob), &[], limit)?;
    rows.iter().map(|(key, _)| Ok(keys::read_garbage(key)?.2)).collect()
}

/// At most `limit` rows from the key `from` on.
pub(crate) fn garbage_from(
    store: &dyn ReadStore,
    from: &[u8],
    limit: usize,
) -> Result<Vec<(Vec<u8>, CopyAt, Garbage)>, Fault> {
    let rows = store.scan(Table::Garbage, from, None, limit)?;
    rows.into_iter()
        .map(|(key, value)| {
            let (server_id, blob_id, copy_id) = keys::read_garbage(&key)?;
            Ok((key, CopyAt { server_id, blob_id, copy_id }, Garbage::from_bytes(&value)?))
        })
        .collect()
}

pub(crate) fn put_garbage(
    store: &mut dyn Store,
    server: ServerId,
    blob: BlobId,
    copy: CopyId,
    row: &Garbage,
) -> Result<(), Fault> {
    write(store, Table::Garbage, &keys::garbage(server, blob, copy), row)
}

pub(crate) fn delete_garbage(store: &mut dyn Store, server: ServerId, blob: BlobId, copy: CopyId) -> Result<(), Fault> {
    store.delete(Table::Garbage, &keys::garbage(server, blob, copy))
}

pub(crate) fn hold(store: &dyn ReadStore, id: HoldId) -> Result<Option<Hold>, Fault> {
    read(store, Table::Holds, &keys::hold(id))
}

/// How many there are, at most `limit`.
pub(crate) fn holds(store: &dyn ReadStore, limit: usize) -> Result<usize, Fault> {
    Ok(store.scan(Table::Holds, &[], None, limit)?.len())
}

/// When the last of them ends. There are few: each stands for a backup that runs.
pub(crate) fn last_hold_ends(store: &dyn ReadStore) -> Result<Option<ClusterTime>, Fault> {
    let mut last = None;
    for (_, value) in store.scan(Table::Holds, &[], None, MAX_HOLDS_READ)? {
        last = last.max(Some(Hold::from_bytes(&value)?.expires_at));
    }
    Ok(last)
}

pub(crate) fn put_hold(store: &mut dyn Store, id: HoldId, hold: &Hold) -> Result<(), Fault> {
    write(store, Table::Holds, &keys::hold(id), hold)?;
    put_expiry(store, hold.expires_at, &Ending::Hold(id))
}

pub(crate) fn delete_hold(store: &mut dyn Store, id: HoldId, hold: &Hold) -> Result<(), Fault> {
    store.delete(Table::Holds, &keys::hold(id))?;
    delete_expiry(store, hold.expires_at, &Ending::Hold(id))
}

const MAX_HOLDS_READ: usize = 1_000;

/// The most copies that a record can name, and so the lowest urgency of a repair.
pub(crate) const MAX_COPIES: u8 = 5;

/// The place of a repair: more copies than a record can name are none.
fn repair_key(copies: u32, at: ExtentAt) -> Vec<u8> {
    keys::repair(u8::try_from(copies).unwrap_or(MAX_COPIES).min(MAX_COPIES), at)
}

pub(crate) fn put_repair(store: &mut dyn Store, copies: u32, at: ExtentAt, repair: &Repair) -> Result<(), Fault> {
    note_repair(store, repair.since)?;
    write(store, Table::Repairs, &repair_key(copies, at), repair)
}

/// What an extent is owed. `Extent::owed` says at which place that stands.
pub(crate) fn repair(store: &dyn ReadStore, copies: u32, at: ExtentAt) -> Result<Option<Repair>, Fault> {
    read(store, Table::Repairs, &repair_key(copies, at))
}

pub(crate) fn delete_repair(store: &mut dyn Store, copies: u32, at: ExtentAt) -> Result<(), Fault> {
    store.delete(Table::Repairs, &repair_key(copies, at))
}

/// At most `limit` repairs from the key `from` on: the key, the extent.
pub(crate) fn repairs_from(
    store: &dyn ReadStore,
    from: &[u8],
    limit: usize,
) -> Result<Vec<(Vec<u8>, ExtentAt, Repair)>, Fault> {
    let rows = store.scan(Table::Repairs, from, None, limit)?;
    rows.into_iter()
        .map(|(key, value)| {
            let at = keys::read_extent(key.get(1..).unwrap_or_default(), Table::Repairs)?;
            Ok((key, at, Repair::from_bytes(&value)?))
        })
        .collect()
}

pub(crate) fn sweep(store: &dyn ReadStore, kind: SweepKind) -> Result<Option<Sweep>, Fault> {
    read(store, Table::Sweeps, &keys::sweep(kind))
}

pub(crate) fn put_sweep(store: &mut dyn Store, kind: SweepKind, sweep: &Sweep) -> Result<(), Fault> {
    write(store, Table::Sweeps, &keys::sweep(kind), sweep)
}

pub(crate) fn delete_sweep(store: &mut dyn Store, kind: SweepKind) -> Result<(), Fault> {
    store.delete(Table::Sweeps, &keys::sweep(kind))
}
