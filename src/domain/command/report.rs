use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::stop::Stop;
use crate::domain::{CopyAt, Fault, Outcome, rules, tables};

record! {
    /// These copies were found damaged or missing: they stop counting at once, and their files are owed a repair. They
    /// stay named, since each may be the only one.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Report as "report of damage" {
        /// 1 to `MAX_COPIES_LISTED`.
        pub copies: Vec<CopyAt> = 1,
    }
}

impl Act for Report {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = true;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        rules::check_copies(&self.copies)?;
        let mut rows = 0;
        for copy in &self.copies {
            rows += u32::from(mark_damaged(change, copy)?);
        }
        if rows > 0 {
            tables::note_loss(change.store)?;
        }
        Ok(Outcome::Progress { rows, more: false })
    }
}

fn mark_damaged(change: &mut Change<'_>, copy: &CopyAt) -> Result<bool, Fault> {
    let Some(placement) = tables::placement(change.store, copy.server_id, copy.blob_id)? else { return Ok(false) };
    let Some(mut extent) = tables::extent(change.store, placement.at)? else { return Ok(false) };
    let named = extent
        .replicas
        .iter_mut()
        .find(|replica| (replica.server_id, replica.copy_id) == (copy.server_id, copy.copy_id) && !replica.damaged);
    let Some(replica) = named else { return Ok(false) };
    replica.damaged = true;
    extent.placement_rev = extent.placement_rev.saturating_add(1);
    change.settle_repair(placement.at, extent)?;
    Ok(true)
}
