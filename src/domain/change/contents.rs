//! Contents: how they come, are named, and go.

use super::Change;
use crate::domain::rows::{Content, ContentState, Dead, Extent, Layout};
use crate::domain::stop::{Stop, astray, require};
use crate::domain::{ContentId, Fault, FileId, RejectionKind, tables};

/// An extent's own row, and those of one copy.
const LEAST_ROWS: usize = 3;
/// More than any command may touch.
const MOST_ROWS: usize = 1000;

impl Change<'_> {
    /// Puts a content of one extent, named once.
    pub(crate) fn put_content(&mut self, id: ContentId, made_for: FileId, extent: Extent) -> Result<(), Stop> {
        self.put_new_content(id, made_for, None, extent)
    }

    pub(super) fn put_new_content(
        &mut self,
        id: ContentId,
        made_for: FileId,
        part_of: Option<ContentId>,
        extent: Extent,
    ) -> Result<(), Stop> {
        let taken = tables::content(self.store, id)?.is_some();
        require(!taken, RejectionKind::StaleReceipt, "a content of this id is there: use a fresh blob id")?;
        self.enlist(id.start(), &extent)?;
        let content = Content { made_for, refs: 1, state: ContentState::Sealed, layout: Layout::One(extent), part_of };
        Ok(tables::put_content(self.store, id, &content)?)
    }

    /// Names a content once more.
    pub(crate) fn name_content(&mut self, id: ContentId) -> Result<Content, Stop> {
        let mut content = tables::known_content(self.store, id)?;
        if content.is_dead() {
            return Err(astray(format!("content {id} is named and dead")));
        }
        content.refs = content.refs.saturating_add(1);
        tables::put_content(self.store, id, &content)?;
        Ok(content)
    }

    /// Takes back one name of a content. Without any it is dead, which nothing undoes. One of a single extent is released at
    /// once: whoever reads it has found its copies, which linger. Of more extents those further on are still looked up by
    /// who reads it, so that they go when the others' copies would. Answers with the rows of its own that it touched.
    pub(crate) fn drop_content(&mut self, id: ContentId) -> Result<usize, Fault> {
        let Some(mut content) = tables::content(self.store, id)?.filter(|content| !content.is_dead()) else {
            return Ok(0);
        };
        content.refs = content.refs.saturating_sub(1);
        let mut rows = 1;
        if content.refs == 0 {
            if let Layout::One(extent) = &content.layout {
                self.release(id.start(), extent)?;
                tables::delete_content(self.store, id)?;
                return Ok(1 + rows_of(extent));
            }
            content.state = ContentState::Dead;
            let due = self.now.plus_ms(self.policy.garbage_linger_ms);
            tables::put_dead(self.store, due, id, &Dead { since: self.now, from: 0 })?;
            rows += 1;
        }
        tables::put_content(self.store, id, &content)?;
        Ok(rows)
    }

    /// Releases extents or pieces of a content that is dead, in at most `rows` rows or a few more, and the content with the
    /// last of them: their copies have lingered meanwhile. How many rows it took, and what is left; nothing where the content
    /// is gone.
    pub(crate) fn bury(&mut self, id: ContentId, dead: Dead, rows: usize) -> Result<(usize, Option<Dead>), Fault> {
        if let Some(Layout::Pieces(_)) = tables::content(self.store, id)?.map(|content| content.layout) {
            return self.bury_pieces(id, dead, rows);
        }
        let page = rows.clamp(LEAST_ROWS, MOST_ROWS) / LEAST_ROWS;
        let extents = tables::extents_of(self.store, id, dead.from, page)?;
        let mut used = 0;
        for (at, extent) in &extents {
            // One at least: a batch too small for any would never come to an end.
            if used > 0 && used + 1 + rows_of(extent) > rows {
                return Ok((used, Some(Dead { from: at.offset, ..dead })));
            }
            self.release_of(*at, extent, dead.since)?;
            tables::delete_extent(self.store, *at)?;
            used += 1 + rows_of(extent);
        }
        match extents.last() {
            Some((last, _)) if extents.len() == page => {
                Ok((used, Some(Dead { from: last.offset.saturating_add(1), ..dead })))
            }
            _ => {
                tables::delete_content(self.store, id)?;
                Ok((used + 1, None))
            }
        }
    }
}

/// What the release of an extent touches, but for the rows of the servers, which it shares with the others: for each copy
/// placement and garbage, and a repair.
pub(super) const fn rows_of(extent: &Extent) -> usize {
    2 * extent.replicas.len() + extent.owed.is_some() as usize
}
