//! Uploads: contents that are still being added to.

use super::Change;
use crate::domain::rows::{Content, ContentState, Layout, Parts, Run, Upload};
use crate::domain::stop::{Stop, astray};
use crate::domain::tables::{self, Ending};
use crate::domain::{ContentId, Fault, FileId, Outcome, UserId, rules};

/// An upload ends after so long, whatever is added.
const LONGEST_MS: u64 = 7 * 24 * 60 * 60 * 1000;

impl Change<'_> {
    /// An upload in order that its user may go on with, with what its content comes to so far.
    pub(crate) fn known_upload(&self, user: UserId, id: ContentId) -> Result<(Upload, Content, Run), Stop> {
        let upload = rules::known_stream(self.store, user, id)?;
        let content = tables::known_content(self.store, id)?;
        match content.layout {
            Layout::Many(run) if content.state == ContentState::Open => Ok((upload, content, run)),
            _ => Err(astray(format!("content {id} is being uploaded and {:?}", content.state))),
        }
    }

    pub(crate) fn put_open_content(&mut self, id: ContentId, run: Run) -> Result<(), Fault> {
        let content = Content {
            made_for: FileId(0),
            refs: 1,
            state: ContentState::Open,
            layout: Layout::Many(run),
            part_of: None,
        };
        tables::put_content(self.store, id, &content)
    }

    /// Writes an upload that was added to, which ends so much later.
    pub(crate) fn prolong(
        &mut self,
        user: UserId,
        id: ContentId,
        upload: &mut Upload,
        idle_ms: u64,
    ) -> Result<(), Fault> {
        tables::delete_expiry(self.store, upload.expires_at, &Ending::Upload(user, id))?;
        let end = upload.since.plus_ms(LONGEST_MS);
        upload.expires_at = self.now.plus_ms(idle_ms).min(end).max(self.now.plus_ms(1));
        upload.wall_expires_at = self.wall_in(upload.expires_at.0.saturating_sub(self.now.0));
        tables::put_upload(self.store, user, id, upload)
    }

    /// Takes an upload from those of its user, with the room that it took. What becomes of its content is the caller's.
    pub(crate) fn close_upload(
        &mut self,
        user: UserId,
        id: ContentId,
        upload: &Upload,
        bytes: u64,
    ) -> Result<(), Fault> {
        tables::delete_upload(self.store, user, id, upload)?;
        let payer = self.payer(user)?;
        let mut usage = tables::usage(self.store, payer)?;
        usage.uploads = usage.uploads.saturating_sub(1);
        usage.bytes = usage.bytes.saturating_sub(bytes);
        tables::put_usage(self.store, payer, &usage)
    }

    /// Gives an upload up. Whether there was one.
    pub(crate) fn end_upload(&mut self, user: UserId, id: ContentId) -> Result<bool, Fault> {
        let Some(upload) = tables::upload(self.store, user, id)? else { return Ok(false) };
        let bytes = match &upload.parts {
            Some(parts) => parts.bytes,
            None => tables::content(self.store, id)?.map_or(0, |content| content.size()),
        };
        self.close_upload(user, id, &upload, bytes)?;
        self.drop_content(id)?;
        Ok(true)
    }
}

/// What whoever sends an upload is told.
pub(crate) fn upload_outcome(id: ContentId, upload: &Upload, run: Run) -> Outcome {
    let offset = run.size.saturating_add(upload.tail.len() as u64);
    Outcome::Upload { upload_id: id, offset, expires_at: upload.wall_expires_at }
}

/// The same of an upload in parts: what they come to.
pub(crate) fn parts_outcome(id: ContentId, upload: &Upload, parts: &Parts) -> Outcome {
    Outcome::Upload { upload_id: id, offset: parts.bytes, expires_at: upload.wall_expires_at }
}
