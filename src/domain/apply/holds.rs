//! Holds: while one stands, no copy's bytes are deleted, so that a backup finds every blob of the index that it took.
//!
//! It is the row that counts, not its time: it goes by an applied `Expire` alone, as a lock does.

use super::Change;
use crate::domain::rows::Hold;
use crate::domain::stop::{Stop, reject, require};
use crate::domain::{HoldId, Outcome, RejectionKind, tables};

/// How long one may be asked for at once. An hour bounds what a backup that died costs in space.
const TTL_MS: std::ops::RangeInclusive<u64> = 1_000..=3_600_000;
/// Backups that run at once.
const MAX_HOLDS: usize = 16;

impl Change<'_> {
    pub(super) fn hold(&mut self, id: HoldId, ttl_ms: u64, renew: bool) -> Result<Outcome, Stop> {
        let bounded = TTL_MS.contains(&ttl_ms);
        require(bounded, RejectionKind::InvalidRequest, "a hold lasts from 1,000 to 3,600,000 ms: ask for as much")?;
        let old = tables::hold(self.store, id)?;
        let since = match old {
            Some(old) => {
                tables::delete_hold(self.store, id, &old)?;
                old.since
            }
            None if renew => {
                return Err(reject(
                    RejectionKind::NotFound,
                    "the hold has ended, and garbage may have gone since: begin the backup again",
                ));
            }
            None if tables::holds(self.store, MAX_HOLDS)? == MAX_HOLDS => {
                return Err(reject(
                    RejectionKind::TooManyRequests,
                    "too many backups run at once: wait until one has ended",
                ));
            }
            None => self.now,
        };
        tables::put_hold(self.store, id, &Hold { since, expires_at: self.now.plus_ms(ttl_ms) })?;
        Ok(Outcome::Done)
    }

    /// Of one that has ended, too.
    pub(super) fn release_hold(&mut self, id: HoldId) -> Result<Outcome, Stop> {
        if let Some(hold) = tables::hold(self.store, id)? {
            tables::delete_hold(self.store, id, &hold)?;
        }
        Ok(Outcome::Done)
    }
}
