use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::stop::Stop;
use crate::domain::tables::{self, Ending};
use crate::domain::{CopyAt, Outcome, rules};

record! {
    /// The bytes of these garbage rows are gone. A row outlives the bytes, so that what was sent before the deletion
    /// arrives before the row goes: a late deletion, and every commit that has a receipt of the copy, since none is
    /// younger than the deletion.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Deleted as "deletion of copies" {
        /// 1 to `MAX_COPIES_LISTED`.
        pub copies: Vec<CopyAt> = 1,
    }
}

impl Act for Deleted {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = true;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        rules::check_copies(&self.copies)?;
        let mut rows = 0;
        for copy in &self.copies {
            let (server, blob, id) = (copy.server_id, copy.blob_id, copy.copy_id);
            let Some(mut row) = tables::garbage(change.store, server, blob, id)? else { continue };
            if row.deleted_at.is_none() {
                row.deleted_at = Some(change.now);
                tables::put_garbage(change.store, server, blob, id, &row)?;
                let policy = &change.policy;
                let until = policy.garbage_linger_ms.max(policy.receipt_ttl_ms.saturating_add(1));
                tables::put_expiry(change.store, change.now.plus_ms(until), &Ending::Garbage(server, blob, id))?;
                rows += 1;
            }
        }
        Ok(Outcome::Progress { rows, more: false })
    }
}
