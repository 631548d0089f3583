use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::{NO_PASSWORD, OneTimeCode, User};
use crate::domain::stop::Stop;
use crate::domain::{Outcome, Sha256, UserId, rules, tables};

record! {
    /// Takes a user's password away, with all sessions. The user sets another one by a one-time code.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ResetPassword as "reset of a password" {
        /// An admin.
        pub user: UserId = 1,
        pub username: String = 2,
        /// SHA-256 of the code.
        pub code_hash: Sha256 = 3,
        /// 60,000 to 30 days.
        pub ttl_ms: u64 = 4,
    }
}

impl Act for ResetPassword {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        rules::admin(change.store, self.user)?;
        rules::check_code_ttl(self.ttl_ms)?;
        let user = rules::named(change.store, &self.username)?;
        let code = Some(OneTimeCode { hash: self.code_hash, expires_at: change.now.plus_ms(self.ttl_ms) });
        let user_id = user.user_id;
        tables::put_user(change.store, &User { password_hash: NO_PASSWORD.to_owned(), code, ..user })?;
        change.end_sessions(user_id, None)?;
        Ok(Outcome::Done)
    }
}
