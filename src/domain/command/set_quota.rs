use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::Usage;
use crate::domain::stop::{Stop, reject, require};
use crate::domain::{Outcome, RejectionKind, UserId, tables};

record! {
    /// A user's own bounds. Below what the user has, they take nothing away and let nothing in.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct SetQuota as "quota" {
        /// Whose.
        pub user: UserId = 1,
        /// 0 for no bound; nothing for the policy's.
        pub max_bytes: Option<u64> = 2,
        pub max_files: Option<u64> = 3,
    }
}

impl Act for SetQuota {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let known = tables::user(change.store, self.user)?;
        known.ok_or_else(|| reject(RejectionKind::NotFound, "there is no such account: see `ringmaster users`"))?;
        let removed = tables::removal(change.store, self.user)?.is_some();
        require(!removed, RejectionKind::NotFound, "this account is being removed: wait until it is gone")?;
        let usage = tables::usage(change.store, self.user)?;
        let usage = Usage { max_bytes: self.max_bytes, max_files: self.max_files, ..usage };
        tables::put_usage(change.store, self.user, &usage)?;
        Ok(Outcome::Done)
    }
}
