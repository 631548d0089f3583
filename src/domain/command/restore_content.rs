use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::Record;
use crate::domain::record::declare::record;
use crate::domain::rows::Content;
use crate::domain::stop::{Stop, require};
use crate::domain::terms::NewContent;
use crate::domain::{ContentId, FileId, Outcome, RejectionKind, Sha256, restored, rules, tables};

record! {
    /// A content of the backup's index, its bytes stored anew. Answers with one row where it names these copies now, with
    /// none where it was there before.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RestoreContent as "restored content" {
        pub backup: Sha256 = 1,
        pub content_id: ContentId = 2,
        /// Its row of `Contents`.
        pub row: Vec<u8> = 3,
        pub content: NewContent = 4,
    }
}

impl Act for RestoreContent {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = true;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let (id, new) = (self.content_id, &self.content);
        let row = Content::from_bytes(&self.row).map_err(restored::unreadable)?;
        // Before the question whether the backup is still let in: a repeated proposal must hear what the first did.
        if tables::content(change.store, id)?.is_some() {
            let extent = tables::extent(change.store, id.start())?;
            let ours = extent.is_some_and(|extent| extent.blob_id == new.blob_id);
            return Ok(Outcome::Progress { rows: u32::from(ours), more: false });
        }
        let mut restore = change.admit_backup(&self.backup)?;
        let same = row.size() == new.size && row.sha256().is_none_or(|digest| digest == new.sha256);
        require(
            same,
            RejectionKind::InvalidRequest,
            "these are not the bytes that the row tells of: verify the backup",
        )?;
        rules::check_content(new)?;
        restored::check_content(&row)?;
        let extent = change.admit(new)?;
        change.put_content(id, FileId(row.made_for.0), extent)?;
        change.unname_restored(id)?;
        restore.contents = restore.contents.saturating_add(1);
        restore.unnamed = restore.unnamed.saturating_add(1);
        tables::put_restore(change.store, &restore)?;
        Ok(Outcome::Progress { rows: 1, more: false })
    }
}
