use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::stop::{Stop, reject};
use crate::domain::{Outcome, RejectionKind, Sha256, UserId, rules, tables};

record! {
    /// Ends an invitation that nobody has used.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RevokeInvite as "revoking of an invitation" {
        /// An admin.
        pub user: UserId = 1,
        pub hash: Sha256 = 2,
    }
}

impl Act for RevokeInvite {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        rules::admin(change.store, self.user)?;
        let gone = || reject(RejectionKind::NotFound, "there is no such invitation: it was used, or has ended");
        let invite = tables::invite(change.store, &self.hash)?.ok_or_else(gone)?;
        tables::delete_invite(change.store, &self.hash, &invite)?;
        Ok(Outcome::Done)
    }
}
