use super::{Act, Schema};
use crate::domain::answer::Access;
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::stop::{Stop, astray, reject};
use crate::domain::terms::PathRef;
use crate::domain::{FileId, FilePath, Outcome, RejectionKind, UserId, rules, tables};

record! {
    /// Takes an entry out of its owner's trash, with all that is below it and all that was granted on it.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RestoreTrashed as "return from the trash" {
        pub user: UserId = 1,
        pub file_id: FileId = 2,
        /// Where it is to be; where it was if nothing is said.
        pub to: Option<FilePath> = 3,
    }
}

impl Act for RestoreTrashed {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let id = self.file_id;
        let gone =
            || reject(RejectionKind::NotFound, "nothing of this id is in your trash: `ringmaster trash` lists what is");
        let deleted_at = tables::binned_at(change.store, self.user, id)?.ok_or_else(gone)?;
        let mut entry = tables::known_entry(change.store, id)?;
        let lost = || astray(format!("entry {id} is in the trash and not listed there"));
        let row = tables::trashed(change.store, self.user, deleted_at, id)?.ok_or_else(lost)?;
        let at = PathRef { owner: None, path: self.to.clone().unwrap_or_else(|| row.path.clone()) };
        let spot = rules::spot(change.store, self.user, &at)?;
        let below = rules::check_depth(&spot.path, &entry)?;
        tables::delete_trashed(change.store, self.user, deleted_at, id, &row)?;
        tables::unlink(change.store, &entry)?;
        (entry.parent, entry.name) = change.make_parents(&spot, below)?;
        tables::link(change.store, &entry)?;
        change.stat(&entry, spot.path, Access::Owner)
    }
}
