//! Contents: how they come, are named, and go.

use super::Change;
use crate::domain::rows::{Content, ContentState, Dead, Extent, Layout};
use crate::domain::stop::{Stop, astray, require};
use crate::domain::{ClusterTime, ContentId, Fault, FileId, RejectionKind, tables};

/// Its own, that of a repair, and for each of five copies placement, garbage and server.
const ROWS_OF_EXTENT: usize = 2 + 5 * 3;

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
    /// who reads it, so that they go when the others' copies would.
    pub(crate) fn drop_content(&mut self, id: ContentId) -> Result<(), Fault> {
        let Some(mut content) = tables::content(self.store, id)?.filter(|content| !content.is_dead()) else {
            return Ok(());
        };
        content.refs = content.refs.saturating_sub(1);
        if content.refs == 0 {
            if let Layout::One(extent) = &content.layout {
                self.release(id.start(), extent)?;
                return tables::delete_content(self.store, id);
            }
            content.state = ContentState::Dead;
            let due = self.now.plus_ms(self.policy.garbage_linger_ms);
            tables::put_dead(self.store, due, id, &Dead { since: self.now })?;
        }
        tables::put_content(self.store, id, &content)
    }

    /// Releases extents or pieces of a content that is dead since then, in at most `rows` rows or a few more, and the content
    /// with the last of them: their copies have lingered meanwhile. How many rows it took, and whether the content is gone.
    pub(crate) fn bury(&mut self, id: ContentId, since: ClusterTime, rows: usize) -> Result<(usize, bool), Fault> {
        if let Some(Layout::Pieces(_)) = tables::content(self.store, id)?.map(|content| content.layout) {
            return self.bury_pieces(id, since, rows);
        }
        // One at least: a batch too small for any would never come to an end.
        let limit = (rows / ROWS_OF_EXTENT).max(1);
        let mut extents = tables::extents_of(self.store, id, 0, limit + 1)?;
        let gone = extents.len() <= limit;
        extents.truncate(limit);
        for (at, extent) in &extents {
            self.release_of(*at, extent, since)?;
            tables::delete_extent(self.store, *at)?;
        }
        if gone {
            tables::delete_content(self.store, id)?;
        }
        Ok((extents.len() * ROWS_OF_EXTENT, gone))
    }
}
