//! From the domain's answers to the wire's JSON.

use crate::directory::error::ApiError;
use crate::domain::answer::{Access, ContentStat, LockStat, Stat};
use crate::domain::{Outcome, Permission, WallTime};
use crate::protocol::api;

/// RFC 3339 in UTC, to the millisecond.
pub(crate) fn time(at: WallTime) -> String {
    api::time(at)
}

/// An entry with its replicas.
pub(crate) fn stat(stat: &Stat) -> api::Stat {
    let replicas = stat.content.as_ref().map(replicas);
    api::Stat { replicas: Some(replicas.unwrap_or_default()), ..listed(stat) }
}

/// An entry as a listing shows it.
pub(crate) fn listed(stat: &Stat) -> api::Stat {
    let content = stat.content.as_ref();
    api::Stat {
        file_id: stat.file_id.0,
        path: stat.path.to_string(),
        kind: if content.is_some() { api::Kind::File } else { api::Kind::Directory },
        owner: stat.owner.clone(),
        owner_id: stat.owner_id.0,
        permission: match stat.access {
            Access::Owner => api::PermissionName::Owner,
            Access::Write => api::PermissionName::Write,
            Access::Read => api::PermissionName::Read,
        },
        version: content.map(|content| content.version.0),
        size: content.map(|content| content.size),
        sha256: content.and_then(|content| content.sha256).map(|sha256| sha256.to_string()),
        content_type: content.map(|content| content.content_type.clone()),
        created_at: time(stat.created_at),
        modified_at: time(stat.modified_at),
        replicas: None,
        lock: stat.lock.as_ref().map(lock),
    }
}

fn lock(lock: &LockStat) -> api::LockInfo {
    api::LockInfo { owner: lock.owner.clone(), fence: lock.fence.0, expires_at: time(lock.expires_at) }
}

/// The first replica that counts is the primary, whatever its place in the record: that is what makes the backup of a
/// dead primary the primary at once.
fn replicas(content: &ContentStat) -> Vec<api::ReplicaInfo> {
    let primary = content.replicas.iter().position(|replica| replica.counts);
    let role = |at| if primary.unwrap_or(0) == at { api::ReplicaRole::Primary } else { api::ReplicaRole::Backup };
    let rows = content.replicas.iter().enumerate();
    rows.map(|(at, replica)| api::ReplicaInfo {
        server_id: replica.server_id.0,
        role: role(at),
        counts: replica.counts,
    })
    .collect()
}

pub(crate) fn permission(permission: Permission) -> api::SharePermission {
    match permission {
        Permission::Read => api::SharePermission::Read,
        Permission::Write => api::SharePermission::Write,
    }
}

/// An outcome that does not belong to its command: a defect of this program.
pub(crate) fn unexpected(outcome: &Outcome) -> ApiError {
    ApiError::internal(format!("the command came to an outcome of another kind: {outcome:?}"))
}
