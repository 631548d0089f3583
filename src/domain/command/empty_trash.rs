use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::stop::{Stop, reject};
use crate::domain::{FileId, Outcome, RejectionKind, UserId, rules, tables};

/// Entries of one command: each is a handful of rows, whatever is below it.
const BATCH: usize = 100;

record! {
    /// Gives up what is in a user's trash: one entry, or as many as one command takes.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EmptyTrash as "emptying of the trash" {
        pub user: UserId = 1,
        pub file_id: Option<FileId> = 2,
    }
}

impl Act for EmptyTrash {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        rules::account(change.store, self.user)?;
        if let Some(file) = self.file_id {
            let known = tables::binned_at(change.store, self.user, file)?;
            let gone = || {
                reject(RejectionKind::NotFound, "nothing of this id is in your trash: `ringmaster trash` lists what is")
            };
            change.unbin(self.user, known.ok_or_else(gone)?, file)?;
            return Ok(Outcome::Progress { rows: 1, more: false });
        }
        let rows = tables::trash_of(change.store, self.user, &[], BATCH + 1)?;
        for (deleted_at, file, _) in rows.iter().take(BATCH) {
            change.unbin(self.user, *deleted_at, *file)?;
        }
        let more = rows.len() > BATCH;
        Ok(Outcome::Progress { rows: u32::try_from(rows.len().min(BATCH)).unwrap_or(u32::MAX), more })
    }
}
