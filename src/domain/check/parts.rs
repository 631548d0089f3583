//! Parts of uploads, and contents that are made of pieces.

use super::Report;
use super::refs::Refs;
use crate::domain::record::Record;
use crate::domain::rows::{Content, ContentState, Layout, Part, Parts, Piece, Pieces};
use crate::domain::tables::{self, keys};
use crate::domain::{ContentId, Fault, ReadStore, Table};

/// Rows that are read at once.
const PAGE: usize = 256;

/// Adds what parts and pieces name.
pub(super) fn check(report: &mut Report<'_>, refs: &mut Refs) -> Result<(), Fault> {
    report.each(Table::Parts, |report, store, key, value| {
        let (upload, number) = keys::read_part(key)?;
        let part = Part::from_bytes(value)?;
        refs.add(part.content_id, 1);
        let whole = tables::content(store, upload)?;
        // The reaper takes the parts of an upload that has ended.
        let holds =
            whole.is_some_and(|whole| whole.state != ContentState::Sealed && matches!(whole.layout, Layout::Pieces(_)));
        report.expect("parts_are_of_uploads", holds, || format!("part {number} of {upload}"));
        let told = (part.size, Some(part.sha256));
        let content = tables::content(store, part.content_id)?;
        let same = content.as_ref().is_some_and(|content| {
            content.part_of == Some(upload)
                && content.state == ContentState::Sealed
                && (content.size(), content.sha256()) == told
        });
        report.expect("parts_are_their_contents", same, || format!("part {number} of {upload}: {part:?}, {content:?}"));
        Ok(())
    })?;
    report.each(Table::Pieces, |report, store, key, value| {
        let at = keys::read_extent(key, Table::Pieces)?;
        let piece = Piece::from_bytes(value)?;
        refs.add(piece.content_id, 1);
        let whole = tables::content(store, at.content_id)?;
        let holds = whole.is_some_and(|whole| matches!(whole.layout, Layout::Pieces(_)));
        report.expect("pieces_are_of_contents", holds, || format!("{at}"));
        let content = tables::content(store, piece.content_id)?;
        let flat = content.as_ref().is_some_and(|content| {
            !matches!(content.layout, Layout::Pieces(_))
                && (content.state, content.size()) == (ContentState::Sealed, piece.size)
                && content.part_of == Some(at.content_id)
        });
        report.expect("pieces_are_never_of_pieces", flat, || format!("{at}: {piece:?}, {content:?}"));
        Ok(())
    })
}

/// Whether the pieces of a content follow each other, and come to what it says.
pub(super) fn check_pieces(
    report: &mut Report<'_>,
    store: &dyn ReadStore,
    id: ContentId,
    (content, told): (&Content, &Pieces),
) -> Result<(), Fault> {
    let mut found = Pieces::default();
    let mut from = 0;
    loop {
        let page = tables::pieces_of(store, id, from, PAGE)?;
        for (at, piece) in &page {
            let follows = at.offset == found.size && (piece.size > 0 || told.pieces == 1);
            report.expect("pieces_are_without_gaps", follows || content.is_dead(), || format!("{at} at {found:?}"));
            found.pieces += 1;
            found.size = at.offset.saturating_add(piece.size);
            found.extents += tables::content(store, piece.content_id)?.map_or(0, |content| content.extents());
            from = at.offset.saturating_add(1);
        }
        if page.len() < PAGE {
            break;
        }
    }
    let whole = found == *told || content.is_dead();
    report.expect("contents_have_their_pieces", whole, || format!("content {id}: {told:?}, {found:?}"));
    Ok(())
}

/// A part is named once, by its upload or the content that this has become.
pub(super) fn check_part_of(
    report: &mut Report<'_>,
    store: &dyn ReadStore,
    id: ContentId,
    content: &Content,
) -> Result<(), Fault> {
    let Some(upload) = content.part_of else { return Ok(()) };
    let once = content.refs == u64::from(!content.is_dead());
    report.expect("parts_are_named_once", once, || format!("content {id}: {content:?}"));
    let flat = !matches!(content.layout, Layout::Pieces(_)) && content.state != ContentState::Open;
    let whole = content.is_dead() || tables::content(store, upload)?.is_some();
    report.expect("parts_are_of_something", flat && whole, || format!("content {id}: {content:?}"));
    Ok(())
}

/// Whether an upload has the parts that it says, and its content is as far as that. Answers with how many bytes they have.
pub(super) fn check_upload(
    report: &mut Report<'_>,
    store: &dyn ReadStore,
    id: ContentId,
    told: &Parts,
    content: Option<&Content>,
) -> Result<u64, Fault> {
    let pieces = match content.map(|content| content.layout.clone()) {
        Some(Layout::Pieces(pieces)) => pieces,
        _ => Pieces::default(),
    };
    let (mut count, mut bytes, mut after) = (0, pieces.size, 0);
    loop {
        let page = tables::parts_after(store, id, after, PAGE)?;
        let Some((last, _)) = page.last() else { break };
        after = *last;
        count += page.len() as u64;
        bytes = page.iter().fold(bytes, |sum, (_, part)| sum.saturating_add(part.size));
    }
    let adds_up = (count, bytes) == (told.count, told.bytes);
    report.expect("parts_add_up", adds_up, || format!("upload {id}: {told:?}, and {count} of {bytes} bytes"));
    let within = match told.completing {
        Some(known) => pieces.pieces <= known.pieces && pieces.size <= known.size,
        None => pieces == Pieces::default(),
    };
    report.expect("pieces_are_of_a_completion", within, || format!("upload {id}: {told:?}, {pieces:?}"));
    Ok(bytes)
}
