use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::User;
use crate::domain::stop::{Stop, require};
use crate::domain::{Outcome, RejectionKind, UserId, rules, tables};

record! {
    /// What an admin says of another account. Nobody says anything of the own one, so that one admin is left.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct SetAccount as "change of an account" {
        /// An admin.
        pub user: UserId = 1,
        pub username: String = 2,
        /// Nobody acts as the user, whose sessions end at once. What is the user's stays, and so does what was shared.
        pub disabled: Option<bool> = 3,
        pub admin: Option<bool> = 4,
    }
}

impl Act for SetAccount {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        rules::admin(change.store, self.user)?;
        let user = rules::named(change.store, &self.username)?;
        require(
            user.user_id != self.user,
            RejectionKind::Forbidden,
            "nobody disables the own account or takes the own rights: have another admin do it",
        )?;
        let disabled = self.disabled.unwrap_or(user.disabled);
        let (user_id, admin) = (user.user_id, self.admin.unwrap_or(user.admin));
        tables::put_user(change.store, &User { disabled, admin, ..user })?;
        if disabled {
            change.end_sessions(user_id, None)?;
        }
        Ok(Outcome::Done)
    }
}
