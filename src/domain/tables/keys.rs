//! The layout of the keys. Integers are big-endian, so that the order of the bytes is the order of the numbers and
//! every range that is asked for is one stretch of its table.
//!
//! Parts before the last have a fixed length, so no separator is needed and none can be forged by a name: in
//! `parent/name` as text the children of `1` and of `10` would mingle, and a name could reach into another directory.

use crate::domain::rows::SweepKind;
use crate::domain::{
    BlobId, ClusterTime, ContentId, CopyId, ExtentAt, Fault, Fence, FileId, HoldId, ServerId, ServerUuid, Sha256,
    Table, UserId, Version,
};

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
    /// The last key of `Expiries` that was worked off, of each class.
    pub(crate) const LOCKS_EXPIRED_THROUGH: &[u8] = b"expired_through.locks";
    pub(crate) const HOLDS_EXPIRED_THROUGH: &[u8] = b"expired_through.holds";
    pub(crate) const SESSIONS_EXPIRED_THROUGH: &[u8] = b"expired_through.sessions";
    pub(crate) const OPERATIONS_EXPIRED_THROUGH: &[u8] = b"expired_through.operations";
    pub(crate) const GARBAGE_EXPIRED_THROUGH: &[u8] = b"expired_through.garbage";
    pub(crate) const VERSIONS_EXPIRED_THROUGH: &[u8] = b"expired_through.versions";
    pub(crate) const TRASH_EXPIRED_THROUGH: &[u8] = b"expired_through.trash";
    pub(crate) const UPLOADS_EXPIRED_THROUGH: &[u8] = b"expired_through.uploads";
    pub(crate) const PINS_EXPIRED_THROUGH: &[u8] = b"expired_through.pins";
    pub(crate) const INVITES_EXPIRED_THROUGH: &[u8] = b"expired_through.invites";
    /// Where the audit stands.
    pub(crate) const AUDIT: &[u8] = b"audit";
    /// Raised whenever copies may have stopped counting.
    pub(crate) const LOSSES: &[u8] = b"losses";
    /// The key of `Names` below which everything in the trash was worked off.
    pub(crate) const REAPED_THROUGH: &[u8] = b"reaped_through";
    /// The key of `Dead` before which there is nothing.
    pub(crate) const DEAD_FROM: &[u8] = b"dead_from";
    /// Since when the newest repair that was ever owed has been.
    pub(crate) const NEWEST_REPAIR: &[u8] = b"newest_repair";
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

/// The name of an entry that is being removed: unique, because an id goes there once.
pub(crate) fn doomed_name(id: FileId) -> String {
    format!("{:016x}", id.0)
}

/// The name of an entry in the bin: when it was deleted, and its id.
pub(crate) fn binned_name(deleted_at: ClusterTime, id: FileId) -> String {
    format!("{:016x}{:016x}", deleted_at.0, id.0)
}

/// When an entry of that name in the bin was deleted; nothing where no entry there is called so.
pub(crate) fn read_binned_name(name: &str, id: FileId) -> Option<ClusterTime> {
    let deleted_at = ClusterTime(u64::from_str_radix(name.get(..16)?, 16).ok()?);
    (binned_name(deleted_at, id) == name).then_some(deleted_at)
}

/// `Contents`: content (16).
pub(crate) fn content(id: ContentId) -> [u8; 16] {
    id.0.to_be_bytes()
}

pub(crate) fn read_content(key: &[u8]) -> Result<ContentId, Fault> {
    key.try_into().map(|id| ContentId(u128::from_be_bytes(id))).map_err(|_| bad(Table::Contents))
}

/// `Extents` and `Pieces`: content (16), offset (8): a content's are one stretch, in the order of its bytes.
pub(crate) fn extent(at: ExtentAt) -> Vec<u8> {
    [&content(at.content_id)[..], &at.offset.to_be_bytes()].concat()
}

pub(crate) fn read_extent(key: &[u8], table: Table) -> Result<ExtentAt, Fault> {
    let (id, offset) = key.split_first_chunk::<16>().ok_or_else(|| bad(table))?;
    Ok(ExtentAt { content_id: ContentId(u128::from_be_bytes(*id)), offset: read_u64(offset, table)? })
}

/// `MemberKeys`: UUID (16).
pub(crate) fn member_key(uuid: ServerUuid) -> [u8; 16] {
    uuid.0.to_be_bytes()
}

pub(crate) fn read_member_key(key: &[u8]) -> Result<ServerUuid, Fault> {
    key.try_into().map(u128::from_be_bytes).map(ServerUuid).map_err(|_| bad(Table::MemberKeys))
}

/// `Parts`: upload (16), number (4): an upload's parts are one stretch, in the order of their numbers.
pub(crate) fn part(upload: ContentId, number: u32) -> Vec<u8> {
    [&content(upload)[..], &number.to_be_bytes()].concat()
}

pub(crate) fn read_part(key: &[u8]) -> Result<(ContentId, u32), Fault> {
    let (id, number) = key.split_first_chunk::<16>().ok_or_else(|| bad(Table::Parts))?;
    let number = number.try_into().map(u32::from_be_bytes).map_err(|_| bad(Table::Parts))?;
    Ok((ContentId(u128::from_be_bytes(*id)), number))
}

/// `Dead`: due when (8), content (16).
pub(crate) fn dead(due: ClusterTime, id: ContentId) -> Vec<u8> {
    [&due.0.to_be_bytes()[..], &content(id)].concat()
}

pub(crate) fn read_dead(key: &[u8]) -> Result<(ClusterTime, ContentId), Fault> {
    let (due, id) = split_u64(key, Table::Dead)?;
    Ok((ClusterTime(due), read_content(id)?))
}

/// `Uploads`: user (8), content (16): what one user is sending is one stretch.
pub(crate) fn upload(user: UserId, id: ContentId) -> Vec<u8> {
    [&user.0.to_be_bytes()[..], &content(id)].concat()
}

pub(crate) fn read_upload(key: &[u8], table: Table) -> Result<(UserId, ContentId), Fault> {
    let (user, id) = split_u64(key, table)?;
    let id = id.try_into().map(u128::from_be_bytes).map_err(|_| bad(table))?;
    Ok((UserId(user), ContentId(id)))
}

/// `Pins`: content (16), user (8).
pub(crate) fn pin(id: ContentId, user: UserId) -> Vec<u8> {
    [&content(id)[..], &user.0.to_be_bytes()].concat()
}

pub(crate) fn read_pin(key: &[u8], table: Table) -> Result<(ContentId, UserId), Fault> {
    let (id, user) = key.split_first_chunk::<16>().ok_or_else(|| bad(table))?;
    Ok((ContentId(u128::from_be_bytes(*id)), UserId(read_u64(user, table)?)))
}

/// `Versions`: file (8), version (8) from the highest down, since the newest are asked for first.
pub(crate) fn version(file: FileId, version: Version) -> [u8; 16] {
    pair(file.0, u64::MAX - version.0)
}

pub(crate) fn read_version(key: &[u8]) -> Result<(FileId, Version), Fault> {
    let (file, version) = read_pair(key, Table::Versions)?;
    Ok((FileId(file), Version(u64::MAX - version)))
}

/// `Properties`: file (8), name.
pub(crate) fn property(file: FileId, name: &str) -> Vec<u8> {
    [&entry(file)[..], name.as_bytes()].concat()
}

pub(crate) fn read_property(key: &[u8]) -> Result<(FileId, String), Fault> {
    let (file, name) = split_u64(key, Table::Properties)?;
    let name = String::from_utf8(name.to_vec()).map_err(|_| bad(Table::Properties))?;
    Ok((FileId(file), name))
}

/// `Trash`: owner (8), deleted when (8), file (8).
pub(crate) fn trashed(owner: UserId, deleted_at: ClusterTime, file: FileId) -> Vec<u8> {
    [owner.0.to_be_bytes(), deleted_at.0.to_be_bytes(), file.0.to_be_bytes()].concat()
}

pub(crate) fn read_trashed(key: &[u8]) -> Result<(UserId, ClusterTime, FileId), Fault> {
    let (owner, rest) = split_u64(key, Table::Trash)?;
    let (deleted_at, file) = read_pair(rest, Table::Trash)?;
    Ok((UserId(owner), ClusterTime(deleted_at), FileId(file)))
}

fn pair(first: u64, second: u64) -> [u8; 16] {
    (u128::from(first) << 64 | u128::from(second)).to_be_bytes()
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

/// `Audit`: number (8).
pub(crate) fn audit(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// `Sessions`: user (8), SHA-256 of the token (32): what one user has open is one stretch.
pub(crate) fn session(user: UserId, hash: &Sha256) -> Vec<u8> {
    [&user.0.to_be_bytes()[..], &hash.0].concat()
}

pub(crate) fn read_session(key: &[u8]) -> Result<(UserId, Sha256), Fault> {
    let (user, hash) = split_u64(key, Table::Sessions)?;
    Ok((UserId(user), read_digest(hash, Table::Sessions)?))
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

/// `LocksByTree`: user (8), file (8): who deletes a directory looks for locks in the tree, not below the directory.
pub(crate) fn lock_by_tree(tree: UserId, file: FileId) -> [u8; 16] {
    pair(tree.0, file.0)
}

/// `Operations`: user (8), operation id.
pub(crate) fn operation(user: UserId, id: &str) -> Vec<u8> {
    [&user.0.to_be_bytes()[..], id.as_bytes()].concat()
}

/// `Repairs`: priority (1), content (16), offset (8). The priority is the number of copies that there are, so that what
/// is nearest to being lost comes first.
pub(crate) fn repair(copies: u8, at: ExtentAt) -> Vec<u8> {
    [&[copies][..], &extent(at)].concat()
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

pub(crate) fn read_digest(key: &[u8], table: Table) -> Result<Sha256, Fault> {
    key.try_into().map(Sha256).map_err(|_| bad(table))
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
    Version(FileId, Version),
    Trash(UserId, ClusterTime, FileId),
    Upload(UserId, ContentId),
    Pin(ContentId, UserId),
    Invite(Sha256),
}

pub(crate) fn hold(id: HoldId) -> [u8; 16] {
    id.0.to_be_bytes()
}

/// A class of endings. Each has a stretch of `Expiries` of its own, so that a million remembered operations which are due
/// keep no lock waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Locks,
    Holds,
    Sessions,
    Operations,
    Garbage,
    Versions,
    Trash,
    Uploads,
    Pins,
    Invites,
}

impl Class {
    /// The most urgent first: somebody waits for a lock's end, and for a hold's.
    pub(crate) const ALL: [Self; 10] = [
        Self::Locks,
        Self::Holds,
        Self::Pins,
        Self::Sessions,
        Self::Invites,
        Self::Operations,
        Self::Garbage,
        Self::Versions,
        Self::Trash,
        Self::Uploads,
    ];

    const fn tag(self) -> u8 {
        match self {
            Self::Locks => 1,
            Self::Holds => 2,
            Self::Sessions => 3,
            Self::Operations => 4,
            Self::Garbage => 5,
            Self::Versions => 6,
            Self::Trash => 7,
            Self::Uploads => 8,
            Self::Pins => 9,
            Self::Invites => 20,
        }
    }

    /// The row of `Meta` that holds how far it was worked off.
    pub(crate) const fn mark(self) -> &'static [u8] {
        match self {
            Self::Locks => meta::LOCKS_EXPIRED_THROUGH,
            Self::Holds => meta::HOLDS_EXPIRED_THROUGH,
            Self::Sessions => meta::SESSIONS_EXPIRED_THROUGH,
            Self::Operations => meta::OPERATIONS_EXPIRED_THROUGH,
            Self::Garbage => meta::GARBAGE_EXPIRED_THROUGH,
            Self::Versions => meta::VERSIONS_EXPIRED_THROUGH,
            Self::Trash => meta::TRASH_EXPIRED_THROUGH,
            Self::Uploads => meta::UPLOADS_EXPIRED_THROUGH,
            Self::Pins => meta::PINS_EXPIRED_THROUGH,
            Self::Invites => meta::INVITES_EXPIRED_THROUGH,
        }
    }
}

impl Ending {
    pub(crate) const fn class(&self) -> Class {
        match self {
            Self::Lock(_) => Class::Locks,
            Self::Hold(_) => Class::Holds,
            Self::Session(_) => Class::Sessions,
            Self::Operation(..) => Class::Operations,
            Self::Garbage(..) => Class::Garbage,
            Self::Version(..) => Class::Versions,
            Self::Trash(..) => Class::Trash,
            Self::Upload(..) => Class::Uploads,
            Self::Pin(..) => Class::Pins,
            Self::Invite(_) => Class::Invites,
        }
    }
}

/// `Expiries`: class (1), time (8), key. What is due of one class is one stretch. With the time first all classes would
/// be one queue, and a lock would end behind whatever else had run out before it.
pub(crate) fn expiry(at: ClusterTime, ending: &Ending) -> Vec<u8> {
    let key = match ending {
        Ending::Lock(file) => lock(*file).to_vec(),
        Ending::Session(hash) | Ending::Invite(hash) => hash.0.to_vec(),
        Ending::Operation(user, id) => operation(*user, id),
        Ending::Garbage(server, blob, copy) => garbage(*server, *blob, *copy),
        Ending::Hold(id) => hold(*id).to_vec(),
        Ending::Version(file, at) => version(*file, *at).to_vec(),
        Ending::Trash(owner, deleted_at, file) => trashed(*owner, *deleted_at, *file),
        Ending::Upload(user, id) => upload(*user, *id),
        Ending::Pin(id, user) => pin(*id, *user),
    };
    [&expiries(ending.class(), at)[..], &key].concat()
}

/// Where the endings of a class at a time begin.
pub(crate) fn expiries(class: Class, at: ClusterTime) -> [u8; 9] {
    let mut key = [class.tag(); 9];
    key[1..].copy_from_slice(&at.0.to_be_bytes());
    key
}

/// Where those behind the class begin.
pub(crate) const fn expiries_end(class: Class) -> [u8; 1] {
    [class.tag() + 1]
}

pub(crate) fn read_expiry(key: &[u8]) -> Result<(ClusterTime, Ending), Fault> {
    let fault = || bad(Table::Expiries);
    let (tag, rest) = key.split_first().ok_or_else(fault)?;
    let class = Class::ALL.into_iter().find(|class| class.tag() == *tag).ok_or_else(fault)?;
    let (at, rest) = split_u64(rest, Table::Expiries)?;
    let ending = match class {
        Class::Locks => Ending::Lock(FileId(read_u64(rest, Table::Expiries)?)),
        Class::Holds => Ending::Hold(HoldId(rest.try_into().map(u128::from_be_bytes).map_err(|_| fault())?)),
        Class::Sessions => Ending::Session(read_digest(rest, Table::Expiries)?),
        Class::Invites => Ending::Invite(read_digest(rest, Table::Expiries)?),
        Class::Operations => {
            let (user, id) = split_u64(rest, Table::Expiries)?;
            Ending::Operation(UserId(user), String::from_utf8(id.to_vec()).map_err(|_| fault())?)
        }
        Class::Garbage => {
            let (server, blob, copy) = read_garbage(rest)?;
            Ending::Garbage(server, blob, copy)
        }
        Class::Versions => {
            let (file, version) = read_version(rest)?;
            Ending::Version(file, version)
        }
        Class::Trash => {
            let (owner, deleted_at, file) = read_trashed(rest)?;
            Ending::Trash(owner, deleted_at, file)
        }
        Class::Uploads => {
            let (user, id) = read_upload(rest, Table::Expiries)?;
            Ending::Upload(user, id)
        }
        Class::Pins => {
            let (id, user) = read_pin(rest, Table::Expiries)?;
            Ending::Pin(id, user)
        }
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
