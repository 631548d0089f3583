use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::User;
use crate::domain::stop::Stop;
use crate::domain::{Outcome, rules, tables};

record! {
    /// Makes an account an admin's, under a new password: for an operator with the cluster secret, whose admin is lost.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ResetAdmin as "reset of an admin" {
        pub username: String = 1,
        /// An argon2id hash in PHC form, 1 to 512 bytes.
        pub password_hash: String = 2,
    }
}

impl Act for ResetAdmin {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        rules::check_password_hash(&self.password_hash)?;
        let user = rules::named(change.store, &self.username)?;
        let id = user.user_id;
        let user = User { password_hash: self.password_hash.clone(), admin: true, disabled: false, code: None, ..user };
        tables::put_user(change.store, &user)?;
        change.end_sessions(id, None)?;
        Ok(Outcome::User { user_id: id, username: user.username, admin: true })
    }
}
