//! Which files are owed a repair that no server's counters tell of.

use super::Change;
use crate::domain::Fault;
use crate::domain::rows::{Entry, EntryKind, Repair, RepairReason};
use crate::domain::tables;

impl Change<'_> {
    /// A file is owed a repair while its copies are not right for a reason that no server's counters tell: too few or too
    /// many are named, or one of them is damaged. Writes the entry's row, which says where on the list it stands.
    pub(crate) fn settle_repair(&mut self, mut entry: Entry) -> Result<(), Fault> {
        let file_id = entry.file_id;
        if let EntryKind::File(content) = &mut entry.kind {
            let mut since = self.now;
            if let Some(copies) = content.owed {
                since = tables::repair(self.store, copies, file_id)?.map_or(since, |repair| repair.since);
                tables::delete_repair(self.store, copies, file_id)?;
            }
            let damaged = content.replicas.iter().any(|replica| replica.damaged);
            content.owed = None;
            if damaged || content.replicas.len() != self.wanted_copies() {
                let reason = if damaged { RepairReason::BadCopy } else { RepairReason::ShortWrite };
                let copies = u32::try_from(self.counted(&content.replicas)?).unwrap_or(u32::MAX);
                tables::put_repair(self.store, copies, file_id, &Repair { reason, since })?;
                content.owed = Some(copies);
            }
        }
        tables::put_entry(self.store, &entry)
    }
}
