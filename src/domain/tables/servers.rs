//! `Servers`, `Ring`, `Placements`, `Garbage` and `Repairs`.

use super::keys;
use super::{read, write};
use crate::domain::record::{Record, RingOrder};
use crate::domain::rows::{Garbage, Placement, Repair, Server};
use crate::domain::{BlobId, CopyId, Fault, FileId, ReadStore, ServerId, Store, Table};

/// The most file servers a cluster can have, alive or remembered. Lists of servers are read whole.
pub(crate) const MAX_SERVERS: usize = 1000;

pub(crate) fn server(store: &dyn ReadStore, id: ServerId) -> Result<Option<Server>, Fault> {
    read(store, Table::Servers, &keys::server(id))
}

/// All of them, by id.
pub(crate) fn servers(store: &dyn ReadStore) -> Result<Vec<Server>, Fault> {
    let rows = store.scan(Table::Servers, &[], None, MAX_SERVERS)?;
    rows.iter().map(|(_, value)| Server::from_bytes(value)).collect()
}

pub(crate) fn put_server(store: &mut dyn Store, server: &Server) -> Result<(), Fault> {
    write(store, Table::Servers, &keys::server(server.server_id), server)
}

/// The ring's order.
///
/// One row holds all of it, since it is at most a thousand numbers that are always wanted together. A row for each
/// position, which the table's shape allows, would make every departure renumber what follows, or leave holes to
/// be passed over by whoever asks for a successor.
pub(crate) fn ring(store: &dyn ReadStore) -> Result<Vec<ServerId>, Fault> {
    Ok(read::<RingOrder>(store, Table::Ring, keys::ONLY)?.unwrap_or_default().0)
}

pub(crate) fn put_ring(store: &mut dyn Store, order: Vec<ServerId>) -> Result<(), Fault> {
    write(store, Table::Ring, keys::ONLY, &RingOrder(order))
}

pub(crate) fn placement(store: &dyn ReadStore, server: ServerId, blob: BlobId) -> Result<Option<Placement>, Fault> {
    read(store, Table::Placements, &keys::placement(server, blob))
}

pub(crate) fn put_placement(
    store: &mut dyn Store,
    server: ServerId,
    blob: BlobId,
    placement: &Placement,
) -> Result<(), Fault> {
    write(store, Table::Placements, &keys::placement(server, blob), placement)
}

pub(crate) fn delete_placement(store: &mut dyn Store, server: ServerId, blob: BlobId) -> Result<(), Fault> {
    store.delete(Table::Placements, &keys::placement(server, blob))
}

pub(crate) fn garbage(
    store: &dyn ReadStore,
    server: ServerId,
    blob: BlobId,
    copy: CopyId,
) -> Result<Option<Garbage>, Fault> {
    read(store, Table::Garbage, &keys::garbage(server, blob, copy))
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

/// The most copies that a record can name, and so the lowest urgency of a repair.
pub(crate) const MAX_COPIES: u8 = 5;

pub(crate) fn put_repair(store: &mut dyn Store, copies: u8, file: FileId, repair: &Repair) -> Result<(), Fault> {
    write(store, Table::Repairs, &keys::repair(copies.min(MAX_COPIES), file), repair)
}

/// Takes a file off the list, whatever its priority. Looking at each priority is cheaper than keeping the reverse.
pub(crate) fn delete_repairs(store: &mut dyn Store, file: FileId) -> Result<(), Fault> {
    for copies in 0..=MAX_COPIES {
        let key = keys::repair(copies, file);
        if store.get(Table::Repairs, &key)?.is_some() {
            store.delete(Table::Repairs, &key)?;
        }
    }
    Ok(())
}
