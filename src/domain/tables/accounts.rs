//! `Invites`.

use super::keys::Ending;
use super::{delete_expiry, put_expiry, read, write};
use crate::domain::record::Record;
use crate::domain::rows::Invite;
use crate::domain::{Fault, ReadStore, Sha256, Store, Table};

pub(crate) fn invite(store: &dyn ReadStore, hash: &Sha256) -> Result<Option<Invite>, Fault> {
    read(store, Table::Invites, &hash.0)
}

/// At most `limit` of all, in no particular order.
pub(crate) fn invites(store: &dyn ReadStore, limit: usize) -> Result<Vec<(Sha256, Invite)>, Fault> {
    let rows = store.scan(Table::Invites, &[], None, limit)?;
    rows.into_iter()
        .map(|(key, value)| Ok((super::keys::read_digest(&key, Table::Invites)?, Invite::from_bytes(&value)?)))
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
