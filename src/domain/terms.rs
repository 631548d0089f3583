//! The words that commands are made of: how a request names things, and what it brings.

use super::record::declare::{choice, numbered, record};
use super::{
    BlobId, ClusterTime, ContentId, CopyId, Epoch, ExtentAt, Fence, FileId, FilePath, ServerId, Sha256, Table, UserId,
    Version,
};

record! {
    /// A client's name for one change, with the fingerprint of its request: the same name with another
    /// fingerprint is refused.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Operation as "operation" {
        pub user: UserId = 1,
        /// 1 to 255 bytes.
        pub id: String = 2,
        pub fingerprint: Sha256 = 3,
        /// For how long its outcome is remembered, where that is shorter than the policy says; 0 where it is not. The
        /// name that a node makes for a client who sent none is good for the node's own retries alone.
        pub ttl_ms: u64 = 4,
        /// The address that the request came from, for the audit. At most 64 bytes.
        pub from: String = 5,
    }
}

choice! {
    /// How a request names a file or a directory.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum FileRef as "file" {
        Id(FileId) = 1,
        Path(PathRef) = 2,
    }
}

record! {
    /// A path in the tree of `owner`, or of the caller where no owner is named.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct PathRef as "path" {
        /// A username.
        pub owner: Option<String> = 1,
        pub path: FilePath = 2,
    }
}

record! {
    /// A lock token as `apply` sees it. The user's token reads `fence.mac`; only the hash of the mac is kept.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct LockProof as "lock token" {
        pub fence: Fence = 1,
        pub mac_hash: Sha256 = 2,
    }
}

record! {
    /// What an entry must be at for a change to take effect.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Precondition as "precondition" {
        /// `If-Match: *`: any version will do. The list is then not looked at.
        pub exists: bool = 1,
        /// `If-Match`: it is one of these.
        pub one_of: Vec<Etag> = 2,
    }
}

record! {
    /// One version of one file.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Etag as "etag" {
        pub file_id: FileId = 1,
        pub version: Version = 2,
    }
}

record! {
    /// A finished copy on a file server, proven by that server's receipt.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Receipt as "receipt" {
        pub server_id: ServerId = 1,
        pub epoch: Epoch = 2,
        pub copy_id: CopyId = 3,
        /// Cluster time at the placement of the write, or at the last `HEAD` that renewed the receipt.
        pub received_at: ClusterTime = 4,
    }
}

record! {
    /// The content of a new version, already durable on the file servers that it names. The first is the primary.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct NewContent as "content" {
        pub blob_id: BlobId = 1,
        pub size: u64 = 2,
        pub sha256: Sha256 = 3,
        /// At most 255 bytes.
        pub content_type: String = 4,
        pub receipts: Vec<Receipt> = 5,
    }
}

record! {
    /// One run of bytes, already durable on the file servers that it names. The first is the primary.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct NewExtent as "new extent" {
        pub blob_id: BlobId = 1,
        pub size: u64 = 2,
        pub sha256: Sha256 = 3,
        pub receipts: Vec<Receipt> = 4,
    }
}

choice! {
    /// What bytes are to become.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Purpose as "purpose of an upload" {
        /// A new file, with its missing parents.
        Write(PathRef) = 20,
        /// A new version of a file that is there.
        Update {
            file: FileRef = 1,
            precondition: Option<Precondition> = 2,
            lock: Option<LockProof> = 3,
        } = 21,
        /// A content of a backup: the SHA-256 of the backup's index, and the content's row there.
        Restore {
            backup: Sha256 = 1,
            row: Vec<u8> = 2,
        } = 22,
        /// A part of an upload in parts.
        Part {
            upload_id: ContentId = 1,
            number: u32 = 2,
        } = 23,
    }
}

/// The most extents in one `AddExtents`: each touches up to twenty rows.
pub const MAX_EXTENTS_ADDED: usize = 40;
/// The highest number of a part.
pub const MAX_PARTS: u32 = 10_000;
/// The most parts in one `AddPieces`: each touches two rows, or twenty where one is left out before it.
pub const MAX_PIECES_ADDED: usize = 250;

record! {
    /// A part that becomes a piece.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct NewPiece as "new piece" {
        pub number: u32 = 1,
        /// As it was when the list was judged.
        pub content_id: ContentId = 2,
    }
}

/// Extents but the last of an upload are multiples of so many bytes, so that a hash can be gone on with.
pub const EXTENT_UNIT: u64 = 64;

record! {
    /// New copies for an extent, in the order of its replicas. It takes effect only if it still has this blob and this
    /// `placement_rev`, each copy made still stands, and no fewer copies count afterwards than before (or than the policy
    /// asks for).
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct NewHome as "change of copies" {
        pub at: ExtentAt = 1,
        pub blob_id: BlobId = 2,
        pub placement_rev: u64 = 3,
        /// 1 to 5, each on another server. What the record names and these do not becomes garbage.
        pub slots: Vec<Slot> = 4,
    }
}

choice! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Slot as "slot" {
        /// The replica on this server, as it is.
        Kept(ServerId) = 1,
        /// A copy that was made or verified.
        Made(Receipt) = 2,
    }
}

/// The most changes in one `Rehome`: each touches up to twenty rows.
pub const MAX_REHOMES: usize = 40;
/// The most copies in one `Condemn`, `Deleted` or `Report`.
pub const MAX_COPIES_LISTED: usize = 250;

/// The most rows in one `Restore`: each touches up to four.
pub const MAX_RESTORED: usize = 200;

record! {
    /// A row of a backup's index.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RestoredRow as "restored row" {
        pub table: Table = 1,
        pub key: Vec<u8> = 2,
        pub value: Vec<u8> = 3,
    }
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

record! {
    /// What `apply` and `plan` go by. Replicated, so that two nodes with different files cannot decide differently.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Policy as "policy" {
        /// How many copies a file has, 1 to 5.
        pub copies: u32 = 1,
        /// How long a listed copy stays on its disk, so that running reads finish.
        pub garbage_linger_ms: u64 = 2,
        /// How old a blob that no record names must be before it counts as an orphan.
        pub garbage_grace_ms: u64 = 3,
        /// For how long the outcome of an operation is remembered.
        pub operation_ttl_ms: u64 = 4,
        /// For how long a login token holds.
        pub session_ttl_ms: u64 = 5,
        /// The oldest receipt that a commit may name.
        pub receipt_ttl_ms: u64 = 6,
        /// By how many percent of the mean the fullest server's count of primaries may exceed the emptiest's before files
        /// are moved; 0 for never.
        pub rebalance_percent: u32 = 7,
        /// How many older versions of a file an update keeps; 0 for none.
        pub versions_keep: u32 = 8,
        /// For how long; 0 for not at all.
        pub versions_ms: u64 = 9,
        /// For how long what was deleted can be had back; 0 for not at all.
        pub trash_ms: u64 = 10,
        /// How many bytes and files a user may have who has no bounds of the user's own; 0 for any number.
        pub quota_bytes: u64 = 11,
        pub quota_files: u64 = 12,
        /// The largest extent: what is larger is stored in several; 0 for 64 MiB.
        pub extent_bytes: u64 = 13,
        /// The least size of a part that is not the last one of its upload; 0 for 5 MiB.
        pub part_min_bytes: u64 = 20,
        /// Who may make an account, the first one aside; nothing for anybody.
        pub signup_mode: Option<SignupMode> = 30,
        /// For how long the audit keeps its rows; nothing for 90 days.
        pub audit_ms: Option<u64> = 31,
        /// How many bytes of rows; nothing for 64 MiB.
        pub audit_bytes: Option<u64> = 32,
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            copies: 2,
            garbage_linger_ms: 15 * 60 * 1000,
            garbage_grace_ms: 60 * 60 * 1000,
            operation_ttl_ms: DAY_MS,
            session_ttl_ms: 30 * DAY_MS,
            receipt_ttl_ms: 10 * 60 * 1000,
            rebalance_percent: 20,
            versions_keep: 5,
            versions_ms: 30 * DAY_MS,
            trash_ms: 7 * DAY_MS,
            quota_bytes: 0,
            quota_files: 0,
            extent_bytes: 64 << 20,
            part_min_bytes: 5 << 20,
            signup_mode: None,
            audit_ms: None,
            audit_bytes: None,
        }
    }
}

impl Policy {
    /// For how long the audit keeps its rows, in milliseconds.
    pub fn kept_audit_ms(&self) -> u64 {
        self.audit_ms.unwrap_or(90 * DAY_MS)
    }

    /// How many bytes of rows the audit keeps.
    pub fn kept_audit_bytes(&self) -> u64 {
        self.audit_bytes.unwrap_or(64 << 20)
    }

    /// Who may make an account, the first one aside.
    pub fn signup(&self) -> SignupMode {
        self.signup_mode.unwrap_or(SignupMode::Open)
    }
}

numbered! {
    /// Who may make an account.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum SignupMode as "mode of signups" {
        /// Anybody.
        Open = 1,
        /// Whoever has an invitation.
        Invite = 2,
        /// Nobody: admins add accounts.
        Closed = 3,
    }
}

choice! {
    /// By what right a password is changed.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum PasswordProof as "proof of a password" {
        /// The one before was told: the hash that it was compared with.
        Known(String) = 1,
        /// SHA-256 of a one-time code, which is used up.
        Code(Sha256) = 2,
    }
}

choice! {
    /// By what right somebody makes an account.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Admission as "admission" {
        /// The setup code, which the node has compared: it makes the first account, and no other.
        Setup = 1,
        /// None: where anybody may.
        Open = 2,
        /// SHA-256 of an invitation, which is used up.
        Invite(Sha256) = 3,
    }
}
