//! Uploads in parts, and the extents of what is made of pieces.

use super::cursor::{Cursor, Paged};
use super::{Asked, ExtentStat, MAX_PAGE};
use crate::domain::answer::{Outcome, Stat};
use crate::domain::rows::{Part, Parts, Upload};
use crate::domain::rules;
use crate::domain::stop::{Stop, reject, settle};
use crate::domain::tables;
use crate::domain::terms::NewPiece;
use crate::domain::{
    Command, ContentId, ExtentAt, Fault, ReadStore, RejectionKind, Sha256, UserId, command, remembered,
};

/// Parts that are read at once.
const PAGE: usize = 1000;

/// An upload in parts as whoever sends it sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartsStat {
    pub upload_id: ContentId,
    pub upload: Upload,
    pub parts: Parts,
}

/// A page of the parts of an upload that are no pieces yet, in the order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartPage {
    pub upload: PartsStat,
    pub parts: Vec<(u32, Part)>,
    pub next: Option<String>,
}

/// # Errors
/// When the storage fails.
pub fn upload_in_parts(store: &dyn ReadStore, user: UserId, id: ContentId) -> Asked<PartsStat> {
    settle(find(store, user, id))
}

fn find(store: &dyn ReadStore, user: UserId, id: ContentId) -> Result<PartsStat, Stop> {
    let (upload, parts) = rules::known_parts(store, user, id)?;
    Ok(PartsStat { upload_id: id, upload, parts })
}

/// The parts of an upload.
///
/// # Errors
/// When the storage fails.
pub fn parts(
    store: &dyn ReadStore,
    user: UserId,
    id: ContentId,
    cursor: Option<&str>,
    limit: usize,
) -> Asked<PartPage> {
    settle(part_page(store, user, id, cursor, limit.clamp(1, MAX_PAGE)))
}

fn part_page(
    store: &dyn ReadStore,
    user: UserId,
    id: ContentId,
    cursor: Option<&str>,
    limit: usize,
) -> Result<PartPage, Stop> {
    let cursor = Cursor::read(Paged::Parts, cursor)?;
    let upload = find(store, user, id)?;
    let after = u32::try_from(cursor.from).unwrap_or(u32::MAX);
    let mut parts = tables::parts_after(store, id, after, limit + 1)?;
    let mut next = None;
    if parts.len() > limit {
        parts.truncate(limit);
        next = parts.last().map(|(last, _)| Cursor::new(Paged::Parts, u64::from(*last), Vec::new()).write());
    }
    Ok(PartPage { upload, parts, next })
}

/// The rejection that a part would get now, before any byte is moved; otherwise how many bytes its user has room for.
///
/// # Errors
/// When the storage fails.
pub fn precheck_part(store: &dyn ReadStore, user: UserId, id: ContentId, number: u32, bytes: u64) -> Asked<u64> {
    settle(find_room(store, user, id, number, bytes))
}

fn find_room(store: &dyn ReadStore, user: UserId, id: ContentId, number: u32, bytes: u64) -> Result<u64, Stop> {
    let (_, parts) = rules::known_parts(store, user, id)?;
    rules::check_open_for(&parts, number)?;
    let (mut usage, policy) = (tables::usage(store, user)?, tables::policy(store)?);
    // What is there makes room for what comes.
    usage.bytes = usage.bytes.saturating_sub(tables::part(store, id, number)?.map_or(0, |part| part.size));
    rules::check_room(&usage, &policy, bytes, 0)?;
    Ok(rules::room(&usage, &policy))
}

/// What a list of parts comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// As of which the list was judged.
    pub revision: u64,
    /// Of the whole.
    pub size: u64,
    pub pieces: u64,
    /// What is still to become pieces.
    pub left: Vec<NewPiece>,
}

/// Judges a list of parts, numbers and digests, by all that have come. `digest` is the list's own. Of an upload that is being
/// completed with this list already it says what is left to do.
///
/// # Errors
/// When the storage fails.
pub fn judge_parts(
    store: &dyn ReadStore,
    user: UserId,
    id: ContentId,
    list: &[(u32, Sha256)],
    digest: Sha256,
) -> Asked<Judged> {
    settle(judge(store, user, id, list, digest))
}

fn judge(
    store: &dyn ReadStore,
    user: UserId,
    id: ContentId,
    list: &[(u32, Sha256)],
    digest: Sha256,
) -> Result<Judged, Stop> {
    rules::check_list(list)?;
    let (_, parts) = rules::known_parts(store, user, id)?;
    let policy = tables::policy(store)?;
    let through = match parts.completing {
        Some(known) if known.digest == digest => known.through,
        Some(_) => return Err(rules::other_list()),
        None => 0,
    };
    let mut judged = Judged { revision: parts.revision, size: 0, pieces: list.len() as u64, left: Vec::new() };
    let mut known = Vec::new();
    let (mut after, mut more) = (through, true);
    for (position, (number, sha256)) in list.iter().enumerate().filter(|(_, (number, _))| *number > through) {
        while more && known.last().is_none_or(|(last, _)| last < number) {
            let page = tables::parts_after(store, id, after, PAGE)?;
            more = page.len() == PAGE;
            after = page.last().map_or(after, |(last, _)| *last);
            known = page;
        }
        let part = known.binary_search_by_key(number, |(known, _)| *known).ok().map(|at| known[at].1);
        let (last, alone) = (position + 1 == list.len(), list.len() == 1);
        match (&part, parts.completing) {
            (None, Some(_)) => return Err(rules::gone(*number)),
            (part, None) => rules::check_listed(&policy, (*number, *sha256), part.as_ref(), (last, alone))?,
            (Some(_), Some(_)) => {}
        }
        if let Some(part) = part {
            judged.size = judged.size.saturating_add(part.size);
            judged.left.push(NewPiece { number: *number, content_id: part.content_id });
        }
    }
    if let Some(known) = parts.completing {
        judged.size = known.size;
    }
    rules::check_size(judged.size)?;
    Ok(judged)
}

/// What the completion of an upload with this list has come to, as long as outcomes are remembered.
///
/// # Errors
/// When the storage fails.
pub fn completed(store: &dyn ReadStore, user: UserId, id: ContentId, digest: Sha256) -> Asked<Option<Stat>> {
    settle(find_completed(store, user, id, digest))
}

fn find_completed(store: &dyn ReadStore, user: UserId, id: ContentId, digest: Sha256) -> Result<Option<Stat>, Stop> {
    let Some(done) = tables::operation(store, user, &remembered::completion(id))? else { return Ok(None) };
    if done.fingerprint != digest {
        let detail = "this upload was completed with another list of parts: begin a new one for another file";
        return Err(reject(RejectionKind::AlreadyExists, detail));
    }
    let finish = command::FinishUpload { user, upload_id: id, size: 0, sha256: None, losses: 0, purpose: None };
    match remembered::answer(store, user, &done, &Command::FinishUpload(finish))? {
        Ok(Outcome::Stat(stat)) => Ok(Some(*stat)),
        _ => Ok(None),
    }
}

/// At most `limit` extents of a content of pieces, from the one with the byte `offset` on.
pub(super) fn extents_of_pieces(
    store: &dyn ReadStore,
    id: ContentId,
    offset: u64,
    limit: usize,
) -> Result<Vec<ExtentStat>, Fault> {
    let mut found = Vec::new();
    let mut from = offset;
    while found.len() < limit {
        let pieces = tables::pieces_from(store, ExtentAt { content_id: id, offset: from }, limit - found.len())?;
        for (at, piece) in &pieces {
            let inside = from.saturating_sub(at.offset);
            for extent in super::extents(store, piece.content_id, inside, limit.saturating_sub(found.len()))? {
                found.push(ExtentStat { offset: at.offset.saturating_add(extent.offset), ..extent });
            }
            let end = at.offset.saturating_add(piece.size);
            if found.len() >= limit || end <= from {
                return Ok(found);
            }
            from = end;
        }
        if pieces.is_empty() {
            break;
        }
    }
    Ok(found)
}
