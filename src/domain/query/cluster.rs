//! The cluster, its servers and its jobs.

use super::Ring;
use crate::domain::rows::{ClusterInfo, DOOMED, Server, ServerState, SweepKind};
use crate::domain::tables::Class;
use crate::domain::terms::Policy;
use crate::domain::{ClusterTime, Epoch, Fault, PublicKey, ReadStore, ServerId, ServerUuid, tables};

/// # Errors
/// When the storage fails.
pub fn ring(store: &dyn ReadStore) -> Result<Ring, Fault> {
    Ok(Ring { copies: tables::policy(store)?.copies, order: tables::ring(store)?, servers: tables::servers(store)? })
}

/// All file servers that ever registered, by id.
///
/// # Errors
/// When the storage fails.
pub fn servers(store: &dyn ReadStore) -> Result<Vec<Server>, Fault> {
    tables::servers(store)
}

/// The key of a file server that is to be believed.
///
/// # Errors
/// When the storage fails.
pub fn member_key(store: &dyn ReadStore, uuid: ServerUuid) -> Result<Option<PublicKey>, Fault> {
    Ok(tables::member_key(store, uuid)?.filter(|row| !row.removed).map(|row| row.key))
}

/// # Errors
/// When the storage fails.
pub fn server(store: &dyn ReadStore, id: ServerId) -> Result<Option<Server>, Fault> {
    tables::server(store, id)
}

/// The policy; its defaults before bootstrap.
///
/// # Errors
/// When the storage fails.
pub fn policy(store: &dyn ReadStore) -> Result<Policy, Fault> {
    tables::policy(store)
}

/// Nothing before bootstrap.
///
/// # Errors
/// When the storage fails.
pub fn cluster_info(store: &dyn ReadStore) -> Result<Option<ClusterInfo>, Fault> {
    tables::cluster(store)
}

/// The time of the last applied entry.
///
/// # Errors
/// When the storage fails.
pub fn cluster_time(store: &dyn ReadStore) -> Result<ClusterTime, Fault> {
    tables::cluster_time(store)
}

/// Whether an `Expire` at `now` would end something.
///
/// # Errors
/// When the storage fails.
pub fn due(store: &dyn ReadStore, now: ClusterTime) -> Result<bool, Fault> {
    for class in Class::ALL {
        if !tables::due_expiries(store, class, now, 1)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a `Reap` at `now` would find something. `unread_before` is as in [`command::Reap`](crate::domain::command::Reap).
///
/// # Errors
/// When the storage fails.
pub fn trash_pending(store: &dyn ReadStore, now: ClusterTime, unread_before: ClusterTime) -> Result<bool, Fault> {
    Ok(tables::has_children(store, DOOMED)? || !tables::dead(store, now, unread_before, 1)?.is_empty())
}

/// What tells the replication job that something has happened. Cheap to read often, and no count of what goes on by itself
/// is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signal {
    pub servers: Vec<ServerSignal>,
    pub ring: Vec<ServerId>,
    pub copies: u32,
    /// When the walks began, by kind, and whether they rest.
    pub sweeps: Vec<Option<(ClusterTime, bool)>>,
    /// Since when the newest repair that was ever owed has been.
    pub newest_repair: Option<ClusterTime>,
}

/// Where a server stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerSignal {
    pub server_id: ServerId,
    pub epoch: Epoch,
    pub state: ServerState,
    pub full: bool,
    /// Records name copies on it that have to be replaced, moved or verified, or have to be counted anew.
    pub owes: bool,
}

/// # Errors
/// When the storage fails.
pub fn signal(store: &dyn ReadStore) -> Result<Signal, Fault> {
    let told = |server: &Server| ServerSignal {
        server_id: server.server_id,
        epoch: server.epoch,
        state: server.state,
        full: server.full,
        owes: server.is_unsound() || server.recount.is_some(),
    };
    let sweep = |kind| Ok(tables::sweep(store, kind)?.map(|sweep| (sweep.since, sweep.resting)));
    Ok(Signal {
        servers: tables::servers(store)?.iter().map(told).collect(),
        ring: tables::ring(store)?,
        copies: tables::policy(store)?.copies,
        sweeps: SweepKind::ALL.into_iter().map(sweep).collect::<Result<_, Fault>>()?,
        newest_repair: tables::newest_repair(store)?,
    })
}
