//! Holds: while one stands, no copy's bytes are deleted, so that a backup finds every blob of the index that it took.
//!
//! It is the row that counts, not its time: it goes by an applied `Expire` alone, as a lock does.

use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows;
use crate::domain::stop::{Stop, reject, require};
use crate::domain::{HoldId, Outcome, RejectionKind, tables};

/// How long one may be asked for at once. An hour bounds what a backup that died costs in space.
const TTL_MS: std::ops::RangeInclusive<u64> = 1_000..=3_600_000;
/// Backups that run at once.
const MAX_HOLDS: usize = 16;

record! {
    /// Keeps garbage from going.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Hold as "hold command" {
        pub hold_id: HoldId = 1,
        /// 1,000 to 3,600,000.
        pub ttl_ms: u64 = 2,
        /// It prolongs one that stands, and is refused where it has ended.
        pub renew: bool = 3,
    }
}

impl Act for Hold {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let bounded = TTL_MS.contains(&self.ttl_ms);
        require(bounded, RejectionKind::InvalidRequest, "a hold lasts from 1,000 to 3,600,000 ms: ask for as much")?;
        let id = self.hold_id;
        let old = tables::hold(change.store, id)?;
        let since = match old {
            Some(old) => {
                tables::delete_hold(change.store, id, &old)?;
                old.since
            }
            None if self.renew => {
                return Err(reject(
                    RejectionKind::NotFound,
                    "the hold has ended, and garbage may have gone since: begin the backup again",
                ));
            }
            None if tables::holds(change.store, MAX_HOLDS)? == MAX_HOLDS => {
                return Err(reject(
                    RejectionKind::TooManyRequests,
                    "too many backups run at once: wait until one has ended",
                ));
            }
            None => {
                // A restore knows nothing of trees that are half one's and half another's.
                let whole = tables::removals(change.store)?.is_empty();
                let detail =
                    "an account is being removed: begin the backup when `ringmaster users` does not show it any more";
                require(whole, RejectionKind::TooManyRequests, detail)?;
                change.now
            }
        };
        let hold = rows::Hold { since, expires_at: change.now.plus_ms(self.ttl_ms) };
        tables::put_hold(change.store, id, &hold)?;
        Ok(Outcome::Done)
    }
}
