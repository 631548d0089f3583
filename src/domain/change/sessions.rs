//! Sessions of one user.

use super::Change;
use crate::domain::{Fault, Sha256, UserId, rules, tables};

/// Sessions that one command ends at most. Above the bound of a user, who may have had more before there was one.
const BATCH: usize = 2 * rules::MAX_SESSIONS;

impl Change<'_> {
    /// Ends what a user has open, but for one.
    pub(crate) fn end_sessions(&mut self, user: UserId, keep: Option<&Sha256>) -> Result<(), Fault> {
        for hash in tables::sessions_of(self.store, user, &[], BATCH)? {
            if Some(&hash) != keep {
                self.end_session(&hash)?;
            }
        }
        Ok(())
    }

    /// Ends the sessions that were idle for longest, until there is room for another one.
    pub(crate) fn make_room_for_session(&mut self, user: UserId) -> Result<(), Fault> {
        let open = tables::sessions_of(self.store, user, &[], BATCH)?;
        let Some(over) = (open.len() + 1).checked_sub(rules::MAX_SESSIONS).filter(|over| *over > 0) else {
            return Ok(());
        };
        let mut idle = Vec::with_capacity(open.len());
        for hash in open {
            let seen_at = tables::token(self.store, &hash)?.map(|token| token.seen_at);
            idle.push((seen_at, hash));
        }
        idle.sort_unstable_by_key(|(seen_at, hash)| (*seen_at, hash.0));
        for (_, hash) in idle.iter().take(over) {
            self.end_session(hash)?;
        }
        Ok(())
    }

    fn end_session(&mut self, hash: &Sha256) -> Result<(), Fault> {
        match tables::token(self.store, hash)? {
            Some(token) => tables::delete_token(self.store, hash, &token),
            None => Ok(()),
        }
    }
}
