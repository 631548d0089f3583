//! `Parts` and `Pieces`.

use super::contents::start_of;
use super::{content, extent, keys, read, stretch, write};
use crate::domain::record::Record;
use crate::domain::rows::{Content, Extent, Layout, Part, Piece};
use crate::domain::{ContentId, ExtentAt, Fault, ReadStore, Store, Table};

pub(crate) fn part(store: &dyn ReadStore, upload: ContentId, number: u32) -> Result<Option<Part>, Fault> {
    read(store, Table::Parts, &keys::part(upload, number))
}

pub(crate) fn put_part(store: &mut dyn Store, upload: ContentId, number: u32, part: &Part) -> Result<(), Fault> {
    write(store, Table::Parts, &keys::part(upload, number), part)
}

pub(crate) fn delete_part(store: &mut dyn Store, upload: ContentId, number: u32) -> Result<(), Fault> {
    store.delete(Table::Parts, &keys::part(upload, number))
}

/// At most `limit` parts of an upload behind the number `after`, in the order of their numbers.
pub(crate) fn parts_after(
    store: &dyn ReadStore,
    upload: ContentId,
    after: u32,
    limit: usize,
) -> Result<Vec<(u32, Part)>, Fault> {
    let from = keys::part(upload, after.saturating_add(1));
    let rows = stretch(store, Table::Parts, &keys::content(upload), &from, limit)?;
    rows.iter().map(|(key, value)| Ok((keys::read_part(key)?.1, Part::from_bytes(value)?))).collect()
}

pub(crate) fn put_piece(store: &mut dyn Store, at: ExtentAt, piece: &Piece) -> Result<(), Fault> {
    write(store, Table::Pieces, &keys::extent(at), piece)
}

pub(crate) fn delete_piece(store: &mut dyn Store, at: ExtentAt) -> Result<(), Fault> {
    store.delete(Table::Pieces, &keys::extent(at))
}

/// At most `limit` pieces of a content from `offset` on.
pub(crate) fn pieces_of(
    store: &dyn ReadStore,
    id: ContentId,
    offset: u64,
    limit: usize,
) -> Result<Vec<(ExtentAt, Piece)>, Fault> {
    let from = keys::extent(ExtentAt { content_id: id, offset });
    let rows = stretch(store, Table::Pieces, &keys::content(id), &from, limit)?;
    rows.iter().map(|(key, value)| Ok((keys::read_extent(key, Table::Pieces)?, Piece::from_bytes(value)?))).collect()
}

/// The same from the piece with that byte on.
pub(crate) fn pieces_from(store: &dyn ReadStore, at: ExtentAt, limit: usize) -> Result<Vec<(ExtentAt, Piece)>, Fault> {
    let first_from = |from| {
        let found = pieces_of(store, at.content_id, from, 1)?;
        Ok(found.first().map(|(at, piece)| (at.offset, piece.size)))
    };
    match start_of(at.offset, &first_from)? {
        Some(start) => pieces_of(store, at.content_id, start, limit),
        None => Ok(Vec::new()),
    }
}

/// The extent with the first byte of a content, whatever it is made of.
pub(crate) fn first_extent(store: &dyn ReadStore, id: ContentId, content: &Content) -> Result<Option<Extent>, Fault> {
    match &content.layout {
        Layout::One(extent) => Ok(Some(extent.clone())),
        Layout::Many(_) => extent(store, id.start()),
        Layout::Pieces(_) => match pieces_of(store, id, 0, 1)?.first() {
            Some((_, piece)) => extent(store, piece.content_id.start()),
            None => Ok(None),
        },
    }
}

/// Whether a content is named by what has its end behind it: what is only a part of an upload under way is not, nor is what
/// is still being sent or is dead.
pub(crate) fn is_kept(store: &dyn ReadStore, whole: &Content) -> Result<bool, Fault> {
    use crate::domain::rows::ContentState::Sealed;
    let sealed = |id| Ok::<_, Fault>(content(store, id)?.is_some_and(|content| content.state == Sealed));
    Ok(whole.state == Sealed && whole.part_of.map_or(Ok(true), sealed)?)
}
