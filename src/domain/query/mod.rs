//! What can be asked of one consistent state. Pure functions; a rejection is an answer, a fault is none.

mod accounts;
mod all;
mod audit;
mod backup;
mod budget;
mod cluster;
mod cursor;
mod files;
mod inventory;
mod listing;
mod parts;
mod properties;
mod retention;
#[cfg(test)]
mod tests;
mod upkeep;
mod uploads;
mod versions;
mod walk;

pub use accounts::{
    SessionStat, UserPage, UserStat, answer_again, invites, may_sign_up, operation, session, session_called, sessions,
    user_by_id, user_by_name, user_stat, users,
};
pub use all::all;
pub use audit::{AuditPage, AuditStat, audit, audit_head};
pub use backup::{full_path, holders, is_named, is_restoring, is_unused, missing_contents, restore, schema};
pub use cluster::{
    ServerSignal, Signal, cluster_info, cluster_time, due, member_key, policy, ring, server, servers, signal,
    trash_pending,
};
#[cfg(feature = "next-schema")]
pub use files::label;
pub use files::{access, extent, precheck_update, precheck_write, stat};
pub use inventory::{BlobRange, Held, HeldCopy, Missing, Reporter, Surplus, missing, surplus};
pub use listing::{list, locks};
pub use parts::{Judged, PartPage, PartsStat, completed, judge_parts, parts, precheck_part, upload_in_parts};
pub use properties::{PropertyList, properties};
pub use retention::{RetentionStat, retention, retentions};
pub use upkeep::{AtRisk, ToDelete, Upkeep, Viewer, at_risk, upkeep};
pub use uploads::{
    ExtentPage, ExtentStat, UploadPage, UploadStat, extents, file_extents, finished, has_upload, losses, upload,
    uploads,
};
pub use versions::{TrashPage, TrashStat, UsageStat, VersionPage, VersionStat, stat_version, trash, usage, versions};

use super::answer::Stat;
use super::rows::Server;
use super::{ClusterTime, Fault, Fence, FileId, FilePath, Rejection, ServerId, UserId, Version, WallTime};

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
    /// When it was used last, to the hour.
    pub seen_at: ClusterTime,
    /// What the session is called.
    pub mark: [u8; 16],
}

/// The most entries of a page, whatever is asked for.
pub const MAX_PAGE: usize = 1000;

/// A page of entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub stats: Vec<Stat>,
    /// Where the next page starts. A page may be empty and still have a next one: what one page reads is bounded.
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
