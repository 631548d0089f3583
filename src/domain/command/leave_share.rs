use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rules;
use crate::domain::stop::{Stop, reject};
use crate::domain::terms::FileRef;
use crate::domain::{Outcome, RejectionKind, UserId, tables};

record! {
    /// Gives up what somebody shared with the user.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct LeaveShare as "leaving of a share" {
        pub user: UserId = 1,
        pub file: FileRef = 2,
    }
}

impl Act for LeaveShare {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let reached = rules::reach(change.store, self.user, &self.file)?;
        let file_id = reached.entry.file_id;
        if tables::grant(change.store, self.user, file_id)?.is_none() {
            let detail = "this itself was not shared with you: name the file or directory that was, as `ringmaster ls -a` \
                          shows it";
            return Err(reject(RejectionKind::NotFound, detail));
        }
        tables::delete_grant(change.store, self.user, file_id)?;
        change.end_void_lock(&reached.entry)?;
        Ok(Outcome::Done)
    }
}
