use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::User;
use crate::domain::stop::{Stop, reject};
use crate::domain::{Outcome, RejectionKind, rules, tables};

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
        let nobody = || reject(RejectionKind::NotFound, "there is no such account: name one that is there");
        let id = tables::user_id(change.store, &self.username)?.ok_or_else(nobody)?;
        let user = rules::account(change.store, id)?;
        let user = User { password_hash: self.password_hash.clone(), admin: true, ..user };
        tables::put_user(change.store, &user)?;
        Ok(Outcome::User { user_id: id, username: user.username, admin: true })
    }
}
