use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::{NO_PASSWORD, OneTimeCode, User};
use crate::domain::stop::{Stop, astray};
use crate::domain::{Outcome, Sha256, UserId, rules, tables};

record! {
    /// A new account without a password. Its user sets one by a one-time code.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct AddAccount as "account to be added" {
        /// An admin.
        pub user: UserId = 1,
        pub username: String = 2,
        /// SHA-256 of the code.
        pub code_hash: Sha256 = 3,
        /// 60,000 to 30 days.
        pub ttl_ms: u64 = 4,
    }
}

impl Act for AddAccount {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        rules::admin(change.store, self.user)?;
        rules::check_code_ttl(self.ttl_ms)?;
        let outcome = change.open_account(&self.username, NO_PASSWORD)?;
        let Outcome::User { user_id, .. } = outcome else { return Err(astray("an account has no outcome")) };
        let user = rules::account(change.store, user_id)?;
        let code = Some(OneTimeCode { hash: self.code_hash, expires_at: change.now.plus_ms(self.ttl_ms) });
        tables::put_user(change.store, &User { code, ..user })?;
        Ok(outcome)
    }
}
