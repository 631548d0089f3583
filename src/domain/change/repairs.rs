//! Which extents are owed a repair that no server's counters tell of.

use super::Change;
use crate::domain::rows::{Extent, Repair, RepairReason};
use crate::domain::{ExtentAt, Fault, tables};

impl Change<'_> {
    /// An extent is owed a repair while its copies are not right for a reason that no server's counters tell: too few or too
    /// many are named, or one of them is damaged. Writes the extent's row, which says where on the list it stands.
    pub(crate) fn settle_repair(&mut self, at: ExtentAt, mut extent: Extent) -> Result<(), Fault> {
        let mut since = self.now;
        if let Some(copies) = extent.owed {
            since = tables::repair(self.store, copies, at)?.map_or(since, |repair| repair.since);
            tables::delete_repair(self.store, copies, at)?;
        }
        let damaged = extent.replicas.iter().any(|replica| replica.damaged);
        extent.owed = None;
        if damaged || extent.replicas.len() != self.wanted_copies() {
            let reason = if damaged { RepairReason::BadCopy } else { RepairReason::ShortWrite };
            let copies = u32::try_from(self.counted(&extent.replicas)?).unwrap_or(u32::MAX);
            tables::put_repair(self.store, copies, at, &Repair { reason, since })?;
            extent.owed = Some(copies);
        }
        tables::put_extent(self.store, at, &extent)
    }
}
