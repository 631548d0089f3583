//! The layout of the keys. Integers are big-endian, so that the order of the bytes is the order of the numbers and
//! every range that is asked for is one stretch of its table.
//!
//! Parts before the last have a fixed length, so no separator is needed and none can be forged by a name: in
//! `parent/name` as text the children of `1` and of `10` would mingle, and a name could reach into another directory.

use crate::domain::rows::SweepKind;
use crate::domain::{BlobId, ClusterTime, CopyId, Fault, Fence, FileId, HoldId, ServerId, Sha256, Table, UserId};

/// The only row of a table that has one.
pub(crate) const ONLY: &[u8] = b"only";

/// Rows of `Meta`. Keys that start with `raft.` are `consensus`'s.
pub(crate) mod meta {
    pub(crate) const CLUSTER: &[u8] = b"cluster";
    pub(crate) const CLUSTER_TIME: &[u8] = b"cluster_time";
    pub(crate) const SCHEMA: &[u8] = b"schema_version";
    pub(crate) const NEXT_FILE_ID: &[u8] = b"next_file_id";
    pub(crate) const NEXT_USER_ID: &[u8] = b"next_user_id";
    pub(crate) const NEXT_SERVER_ID: &[u8] = b"next_server_id";
    /// The last fence that was given.
    pub(crate) const FENCE: &[u8] = b"fence";
    /// The last key of `Expiries` that was worked off.
    pub(crate) const EXPIRED_THROUGH: &[u8] = b"expired_through";
    /// The key of `Names` below which everything in the trash was worked off.
    pub(crate) const REAPED_THROUGH: &[u8] = b"reaped_through";
    /// How many file servers can take new files.
    pub(crate) const ELIGIBLE: &[u8] = b"eligible_servers";
    /// What the cluster was, or is being, restored from.
    pub(crate) const RESTORE: &[u8] = b"restore";
}

pub(crate) fn entry(id: FileId) -> [u8; 8] {
    id.0.to_be_bytes()
}

/// `Names`: parent (8), name. All children of a directory are one stretch, in the order of their names' bytes.
pub(crate) fn name(parent: FileId, name: &str) -> Vec<u8> {
    [&parent.0.to_be_bytes()[..], name.as_bytes()].concat()
}

/// The name that an entry has in the trash: unique, because an id goes there once.
pub(crate) fn trash_name(id: FileId) -> String {
    format!("{:016x}", id.0)
}

pub(crate) fn read_name(key: &[u8]) -> Result<(FileId, String), Fault> {
    let (parent, name) = split_u64(key, Table::Names)?;
    let name = String::from_utf8(name.to_vec()).map_err(|_| bad(Table::Names))?;
    Ok((FileId(parent), name))
}

/// `Placements`: server (8), blob (16). By server first, because a sweep works through one server at a time.
pub(crate) fn placement(server: ServerId, blob: BlobId) -> Vec<u8> {
    [&server.0.to_be_bytes()[..], &blob.0.to_be_bytes()].concat()
}

pub(crate) fn read_placement(key: &[u8]) -> Result<(ServerId, BlobId), Fault> {
    let (server, blob) = split_u64(key, Table::Placements)?;
    let blob = blob.try_into().map(u128::from_be_bytes).map_err(|_| bad(Table::Placements))?;
    Ok((ServerId(server), BlobId(blob)))
}

/// `Garbage`: server (8), blob (16), copy (16).
pub(crate) fn garbage(server: ServerId, blob: BlobId, copy: CopyId) -> Vec<u8> {
    [&server.0.to_be_bytes()[..], &blob.0.to_be_bytes(), &copy.0.to_be_bytes()].concat()
}

pub(crate) fn read_garbage(key: &[u8]) -> Result<(ServerId, BlobId, CopyId), Fault> {
    let (server, rest) = split_u64(key, Table::Garbage)?;
    let (blob, copy) = rest.split_at_checked(16).ok_or_else(|| bad(Table::Garbage))?;
    let blob = blob.try_into().map(u128::from_be_bytes).map_err(|_| bad(Table::Garbage))?;
    let copy = copy.try_into().map(u128::from_be_bytes).map_err(|_| bad(Table::Garbage))?;
    Ok((ServerId(server), BlobId(blob), CopyId(copy)))
}

pub(crate) fn server(id: ServerId) -> [u8; 8] {
    id.0.to_be_bytes()
}

pub(crate) fn user(id: UserId) -> [u8; 8] {
    id.0.to_be_bytes()
}

/// `Grants`: user (8), file (8): what one user was given is one stretch.
pub(crate) fn grant(user: UserId, file: FileId) -> Vec<u8> {
    [user.0.to_be_bytes(), file.0.to_be_bytes()].concat()
}

/// `GrantsByFile`: file (8), user (8): who must lose a grant when an entry goes.
pub(crate) fn grant_by_file(file: FileId, user: UserId) -> Vec<u8> {
    [file.0.to_be_bytes(), user.0.to_be_bytes()].concat()
}

pub(crate) fn lock(file: FileId) -> [u8; 8] {
    file.0.to_be_bytes()
}

/// `LocksByOwner`: user (8), fence (8): a lock token names its fence, not its file.
pub(crate) fn lock_by_owner(user: UserId, fence: Fence) -> Vec<u8> {
    [user.0.to_be_bytes(), fence.0.to_be_bytes()].concat()
}

/// `Operations`: user (8), operation id.
pub(crate) fn operation(user: UserId, id: &str) -> Vec<u8> {
    [&user.0.to_be_bytes()[..], id.as_bytes()].concat()
}

/// `Repairs`: priority (1), file (8). The priority is the number of copies that there are, so that the file that is
/// nearest to being lost comes first.
pub(crate) fn repair(copies: u8, file: FileId) -> Vec<u8> {
    [&[copies][..], &file.0.to_be_bytes()].concat()
}

/// `Sweeps`: kind (1).
pub(crate) const fn sweep(kind: SweepKind) -> [u8; 1] {
    match kind {
        SweepKind::Copies => [1],
        SweepKind::Balance => [2],
    }
}

/// Both parts of a key of two numbers.
pub(crate) fn read_pair(key: &[u8], table: Table) -> Result<(u64, u64), Fault> {
    let (first, rest) = split_u64(key, table)?;
    Ok((first, read_u64(rest, table)?))
}

pub(crate) fn read_u64(key: &[u8], table: Table) -> Result<u64, Fault> {
    key.try_into().map(u64::from_be_bytes).map_err(|_| bad(table))
}

/// What ends at a time, with the key of its row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ending {
    Lock(FileId),
    Session(Sha256),
    Operation(UserId, String),
    Garbage(ServerId, BlobId, CopyId),
    Hold(HoldId),
}

pub(crate) fn hold(id: HoldId) -> [u8; 16] {
    id.0.to_be_bytes()
}

/// `Expiries`: time (8), table (1), key. By time first: what is due is one stretch, whatever it is.
pub(crate) fn expiry(at: ClusterTime, ending: &Ending) -> Vec<u8> {
    let (tag, key) = match ending {
        Ending::Lock(file) => (1, lock(*file).to_vec()),
        Ending::Session(token) => (2, token.0.to_vec()),
        Ending::Operation(user, id) => (3, operation(*user, id)),
        Ending::Garbage(server, blob, copy) => (4, garbage(*server, *blob, *copy)),
        Ending::Hold(id) => (10, hold(*id).to_vec()),
    };
    [&at.0.to_be_bytes()[..], &[tag], &key].concat()
}

pub(crate) fn read_expiry(key: &[u8]) -> Result<(ClusterTime, Ending), Fault> {
    let fault = || bad(Table::Expiries);
    let (at, rest) = split_u64(key, Table::Expiries)?;
    let ending = match rest.split_first().ok_or_else(fault)? {
        (1, file) => Ending::Lock(FileId(read_u64(file, Table::Expiries)?)),
        (2, token) => Ending::Session(Sha256(token.try_into().map_err(|_| fault())?)),
        (3, operation) => {
            let (user, id) = split_u64(operation, Table::Expiries)?;
            Ending::Operation(UserId(user), String::from_utf8(id.to_vec()).map_err(|_| fault())?)
        }
        (4, copy) => {
            let (server, blob, copy) = read_garbage(copy)?;
            Ending::Garbage(server, blob, copy)
        }
        (10, id) => Ending::Hold(HoldId(id.try_into().map(u128::from_be_bytes).map_err(|_| fault())?)),
        _ => return Err(fault()),
    };
    Ok((ClusterTime(at), ending))
}

/// The first key above all that start with `prefix`; nothing where there is none.
pub(crate) fn end_of(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// The least key above `key`.
pub(crate) fn after(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

fn split_u64(key: &[u8], table: Table) -> Result<(u64, &[u8]), Fault> {
    let (number, rest) = key.split_first_chunk::<8>().ok_or_else(|| bad(table))?;
    Ok((u64::from_be_bytes(*number), rest))
}

fn bad(table: Table) -> Fault {
    Fault(format!("a key of the table {} is damaged", table.name()))
}
