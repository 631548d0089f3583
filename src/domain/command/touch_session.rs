use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::Token;
use crate::domain::stop::Stop;
use crate::domain::{Outcome, Sha256, tables};

record! {
    /// A session is in use. Nodes say so once an hour, so that of many sessions those that nobody uses give way.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct TouchSession as "use of a session" {
        pub token_hash: Sha256 = 1,
    }
}

impl Act for TouchSession {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        if let Some(token) = tables::token(change.store, &self.token_hash)? {
            let token = Token { seen_at: change.now, wall_seen_at: change.wall, ..token };
            tables::put_token(change.store, &self.token_hash, &token)?;
        }
        Ok(Outcome::Done)
    }
}
