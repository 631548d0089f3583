//! Uploads: contents that are still being added to.

use super::Change;
use crate::domain::rows::{Content, ContentState, Layout, Run, Upload};
use crate::domain::stop::{Stop, astray};
use crate::domain::{ContentId, Fault, FileId, Outcome, UserId, rules, tables};

impl Change<'_> {
    /// An upload that its user may go on with, with what its content comes to so far.
    pub(crate) fn known_upload(&self, user: UserId, id: ContentId) -> Result<(Upload, Content, Run), Stop> {
        let upload = rules::known_upload(self.store, user, id)?;
        let content = tables::known_content(self.store, id)?;
        match content.layout {
            Layout::Many(run) if content.state == ContentState::Open => Ok((upload, content, run)),
            _ => Err(astray(format!("content {id} is being uploaded and {:?}", content.state))),
        }
    }

    pub(crate) fn put_open_content(&mut self, id: ContentId, run: Run) -> Result<(), Fault> {
        let content = Content { made_for: FileId(0), refs: 1, state: ContentState::Open, layout: Layout::Many(run) };
        tables::put_content(self.store, id, &content)
    }

    /// Takes an upload from those of its user, with the room that it took. What becomes of its content is the caller's.
    pub(crate) fn close_upload(&mut self, user: UserId, id: ContentId, upload: &Upload, run: Run) -> Result<(), Fault> {
        tables::delete_upload(self.store, user, id, upload)?;
        let payer = self.payer(user)?;
        let mut usage = tables::usage(self.store, payer)?;
        usage.uploads = usage.uploads.saturating_sub(1);
        usage.bytes = usage.bytes.saturating_sub(run.size);
        tables::put_usage(self.store, payer, &usage)
    }

    /// Gives an upload up. Whether there was one.
    pub(crate) fn end_upload(&mut self, user: UserId, id: ContentId) -> Result<bool, Fault> {
        let Some(upload) = tables::upload(self.store, user, id)? else { return Ok(false) };
        let run = match tables::content(self.store, id)?.map(|content| content.layout) {
            Some(Layout::Many(run)) => run,
            _ => Run { size: 0, sha256: None, extents: 0 },
        };
        self.close_upload(user, id, &upload, run)?;
        self.drop_content(id)?;
        Ok(true)
    }
}

/// What whoever sends an upload is told.
pub(crate) fn upload_outcome(id: ContentId, upload: &Upload, run: Run) -> Outcome {
    let offset = run.size.saturating_add(upload.tail.len() as u64);
    Outcome::Upload { upload_id: id, offset, expires_at: upload.wall_expires_at }
}
