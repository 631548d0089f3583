use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::Record;
use crate::domain::record::declare::record;
use crate::domain::restored;
use crate::domain::rows::{Entry, EntryKind};
use crate::domain::stop::{Stop, reject, require};
use crate::domain::terms::NewContent;
use crate::domain::{Outcome, RejectionKind, Sha256, rules, tables};

record! {
    /// A file of the backup's index, its bytes stored anew. Answers with one row where the file names these copies now,
    /// with none where it was there before.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RestoreFile as "restored file" {
        pub backup: Sha256 = 1,
        /// Its row of `Entries`.
        pub row: Vec<u8> = 2,
        pub content: NewContent = 3,
    }
}

impl Act for RestoreFile {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = true;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let (new, mut entry) = (&self.content, Entry::from_bytes(&self.row).map_err(restored::unreadable)?);
        let EntryKind::File(content) = &mut entry.kind else {
            return Err(reject(RejectionKind::InvalidRequest, "this row is no file's: send files with their bytes"));
        };
        // Before the question whether the backup is still let in: a repeated proposal must hear what the first did.
        if let Some(there) = tables::entry(change.store, entry.file_id)? {
            let ours = there.content().is_some_and(|content| content.blob_id == new.blob_id);
            return Ok(Outcome::Progress { rows: u32::from(ours), more: false });
        }
        let mut restore = change.admit_backup(&self.backup)?;
        let same = content.size == new.size && content.sha256 == new.sha256;
        require(
            same,
            RejectionKind::InvalidRequest,
            "these are not the bytes that the row tells of: verify the backup",
        )?;
        rules::check_content(new)?;
        restored::check_content(content)?;
        content.blob_id = new.blob_id;
        content.replicas = change.admit(new)?;
        content.owed = change.owed_by(content.replicas.len());
        content.placement_rev = content.placement_rev.saturating_add(1);
        let content = content.clone();
        change.link_restored(&entry)?;
        change.enlist(entry.file_id, &content)?;
        restore.entries = restore.entries.saturating_add(1);
        tables::put_restore(change.store, &restore)?;
        Ok(Outcome::Progress { rows: 1, more: false })
    }
}
