//! What goes through the Raft log. A variant's meaning never changes once it was released: add a new one.

use super::rows::SweepKind;
use super::{
    BlobId, ClusterId, ClusterTime, CopyAt, CopyId, Epoch, Fence, FileId, FilePath, HoldId, Incarnation, Permission,
    ServerId, ServerUuid, Sha256, Table, UserId, Version, WallTime,
};

/// One entry of the log: a proposal, and the two times that the leader stamped it with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamped {
    pub at: ClusterTime,
    pub wall: WallTime,
    pub proposal: Proposal,
}

/// A command and, for what users send, the name under which it takes effect at most once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    pub operation: Option<Operation>,
    pub command: Command,
}

/// A client's name for one change, with the fingerprint of its request: the same name with another
/// fingerprint is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    pub user: UserId,
    /// 1 to 255 bytes.
    pub id: String,
    pub fingerprint: Sha256,
}

/// How a request names a file or a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileRef {
    Id(FileId),
    Path(PathRef),
}

/// A path in the tree of `owner`, or of the caller where no owner is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathRef {
    /// A username.
    pub owner: Option<String>,
    pub path: FilePath,
}

/// A lock token as `apply` sees it. The user's token reads `fence.mac`; only the hash of the mac is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockProof {
    pub fence: Fence,
    pub mac_hash: Sha256,
}

/// What an entry must be at for a change to take effect. An etag names a file and its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// `If-Match: *`: it exists.
    Exists,
    /// `If-Match`: it is one of these.
    OneOf(Vec<(FileId, Version)>),
}

/// A finished copy on a file server, proven by that server's receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub server_id: ServerId,
    pub epoch: Epoch,
    pub copy_id: CopyId,
    /// Cluster time at the placement of the write, or at the last `HEAD` that renewed the receipt.
    pub received_at: ClusterTime,
}

/// The content of a new version, already durable on the file servers that it names. The first is the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewContent {
    pub blob_id: BlobId,
    pub size: u64,
    pub sha256: Sha256,
    /// At most 255 bytes.
    pub content_type: String,
    pub receipts: Vec<Receipt>,
}

/// New copies for a record, in the order of its replicas. It takes effect only if the file still has this blob and this
/// `placement_rev`, each copy made still stands, and no fewer copies count afterwards than before (or than the policy
/// asks for).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rehome {
    pub file_id: FileId,
    pub blob_id: BlobId,
    pub placement_rev: u64,
    /// 1 to 5, each on another server. What the record names and these do not becomes garbage.
    pub slots: Vec<Slot>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The replica on this server, as it is.
    Kept(ServerId),
    /// A copy that was made or verified.
    Made(Receipt),
}

/// The most changes in one `Rehome`: each touches up to twenty rows.
pub const MAX_REHOMES: usize = 40;
/// The most copies in one `Condemn`, `Deleted` or `Report`.
pub const MAX_COPIES_LISTED: usize = 250;

/// The most rows in one `Restore`: each touches up to four.
pub const MAX_RESTORED: usize = 200;

/// A row of a backup's index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoredRow {
    pub table: Table,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

/// What `apply` and `plan` go by. Replicated, so that two nodes with different files cannot decide differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How many copies a file has, 1 to 5.
    pub copies: u32,
    /// How long a listed copy stays on its disk, so that running reads finish.
    pub garbage_linger_ms: u64,
    /// How old a blob that no record names must be before it counts as an orphan.
    pub garbage_grace_ms: u64,
    /// For how long the outcome of an operation is remembered.
    pub operation_ttl_ms: u64,
    /// For how long a login token holds.
    pub session_ttl_ms: u64,
    /// The oldest receipt that a commit may name.
    pub receipt_ttl_ms: u64,
    /// By how many percent of the mean the fullest server's count of primaries may exceed the emptiest's before files
    /// are moved; 0 for never.
    pub rebalance_percent: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            copies: 2,
            garbage_linger_ms: 15 * 60 * 1000,
            garbage_grace_ms: 60 * 60 * 1000,
            operation_ttl_ms: 24 * 60 * 60 * 1000,
            session_ttl_ms: 30 * 24 * 60 * 60 * 1000,
            receipt_ttl_ms: 10 * 60 * 1000,
            rebalance_percent: 20,
        }
    }
}

impl Command {
    /// Whether applying it twice in a row does the same as once, without an operation's name. Those of users are not:
    /// the second one would be refused.
    pub const fn is_idempotent(&self) -> bool {
        matches!(
            self,
            Self::Bootstrap { .. }
                | Self::SetPolicy { .. }
                | Self::OpenSession { .. }
                | Self::CloseSession { .. }
                | Self::Expire { .. }
                | Self::Reap { .. }
                | Self::RegisterServer { .. }
                | Self::ServerDown { .. }
                | Self::ServerFull { .. }
                | Self::Rehome { .. }
                | Self::Condemn { .. }
                | Self::Deleted { .. }
                | Self::Report { .. }
                | Self::Drain { .. }
                | Self::Undrain { .. }
                | Self::RemoveServer { .. }
                | Self::StartSweep { .. }
                | Self::StopSweep { .. }
                | Self::AdvanceSweep { .. }
                | Self::Hold { .. }
                | Self::Release { .. }
                | Self::Restore { .. }
                | Self::RestoreFile { .. }
                | Self::RestoreDone { .. }
        )
    }
}

/// One change of the state machine. Each does bounded work (at most about a thousand rows), because the whole
/// cluster waits while one applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The first command of a cluster. A second one changes nothing.
    Bootstrap {
        cluster_id: ClusterId,
        name: String,
        policy: Policy,
    },
    /// Changes the policy as a whole. Bounds are checked by `apply`.
    SetPolicy {
        policy: Policy,
    },

    /// A new account with an empty tree. The first one is the cluster's admin.
    Signup {
        username: String,
        password_hash: String,
    },
    /// A login: `token_hash` is the SHA-256 of the token.
    OpenSession {
        user: UserId,
        token_hash: Sha256,
    },
    CloseSession {
        token_hash: Sha256,
    },

    Mkdir {
        user: UserId,
        at: PathRef,
    },
    /// A new file, with its missing parents.
    Write {
        user: UserId,
        at: PathRef,
        content: NewContent,
    },
    /// A new version of a file that is there.
    Update {
        user: UserId,
        file: FileRef,
        content: NewContent,
        precondition: Option<Precondition>,
        lock: Option<LockProof>,
    },
    Move {
        user: UserId,
        from: FileRef,
        to: PathRef,
        lock: Option<LockProof>,
    },
    Delete {
        user: UserId,
        file: FileRef,
        recursive: bool,
        precondition: Option<Precondition>,
        lock: Option<LockProof>,
    },
    Share {
        user: UserId,
        file: FileRef,
        with: String,
        permission: Permission,
    },
    Unshare {
        user: UserId,
        file: FileRef,
        with: String,
    },
    Lock {
        user: UserId,
        file: FileRef,
        ttl_ms: u64,
        mac_hash: Sha256,
    },
    Renew {
        user: UserId,
        lock: LockProof,
        ttl_ms: u64,
    },
    Unlock {
        user: UserId,
        lock: LockProof,
    },

    /// Ends what has run out (locks, sessions, operations, garbage rows) by this entry's own time stamp, at most
    /// `limit` rows.
    Expire {
        limit: u32,
    },
    /// Works off at most `limit` rows below the trash root.
    Reap {
        limit: u32,
    },

    RegisterServer {
        uuid: ServerUuid,
        url: String,
        zone: String,
        capacity: u64,
        /// What the data directory kept of its last registration.
        last: Option<Incarnation>,
        /// What it keeps of this one.
        next: Option<Incarnation>,
    },
    /// Marks a server down and closes the ring; nothing else, however many files it held.
    ServerDown {
        server_id: ServerId,
        epoch: Epoch,
    },
    ServerFull {
        server_id: ServerId,
        epoch: Epoch,
        full: bool,
    },

    /// Puts other copies into records; each change stands for itself. At most `MAX_REHOMES`.
    Rehome {
        changes: Vec<Rehome>,
    },
    /// Lists copies that no record names as garbage; a copy is passed over where a record names one of its blob on its server.
    /// At most `MAX_COPIES_LISTED`, as in the next two.
    Condemn {
        copies: Vec<CopyAt>,
    },
    /// The bytes of these garbage rows are gone.
    Deleted {
        copies: Vec<CopyAt>,
    },
    /// These copies were found damaged or missing: they stop counting, and their files are owed a repair.
    Report {
        copies: Vec<CopyAt>,
    },

    /// Takes a server out of the ring, to be emptied.
    Drain {
        server_id: ServerId,
    },
    /// Takes a draining server back.
    Undrain {
        server_id: ServerId,
    },
    /// Forgets a server that is down or draining and on which no record names a copy.
    RemoveServer {
        server_id: ServerId,
    },

    /// Begins a walk over all files, or begins it anew.
    StartSweep {
        kind: SweepKind,
    },
    StopSweep {
        kind: SweepKind,
    },
    /// All files up to `through` were looked at, by the walk that began at `since`.
    AdvanceSweep {
        kind: SweepKind,
        since: ClusterTime,
        through: Option<FileId>,
        /// That was the last one.
        done: bool,
        short: bool,
        /// Files that could not be mended when they were passed: they are owed a repair.
        owed: Vec<FileId>,
    },

    /// Keeps garbage from going until `ttl_ms` have passed, from 1 s to 1 h. `renew` prolongs one that stands, and is
    /// refused where it has ended.
    Hold {
        hold_id: HoldId,
        ttl_ms: u64,
        renew: bool,
    },
    Release {
        hold_id: HoldId,
    },

    /// Rows of a backup's index, into a cluster that never had a user. `backup` is the index's SHA-256: until
    /// `RestoreDone` nothing but this backup gets in. At most `MAX_RESTORED`.
    Restore {
        backup: Sha256,
        rows: Vec<RestoredRow>,
    },
    /// A file of the backup's index, its bytes stored anew.
    RestoreFile {
        backup: Sha256,
        /// Its row of `Entries`.
        row: Vec<u8>,
        content: NewContent,
    },
    /// Puts the cluster into service if all that the backup has is there.
    RestoreDone {
        backup: Sha256,
        entries: u64,
        users: u64,
        grants: u64,
    },
}
