//! `Meta`, `Policy`, `Operations` and `Expiries`.

use super::keys::{self, Class, Ending};
use super::{read, write};
use crate::domain::record::Schema;
use crate::domain::rows::{ClusterInfo, Cursor, Done, Nothing, Number, Restore};
use crate::domain::stop::{Stop, astray};
use crate::domain::terms::Policy;
use crate::domain::{ClusterTime, Fault, Fence, ReadStore, Store, Table, UserId};

/// A counter that gives ids. `next` is the id that it gives next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    File,
    User,
    Server,
}

impl Counter {
    fn key(self) -> &'static [u8] {
        match self {
            Self::File => keys::meta::NEXT_FILE_ID,
            Self::User => keys::meta::NEXT_USER_ID,
            Self::Server => keys::meta::NEXT_SERVER_ID,
        }
    }

    fn first(self) -> u64 {
        match self {
            Self::File => crate::domain::rows::FIRST_FILE_ID,
            // 0 is the user of operations that nobody is logged in for.
            Self::User | Self::Server => 1,
        }
    }

    pub(crate) fn peek(self, store: &dyn ReadStore) -> Result<u64, Fault> {
        Ok(number(store, self.key())?.unwrap_or_else(|| self.first()))
    }

    /// Gives no id below `next` from now on.
    pub(crate) fn set(self, store: &mut dyn Store, next: u64) -> Result<(), Fault> {
        put_number(store, self.key(), next)
    }

    /// # Errors
    /// Refused when there are no more: no id is ever given twice.
    pub(crate) fn take(self, store: &mut dyn Store) -> Result<u64, Stop> {
        let id = self.peek(store)?;
        let next = id.checked_add(1).ok_or_else(|| astray("all ids are given"))?;
        put_number(store, self.key(), next)?;
        Ok(id)
    }
}

fn number(store: &dyn ReadStore, key: &[u8]) -> Result<Option<u64>, Fault> {
    Ok(read::<Number>(store, Table::Meta, key)?.map(|number| number.0))
}

fn put_number(store: &mut dyn Store, key: &[u8], value: u64) -> Result<(), Fault> {
    write(store, Table::Meta, key, &Number(value))
}

/// Nothing before bootstrap.
pub(crate) fn cluster(store: &dyn ReadStore) -> Result<Option<ClusterInfo>, Fault> {
    read(store, Table::Meta, keys::meta::CLUSTER)
}

pub(crate) fn put_cluster(store: &mut dyn Store, cluster: &ClusterInfo) -> Result<(), Fault> {
    write(store, Table::Meta, keys::meta::CLUSTER, cluster)
}

/// The schema that the cluster uses; nothing before bootstrap.
pub(crate) fn schema(store: &dyn ReadStore) -> Result<Option<Schema>, Fault> {
    Ok(number(store, keys::meta::SCHEMA)?.map(Schema))
}

pub(crate) fn put_schema(store: &mut dyn Store, schema: Schema) -> Result<(), Fault> {
    put_number(store, keys::meta::SCHEMA, schema.0)
}

pub(crate) fn cluster_time(store: &dyn ReadStore) -> Result<ClusterTime, Fault> {
    Ok(ClusterTime(number(store, keys::meta::CLUSTER_TIME)?.unwrap_or_default()))
}

pub(crate) fn put_cluster_time(store: &mut dyn Store, now: ClusterTime) -> Result<(), Fault> {
    put_number(store, keys::meta::CLUSTER_TIME, now.0)
}

pub(crate) fn last_fence(store: &dyn ReadStore) -> Result<Fence, Fault> {
    Ok(Fence(number(store, keys::meta::FENCE)?.unwrap_or_default()))
}

/// # Errors
/// Refused when there are no more.
pub(crate) fn take_fence(store: &mut dyn Store) -> Result<Fence, Stop> {
    let fence = Fence(last_fence(store)?.0.checked_add(1).ok_or_else(|| astray("all fences are given"))?);
    put_number(store, keys::meta::FENCE, fence.0)?;
    Ok(fence)
}

/// Gives no fence up to `last` from now on.
pub(crate) fn put_last_fence(store: &mut dyn Store, last: Fence) -> Result<(), Fault> {
    put_number(store, keys::meta::FENCE, last.0)
}

/// How often copies may have stopped counting.
pub(crate) fn losses(store: &dyn ReadStore) -> Result<u64, Fault> {
    Ok(number(store, keys::meta::LOSSES)?.unwrap_or_default())
}

/// Copies may have stopped counting.
pub(crate) fn note_loss(store: &mut dyn Store) -> Result<(), Fault> {
    let losses = losses(store)?;
    put_number(store, keys::meta::LOSSES, losses.saturating_add(1))
}

pub(crate) fn restore(store: &dyn ReadStore) -> Result<Option<Restore>, Fault> {
    read(store, Table::Meta, keys::meta::RESTORE)
}

pub(crate) fn put_restore(store: &mut dyn Store, restore: &Restore) -> Result<(), Fault> {
    write(store, Table::Meta, keys::meta::RESTORE, restore)
}

/// Since when the newest repair that was ever owed has been: the list itself is eaten from the front, and looking there
/// four times a second would pass over all that was mended and not compacted yet.
pub(crate) fn newest_repair(store: &dyn ReadStore) -> Result<Option<ClusterTime>, Fault> {
    Ok(number(store, keys::meta::NEWEST_REPAIR)?.map(ClusterTime))
}

pub(super) fn note_repair(store: &mut dyn Store, since: ClusterTime) -> Result<(), Fault> {
    if newest_repair(store)? < Some(since) {
        put_number(store, keys::meta::NEWEST_REPAIR, since.0)?;
    }
    Ok(())
}

/// The defaults before bootstrap.
pub(crate) fn policy(store: &dyn ReadStore) -> Result<Policy, Fault> {
    Ok(known_policy(store)?.unwrap_or_default())
}

/// Nothing before bootstrap.
pub(crate) fn known_policy(store: &dyn ReadStore) -> Result<Option<Policy>, Fault> {
    let policy: Option<Policy> = read(store, Table::Policy, keys::ONLY)?;
    // One from before there were extents, or parts, says nothing of them.
    let or = |said: u64, usual| if said == 0 { usual } else { said };
    let usual = Policy::default();
    Ok(policy.map(|policy| Policy {
        extent_bytes: or(policy.extent_bytes, usual.extent_bytes),
        part_min_bytes: or(policy.part_min_bytes, usual.part_min_bytes),
        ..policy
    }))
}

pub(crate) fn put_policy(store: &mut dyn Store, policy: &Policy) -> Result<(), Fault> {
    write(store, Table::Policy, keys::ONLY, policy)
}

pub(crate) fn operation(store: &dyn ReadStore, user: UserId, id: &str) -> Result<Option<Done>, Fault> {
    read(store, Table::Operations, &keys::operation(user, id))
}

pub(crate) fn put_operation(store: &mut dyn Store, user: UserId, id: &str, done: &Done) -> Result<(), Fault> {
    write(store, Table::Operations, &keys::operation(user, id), done)
}

pub(crate) fn put_expiry(store: &mut dyn Store, at: ClusterTime, ending: &Ending) -> Result<(), Fault> {
    write(store, Table::Expiries, &keys::expiry(at, ending), &Nothing {})
}

pub(crate) fn delete_expiry(store: &mut dyn Store, at: ClusterTime, ending: &Ending) -> Result<(), Fault> {
    store.delete(Table::Expiries, &keys::expiry(at, ending))
}

/// The keys of at most `limit` expiries of a class that are due at `now`, the oldest first.
///
/// The search starts behind the last one that was worked off. Starting at the front would pass over the tombstones of
/// all that ever expired and was not compacted yet: the well-known cost of a queue in an LSM tree. Nothing is
/// ever put before that mark, since what ends, ends later than the command that puts it.
pub(crate) fn due_expiries(
    store: &dyn ReadStore,
    class: Class,
    now: ClusterTime,
    limit: usize,
) -> Result<Vec<Vec<u8>>, Fault> {
    let to = match now.0.checked_add(1) {
        Some(later) => keys::expiries(class, ClusterTime(later)).to_vec(),
        None => keys::expiries_end(class).to_vec(),
    };
    let rows = store.scan(Table::Expiries, &unexpired_from(store, class)?, Some(&to), limit)?;
    Ok(rows.into_iter().map(|(key, _)| key).collect())
}

/// When the first of a class ends.
pub(crate) fn next_expiry(store: &dyn ReadStore, class: Class) -> Result<Option<ClusterTime>, Fault> {
    let from = unexpired_from(store, class)?;
    let rows = store.scan(Table::Expiries, &from, Some(&keys::expiries_end(class)), 1)?;
    rows.first().map(|(key, _)| Ok(keys::read_expiry(key)?.0)).transpose()
}

fn unexpired_from(store: &dyn ReadStore, class: Class) -> Result<Vec<u8>, Fault> {
    let mark = expired_through(store, class)?;
    Ok(mark.map_or_else(|| keys::expiries(class, ClusterTime(0)).to_vec(), |mark| keys::after(&mark)))
}

pub(crate) fn expired_through(store: &dyn ReadStore, class: Class) -> Result<Option<Vec<u8>>, Fault> {
    Ok(read::<Cursor>(store, Table::Meta, class.mark())?.map(|mark| mark.0))
}

pub(crate) fn put_expired_through(store: &mut dyn Store, class: Class, key: Vec<u8>) -> Result<(), Fault> {
    write(store, Table::Meta, class.mark(), &Cursor(key))
}

/// How far `Reap` has come: a key of `Names`.
pub(crate) fn reaped_through(store: &dyn ReadStore) -> Result<Option<Vec<u8>>, Fault> {
    Ok(read::<Cursor>(store, Table::Meta, keys::meta::REAPED_THROUGH)?.map(|mark| mark.0))
}

pub(crate) fn put_reaped_through(store: &mut dyn Store, key: Option<Vec<u8>>) -> Result<(), Fault> {
    match key {
        Some(key) => write(store, Table::Meta, keys::meta::REAPED_THROUGH, &Cursor(key)),
        None => store.delete(Table::Meta, keys::meta::REAPED_THROUGH),
    }
}
