//! What can be asked of one consistent state. Pure functions; a rejection is an answer, a fault is none.

use super::answer::Stat;
use super::command::{FileRef, LockProof, PathRef, Policy, Precondition};
use super::rows::{ClusterInfo, Server, User};
use super::{
    Answer, ClusterTime, Fault, Fence, FileId, FilePath, ReadStore, Rejection, ServerId, Sha256, UserId, Version,
    WallTime,
};

/// An answer for a user, or a fault.
pub type Asked<T> = Result<Result<T, Rejection>, Fault>;

/// Who a login token stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub user: UserId,
    pub username: String,
    pub admin: bool,
    /// The deadline that decides.
    pub expires_at: ClusterTime,
    /// For people to see.
    pub wall_expires_at: WallTime,
}

/// A page of entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub stats: Vec<Stat>,
    /// Where the next page starts. A page may be empty and still have a next one: the rows that one page visits are
    /// bounded.
    pub next: Option<String>,
}

/// A lock that its holder sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLock {
    pub file_id: FileId,
    pub path: FilePath,
    pub fence: Fence,
    pub expires_at: WallTime,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockPage {
    pub locks: Vec<HeldLock>,
    pub next: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessMode {
    Read,
    Write,
}

/// Whether a user may do something with a file now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessDecision {
    pub allowed: bool,
    /// A sentence.
    pub reason: String,
    /// Nothing for a directory, and where the user must not know.
    pub version: Option<Version>,
    /// The fence of the last lock on the file, 0 where there never was one.
    pub fence: Fence,
}

/// The ring and the servers, in it or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ring {
    pub copies: u32,
    pub order: Vec<ServerId>,
    pub servers: Vec<Server>,
}

fn unbuilt<T>() -> Result<T, Fault> {
    Err(Fault("not built yet".to_owned()))
}

/// The session of a token, while it holds. `floor` is the asking node's own reckoning of cluster time; the later of it
/// and the applied one decides.
///
/// # Errors
/// When the storage fails.
pub fn session(_store: &dyn ReadStore, _token_hash: &Sha256, _floor: ClusterTime) -> Result<Option<Session>, Fault> {
    unbuilt()
}

pub fn user_by_name(_store: &dyn ReadStore, _username: &str) -> Result<Option<User>, Fault> {
    unbuilt()
}

pub fn user_by_id(_store: &dyn ReadStore, _user: UserId) -> Result<Option<User>, Fault> {
    unbuilt()
}

pub fn stat(_store: &dyn ReadStore, _user: UserId, _file: &FileRef) -> Asked<Stat> {
    unbuilt()
}

pub fn list(
    _store: &dyn ReadStore,
    _user: UserId,
    _directory: &FileRef,
    _cursor: Option<&str>,
    _limit: usize,
) -> Asked<Page> {
    unbuilt()
}

pub fn all(
    _store: &dyn ReadStore,
    _user: UserId,
    _prefix: Option<&str>,
    _cursor: Option<&str>,
    _limit: usize,
) -> Asked<Page> {
    unbuilt()
}

pub fn locks(_store: &dyn ReadStore, _user: UserId, _cursor: Option<&str>, _limit: usize) -> Asked<LockPage> {
    unbuilt()
}

pub fn access(
    _store: &dyn ReadStore,
    _user: UserId,
    _file_id: FileId,
    _mode: AccessMode,
    _lock: Option<&LockProof>,
) -> Result<AccessDecision, Fault> {
    unbuilt()
}

/// The fingerprint and the answer of an operation that is still remembered.
pub fn operation(_store: &dyn ReadStore, _user: UserId, _id: &str) -> Result<Option<(Sha256, Answer)>, Fault> {
    unbuilt()
}

/// The rejection that a `Write` at this path would get now, before any byte is moved.
pub fn precheck_write(_store: &dyn ReadStore, _user: UserId, _at: &PathRef) -> Asked<()> {
    unbuilt()
}

/// The rejection that an `Update` would get now; otherwise the file as it is.
pub fn precheck_update(
    _store: &dyn ReadStore,
    _user: UserId,
    _file: &FileRef,
    _precondition: Option<&Precondition>,
    _lock: Option<&LockProof>,
) -> Asked<Stat> {
    unbuilt()
}

pub fn ring(_store: &dyn ReadStore) -> Result<Ring, Fault> {
    unbuilt()
}

pub fn servers(_store: &dyn ReadStore) -> Result<Vec<Server>, Fault> {
    unbuilt()
}

pub fn server(_store: &dyn ReadStore, _id: ServerId) -> Result<Option<Server>, Fault> {
    unbuilt()
}

/// The policy; its defaults before bootstrap.
pub fn policy(_store: &dyn ReadStore) -> Result<Policy, Fault> {
    unbuilt()
}

/// Nothing before bootstrap.
pub fn cluster_info(_store: &dyn ReadStore) -> Result<Option<ClusterInfo>, Fault> {
    unbuilt()
}

/// The time of the last applied entry.
pub fn cluster_time(_store: &dyn ReadStore) -> Result<ClusterTime, Fault> {
    unbuilt()
}

/// Whether an `Expire` at `now` would end something.
pub fn due(_store: &dyn ReadStore, _now: ClusterTime) -> Result<bool, Fault> {
    unbuilt()
}

/// Whether a `Reap` would find something.
pub fn trash_pending(_store: &dyn ReadStore) -> Result<bool, Fault> {
    unbuilt()
}
