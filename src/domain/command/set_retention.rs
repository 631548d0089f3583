use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::Retention;
use crate::domain::stop::Stop;
use crate::domain::terms::FileRef;
use crate::domain::{Outcome, UserId, rules, tables};

record! {
    /// For how long a directory keeps what is below it. All three values are set: nothing for what is said further up.
    ///
    /// What is kept already stays until the time that it has: they count for the next update and the next delete.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct SetRetention as "retention of a directory" {
        pub user: UserId = 1,
        pub directory: FileRef = 2,
        pub versions_keep: Option<u32> = 3,
        pub versions_ms: Option<u64> = 4,
        pub trash_ms: Option<u64> = 5,
    }
}

impl Act for SetRetention {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let reached = rules::retaining(change.store, self.user, &self.directory)?;
        let (id, owner) = (reached.entry.file_id, reached.entry.owner);
        let Self { versions_keep, versions_ms, trash_ms, .. } = *self;
        let row = Retention { owner, versions_keep, versions_ms, trash_ms };
        rules::check_retention(&row)?;
        if row.is_empty() {
            tables::delete_retention(change.store, id)?;
            return Ok(Outcome::Done);
        }
        if tables::retention(change.store, id)?.is_none() {
            rules::check_more_retention(change.store, owner)?;
        }
        tables::put_retention(change.store, id, &row)?;
        Ok(Outcome::Done)
    }
}
