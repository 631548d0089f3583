//! Which rows of a backup's index a restore takes over, and what it makes of them.
//!
//! An index holds every row, as a node had them. What belongs to the old cluster alone is left out: its name and id, its
//! servers with the ring, where copies are and which are to go, what is owed, its clock and what ends by it. Logins
//! and locks are among those, since their time is the old cluster's, and whoever holds one must find out that the
//! cluster is another; so are remembered operations, which tell of changes that the backup may not have.
//!
//! A row is judged as strictly as a user's request: a folder on a disk is nobody's word, and what gets in here is applied
//! by all members.

use super::ids::MAX_ID;
use super::path::{self, MAX_COMPONENTS, MAX_PATH_BYTES};
use super::record::Record;
use super::rows::{
    BIN, Content, ContentState, DOOMED, Entry, EntryKind, Extent, FIRST_FILE_ID, File, FileVersion, GrantRow, Layout,
    NO_PARENT, Number, OldVersion, PropertyRow, Retention, Span, Trashed, Usage, User,
};
use super::stop::{Stop, reject};
use super::tables::{self, keys};
use super::terms::Policy;
use super::{
    BlobId, ClusterTime, ContentId, Fault, FileId, Permission, ReadStore, RejectionKind, Sha256, Table, UserId, rules,
};

/// Ids and fences go on this far above where the backup has them: the old cluster gave some after the backup, and one
/// that comes again would make a late lock holder, or an etag, mean something else. Five days of a cluster that does
/// nothing but give ten thousand a second; two million restores in a row fit below what JSON numbers hold.
pub const GAP: u64 = 1 << 32;

/// What everybody is told until a restore has ended.
pub const RESTORING: &str =
    "the cluster is being restored from a backup and serves nobody yet: try again when `ringmaster restore` has ended";

/// The longest time that something of a backup can have left: ten years.
pub(crate) const MAX_LEFT_MS: u64 = 10 * 365 * 24 * 60 * 60 * 1000;

/// What a row of an index is to a restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Given again with its bytes, which are stored anew, and before whatever names it.
    Content(ContentId, Box<Content>),
    Entry(Box<Entry>),
    /// After its entry, as is what is in the trash.
    Version(FileId, Box<OldVersion>),
    Trash((UserId, ClusterTime, FileId), Box<Trashed>),
    /// The bounds alone: the sums follow.
    Usage(UserId, Usage),
    /// After its entry.
    Property(FileId, String, String),
    /// After its directory.
    Retention(FileId, Retention),
    User(User),
    Grant(UserId, FileId, Permission),
    Policy(Policy),
    NextFileId(u64),
    NextUserId(u64),
    Fence(u64),
    /// It is left out, or follows from the others.
    Left,
}

/// # Errors
/// When the row cannot be read.
pub fn piece(table: Table, key: &[u8], value: &[u8]) -> Result<Piece, Fault> {
    let number = || Ok::<_, Fault>(Number::from_bytes(value)?.0);
    Ok(match table {
        Table::Entries => {
            let entry = Box::new(Entry::from_bytes(value)?);
            if key != keys::entry(entry.file_id) {
                return Err(Fault(format!("entry {} is stored under another id", entry.file_id)));
            }
            Piece::Entry(entry)
        }
        Table::Contents => Piece::Content(keys::read_content(key)?, Box::new(Content::from_bytes(value)?)),
        Table::Versions => {
            let (file, version) = keys::read_version(key)?;
            let old = Box::new(OldVersion::from_bytes(value)?);
            if old.file.version != version {
                return Err(Fault(format!("version {version} of file {file} says that it is another")));
            }
            Piece::Version(file, old)
        }
        Table::Trash => Piece::Trash(keys::read_trashed(key)?, Box::new(Trashed::from_bytes(value)?)),
        Table::Usage => Piece::Usage(UserId(keys::read_u64(key, table)?), Usage::from_bytes(value)?),
        Table::Properties => {
            let (file, name) = keys::read_property(key)?;
            Piece::Property(file, name, PropertyRow::from_bytes(value)?.0)
        }
        Table::Retention => Piece::Retention(FileId(keys::read_u64(key, table)?), Retention::from_bytes(value)?),
        Table::Users => {
            let user = User::from_bytes(value)?;
            if key != keys::user(user.user_id) {
                return Err(Fault(format!("account {} is stored under another id", user.user_id)));
            }
            Piece::User(user)
        }
        Table::Grants => {
            let (user, file) = keys::read_pair(key, Table::Grants)?;
            Piece::Grant(UserId(user), FileId(file), GrantRow::from_bytes(value)?.0)
        }
        Table::Policy => Piece::Policy(Policy::from_bytes(value)?),
        Table::Meta if key == keys::meta::NEXT_FILE_ID => Piece::NextFileId(number()?),
        Table::Meta if key == keys::meta::NEXT_USER_ID => Piece::NextUserId(number()?),
        Table::Meta if key == keys::meta::FENCE => Piece::Fence(number()?),
        _ => Piece::Left,
    })
}

/// Says which extents belong to a backup: those of contents that something names, and of their pieces. What is still being
/// sent does not, nor what is dead and waits to be reaped.
#[derive(Clone, Copy, Debug, Default)]
pub struct BackedUp {
    last: Option<(ContentId, Option<ContentId>)>,
}

impl BackedUp {
    /// The extent that a row has, with the id of its content, or of the content of pieces that it is in.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub fn extent(
        &mut self,
        store: &dyn ReadStore,
        table: Table,
        key: &[u8],
        value: &[u8],
    ) -> Result<Option<(ContentId, Extent)>, Fault> {
        match table {
            Table::Contents => {
                let content = Content::from_bytes(value)?;
                let kept = matches!(content.layout, Layout::One(_)) && tables::is_kept(store, &content)?;
                match content.layout {
                    Layout::One(extent) if kept => {
                        Ok(Some((content.part_of.map_or_else(|| keys::read_content(key), Ok)?, extent)))
                    }
                    _ => Ok(None),
                }
            }
            Table::Extents => {
                let id = keys::read_extent(key, table)?.content_id;
                let whole = match self.last {
                    Some((last, whole)) if last == id => whole,
                    _ => match tables::content(store, id)? {
                        Some(content) if tables::is_kept(store, &content)? => Some(content.part_of.unwrap_or(id)),
                        _ => None,
                    },
                };
                self.last = Some((id, whole));
                whole.map(|whole| Ok((whole, Extent::from_bytes(value)?))).transpose()
            }
            _ => Ok(None),
        }
    }
}

/// Whether a content is one of those that a backup has, by its row. One that is a piece is in another.
///
/// # Errors
/// When a row cannot be read.
pub fn is_backed_up(store: &dyn ReadStore, value: &[u8]) -> Result<bool, Fault> {
    let content = Content::from_bytes(value)?;
    Ok(content.part_of.is_none() && tables::is_kept(store, &content)?)
}

/// The blobs of a content, in the order of its bytes, by its row; nothing where it does not belong to a backup.
///
/// # Errors
/// When a row cannot be read.
pub fn blobs(store: &dyn ReadStore, key: &[u8], value: &[u8]) -> Result<Option<(ContentId, Vec<BlobId>)>, Fault> {
    let id = keys::read_content(key)?;
    let content = Content::from_bytes(value)?;
    if content.part_of.is_some() || !tables::is_kept(store, &content)? {
        return Ok(None);
    }
    let mut blobs = Vec::new();
    list_blobs(store, id, content.layout, &mut blobs)?;
    Ok(Some((id, blobs)))
}

fn list_blobs(store: &dyn ReadStore, id: ContentId, layout: Layout, blobs: &mut Vec<BlobId>) -> Result<(), Fault> {
    let mut from = 0;
    match layout {
        Layout::One(extent) => blobs.push(extent.blob_id),
        Layout::Many(_) => loop {
            let page = tables::extents_of(store, id, from, 1000)?;
            let Some((last, _)) = page.last() else { break };
            from = last.offset.saturating_add(1);
            blobs.extend(page.iter().map(|(_, extent)| extent.blob_id));
        },
        Layout::Pieces(_) => loop {
            let page = tables::pieces_of(store, id, from, 1000)?;
            let Some((last, _)) = page.last() else { break };
            from = last.offset.saturating_add(1);
            for (_, piece) in &page {
                match tables::content(store, piece.content_id)?.map(|content| content.layout) {
                    // None is made of pieces itself.
                    None | Some(Layout::Pieces(_)) => {}
                    Some(layout) => list_blobs(store, piece.content_id, layout, blobs)?,
                }
            }
        },
    }
    Ok(())
}

/// The size and the digest of a content, by its row.
///
/// # Errors
/// When the row cannot be read.
pub fn content(value: &[u8]) -> Result<(u64, Option<Sha256>), Fault> {
    let content = Content::from_bytes(value)?;
    Ok((content.size(), content.sha256()))
}

/// A row that cannot be read is the sender's fault here, and must not stop the node.
pub(crate) fn unreadable(fault: Fault) -> Stop {
    unfit(&format!("a row cannot be read ({})", fault.0))
}

pub(crate) fn unfit(what: &str) -> Stop {
    reject(RejectionKind::InvalidRequest, format!("{what}: verify the backup"))
}

fn fit(holds: bool, what: &str) -> Result<(), Stop> {
    if holds { Ok(()) } else { Err(unfit(what)) }
}

/// Where a counter of the backup goes on.
pub(crate) fn beyond(number: u64) -> Result<u64, Stop> {
    fit(number <= MAX_ID, "a counter is beyond all that a cluster can have counted")?;
    Ok(number.saturating_add(GAP))
}

pub(crate) fn check_user(user: &User) -> Result<(), Stop> {
    rules::check_username(&user.username)?;
    rules::check_password_hash(&user.password_hash)?;
    fit((1..=MAX_ID).contains(&user.user_id.0), "an account has no valid id")?;
    fit(is_file_id(user.root), "an account's root has no valid id")
}

/// What can be told from the row alone.
pub(crate) fn check_entry(entry: &Entry) -> Result<(), Stop> {
    fit(is_file_id(entry.file_id), "an entry has no valid id")?;
    fit((1..=MAX_ID).contains(&entry.owner.0), "an entry's owner has no valid id")?;
    let named = match entry.parent {
        NO_PARENT => entry.name.is_empty() && entry.is_directory(),
        DOOMED => entry.name == keys::doomed_name(entry.file_id),
        BIN => keys::read_binned_name(&entry.name, entry.file_id).is_some(),
        parent => is_file_id(parent) && parent != entry.file_id && path::is_component(&entry.name),
    };
    fit(named, "an entry has no valid place or name")?;
    match &entry.kind {
        EntryKind::Directory(span) => check_span(*span),
        EntryKind::File(file) => {
            let counted = (1..=MAX_ID).contains(&file.current.version.0) && file.last_fence.0 <= MAX_ID;
            fit(counted, "a file has counted further than a cluster can")?;
            rules::check_content_type(&file.current.content_type)
        }
    }
}

fn check_span(span: Span) -> Result<(), Stop> {
    let bounded = span.components as usize <= MAX_COMPONENTS && span.bytes as usize <= MAX_PATH_BYTES;
    fit(bounded, "a directory reaches deeper than paths may")
}

pub(crate) fn check_grant(user: UserId, file: FileId) -> Result<(), Stop> {
    fit((1..=MAX_ID).contains(&user.0) && is_file_id(file), "a grant names no valid account or file")
}

/// Nothing but an account's own root is its root: whoever came in elsewhere could change what others hold, or what is
/// being removed.
pub(crate) fn check_root(user: &User, root: Option<&Entry>) -> Result<(), Stop> {
    let holds = root.is_some_and(|root| root.is_directory() && root.parent == NO_PARENT && root.owner == user.user_id);
    fit(holds, "an account has no root of its own")
}

/// What is told by the entry that an entry is in, where that has come.
pub(crate) fn check_parent(entry: &Entry, parent: &Entry) -> Result<(), Stop> {
    fit(parent.is_directory() && parent.owner == entry.owner, "an entry is in a file, or in somebody else's tree")
}

/// What can be told of a content from its row alone.
pub(crate) fn check_content(content: &Content) -> Result<(), Stop> {
    let whole = content.state == ContentState::Sealed && content.part_of.is_none();
    fit(whole, "a content is dead, was never whole, or is a part of another")
}

/// Whether a version is what its content is.
pub(crate) fn check_named(file: &FileVersion, content: &Content) -> Result<(), Stop> {
    let same = file.size == content.size() && (file.sha256.is_none() || file.sha256 == content.sha256());
    fit(same, "a file and its content are not of one size and digest")
}

pub(crate) fn check_version(old: &OldVersion, file: &File) -> Result<(), Stop> {
    let older = (1..file.current.version.0).contains(&old.file.version.0);
    fit(older, "an old version is no older than its file")?;
    rules::check_content_type(&old.file.content_type)
}

/// Whether a row may be the directory's own.
pub(crate) fn check_retention(row: &Retention, entry: Option<&Entry>) -> Result<(), Stop> {
    let directory = entry.is_some_and(|entry| entry.is_directory() && entry.owner == row.owner);
    fit(directory && !row.is_empty(), "a retention is of no directory of its owner, or says nothing")?;
    rules::check_retention(row)
}

fn is_file_id(id: FileId) -> bool {
    (FIRST_FILE_ID..=MAX_ID).contains(&id.0)
}
