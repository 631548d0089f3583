use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::Grant;
use crate::domain::rules;
use crate::domain::stop::{Stop, require};
use crate::domain::terms::FileRef;
use crate::domain::{FileId, Outcome, Permission, RejectionKind, UserId, tables};

record! {
    /// A grant on what is the user's own. A second grant to the same user replaces the first.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Share as "share" {
        pub user: UserId = 1,
        pub file: FileRef = 2,
        /// The username of who is given it.
        pub with: String = 3,
        pub permission: Permission = 4,
    }
}

impl Act for Share {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let (reached, grantee) = rules::shareable(change.store, self.user, &self.file, &self.with)?;
        require(
            grantee.user_id != self.user,
            RejectionKind::InvalidRequest,
            "this is yours already: share it with another user",
        )?;
        let (id, grantee_id) = (reached.entry.file_id, grantee.user_id);
        if tables::grant(change.store, grantee_id, id)?.is_none() {
            let given = tables::grants_of(change.store, grantee_id, FileId(0), rules::MAX_GRANTS)?.len();
            require(
                given < rules::MAX_GRANTS,
                RejectionKind::TooManyRequests,
                "as much is shared with that user as may be, 1,000 files or directories: share a directory above, or ask \
                 the user to leave some",
            )?;
        }
        let (file_id, permission) = (reached.entry.file_id, self.permission);
        tables::put_grant(change.store, &Grant { user: grantee.user_id, file_id, permission })?;
        Ok(Outcome::Granted { file_id, username: grantee.username, permission })
    }
}
