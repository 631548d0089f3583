//! `Uploads` and `Pins`.

use super::keys::{self, Ending};
use super::{delete_expiry, put_expiry, read, stretch, write};
use crate::domain::record::Record;
use crate::domain::rows::{Pin, Upload};
use crate::domain::{ClusterTime, ContentId, Fault, ReadStore, Store, Table, UserId};

/// The most pins of all users together: they are held in memory.
pub(crate) const MAX_PINS: usize = 4096;

pub(crate) fn upload(store: &dyn ReadStore, user: UserId, id: ContentId) -> Result<Option<Upload>, Fault> {
    read(store, Table::Uploads, &keys::upload(user, id))
}

/// Writes an upload, and when it ends.
pub(crate) fn put_upload(store: &mut dyn Store, user: UserId, id: ContentId, upload: &Upload) -> Result<(), Fault> {
    write(store, Table::Uploads, &keys::upload(user, id), upload)?;
    put_expiry(store, upload.expires_at, &Ending::Upload(user, id))
}

pub(crate) fn delete_upload(store: &mut dyn Store, user: UserId, id: ContentId, upload: &Upload) -> Result<(), Fault> {
    store.delete(Table::Uploads, &keys::upload(user, id))?;
    delete_expiry(store, upload.expires_at, &Ending::Upload(user, id))
}

/// At most `limit` uploads of a user behind `after`.
pub(crate) fn uploads_of(
    store: &dyn ReadStore,
    user: UserId,
    after: Option<ContentId>,
    limit: usize,
) -> Result<Vec<(ContentId, Upload)>, Fault> {
    let from = after.map(|id| keys::after(&keys::upload(user, id))).unwrap_or_default();
    let rows = stretch(store, Table::Uploads, &keys::user(user), &from, limit)?;
    rows.iter()
        .map(|(key, value)| Ok((keys::read_upload(key, Table::Uploads)?.1, Upload::from_bytes(value)?)))
        .collect()
}

pub(crate) fn pin(store: &dyn ReadStore, id: ContentId, user: UserId) -> Result<Option<Pin>, Fault> {
    read(store, Table::Pins, &keys::pin(id, user))
}

pub(crate) fn put_pin(store: &mut dyn Store, id: ContentId, pin: &Pin) -> Result<(), Fault> {
    write(store, Table::Pins, &keys::pin(id, pin.user), pin)?;
    put_expiry(store, pin.expires_at, &Ending::Pin(id, pin.user))
}

pub(crate) fn delete_pin(store: &mut dyn Store, id: ContentId, pin: &Pin) -> Result<(), Fault> {
    store.delete(Table::Pins, &keys::pin(id, pin.user))?;
    delete_expiry(store, pin.expires_at, &Ending::Pin(id, pin.user))
}

/// Until when a content is kept for those who read it.
pub(crate) fn pinned_until(store: &dyn ReadStore, id: ContentId) -> Result<Option<ClusterTime>, Fault> {
    let mut until = None;
    for (_, value) in stretch(store, Table::Pins, &keys::content(id), &[], MAX_PINS)? {
        until = until.max(Some(Pin::from_bytes(&value)?.expires_at));
    }
    Ok(until)
}

/// How many pins there are, and how many of them are the user's.
pub(crate) fn pins(store: &dyn ReadStore, user: UserId) -> Result<(usize, usize), Fault> {
    let rows = store.scan(Table::Pins, &[], None, MAX_PINS + 1)?;
    let mut own = 0;
    for (key, _) in &rows {
        own += usize::from(keys::read_pin(key, Table::Pins)?.1 == user);
    }
    Ok((rows.len(), own))
}
