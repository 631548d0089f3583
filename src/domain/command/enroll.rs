use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rules;
use crate::domain::stop::{Stop, require};
use crate::domain::terms::Admission;
use crate::domain::{Outcome, RejectionKind};

record! {
    /// A new account with an empty tree, for whoever may make one. The first one is the cluster's admin.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Enroll as "signup by right" {
        pub username: String = 1,
        /// An argon2id hash in PHC form, 1 to 512 bytes.
        pub password_hash: String = 2,
        pub by: Admission = 3,
    }
}

impl Act for Enroll {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        rules::admit(change.store, &change.policy, &self.by)?;
        if let Admission::Invite(hash) = &self.by {
            let invite = rules::standing_invite(change.store, hash, change.now)?;
            crate::domain::tables::delete_invite(change.store, hash, &invite)?;
        }
        let outcome = change.open_account(&self.username, &self.password_hash)?;
        let admin = matches!(outcome, Outcome::User { admin: true, .. });
        require(
            admin == (self.by == Admission::Setup),
            RejectionKind::Forbidden,
            "the setup code makes the first account alone: sign up without it",
        )?;
        Ok(outcome)
    }
}
