//! The JSON of the user endpoints. A field may be added; none changes its meaning. Times are RFC 3339 in UTC, sizes
//! are bytes, ids are JSON numbers.

use serde::{Deserialize, Serialize};

use crate::domain::WallTime;

/// The request header that names an operation.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The request header that carries a lock token.
pub const LOCK_TOKEN: &str = "lock-token";
/// The request header that asks one request to be redirected or forwarded: `redirect` or `forward`.
pub const ROUTING: &str = "ringmaster-routing";
/// The response header that names the request in logs.
pub const REQUEST_ID: &str = "x-request-id";
/// The largest JSON body, in bytes.
pub const MAX_JSON_BYTES: usize = 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub user_id: u64,
    pub username: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Login {
    pub token: String,
    pub user_id: u64,
    pub expires_at: String,
}

/// How a JSON body or a query names a file: by `file_id`, or by `path` with an optional `owner`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileName {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_id: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    File,
    Directory,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PermissionName {
    Owner,
    Read,
    Write,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplicaRole {
    Primary,
    Backup,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaInfo {
    pub server_id: u64,
    pub role: ReplicaRole,
    pub counts: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockInfo {
    pub owner: String,
    pub fence: u64,
    pub expires_at: String,
}

/// A file or a directory. `version`, `size`, `sha256` and `content_type` are null for a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    pub file_id: u64,
    pub path: String,
    pub kind: Kind,
    pub owner: String,
    pub owner_id: u64,
    pub permission: PermissionName,
    pub version: Option<u64>,
    pub size: Option<u64>,
    pub sha256: Option<String>,
    pub content_type: Option<String>,
    pub created_at: String,
    pub modified_at: String,
    /// Left out of listings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<Vec<ReplicaInfo>>,
    pub lock: Option<LockInfo>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Listing {
    pub files: Vec<Stat>,
    pub next_cursor: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mkdir {
    pub path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Move {
    /// A path in the tree of `owner`.
    pub from: String,
    pub to: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_token: Option<String>,
    /// The owner of the tree may move what others have locked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub break_locks: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Delete {
    #[serde(flatten)]
    pub file: FileName,
    #[serde(default)]
    pub recursive: bool,
    /// Past the trash: nothing brings it back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub permanently: bool,
    /// The owner of the tree may delete what others have locked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub break_locks: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_token: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Share {
    #[serde(flatten)]
    pub file: FileName,
    pub username: String,
    pub permission: SharePermission,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SharePermission {
    Read,
    Write,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unshare {
    #[serde(flatten)]
    pub file: FileName,
    pub username: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    pub file_id: u64,
    pub username: String,
    pub permission: SharePermission,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lock {
    #[serde(flatten)]
    pub file: FileName,
    /// 1,000 to 3,600,000; 60,000 where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Renew {
    /// Or in the `Lock-Token` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Unlock {
    /// Or in the `Lock-Token` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_token: Option<String>,
}

/// Ends somebody else's lock.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BreakLock {
    #[serde(flatten)]
    pub file: FileName,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locked {
    pub lock_token: String,
    pub fence: u64,
    pub expires_at: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HeldLock {
    pub file_id: u64,
    pub path: String,
    pub fence: u64,
    pub expires_at: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HeldLocks {
    pub locks: Vec<HeldLock>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessMode {
    Read,
    Write,
}

/// `POST /access`: may this user do this with this file now? Asked by file servers and the lock service.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessRequest {
    pub user_id: u64,
    pub file_id: u64,
    pub mode: AccessMode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_token: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessAnswer {
    pub allowed: bool,
    pub reason: String,
    pub version: Option<u64>,
    /// The fence of the last lock on the file, 0 where there never was one.
    pub fence: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeRole {
    Leader,
    Follower,
    Learner,
}

/// What is left on a node's disk, beside what is to stay free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeRoom {
    #[default]
    Ample,
    /// Less than twice its floor.
    Low,
    /// Less than its floor.
    Full,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeInfo {
    pub node_id: u64,
    pub role: NodeRole,
    pub url: String,
    pub peer: String,
    pub reachable: bool,
    /// When it last answered the node that was asked. Only while it is not reachable, and it answered before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<String>,
    pub last_log_index: Option<u64>,
    pub applied_index: Option<u64>,
    /// Entries that are committed and that it has not applied.
    #[serde(default)]
    pub lag: Option<u64>,
    /// The last entry that its newest snapshot covers.
    #[serde(default)]
    pub snapshot_index: Option<u64>,
    /// Bytes left on its disk.
    #[serde(default)]
    pub disk_free: Option<u64>,
    #[serde(default)]
    pub room: NodeRoom,
    /// Milliseconds that its disk took of late to sync the log: the median of the last seconds. Null where it had
    /// nothing to sync.
    #[serde(default)]
    pub sync_ms: Option<u64>,
    /// By how many milliseconds its clock is ahead of the time that the nodes agree on.
    #[serde(default)]
    pub clock_off_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Why it does not take part and never will as it is, such as a disk that went back in time; and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cluster {
    pub cluster_id: String,
    pub name: String,
    /// The node that answers.
    pub node_id: u64,
    pub leader_id: Option<u64>,
    pub term: u64,
    /// Which forms of stored data the cluster uses. It rises by itself once all directory nodes run a release that knows
    /// the next. A node of a release from before says nothing of it.
    #[serde(default = "first_schema")]
    pub schema: u64,
    /// The disks of most voters are below their floors: only what frees room is taken.
    #[serde(default)]
    pub directory_full: bool,
    pub nodes: Vec<NodeInfo>,
}

/// A time as answers show it: RFC 3339 in UTC, to the millisecond.
pub fn time(at: WallTime) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    let stamp = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    format!("{stamp:.3}")
}

const fn first_schema() -> u64 {
    1
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerState {
    Up,
    Suspect,
    Down,
    Draining,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServerInfo {
    pub server_id: u64,
    pub url: String,
    pub state: ServerState,
    pub epoch: u64,
    pub successor: Option<u64>,
    pub primaries: u64,
    pub backups: u64,
    pub bytes: u64,
    pub capacity: u64,
    pub zone: String,
    pub down_since: Option<String>,
    /// Copies from before its last return, still to be verified.
    #[serde(default)]
    pub stale: u64,
    /// It is to be emptied.
    #[serde(default)]
    pub leaving: bool,
    /// It is to be emptied, and is: no file has a copy on it, and it may be switched off.
    #[serde(default)]
    pub drained: bool,
    /// Copies on it that have to be made elsewhere, since it is down or is to be emptied.
    #[serde(default)]
    pub moving: u64,
    /// Why these copies cannot be made elsewhere now, and what to do.
    #[serde(default)]
    pub held_up: Option<String>,
    /// How far it is with checking everything, where an admin has asked for it.
    #[serde(default)]
    pub checking: Option<Checking>,
    /// It takes no new files: too little of its room is left, or its disk takes no writes.
    #[serde(default)]
    pub full: bool,
    /// Why its disk takes no writes, where it takes none.
    #[serde(default)]
    pub cannot_write: Option<String>,
}

/// How far a file server is with reading and checking everything that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checking {
    pub copies: u64,
    pub of: u64,
    pub damaged: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ring {
    pub copies: u32,
    pub order: Vec<u64>,
    pub servers: Vec<ServerInfo>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Replication {
    /// Files that lack a copy: `by_copies`, copies on servers that are down, and `to_verify`.
    pub pending: u64,
    pub in_flight: u64,
    pub bytes_per_second: u64,
    /// Null while nothing moves.
    pub seconds_left: Option<u64>,
    pub oldest_age_ms: Option<u64>,
    pub last_run_at: Option<String>,
    /// How many of the files on the list of repairs had 0, 1, 2… copies that count.
    pub by_copies: Vec<u64>,
    pub servers_down: u64,
    /// Copies on servers that returned, which have to be verified before they count again.
    pub to_verify: u64,
    /// Copies on servers that are being emptied.
    pub to_move: u64,
    pub sweeps: Vec<SweepInfo>,
    /// Copies that are to be deleted, or were lately; 10,000 stands for that many or more.
    pub garbage: u64,
    /// Copies of deleted files that are still on the disks, by server.
    pub to_delete: Vec<ToDelete>,
    /// When the last hold of a running backup ends by itself; null where none runs.
    pub backup_until: Option<String>,
    /// Some of the files with the fewest copies that count.
    pub at_risk: Vec<FileAtRisk>,
    /// Why what is owed cannot be done now, and what to do.
    #[serde(default)]
    pub held_up: Option<String>,
}

/// Copies of deleted files whose bytes are still on a file server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToDelete {
    pub server_id: u64,
    pub copies: u64,
    /// About how many bytes they take; null where the server has not told how many it holds.
    pub bytes: Option<u64>,
    /// When the first and the last of them may go, at the earliest.
    pub first_at: String,
    pub last_at: String,
    /// A backup keeps them: until it is done, or this time at the latest.
    pub held_until: Option<String>,
}

/// A walk over all files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepInfo {
    pub kind: SweepName,
    pub state: SweepState,
    /// Files with ids up to this one were looked at.
    pub through: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SweepName {
    /// After a change of how many copies there are to be.
    Copies,
    Balance,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SweepState {
    Running,
    /// It was stopped, or can do no more before a server joins.
    Resting,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileAtRisk {
    pub file_id: u64,
    /// Copies that count.
    pub copies: u64,
    /// Owner and path are null where the caller may not read the file.
    pub owner: Option<String>,
    pub path: Option<String>,
}
