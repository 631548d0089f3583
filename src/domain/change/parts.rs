//! Uploads in parts: parts that come and are replaced, and what becomes of them.

use super::Change;
use super::contents::rows_of;
use crate::domain::rows::{Content, ContentState, Dead, Extent, Layout, Part, Parts, Pieces, Upload};
use crate::domain::stop::{Stop, astray};
use crate::domain::{ClusterTime, ContentId, Fault, FileId, Outcome, UserId, rules, tables};

/// Pieces or parts that one look reads.
const LOOK: usize = 256;

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
    /// Answers with the rows that it touched.
    pub(crate) fn drop_part(&mut self, id: ContentId, since: ClusterTime) -> Result<usize, Fault> {
        let Some(mut content) = tables::content(self.store, id)?.filter(|content| !content.is_dead()) else {
            return Ok(0);
        };
        content.refs = content.refs.saturating_sub(1);
        if content.refs == 0 {
            if let Layout::One(extent) = &content.layout {
                self.release_of(id.start(), extent, since)?;
                tables::delete_content(self.store, id)?;
                return Ok(1 + rows_of(extent));
            }
            content.state = ContentState::Dead;
            tables::put_dead(self.store, self.now, id, &Dead { since, from: 0 })?;
        }
        tables::put_content(self.store, id, &content)?;
        Ok(2)
    }

    /// As `bury`: drops pieces of a content, and then parts that never became any.
    pub(super) fn bury_pieces(
        &mut self,
        id: ContentId,
        dead: Dead,
        rows: usize,
    ) -> Result<(usize, Option<Dead>), Fault> {
        let mut used = 0;
        let pieces = tables::pieces_of(self.store, id, dead.from, LOOK)?;
        for (at, piece) in &pieces {
            if used >= rows {
                return Ok((used, Some(Dead { from: at.offset, ..dead })));
            }
            used += 1 + self.drop_part(piece.content_id, dead.since)?;
            tables::delete_piece(self.store, *at)?;
        }
        if let Some((last, _)) = pieces.last() {
            return Ok((used, Some(Dead { from: last.offset.saturating_add(1), ..dead })));
        }
        let parts = tables::parts_after(self.store, id, 0, LOOK)?;
        for (number, part) in &parts {
            if used >= rows {
                return Ok((used, Some(dead)));
            }
            used += 1 + self.drop_part(part.content_id, dead.since)?;
            tables::delete_part(self.store, id, *number)?;
        }
        if parts.len() == LOOK {
            return Ok((used, Some(dead)));
        }
        tables::delete_content(self.store, id)?;
        Ok((used + 1, None))
    }
}
