//! What `apply` and the queries answer. A rejection is a normal, replicated answer; a fault (`store::Fault`) is none.

use super::{
    BlobId, ClusterTime, CopyId, Epoch, Fence, FileId, FilePath, Permission, ServerId, Sha256, UserId, Version,
    WallTime,
};

/// What a proposal came to.
pub type Answer = Result<Outcome, Rejection>;

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    User {
        user_id: UserId,
        username: String,
        admin: bool,
    },
    Session {
        expires_at: WallTime,
    },
    Stat(Box<Stat>),
    Granted {
        file_id: FileId,
        username: String,
        permission: Permission,
    },
    Locked {
        file_id: FileId,
        fence: Fence,
        expires_at: WallTime,
    },
    Server {
        server_id: ServerId,
        epoch: Epoch,
    },
    /// How many rows were worked off, and whether more are due.
    Progress {
        rows: u32,
        more: bool,
    },
    /// Which changes of a `Rehome` took no effect, by their position.
    Rehomed {
        refused: Vec<u32>,
    },
}

/// Why a command changed nothing, or a query shows nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub kind: RejectionKind,
    /// One sentence for the user that says what to do next. Never a secret.
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectionKind {
    InvalidRequest,
    InvalidPath,
    Unauthenticated,
    Forbidden,
    NotFound,
    AlreadyExists,
    NotEmpty,
    VersionConflict,
    IdempotencyKeyReused,
    Locked,
    TooManyRequests,
    NoFileServer,
    StorageFull,
    /// A receipt names a copy that does not count (any more): the node heals this by itself (renews the
    /// receipt or copies anew) and proposes again. Never stored under an operation, never shown to a user.
    StaleReceipt,
    /// A conditional change of the leader's own job met another state. Never stored, never shown.
    StaleState,
    /// The cluster is being restored from a backup. Never stored: the same request is right afterwards.
    Restoring,
}

impl RejectionKind {
    /// Whether the outcome is remembered under the operation id.
    pub const fn is_final(self) -> bool {
        !matches!(
            self,
            Self::StaleReceipt | Self::StaleState | Self::NoFileServer | Self::StorageFull | Self::Restoring
        )
    }
}

/// What a user may do with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    Read,
    Write,
    Owner,
}

/// An entry as its user sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    pub file_id: FileId,
    pub path: FilePath,
    pub owner: String,
    pub owner_id: UserId,
    pub access: Access,
    pub created_at: WallTime,
    pub modified_at: WallTime,
    /// Nothing for a directory.
    pub content: Option<ContentStat>,
    pub lock: Option<LockStat>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentStat {
    pub version: Version,
    pub size: u64,
    pub sha256: Sha256,
    pub content_type: String,
    pub blob_id: BlobId,
    /// In the record's order; the first that counts is the primary.
    pub replicas: Vec<ReplicaStat>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaStat {
    pub server_id: ServerId,
    pub epoch: Epoch,
    pub copy_id: CopyId,
    pub counts: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockStat {
    pub owner: String,
    pub fence: Fence,
    pub expires_at: WallTime,
    /// The deadline that decides.
    pub deadline: ClusterTime,
}
