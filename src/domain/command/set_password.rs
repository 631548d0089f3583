use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::User;
use crate::domain::stop::{Stop, require};
use crate::domain::terms::PasswordProof;
use crate::domain::{Outcome, RejectionKind, Sha256, UserId, rules, tables};

record! {
    /// Another password for the user's own account. All other sessions end: whoever knew the old one may have opened them.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct SetPassword as "change of a password" {
        pub user: UserId = 1,
        /// An argon2id hash in PHC form, 1 to 512 bytes.
        pub password_hash: String = 2,
        pub proof: PasswordProof = 3,
        /// SHA-256 of the token of the session that stays.
        pub keep: Option<Sha256> = 4,
    }
}

impl Act for SetPassword {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        rules::check_password_hash(&self.password_hash)?;
        let user = rules::account(change.store, self.user)?;
        match &self.proof {
            PasswordProof::Known(hash) => require(
                user.password_hash == *hash,
                RejectionKind::Forbidden,
                "the password was changed meanwhile: send the one that holds now",
            )?,
            PasswordProof::Code(hash) => require(
                user.code.is_some_and(|code| code.hash == *hash && code.expires_at > change.now),
                RejectionKind::Forbidden,
                "this code was used, or has ended: ask an admin for another",
            )?,
        }
        // A code for who had forgotten the password is worth nothing to who knows it again.
        let user = User { password_hash: self.password_hash.clone(), code: None, ..user };
        tables::put_user(change.store, &user)?;
        change.end_sessions(self.user, self.keep.as_ref())?;
        Ok(Outcome::Done)
    }
}
