//! Uploads under way, and the extents of what is read.

use super::cursor::{Cursor, Paged};
use super::{Asked, MAX_PAGE};
use crate::domain::answer::Stat;
use crate::domain::rows::{ContentState, Extent, Layout, Upload};
use crate::domain::rules::{self, Describer};
use crate::domain::stop::{Stop, reject, settle};
use crate::domain::tables;
use crate::domain::terms::FileRef;
use crate::domain::{ContentId, ExtentAt, Fault, ReadStore, RejectionKind, ServerId, UserId};

/// An upload as whoever sends it sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadStat {
    pub upload_id: ContentId,
    pub upload: Upload,
    /// How many bytes its extents, or its parts, have.
    pub size: u64,
    pub extents: u64,
}

impl UploadStat {
    /// The next byte to be sent.
    pub fn offset(&self) -> u64 {
        self.size.saturating_add(self.upload.tail.len() as u64)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadPage {
    pub uploads: Vec<UploadStat>,
    pub next: Option<String>,
}

/// # Errors
/// When the storage fails.
pub fn upload(store: &dyn ReadStore, user: UserId, id: ContentId) -> Asked<UploadStat> {
    settle(find_upload(store, user, id))
}

/// Whether a user has begun an upload of that id, in order or in parts, that has not come to its end.
///
/// # Errors
/// When the storage fails.
pub fn has_upload(store: &dyn ReadStore, user: UserId, id: ContentId) -> Asked<()> {
    settle(rules::known_upload(store, user, id).map(drop))
}

fn find_upload(store: &dyn ReadStore, user: UserId, id: ContentId) -> Result<UploadStat, Stop> {
    let upload = rules::known_stream(store, user, id)?;
    Ok(described(store, id, upload)?)
}

/// The file that an upload has become, as long as it is there and the user may see it.
///
/// # Errors
/// When the storage fails.
pub fn finished(store: &dyn ReadStore, user: UserId, id: ContentId) -> Result<Option<(Stat, u64)>, Fault> {
    let content = tables::content(store, id)?.filter(|content| content.state == ContentState::Sealed);
    let Some(content) = content else { return Ok(None) };
    let reached = match settle(rules::reach_id(store, user, content.made_for))? {
        Ok(reached) => reached,
        Err(_) => return Ok(None),
    };
    let stat = Describer::new(store).stat(&reached.entry, reached.path, reached.access)?;
    Ok(Some((stat, content.size())))
}

fn described(store: &dyn ReadStore, upload_id: ContentId, upload: Upload) -> Result<UploadStat, Fault> {
    if let Some(parts) = &upload.parts {
        let (size, extents) = (parts.bytes, 0);
        return Ok(UploadStat { upload_id, upload, size, extents });
    }
    let content = tables::content(store, upload_id)?;
    let (size, extents) = content.map_or((0, 0), |content| (content.size(), content.extents()));
    Ok(UploadStat { upload_id, upload, size, extents })
}

/// What a user has begun to send, in no particular order.
///
/// # Errors
/// When the storage fails.
pub fn uploads(store: &dyn ReadStore, user: UserId, cursor: Option<&str>, limit: usize) -> Asked<UploadPage> {
    settle(upload_page(store, user, cursor, limit.clamp(1, MAX_PAGE)))
}

fn upload_page(store: &dyn ReadStore, user: UserId, cursor: Option<&str>, limit: usize) -> Result<UploadPage, Stop> {
    let cursor = Cursor::read(Paged::Uploads, cursor)?;
    rules::account(store, user)?;
    let after = cursor.after.first().and_then(|id| ContentId::parse(id));
    let mut rows = tables::uploads_of(store, user, after, limit + 1)?;
    let mut page = UploadPage::default();
    if rows.len() > limit {
        rows.truncate(limit);
        page.next = rows.last().map(|(id, _)| Cursor::new(Paged::Uploads, 0, vec![id.to_string()]).write());
    }
    for (id, upload) in rows {
        page.uploads.push(described(store, id, upload)?);
    }
    Ok(page)
}

/// One extent of a content, and where its bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtentStat {
    pub offset: u64,
    pub extent: Extent,
    /// The servers whose copies count, in the order of the extent.
    pub counted: Vec<ServerId>,
}

/// At most `limit` extents of a content, from the one with the byte `offset` on; dead ones too, since whoever began to read
/// a content reads it to its end. Nothing where the content is gone.
///
/// # Errors
/// When the storage fails.
pub fn extents(store: &dyn ReadStore, id: ContentId, offset: u64, limit: usize) -> Result<Vec<ExtentStat>, Fault> {
    let found = match tables::content(store, id)?.map(|content| content.layout) {
        Some(Layout::One(extent)) if offset < extent.size.max(1) => vec![(id.start(), extent)],
        Some(Layout::Many(_)) => tables::extents_from(store, ExtentAt { content_id: id, offset }, limit)?,
        Some(Layout::Pieces(_)) => return super::parts::extents_of_pieces(store, id, offset, limit),
        _ => Vec::new(),
    };
    found
        .into_iter()
        .map(|(at, extent)| {
            let mut counted = Vec::new();
            for replica in &extent.replicas {
                if tables::server(store, replica.server_id)?.is_some_and(|server| server.counts(replica)) {
                    counted.push(replica.server_id);
                }
            }
            Ok(ExtentStat { offset: at.offset, extent, counted })
        })
        .collect()
}

/// How often copies may have stopped counting: who has looked at extents says so when they are named.
///
/// # Errors
/// When the storage fails.
pub fn losses(store: &dyn ReadStore) -> Result<u64, Fault> {
    tables::losses(store)
}

/// A page of the extents of a file, for people and tools to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtentPage {
    pub extents: Vec<ExtentStat>,
    pub next: Option<String>,
}

/// Where the bytes of a file are, extent by extent.
///
/// # Errors
/// When the storage fails.
pub fn file_extents(
    store: &dyn ReadStore,
    user: UserId,
    file: &FileRef,
    cursor: Option<&str>,
    limit: usize,
) -> Asked<ExtentPage> {
    settle(extent_page(store, user, file, cursor, limit.clamp(1, MAX_PAGE)))
}

fn extent_page(
    store: &dyn ReadStore,
    user: UserId,
    file: &FileRef,
    cursor: Option<&str>,
    limit: usize,
) -> Result<ExtentPage, Stop> {
    let cursor = Cursor::read(Paged::Extents, cursor)?;
    let reached = rules::reach(store, user, file)?;
    let Some(file) = reached.entry.file() else {
        return Err(reject(RejectionKind::InvalidRequest, "this is a directory: only files have bytes"));
    };
    let mut found = extents(store, file.current.content_id, cursor.from, limit + 1)?;
    let mut page = ExtentPage::default();
    if found.len() > limit {
        page.next = found.get(limit).map(|next| Cursor::new(Paged::Extents, next.offset, Vec::new()).write());
        found.truncate(limit);
    }
    page.extents = found;
    Ok(page)
}
