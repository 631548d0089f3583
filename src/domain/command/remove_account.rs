use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::stop::{Stop, require};
use crate::domain::tables::MAX_REMOVALS;
use crate::domain::{Outcome, RejectionKind, UserId, rules, tables};

record! {
    /// Begins to remove an account. Nobody acts as it from here on, and what it has is its heir's: in a directory that is
    /// called as the account was, or, without an heir, in the trash of the admin. The rest is `HandOver`'s.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RemoveAccount as "removal of an account" {
        /// An admin.
        pub user: UserId = 1,
        pub username: String = 2,
        /// A username.
        pub heir: Option<String> = 3,
    }
}

impl Act for RemoveAccount {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let admin = rules::admin(change.store, self.user)?;
        let user = rules::named(change.store, &self.username)?;
        let own = "nobody removes the own account: have another admin do it";
        require(user.user_id != self.user, RejectionKind::Forbidden, own)?;
        let heir = match &self.heir {
            Some(name) => rules::named(change.store, name)?,
            None => admin,
        };
        let other = "an account cannot be its own heir: name another one, or none";
        require(heir.user_id != user.user_id, RejectionKind::InvalidRequest, other)?;
        let removals = tables::removals(change.store)?;
        let busy = removals.len() >= MAX_REMOVALS || removals.iter().any(|(_, other)| other.heir == user.user_id);
        let wait = "16 accounts are being removed, or what another one had is being handed over to this one: try again \
                    in some minutes";
        require(!busy, RejectionKind::TooManyRequests, wait)?;
        let backup = tables::holds(change.store, 1)? > 0;
        require(!backup, RejectionKind::TooManyRequests, "a backup is being taken: try again when it is done")?;
        change.begin_removal(user, &heir, self.heir.is_none().then_some(self.user))?;
        Ok(Outcome::Done)
    }
}
