//! `Invites` and `Removals`.

use super::keys::{self, Ending};
use super::{delete_expiry, put_expiry, read, write};
use crate::domain::record::Record;
use crate::domain::rows::{Invite, Removal};
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
