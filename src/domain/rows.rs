//! The rows of the tables as the rules see them. `record` has their bytes, `tables` their keys.

use super::plant::{Plant, planted};
use super::{
    Answer, BlobId, ClusterId, ClusterTime, Epoch, Fence, FileId, Incarnation, Permission, Replica, ServerId,
    ServerUuid, Sha256, UserId, Version, WallTime,
};

/// The parent of a user's root directory: there is none.
pub const NO_PARENT: FileId = FileId(0);
/// The parent of what was removed as a whole and waits to be reaped. It has no entry of its own, so nothing that
/// starts from a root or asks for an entry can arrive there.
pub const TRASH: FileId = FileId(1);
/// The first id that an entry may get.
pub const FIRST_FILE_ID: u64 = 2;

/// A file or a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub file_id: FileId,
    pub parent: FileId,
    /// Empty for a root directory.
    pub name: String,
    /// Whose tree it is in. Moves stay inside one tree, so this never changes.
    pub owner: UserId,
    pub created_at: WallTime,
    /// Of a directory: when it was made. What happens to its children does not touch its row, because then all
    /// writers of one directory would write one row.
    pub modified_at: WallTime,
    pub kind: EntryKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    Directory(Extent),
    File(Box<Content>),
}

/// How far the deepest path below a directory may reach, seen from the directory. It never shrinks, so it is an upper
/// bound: a move needs it to keep every path below the moved directory within `MAX_COMPONENTS` and `MAX_PATH_BYTES`
/// without walking what may be a million entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extent {
    /// Components below the directory.
    pub components: u32,
    /// Bytes of these components, each with its slash.
    pub bytes: u32,
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub version: Version,
    pub size: u64,
    pub sha256: Sha256,
    pub content_type: String,
    pub blob_id: BlobId,
    /// The first one is the record's primary, whether or not it counts at the moment.
    pub replicas: Vec<Replica>,
    /// Raised by every change of `replicas`.
    pub placement_rev: u64,
    /// The fence of the last lock on the file, 0 where there never was one.
    pub last_fence: Fence,
}

impl Entry {
    pub fn content(&self) -> Option<&Content> {
        match &self.kind {
            EntryKind::File(content) => Some(content),
            EntryKind::Directory(_) => None,
        }
    }

    pub fn is_directory(&self) -> bool {
        matches!(self.kind, EntryKind::Directory(_))
    }
}

/// Whom a server's copy belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    pub file_id: FileId,
    pub version: Version,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub user_id: UserId,
    pub username: String,
    /// An argon2id hash in PHC form.
    pub password_hash: String,
    pub admin: bool,
    pub root: FileId,
    pub created_at: WallTime,
}

/// A login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub user: UserId,
    pub expires_at: ClusterTime,
    pub wall_expires_at: WallTime,
}

/// A lock that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    pub owner: UserId,
    pub mac_hash: Sha256,
    pub fence: Fence,
    pub ttl_ms: u64,
    pub expires_at: ClusterTime,
    pub wall_expires_at: WallTime,
}

/// The remembered outcome of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    pub fingerprint: Sha256,
    pub answer: Answer,
    pub expires_at: ClusterTime,
}

/// Where a file server stands. Suspicion is a node's own and never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServerState {
    Up,
    Down,
    /// Out of the ring; its replicas count until they are moved.
    Draining,
}

/// A file server.
///
/// `primaries`, `backups` and `bytes` count what records name at this server *in its current epoch*, by the position
/// in the record (the first is the primary), and `stale` what they name in older ones. A new epoch therefore starts at 0
/// with all that was named before in `stale`; the death of a server changes no counter, since the records that name it
/// are rewritten later, by a sweep. This keeps the counters exact under every command though a death and a return are
/// one row of work, and it says without a scan what the sweeps have still to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub server_id: ServerId,
    pub uuid: ServerUuid,
    pub url: String,
    pub zone: String,
    pub epoch: Epoch,
    pub state: ServerState,
    pub full: bool,
    /// Bytes that it can hold, by its own word.
    pub capacity: u64,
    pub primaries: u64,
    pub backups: u64,
    pub bytes: u64,
    /// Replicas of older epochs that records still name: to be verified and stamped anew, or replaced.
    pub stale: u64,
    pub down_since: Option<WallTime>,
    /// When it last came up, went down or began to drain.
    pub changed_at: ClusterTime,
    /// How often in a row it was declared down without ten minutes up in between.
    pub flaps: u32,
    /// The last registration's; nothing where it never sent one.
    pub incarnation: Option<Incarnation>,
    /// The one before: a registration that comes late is told by it.
    pub previous: Option<Incarnation>,
    /// It is to be emptied: it drains, or was draining when it was declared down.
    pub leaving: bool,
}

impl Server {
    /// Whether copies on it can count.
    pub fn is_serving(&self) -> bool {
        matches!(self.state, ServerState::Up | ServerState::Draining)
    }

    /// Whether it is the one of `epoch`, and copies on it can count.
    pub fn serves(&self, epoch: Epoch) -> bool {
        self.is_serving() && (self.epoch == epoch || planted(Plant::NoEpochCheck))
    }

    /// Whether a copy on it counts.
    pub fn counts(&self, replica: &Replica) -> bool {
        !replica.damaged && self.serves(replica.epoch)
    }

    /// How many replicas records name on it, whether or not they count.
    pub fn named(&self) -> u64 {
        self.primaries.saturating_add(self.backups).saturating_add(self.stale)
    }

    /// Whether records name copies on it that have to be replaced, moved or verified.
    pub fn is_unsound(&self) -> bool {
        self.stale > 0 || (self.state != ServerState::Up && self.named() > 0)
    }

    /// Whether a new file may be placed on it.
    pub fn is_eligible(&self) -> bool {
        self.state == ServerState::Up && !self.full
    }
}

/// A copy whose bytes are to be deleted. Its key names server, blob and copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Garbage {
    pub since: ClusterTime,
    pub deleted_at: Option<ClusterTime>,
}

/// Why a file is owed a repair that no sweep would find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RepairReason {
    /// It names another number of copies than the policy asks for: it was committed with fewer, because there were too few
    /// servers, or could not be given what a new policy asks for when the walk for that passed it.
    ShortWrite,
    /// A copy of it failed its checksums.
    BadCopy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repair {
    pub reason: RepairReason,
    pub since: ClusterTime,
}

/// A walk over all files that no counter could replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SweepKind {
    /// `copies` was changed: each file gets the copies that it lacks and loses those that are too many.
    Copies,
    /// Files move from servers with many to servers with few, and backups to their primaries' successors.
    Balance,
}

impl SweepKind {
    pub const ALL: [Self; 2] = [Self::Copies, Self::Balance];
}

/// How far a walk has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    pub since: ClusterTime,
    /// All files up to this one were looked at.
    pub through: Option<FileId>,
    /// Some file could not be given what it should have: there are too few servers, or one has no room.
    pub short: bool,
    /// It rests: it was stopped, or another walk would find no more to do until a server joins.
    pub resting: bool,
}

/// What `Bootstrap` fixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterInfo {
    pub cluster_id: ClusterId,
    pub name: String,
}

/// A claim that keeps garbage from going until it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    pub since: ClusterTime,
    pub expires_at: ClusterTime,
}

/// What a cluster was made from, where it was made from a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restore {
    /// SHA-256 of the backup's index.
    pub backup: Sha256,
    /// How many came so far.
    pub entries: u64,
    pub users: u64,
    pub grants: u64,
    /// All came: the cluster is in service.
    pub done: bool,
}

/// A grant, from the side of its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    pub user: UserId,
    pub file_id: FileId,
    pub permission: Permission,
}
