use super::{Act, Schema};
use crate::domain::Outcome;
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::stop::Stop;

record! {
    /// A new account with an empty tree, whoever asks. The first one is the cluster's admin. Nodes propose `Enroll`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Signup as "signup" {
        pub username: String = 1,
        /// An argon2id hash in PHC form, 1 to 512 bytes.
        pub password_hash: String = 2,
    }
}

impl Act for Signup {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        change.open_account(&self.username, &self.password_hash)
    }
}
