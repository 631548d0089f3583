//! `Invites`, `Removals` and `Audit`.

use super::keys::{self, Ending};
use super::{delete_expiry, put_expiry, read, write};
use crate::domain::record::Record;
use crate::domain::rows::{AuditRow, AuditState, Invite, Removal};
use crate::domain::{Fault, ReadStore, Sha256, Store, Table, UserId};

pub(crate) fn invite(store: &dyn ReadStore, hash: &Sha256) -> Result<Option<Invite>, Fault> {
    read(store, Table::Invites, &hash.0)
}

/// At most `limit` of all, in no particular order.
pub(crate) fn invites(store: &dyn ReadStore, limit: usize) -> Result<Vec<(Sha256, Invite)>, Fault> {
    let rows = store.scan(Table::Invites, &[], None, limit)?;
    rows.into_iter()
        .map(|(key, value)| Ok((keys::read_digest(&key, Table::Invites)?, Invite::from_bytes(&value)?)))
        .collect()
}

pub(crate) fn put_invite(store: &mut dyn Store, hash: &Sha256, invite: &Invite) -> Result<(), Fault> {
    write(store, Table::Invites, &hash.0, invite)?;
    put_expiry(store, invite.expires_at, &Ending::Invite(*hash))
}

pub(crate) fn delete_invite(store: &mut dyn Store, hash: &Sha256, invite: &Invite) -> Result<(), Fault> {
    store.delete(Table::Invites, &hash.0)?;
    delete_expiry(store, invite.expires_at, &Ending::Invite(*hash))
}

/// The most accounts that are removed at once: their rows are held in memory, and one look goes over all of them.
pub(crate) const MAX_REMOVALS: usize = 16;

pub(crate) fn removal(store: &dyn ReadStore, user: UserId) -> Result<Option<Removal>, Fault> {
    read(store, Table::Removals, &keys::user(user))
}

/// All of them, by the id of the account.
pub(crate) fn removals(store: &dyn ReadStore) -> Result<Vec<(UserId, Removal)>, Fault> {
    let rows = store.scan(Table::Removals, &[], None, MAX_REMOVALS)?;
    rows.iter()
        .map(|(key, value)| Ok((UserId(keys::read_u64(key, Table::Removals)?), Removal::from_bytes(value)?)))
        .collect()
}

pub(crate) fn put_removal(store: &mut dyn Store, user: UserId, removal: &Removal) -> Result<(), Fault> {
    write(store, Table::Removals, &keys::user(user), removal)
}

pub(crate) fn delete_removal(store: &mut dyn Store, user: UserId) -> Result<(), Fault> {
    store.delete(Table::Removals, &keys::user(user))
}

pub(crate) fn audit_state(store: &dyn ReadStore) -> Result<AuditState, Fault> {
    Ok(read(store, Table::Meta, keys::meta::AUDIT)?.unwrap_or_default())
}

pub(crate) fn put_audit_state(store: &mut dyn Store, state: &AuditState) -> Result<(), Fault> {
    write(store, Table::Meta, keys::meta::AUDIT, state)
}

/// A row of the audit, as the bytes that its hash is of.
pub(crate) fn audit_bytes(store: &dyn ReadStore, number: u64) -> Result<Option<Vec<u8>>, Fault> {
    store.get(Table::Audit, &keys::audit(number))
}

/// At most `limit` rows of the audit from a number on, each as its bytes.
pub(crate) fn audit_from(store: &dyn ReadStore, from: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, Fault> {
    let rows = store.scan(Table::Audit, &keys::audit(from), None, limit)?;
    rows.into_iter().map(|(key, value)| Ok((keys::read_u64(&key, Table::Audit)?, value))).collect()
}

/// Writes a row, and answers with its bytes.
pub(crate) fn put_audit(store: &mut dyn Store, number: u64, row: &AuditRow) -> Result<Vec<u8>, Fault> {
    let bytes = row.to_bytes();
    store.put(Table::Audit, &keys::audit(number), &bytes)?;
    Ok(bytes)
}

pub(crate) fn delete_audit(store: &mut dyn Store, number: u64) -> Result<(), Fault> {
    store.delete(Table::Audit, &keys::audit(number))
}
