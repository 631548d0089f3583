//! The storage that the state machine runs over: ordered tables of byte keys and byte values.
//!
//! Two implementations: RocksDB (in `consensus`) and a `BTreeMap` (in `domain`, for tests, models and
//! simulation). Every range read is bounded by its caller, so that no query can hold a million rows in memory.

use std::fmt;

use super::record::{Payload, Value, Wire, Writer, bad};

/// Declares the tables: each with its name on disk, which never changes.
macro_rules! tables {
    ($($(#[$meta:meta])* $table:ident = $name:literal,)*) => {
        /// The tables of the state machine; one column family each in RocksDB. Integer parts of keys are big-endian.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Table {
            $($(#[$meta])* $table,)*
        }

        #[allow(unused_doc_comments, reason = "each line of the list is used with all its attributes")]
        impl Table {
            pub const ALL: [Self; [$($(#[$meta])* $name),*].len()] = [$($(#[$meta])* Self::$table),*];

            /// The column family's name on disk.
            pub const fn name(self) -> &'static str {
                match self {
                    $($(#[$meta])* Self::$table => $name,)*
                }
            }
        }
    };
}

tables! {
    /// file_id → entry
    Entries = "entries",
    /// parent file_id, name → file_id: files, directories with a file somewhere below, and what is in the trash
    Names = "names",
    /// server_id, blob_id → content_id, offset, copy_id
    Placements = "placements",
    /// server_id → server
    Servers = "servers",
    /// one row: the order of the server_ids (see `tables::ring`)
    Ring = "ring",
    /// priority, content_id, offset → why
    Repairs = "repairs",
    /// reason → cursor
    Sweeps = "sweeps",
    /// server_id, blob_id, copy_id → since when, deleted when
    Garbage = "garbage",
    /// user_id → user
    Users = "users",
    /// username → user_id
    Usernames = "usernames",
    /// SHA-256 of a login token → session
    Tokens = "tokens",
    /// user_id, file_id → permission
    Grants = "grants",
    /// file_id, user_id → nothing (the reverse of `Grants`)
    GrantsByFile = "grants_by_file",
    /// file_id → lock
    Locks = "locks",
    /// user_id, fence → file_id
    LocksByOwner = "locks_by_owner",
    /// owner of the tree, file_id → nothing: which files of a tree are locked
    LocksByTree = "locks_by_tree",
    /// user_id, operation id → fingerprint, outcome
    Operations = "operations",
    /// class, cluster time, key → nothing: what `Expire` works through
    Expiries = "expiries",
    /// one row
    Policy = "policy",
    /// schema version, next ids, counters, and the marks that `consensus` keeps (its keys start with `raft.`)
    Meta = "meta",
    /// hold_id → when it ends
    Holds = "holds",
    /// parent file_id, name → file_id: directories without a file anywhere below, which are not in `Names`
    Bare = "bare",
    /// file_id of a directory → how many names it holds, and how many of them lead to files
    Children = "children",
    /// content_id → what names it, and its extent where it has one
    Contents = "contents",
    /// content_id, offset → extent
    Extents = "extents",
    /// due when, content_id → nothing: contents that nothing names, with extents left
    Dead = "dead",
    /// file_id, version (the newest first) → what the file was
    Versions = "versions",
    /// owner, deleted when, file_id → what the entry was
    Trash = "trash",
    /// user_id → sums and bounds
    Usage = "usage",
    /// user_id, content_id → how far an upload has come, and what it becomes
    Uploads = "uploads",
    /// content_id, user_id → until when what is being read is kept
    Pins = "pins",
    /// file_id of a directory → its own values
    Retention = "retention",
    /// file_id, name → value
    Properties = "properties",
    /// UUID of a file server → its key
    MemberKeys = "member_keys",
    /// upload_id, number → content_id, size, digest: the parts of uploads under way
    Parts = "parts",
    /// content_id, offset → content_id, size: what contents that came in parts are made of
    Pieces = "pieces",
    /// user_id, SHA-256 of a login token → nothing: which sessions a user has
    Sessions = "sessions",
    /// number → who did what
    Audit = "audit",
    /// user_id of an account that is being removed → its heir, how far that is
    Removals = "removals",
    /// SHA-256 of an invitation → who made it, until when
    Invites = "invites",
    /// file_id → label
    #[cfg(feature = "next-schema")]
    Labels = "labels",
}

impl Table {
    /// The table of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }

    /// Whether it has few rows whatever the cluster holds: as many as there are file servers, or a few thousand. They are
    /// held in memory, so reading them costs a command next to nothing.
    pub const fn is_small(self) -> bool {
        use Table::*;
        matches!(self, Servers | Ring | Sweeps | Policy | Meta | Pins | Retention | MemberKeys | Removals)
    }
}

/// A table by its name on disk.
impl Value for Table {
    const WIRE: Wire = Wire::Bytes;

    fn put(&self, out: &mut Writer) {
        out.bytes(self.name().as_bytes());
    }

    fn take(payload: Payload<'_>) -> Result<Self, Fault> {
        let name = std::str::from_utf8(payload.bytes()?).map_err(|_| bad("table"))?;
        Self::named(name).ok_or_else(|| bad("table"))
    }
}

/// The storage, or what is stored, is broken. Never an answer to a user: during `apply` it stops the process,
/// because a replica that goes on without a change that the others made has parted from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(pub String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "storage fault: {}", self.0)
    }
}

impl std::error::Error for Fault {}

/// A key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// Reads of one consistent state.
pub trait ReadStore {
    /// # Errors
    /// When the storage fails.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault>;

    /// The rows with `from <= key`, and `key < to` where `to` is given, in ascending order of their keys; at most
    /// `limit`.
    ///
    /// # Errors
    /// When the storage fails.
    fn scan(&self, table: Table, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, Fault>;
}

/// Reads and changes; a read sees the changes made before it through the same store.
pub trait Store: ReadStore {
    /// # Errors
    /// When the storage fails.
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), Fault>;

    /// Deleting what is not there is no error.
    ///
    /// # Errors
    /// When the storage fails.
    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), Fault>;
}
