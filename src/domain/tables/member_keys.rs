//! `MemberKeys`.

use super::{keys, read, write};
use crate::domain::record::Record;
use crate::domain::rows::MemberKey;
use crate::domain::{Fault, ReadStore, ServerUuid, Store, Table};

/// The most rows: they are held in memory.
pub(crate) const MAX_MEMBER_KEYS: usize = 4096;

pub(crate) fn member_key(store: &dyn ReadStore, uuid: ServerUuid) -> Result<Option<MemberKey>, Fault> {
    read(store, Table::MemberKeys, &keys::member_key(uuid))
}

pub(crate) fn member_keys(store: &dyn ReadStore) -> Result<Vec<(ServerUuid, MemberKey)>, Fault> {
    let rows = store.scan(Table::MemberKeys, &[], None, MAX_MEMBER_KEYS + 1)?;
    rows.iter().map(|(key, value)| Ok((keys::read_member_key(key)?, MemberKey::from_bytes(value)?))).collect()
}

pub(crate) fn put_member_key(store: &mut dyn Store, uuid: ServerUuid, row: &MemberKey) -> Result<(), Fault> {
    write(store, Table::MemberKeys, &keys::member_key(uuid), row)
}

pub(crate) fn delete_member_key(store: &mut dyn Store, uuid: ServerUuid) -> Result<(), Fault> {
    store.delete(Table::MemberKeys, &keys::member_key(uuid))
}
