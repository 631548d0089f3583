use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::stop::Stop;
use crate::domain::{Outcome, tables};

/// A command touches about a thousand rows; one step of it a hundred at the most.
const MAX_ROWS: u32 = 800;

record! {
    /// Goes on with the removal of accounts. Proposed again and again while there is one: what is done stays done, so it is
    /// all the same which leader goes on.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct HandOver as "handing over" {
        /// It stops after so many rows, or some more; no more than 800 in any case.
        pub limit: u32 = 1,
    }
}

impl Act for HandOver {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let limit = self.limit.clamp(1, MAX_ROWS);
        let mut rows = 0;
        for (user, removal) in tables::removals(change.store)? {
            if rows >= limit {
                break;
            }
            change.go_on_with_removal(user, removal, limit, &mut rows)?;
        }
        let more = !tables::removals(change.store)?.is_empty();
        Ok(Outcome::Progress { rows, more })
    }
}
