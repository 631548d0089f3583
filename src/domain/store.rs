//! The storage that the state machine runs over: ordered tables of byte keys and byte values.
//!
//! Two implementations: RocksDB (in `consensus`) and a `BTreeMap` (in `domain`, for tests, models and
//! simulation). Every range read is bounded by its caller, so that no query can hold a million rows in memory.

use std::fmt;

use super::record::{Payload, Value, Wire, Writer, bad};

/// The tables of the state machine; one column family each in RocksDB. Integer parts of keys are big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// file_id → entry
    Entries,
    /// parent file_id, name → file_id
    Names,
    /// server_id, blob_id → file_id, version
    Placements,
    /// server_id → server
    Servers,
    /// one row: the order of the server_ids (see `tables::ring`)
    Ring,
    /// priority, file_id → why
    Repairs,
    /// reason → cursor
    Sweeps,
    /// server_id, blob_id, copy_id → since when, deleted when
    Garbage,
    /// user_id → user
    Users,
    /// username → user_id
    Usernames,
    /// SHA-256 of a login token → session
    Tokens,
    /// user_id, file_id → permission
    Grants,
    /// file_id, user_id → nothing (the reverse of `Grants`)
    GrantsByFile,
    /// file_id → lock
    Locks,
    /// user_id, fence → file_id
    LocksByOwner,
    /// user_id, operation id → fingerprint, outcome
    Operations,
    /// class, cluster time, key → nothing: what `Expire` works through
    Expiries,
    /// one row
    Policy,
    /// schema version, next ids, counters, and the marks that `consensus` keeps (its keys start with `raft.`)
    Meta,
    /// hold_id → when it ends
    Holds,
}

impl Table {
    pub const ALL: [Self; 20] = [
        Self::Entries,
        Self::Names,
        Self::Placements,
        Self::Servers,
        Self::Ring,
        Self::Repairs,
        Self::Sweeps,
        Self::Garbage,
        Self::Users,
        Self::Usernames,
        Self::Tokens,
        Self::Grants,
        Self::GrantsByFile,
        Self::Locks,
        Self::LocksByOwner,
        Self::Operations,
        Self::Expiries,
        Self::Policy,
        Self::Meta,
        Self::Holds,
    ];

    /// The column family's name on disk. Never changes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Entries => "entries",
            Self::Names => "names",
            Self::Placements => "placements",
            Self::Servers => "servers",
            Self::Ring => "ring",
            Self::Repairs => "repairs",
            Self::Sweeps => "sweeps",
            Self::Garbage => "garbage",
            Self::Users => "users",
            Self::Usernames => "usernames",
            Self::Tokens => "tokens",
            Self::Grants => "grants",
            Self::GrantsByFile => "grants_by_file",
            Self::Locks => "locks",
            Self::LocksByOwner => "locks_by_owner",
            Self::Operations => "operations",
            Self::Expiries => "expiries",
            Self::Policy => "policy",
            Self::Meta => "meta",
            Self::Holds => "holds",
        }
    }

    /// The table of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
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
