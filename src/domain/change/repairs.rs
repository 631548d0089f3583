//! Which files are owed a repair that no server's counters tell of.

use super::Change;
use crate::domain::Fault;
use crate::domain::rows::{Content, Entry, Repair, RepairReason};
use crate::domain::tables::{self, MAX_COPIES};

impl Change<'_> {
    /// A file is owed a repair while its copies are not right for a reason that no server's counters tell: too few or too
    /// many are named, or one of them is damaged.
    pub(crate) fn settle_repair(&mut self, entry: &Entry, content: &Content) -> Result<(), Fault> {
        let known = tables::repair(self.store, entry.file_id)?;
        if known.is_some() {
            tables::delete_repairs(self.store, entry.file_id)?;
        }
        let damaged = content.replicas.iter().any(|replica| replica.damaged);
        let owed = damaged || content.replicas.len() != self.wanted_copies();
        if !owed {
            return Ok(());
        }
        let reason = if damaged { RepairReason::BadCopy } else { RepairReason::ShortWrite };
        let since = known.map_or(self.now, |(_, repair)| repair.since);
        let copies = u8::try_from(self.counted(&content.replicas)?).unwrap_or(MAX_COPIES);
        tables::put_repair(self.store, copies, entry.file_id, &Repair { reason, since })
    }
}
