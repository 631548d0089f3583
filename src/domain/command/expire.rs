use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::stop::Stop;
use crate::domain::tables::{self, Ending};
use crate::domain::{Fault, Outcome, Table};

/// Each ending touches at most four rows, and a command a thousand.
const MAX_ENDINGS: u32 = 250;

record! {
    /// Ends what has run out (locks, sessions, operations, garbage rows) by this entry's own time stamp.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Expire as "expiry" {
        /// The most endings; no more than 250 in any case.
        pub limit: u32 = 1,
    }
}

impl Act for Expire {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = true;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let limit = self.limit.clamp(1, MAX_ENDINGS) as usize;
        let mut due = tables::due_expiries(change.store, change.now, limit + 1)?;
        let more = due.len() > limit;
        due.truncate(limit);
        for key in &due {
            end(change, &tables::keys::read_expiry(key)?.1)?;
            change.store.delete(Table::Expiries, key)?;
        }
        let rows = u32::try_from(due.len()).unwrap_or(MAX_ENDINGS);
        if let Some(last) = due.pop() {
            tables::put_expired_through(change.store, last)?;
        }
        Ok(Outcome::Progress { rows, more })
    }
}

fn end(change: &mut Change<'_>, ending: &Ending) -> Result<(), Fault> {
    match ending {
        Ending::Lock(file) => {
            if let Some(lock) = tables::lock(change.store, *file)? {
                tables::delete_lock(change.store, *file, &lock)?;
            }
        }
        Ending::Session(token_hash) => {
            if let Some(token) = tables::token(change.store, token_hash)? {
                tables::delete_token(change.store, token_hash, &token)?;
            }
        }
        Ending::Operation(user, id) => {
            change.store.delete(Table::Operations, &tables::keys::operation(*user, id))?;
        }
        Ending::Hold(id) => {
            if let Some(hold) = tables::hold(change.store, *id)? {
                tables::delete_hold(change.store, *id, &hold)?;
            }
        }
        Ending::Garbage(server, blob, copy) => tables::delete_garbage(change.store, *server, *blob, *copy)?,
    }
    Ok(())
}
