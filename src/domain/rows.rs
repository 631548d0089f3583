//! The rows of the tables, each declared with its bytes. `tables` has their keys.

mod accounts;
mod audit;
mod contents;
mod member_keys;
mod parts;
mod properties;
mod remembered;
mod retention;
mod servers;
mod upkeep;
mod uploads;
mod versions;

pub use accounts::*;
pub use audit::*;
pub use contents::*;
pub use member_keys::*;
pub use parts::*;
pub use properties::*;
pub use remembered::*;
pub use retention::*;
pub use servers::*;
pub use upkeep::*;
pub use uploads::*;
pub use versions::*;

use super::answer::Access;
use super::record::declare::{choice, record, single};
use super::{
    Answer, BlobId, ClusterId, ClusterTime, ContentId, Fence, FileId, FilePath, Permission, Replica, ServerId, Sha256,
    UserId, Version, WallTime,
};

/// The parent of a user's root directory: there is none.
pub const NO_PARENT: FileId = FileId(0);
/// The parent of what was removed as a whole and waits to be reaped. It has no entry of its own, so nothing that
/// starts from a root or asks for an entry can arrive there.
pub const DOOMED: FileId = FileId(1);
/// The parent of what its owner deleted and may have back. It has no entry of its own either.
pub const BIN: FileId = FileId(u64::MAX);
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
        /// What there is of it in `Properties`; nothing for none.
        pub properties: Option<PropertySum> = 18,
    }
}

choice! {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum EntryKind as "kind of entry" {
        Directory(Span) = 7,
        File(Box<File>) = 8,
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

impl Children {
    /// Whether some name in it leads to no file.
    pub(crate) fn any_bare(self) -> bool {
        self.all > self.filled
    }
}

impl Entry {
    pub fn file(&self) -> Option<&File> {
        match &self.kind {
            EntryKind::File(file) => Some(file),
            EntryKind::Directory(_) => None,
        }
    }

    pub fn is_directory(&self) -> bool {
        matches!(self.kind, EntryKind::Directory(_))
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
        /// Nobody acts as the user: no session holds, and none is opened.
        pub disabled: bool = 7,
        /// By which the user sets a password, once.
        pub code: Option<OneTimeCode> = 8,
    }
}

record! {
    /// A login.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Token as "session" {
        pub user: UserId = 1,
        pub expires_at: ClusterTime = 2,
        pub wall_expires_at: WallTime = 3,
        pub wall_created_at: WallTime = 10,
        /// When it was used last, to the hour.
        pub seen_at: ClusterTime = 11,
        pub wall_seen_at: WallTime = 12,
        /// The address that it was opened from, and what the client called itself: for its user to see.
        pub from: String = 13,
        pub agent: String = 14,
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
        /// Whose tree the file is in.
        pub tree: UserId = 7,
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
        pub contents: u64 = 6,
        /// Contents that nothing names yet.
        pub unnamed: u64 = 7,
        pub versions: u64 = 8,
        pub trash: u64 = 9,
        /// Directories with values of their own.
        pub retentions: u64 = 20,
        pub properties: u64 = 21,
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
