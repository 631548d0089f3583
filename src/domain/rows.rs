//! The rows of the tables, each declared with its bytes. `tables` has their keys.

use super::answer::Access;
use super::plant::{Plant, planted};
use super::record::declare::{choice, numbered, record, single};
use super::{
    Answer, BlobId, ClusterId, ClusterTime, Epoch, Fence, FileId, FilePath, Incarnation, Permission, Replica, ServerId,
    ServerUuid, Sha256, UserId, Version, WallTime,
};

/// The parent of a user's root directory: there is none.
pub const NO_PARENT: FileId = FileId(0);
/// The parent of what was removed as a whole and waits to be reaped. It has no entry of its own, so nothing that
/// starts from a root or asks for an entry can arrive there.
pub const TRASH: FileId = FileId(1);
/// The first id that an entry may get.
pub const FIRST_FILE_ID: u64 = 2;

record! {
    /// A file or a directory.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Entry as "entry" {
        pub file_id: FileId = 1,
        pub parent: FileId = 2,
        /// Empty for a root directory.
        pub name: String = 3,
        /// Whose tree it is in. Moves stay inside one tree, so this never changes.
        pub owner: UserId = 4,
        pub created_at: WallTime = 5,
        /// Of a directory: when it was made. What happens to its children does not touch its row, because then all
        /// writers of one directory would write one row.
        pub modified_at: WallTime = 6,
        pub kind: EntryKind = choice,
    }
}

choice! {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum EntryKind as "kind of entry" {
        Directory(Span) = 7,
        File(Box<Content>) = 8,
    }
}

record! {
    /// How far the deepest path below a directory may reach, seen from the directory. It never shrinks, so it is an upper
    /// bound: a move needs it to keep every path below the moved directory within `MAX_COMPONENTS` and `MAX_PATH_BYTES`
    /// without walking what may be a million entries.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
    pub struct Span as "span" {
        /// Components below the directory.
        pub components: u32 = 1,
        /// Bytes of these components, each with its slash.
        pub bytes: u32 = 2,
    }
}

record! {
    /// How much a directory holds. An empty one has no row.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(crate) struct Children as "number of children" {
        /// Names in it.
        pub(crate) all: u64 = 1,
        /// Those of them that stand in `Names` because they lead to files.
        pub(crate) filled: u64 = 2,
    }
}

record! {
    /// What a file holds.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Content as "content" {
        pub version: Version = 1,
        pub size: u64 = 2,
        pub sha256: Sha256 = 3,
        pub content_type: String = 4,
        pub blob_id: BlobId = 5,
        /// The first one is the record's primary, whether or not it counts at the moment.
        pub replicas: Vec<Replica> = 6,
        /// Raised by every change of `replicas`.
        pub placement_rev: u64 = 7,
        /// The fence of the last lock on the file, 0 where there never was one.
        pub last_fence: Fence = 8,
    }
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

record! {
    /// Whom a server's copy belongs to.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Placement as "placement" {
        pub file_id: FileId = 1,
        pub version: Version = 2,
    }
}

record! {
    /// An account.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct User as "user" {
        pub user_id: UserId = 1,
        pub username: String = 2,
        /// An argon2id hash in PHC form.
        pub password_hash: String = 3,
        pub admin: bool = 4,
        pub root: FileId = 5,
        pub created_at: WallTime = 6,
    }
}

record! {
    /// A login.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Token as "session" {
        pub user: UserId = 1,
        pub expires_at: ClusterTime = 2,
        pub wall_expires_at: WallTime = 3,
    }
}

record! {
    /// A lock that is held.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Lock as "lock" {
        pub owner: UserId = 1,
        pub mac_hash: Sha256 = 2,
        pub fence: Fence = 3,
        pub ttl_ms: u64 = 4,
        pub expires_at: ClusterTime = 5,
        pub wall_expires_at: WallTime = 6,
    }
}

record! {
    /// The remembered outcome of an operation.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Done as "operation" {
        pub fingerprint: Sha256 = 1,
        pub expires_at: ClusterTime = 3,
        pub kept: Kept = choice,
    }
}

choice! {
    /// An answer, as far as a repeat needs it. See `remembered`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Kept as "remembered outcome" {
        Whole(Answer) = 4,
        /// The entry that the answer describes: what the request itself does not say of it.
        Entry(Box<KeptEntry>) = 5,
    }
}

record! {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct KeptEntry as "remembered entry" {
        pub file_id: FileId = 1,
        pub access: Access = 2,
        pub created_at: WallTime = 3,
        /// Nothing where that is when it was made.
        pub modified_at: Option<WallTime> = 4,
        /// Where it was, where the request names no path.
        pub place: Option<KeptPlace> = 5,
        /// Nothing for a directory.
        pub content: Option<KeptContent> = 6,
        /// The user's own.
        pub lock: Option<KeptLock> = 7,
    }
}

record! {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct KeptPlace as "remembered place" {
        pub owner: UserId = 1,
        pub path: FilePath = 2,
    }
}

record! {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct KeptContent as "remembered content" {
        pub version: Version = 1,
        pub blob_id: BlobId = 2,
        /// Of the replicas, in the record's order.
        pub servers: Vec<ServerId> = 3,
        /// Those of them that did not count.
        pub uncounted: Vec<ServerId> = 4,
        /// Where the request does not bring the content.
        pub told: Option<ToldContent> = 5,
    }
}

record! {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ToldContent as "told content" {
        pub size: u64 = 1,
        pub sha256: Sha256 = 2,
        pub content_type: String = 3,
    }
}

record! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct KeptLock as "remembered lock" {
        pub fence: Fence = 1,
        pub expires_at: WallTime = 2,
    }
}

numbered! {
    /// Where a file server stands. Suspicion is a node's own and never stored.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum ServerState as "server state" {
        Up = 1,
        Down = 2,
        /// Out of the ring; its replicas count until they are moved.
        Draining = 3,
    }
}

record! {
    /// A file server.
    ///
    /// `primaries`, `backups` and `bytes` count what records name at this server *in its current epoch*, by the position
    /// in the record (the first is the primary), and `stale` what they name in older ones. A new epoch therefore starts at 0
    /// with all that was named before in `stale`; the death of a server changes no counter, since the records that name it
    /// are rewritten later, by a sweep. This keeps the counters exact under every command though a death and a return are
    /// one row of work, and it says without a scan what the sweeps have still to do.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Server as "file server" {
        pub server_id: ServerId = 1,
        pub uuid: ServerUuid = 2,
        pub url: String = 3,
        pub zone: String = 4,
        pub epoch: Epoch = 5,
        pub state: ServerState = 6,
        pub full: bool = 7,
        /// Bytes that it can hold, by its own word.
        pub capacity: u64 = 8,
        pub primaries: u64 = 9,
        pub backups: u64 = 10,
        pub bytes: u64 = 11,
        pub down_since: Option<WallTime> = 12,
        /// Replicas of older epochs that records still name: to be verified and stamped anew, or replaced.
        pub stale: u64 = 13,
        /// When it last came up, went down or began to drain.
        pub changed_at: ClusterTime = 14,
        /// How often in a row it was declared down without ten minutes up in between.
        pub flaps: u32 = 15,
        /// The last registration's; nothing where it never sent one.
        pub incarnation: Option<Incarnation> = 16,
        /// It is to be emptied: it drains, or was draining when it was declared down.
        pub leaving: bool = 17,
        /// The one before: a registration that comes late is told by it.
        pub previous: Option<Incarnation> = 18,
    }
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

record! {
    /// A copy whose bytes are to be deleted. Its key names server, blob and copy.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Garbage as "garbage row" {
        pub since: ClusterTime = 1,
        pub deleted_at: Option<ClusterTime> = 2,
    }
}

numbered! {
    /// Why a file is owed a repair that no sweep would find.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum RepairReason as "repair reason" {
        /// It names another number of copies than the policy asks for: it was committed with fewer, because there were too few
        /// servers, or could not be given what a new policy asks for when the walk for that passed it.
        ShortWrite = 1,
        /// A copy of it failed its checksums.
        BadCopy = 2,
    }
}

record! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Repair as "repair" {
        pub reason: RepairReason = 1,
        pub since: ClusterTime = 2,
    }
}

numbered! {
    /// A walk over all files that no counter could replace.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum SweepKind as "sweep" {
        /// `copies` was changed: each file gets the copies that it lacks and loses those that are too many.
        Copies = 1,
        /// Files move from servers with many to servers with few, and backups to their primaries' successors.
        Balance = 2,
    }
}

impl SweepKind {
    pub const ALL: [Self; 2] = [Self::Copies, Self::Balance];
}

record! {
    /// How far a walk has come.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Sweep as "sweep" {
        pub since: ClusterTime = 1,
        /// All files up to this one were looked at.
        pub through: Option<FileId> = 2,
        /// Some file could not be given what it should have: there are too few servers, or one has no room.
        pub short: bool = 3,
        /// It rests: it was stopped, or another walk would find no more to do until a server joins.
        pub resting: bool = 4,
    }
}

record! {
    /// What `Bootstrap` fixed.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ClusterInfo as "cluster" {
        pub cluster_id: ClusterId = 1,
        pub name: String = 2,
    }
}

record! {
    /// A claim that keeps garbage from going until it ends.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Hold as "hold" {
        pub since: ClusterTime = 1,
        pub expires_at: ClusterTime = 2,
    }
}

record! {
    /// What a cluster was made from, where it was made from a backup.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Restore as "restore" {
        /// SHA-256 of the backup's index.
        pub backup: Sha256 = 1,
        /// How many came so far.
        pub entries: u64 = 2,
        pub users: u64 = 3,
        pub grants: u64 = 4,
        /// All came: the cluster is in service.
        pub done: bool = 5,
    }
}

/// A grant, from the side of its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    pub user: UserId,
    pub file_id: FileId,
    pub permission: Permission,
}

single! {
    /// A row that is one number: a counter, an id, a time.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Number(pub(crate) u64) as "number"
}

single! {
    /// The row of a grant: user and file are its key.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct GrantRow(pub(crate) Permission) as "grant"
}

single! {
    /// The ring's order.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub(crate) struct RingOrder(pub(crate) Vec<ServerId>) as "ring"
}

single! {
    /// A key of another table: how far a job has come.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct Cursor(pub(crate) Vec<u8>) as "cursor"
}

record! {
    /// A row that is in itself all that there is to know.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Nothing as "mark" {}
}
