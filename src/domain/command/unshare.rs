use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rules;
use crate::domain::stop::{Stop, reject};
use crate::domain::terms::FileRef;
use crate::domain::{Outcome, RejectionKind, UserId, tables};

record! {
    /// Takes a grant back.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Unshare as "unshare" {
        pub user: UserId = 1,
        pub file: FileRef = 2,
        /// The username of who had it.
        pub with: String = 3,
    }
}

impl Act for Unshare {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let (reached, grantee) = rules::shareable(change.store, self.user, &self.file, &self.with)?;
        let file_id = reached.entry.file_id;
        if tables::grant(change.store, grantee.user_id, file_id)?.is_none() {
            let detail = "this itself is not shared with that user: name the file or directory that was shared";
            return Err(reject(RejectionKind::NotFound, detail));
        }
        tables::delete_grant(change.store, grantee.user_id, file_id)?;
        Ok(Outcome::Done)
    }
}
