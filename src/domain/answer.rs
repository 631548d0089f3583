//! What `apply` and the queries answer. A rejection is a normal, replicated answer; a fault (`store::Fault`) is none.

use super::record::Record;
use super::record::declare::{choice, numbered, record};
use super::{
    BlobId, ClusterTime, ContentId, CopyId, Epoch, Fault, Fence, FileId, FilePath, Permission, ServerId, Sha256,
    UserId, Version, WallTime,
};

/// What a proposal came to.
pub type Answer = Result<Outcome, Rejection>;

/// The bytes in which a leader sends an answer to the follower that forwarded the proposal.
pub fn encode_answer(answer: &Answer) -> Vec<u8> {
    answer.to_bytes()
}

/// # Errors
/// When the bytes are none of ours.
pub fn decode_answer(bytes: &[u8]) -> Result<Answer, Fault> {
    Answer::from_bytes(bytes)
}

choice! {
    /// What a command did.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Outcome as "outcome" {
        Done = 2,
        User {
            user_id: UserId = 1,
            username: String = 2,
            admin: bool = 3,
        } = 3,
        Session {
            expires_at: WallTime = 1,
        } = 4,
        Stat(Box<Stat>) = 5,
        Granted {
            file_id: FileId = 1,
            username: String = 2,
            permission: Permission = 3,
        } = 6,
        Locked {
            file_id: FileId = 1,
            fence: Fence = 2,
            expires_at: WallTime = 3,
        } = 7,
        Server {
            server_id: ServerId = 1,
            epoch: Epoch = 2,
        } = 8,
        /// How many rows were worked off, and whether more are due.
        Progress {
            rows: u32 = 1,
            more: bool = 2,
        } = 9,
        /// Which changes of a `Rehome` took no effect, by their position.
        Rehomed {
            refused: Vec<u32> = 1,
        } = 10,
        /// How far an upload has come: `offset` is the next byte to be sent.
        Upload {
            upload_id: ContentId = 1,
            offset: u64 = 2,
            expires_at: WallTime = 3,
        } = 11,
    }
}

record! {
    /// Why a command changed nothing, or a query shows nothing.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Rejection as "rejection" {
        pub kind: RejectionKind = 1,
        /// One sentence for the user that says what to do next. Never a secret.
        pub detail: String = 2,
    }
}

numbered! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum RejectionKind as "rejection" {
        InvalidRequest = 1,
        InvalidPath = 2,
        Unauthenticated = 3,
        Forbidden = 4,
        NotFound = 5,
        AlreadyExists = 6,
        NotEmpty = 7,
        VersionConflict = 8,
        IdempotencyKeyReused = 9,
        Locked = 10,
        TooManyRequests = 11,
        NoFileServer = 12,
        StorageFull = 13,
        /// A receipt names a copy that does not count (any more): the node heals this by itself (renews the
        /// receipt or copies anew) and proposes again. Never stored under an operation, never shown to a user.
        StaleReceipt = 14,
        /// A conditional change of the leader's own job met another state. Never stored, never shown.
        StaleState = 15,
        /// The cluster is being restored from a backup. Never stored: the same request is right afterwards.
        Restoring = 20,
        /// The owner of the tree has as much as the owner may. Never stored: something may go.
        QuotaExceeded = 22,
        /// What was begun before has to come to its end first, as it was begun.
        ChangeUnderWay = 30,
        /// Rows lead nowhere. Never stored: it is no answer to what was asked.
        Astray = 21,
    }
}

impl RejectionKind {
    /// Whether the outcome is remembered under the operation id.
    pub const fn is_final(self) -> bool {
        !matches!(
            self,
            Self::StaleReceipt
                | Self::StaleState
                | Self::NoFileServer
                | Self::StorageFull
                | Self::Restoring
                | Self::QuotaExceeded
                | Self::Astray
        )
    }
}

numbered! {
    /// What a user may do with an entry.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Access as "access" {
        Read = 1,
        Write = 2,
        Owner = 3,
    }
}

record! {
    /// An entry as its user sees it.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Stat as "stat" {
        pub file_id: FileId = 1,
        pub path: FilePath = 2,
        pub owner: String = 3,
        pub owner_id: UserId = 4,
        pub access: Access = 5,
        pub created_at: WallTime = 6,
        pub modified_at: WallTime = 7,
        /// Nothing for a directory.
        pub content: Option<ContentStat> = 8,
        pub lock: Option<LockStat> = 9,
    }
}

record! {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ContentStat as "content" {
        pub version: Version = 1,
        pub size: u64 = 2,
        /// Nothing where the bytes came in parts.
        pub sha256: Option<Sha256> = 3,
        pub content_type: String = 4,
        pub content_id: ContentId = 5,
        /// How many extents there are.
        pub extents: u64 = 6,
        /// The blob of the first one; 0 in the answer to a repeat.
        pub blob_id: BlobId = 7,
        /// Those of the first extent, in its order; the first that counts is the primary.
        pub replicas: Vec<ReplicaStat> = 8,
    }
}

record! {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ReplicaStat as "replica" {
        pub server_id: ServerId = 1,
        /// 0, as the copy id, in the answer to a repeat.
        pub epoch: Epoch = 2,
        pub copy_id: CopyId = 3,
        pub counts: bool = 4,
    }
}

record! {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct LockStat as "lock" {
        pub owner: String = 1,
        pub fence: Fence = 2,
        pub expires_at: WallTime = 3,
        /// The deadline that decides; 0 in the answer to a repeat.
        pub deadline: ClusterTime = 4,
    }
}
