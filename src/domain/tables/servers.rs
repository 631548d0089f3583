//! `Servers`, `Ring` and `Placements`.

use super::keys;
use super::{read, stretch, write};
use crate::domain::record::Record;
use crate::domain::rows::{Number, Placement, RingOrder, Server};
use crate::domain::{BlobId, Fault, ReadStore, ServerId, Store, Table};

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

/// How many can take new files. Where nobody has counted yet there is no row, and they are few.
pub(crate) fn eligible(store: &dyn ReadStore) -> Result<u64, Fault> {
    match kept_eligible(store)? {
        Some(count) => Ok(count),
        None => Ok(servers(store)?.iter().filter(|server| server.is_eligible()).count() as u64),
    }
}

pub(crate) fn kept_eligible(store: &dyn ReadStore) -> Result<Option<u64>, Fault> {
    Ok(read::<Number>(store, Table::Meta, keys::meta::ELIGIBLE)?.map(|count| count.0))
}

pub(crate) fn put_eligible(store: &mut dyn Store, count: u64) -> Result<(), Fault> {
    write(store, Table::Meta, keys::meta::ELIGIBLE, &Number(count))
}

/// Forgets a server; the caller has seen to it that nothing names it.
pub(crate) fn delete_server(store: &mut dyn Store, id: ServerId) -> Result<(), Fault> {
    store.delete(Table::Servers, &keys::server(id))
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

/// At most `limit` of what a server holds, in the order of the blobs, after `after`.
pub(crate) fn placements_after(
    store: &dyn ReadStore,
    server: ServerId,
    after: Option<BlobId>,
    limit: usize,
) -> Result<Vec<(BlobId, Placement)>, Fault> {
    let from = after.map(|blob| keys::after(&keys::placement(server, blob))).unwrap_or_default();
    let rows = stretch(store, Table::Placements, &keys::server(server), &from, limit)?;
    rows.iter().map(|(key, value)| Ok((keys::read_placement(key)?.1, Placement::from_bytes(value)?))).collect()
}
