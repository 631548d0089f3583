//! The cluster, its servers and its jobs.

use super::Ring;
use crate::domain::command::Policy;
use crate::domain::rows::{ClusterInfo, Server, TRASH};
use crate::domain::{ClusterTime, Fault, ReadStore, ServerId, tables};

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
    Ok(!tables::due_expiries(store, now, 1)?.is_empty())
}

/// Whether a `Reap` would find something.
///
/// # Errors
/// When the storage fails.
pub fn trash_pending(store: &dyn ReadStore) -> Result<bool, Fault> {
    tables::has_children(store, TRASH)
}
