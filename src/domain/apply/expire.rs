//! The end of what has run out, by this entry's own time stamp.

use super::Change;
use crate::domain::stop::Stop;
use crate::domain::tables::{self, Ending};
use crate::domain::{Fault, Outcome, Table};

/// Each ending touches at most four rows, and a command a thousand.
const MAX_ENDINGS: u32 = 250;

impl Change<'_> {
    /// Works off at most `limit` endings, but no more than `MAX_ENDINGS`.
    pub(super) fn expire(&mut self, limit: u32) -> Result<Outcome, Stop> {
        let limit = limit.clamp(1, MAX_ENDINGS) as usize;
        let mut due = tables::due_expiries(self.store, self.now, limit + 1)?;
        let more = due.len() > limit;
        due.truncate(limit);
        for key in &due {
            self.end(&tables::keys::read_expiry(key)?.1)?;
            self.store.delete(Table::Expiries, key)?;
        }
        let rows = u32::try_from(due.len()).unwrap_or(MAX_ENDINGS);
        if let Some(last) = due.pop() {
            tables::put_expired_through(self.store, last)?;
        }
        Ok(Outcome::Progress { rows, more })
    }

    fn end(&mut self, ending: &Ending) -> Result<(), Fault> {
        match ending {
            Ending::Lock(file) => {
                if let Some(lock) = tables::lock(self.store, *file)? {
                    tables::delete_lock(self.store, *file, &lock)?;
                }
            }
            Ending::Session(token_hash) => {
                if let Some(token) = tables::token(self.store, token_hash)? {
                    tables::delete_token(self.store, token_hash, &token)?;
                }
            }
            Ending::Operation(user, id) => {
                self.store.delete(Table::Operations, &tables::keys::operation(*user, id))?;
            }
            Ending::Hold(id) => {
                if let Some(hold) = tables::hold(self.store, *id)? {
                    tables::delete_hold(self.store, *id, &hold)?;
                }
            }
            Ending::Garbage(server, blob, copy) => tables::delete_garbage(self.store, *server, *blob, *copy)?,
        }
        Ok(())
    }
}
