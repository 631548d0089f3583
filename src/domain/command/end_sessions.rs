use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::stop::Stop;
use crate::domain::{Outcome, Sha256, UserId};

record! {
    /// Ends the sessions of a user.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct EndSessions as "end of sessions" {
        pub user: UserId = 1,
        /// But this one.
        pub keep: Option<Sha256> = 2,
    }
}

impl Act for EndSessions {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        change.end_sessions(self.user, self.keep.as_ref())?;
        Ok(Outcome::Done)
    }
}
