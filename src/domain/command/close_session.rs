use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::stop::Stop;
use crate::domain::{Outcome, Sha256, tables};

record! {
    /// A logout. Of a login that is not there, too.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct CloseSession as "logout" {
        pub token_hash: Sha256 = 1,
    }
}

impl Act for CloseSession {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        if let Some(token) = tables::token(change.store, &self.token_hash)? {
            tables::delete_token(change.store, &self.token_hash, &token)?;
        }
        Ok(Outcome::Done)
    }
}
