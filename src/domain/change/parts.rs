//! Uploads in parts: parts that come and are replaced, and what becomes of them.

use super::Change;
use crate::domain::rows::{Content, ContentState, Dead, Extent, Layout, Part, Parts, Pieces, Upload};
use crate::domain::stop::{Stop, astray};
use crate::domain::{ClusterTime, ContentId, Fault, FileId, Outcome, UserId, rules, tables};

/// Rows of a piece or part that goes: its own, its content's, and with its last name those of the content's extent.
const ROWS_OF_PIECE: usize = 2 + 1 + 5 * 3;

impl Change<'_> {
    /// An upload in parts that its user may go on with, and what its content comes to so far.
    pub(crate) fn known_parts(&self, user: UserId, id: ContentId) -> Result<(Upload, Parts, Pieces), Stop> {
        let (upload, parts) = rules::known_parts(self.store, user, id)?;
        let content = tables::known_content(self.store, id)?;
        match content.layout {
            Layout::Pieces(pieces) if content.state == ContentState::Open => Ok((upload, parts, pieces)),
            _ => Err(astray(format!("content {id} is being uploaded in parts and {:?}", content.state))),
        }
    }

    /// The same where parts may still come.
    pub(crate) fn open_parts(&self, user: UserId, id: ContentId, number: u32) -> Result<(Upload, Parts), Stop> {
        let (upload, parts, _) = self.known_parts(user, id)?;
        rules::check_open_for(&parts, number)?;
        Ok((upload, parts))
    }

    pub(crate) fn put_pieces(&mut self, id: ContentId, pieces: Pieces) -> Result<(), Fault> {
        let content = Content {
            made_for: FileId(0),
            refs: 1,
            state: ContentState::Open,
            layout: Layout::Pieces(pieces),
            part_of: None,
        };
        tables::put_content(self.store, id, &content)
    }

    /// Puts a part of one extent.
    pub(crate) fn put_part_content(&mut self, id: ContentId, upload: ContentId, extent: Extent) -> Result<(), Stop> {
        self.put_new_content(id, FileId(0), Some(upload), extent)
    }

    /// Takes a part in, whose content is there, in place of the one of that number. `upload` and `parts` are as
    /// `open_parts` found them.
    pub(crate) fn place_part(
        &mut self,
        (user, id): (UserId, ContentId),
        (mut upload, mut parts): (Upload, Parts),
        number: u32,
        part: &Part,
    ) -> Result<Outcome, Stop> {
        match tables::part(self.store, id, number)? {
            Some(old) => {
                self.drop_content(old.content_id)?;
                self.free_room(user, old.size, 0)?;
                parts.bytes = parts.bytes.saturating_sub(old.size);
            }
            None => parts.count = parts.count.saturating_add(1),
        }
        self.use_room(user, part.size, 0)?;
        tables::put_part(self.store, id, number, part)?;
        parts.bytes = parts.bytes.saturating_add(part.size);
        parts.revision = parts.revision.saturating_add(1);
        upload.parts = Some(parts);
        let idle_ms = upload.idle_ms;
        self.prolong(user, id, &mut upload, idle_ms)?;
        Ok(super::parts_outcome(id, &upload, &parts))
    }

    /// Takes back the one name of a part's content. Nobody ever reads a part by itself, so what it has goes as of `since`.
    pub(crate) fn drop_part(&mut self, id: ContentId, since: ClusterTime) -> Result<(), Fault> {
        let Some(mut content) = tables::content(self.store, id)?.filter(|content| !content.is_dead()) else {
            return Ok(());
        };
        content.refs = content.refs.saturating_sub(1);
        if content.refs == 0 {
            if let Layout::One(extent) = &content.layout {
                self.release_of(id.start(), extent, since)?;
                return tables::delete_content(self.store, id);
            }
            content.state = ContentState::Dead;
            tables::put_dead(self.store, self.now, id, &Dead { since })?;
        }
        tables::put_content(self.store, id, &content)
    }

    /// Drops pieces of a content that is dead since then, and parts that never became any, in at most `rows` rows or a few
    /// more; the content goes with the last of them. How many rows it took, and whether the content is gone.
    pub(super) fn bury_pieces(
        &mut self,
        id: ContentId,
        since: ClusterTime,
        rows: usize,
    ) -> Result<(usize, bool), Fault> {
        let limit = (rows / ROWS_OF_PIECE).max(1);
        let mut pieces = tables::pieces_of(self.store, id, 0, limit + 1)?;
        let mut parts = tables::parts_after(self.store, id, 0, (limit + 1).saturating_sub(pieces.len()))?;
        let gone = pieces.len() + parts.len() <= limit;
        pieces.truncate(limit);
        parts.truncate(limit - pieces.len());
        for (at, piece) in &pieces {
            self.drop_part(piece.content_id, since)?;
            tables::delete_piece(self.store, *at)?;
        }
        for (number, part) in &parts {
            self.drop_part(part.content_id, since)?;
            tables::delete_part(self.store, id, *number)?;
        }
        if gone {
            tables::delete_content(self.store, id)?;
        }
        Ok(((pieces.len() + parts.len()) * ROWS_OF_PIECE, gone))
    }
}
