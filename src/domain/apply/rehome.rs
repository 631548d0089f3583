//! Other copies for a record: what repairs, drains, rebalancing and a changed policy all come to.

use std::collections::BTreeSet;

use super::Change;
use crate::domain::command::{MAX_REHOMES, Rehome, Slot};
use crate::domain::plant::{Plant, planted};
use crate::domain::rows::{Content, Entry, EntryKind, Placement, Repair, RepairReason, ServerState};
use crate::domain::stop::{Stop, require, settle};
use crate::domain::tables::{self, MAX_COPIES};
use crate::domain::{Fault, FileId, Outcome, RejectionKind, Replica};

impl Change<'_> {
    /// Each change stands for itself: one that met another state is refused, and the others take effect.
    pub(super) fn rehome(&mut self, changes: &[Rehome]) -> Result<Outcome, Stop> {
        let bounded = (1..=MAX_REHOMES).contains(&changes.len());
        require(bounded, RejectionKind::InvalidRequest, "one command puts copies into 1 to 40 records")?;
        let mut refused = Vec::new();
        for (position, change) in changes.iter().enumerate() {
            if !self.rehome_one(change)? {
                refused.push(u32::try_from(position).unwrap_or(u32::MAX));
            }
        }
        Ok(Outcome::Rehomed { refused })
    }

    fn rehome_one(&mut self, change: &Rehome) -> Result<bool, Fault> {
        let Some(mut entry) = tables::entry(self.store, change.file_id)? else { return Ok(false) };
        if planted(Plant::EarlyDequeue) {
            tables::delete_repairs(self.store, change.file_id)?;
        }
        let Some(content) = entry.content() else { return Ok(false) };
        let same_rev = content.placement_rev == change.placement_rev || planted(Plant::NoPlacementRevCheck);
        if content.blob_id != change.blob_id || !same_rev {
            return Ok(false);
        }
        let Some(replicas) = self.fill(content, &change.slots)? else { return Ok(false) };
        if replicas == content.replicas || !self.is_safe(&content.replicas, &replicas)? {
            return Ok(false);
        }
        let file_id = entry.file_id;
        let EntryKind::File(content) = &mut entry.kind else { return Ok(false) };
        let old = std::mem::replace(&mut content.replicas, replicas);
        content.placement_rev += 1;
        self.exchange(file_id, content, &old)?;
        let content = content.clone();
        tables::put_entry(self.store, &entry)?;
        self.settle_repair(&entry, &content)?;
        Ok(true)
    }

    /// The replicas that the slots come to; nothing where one of them does not stand.
    fn fill(&self, content: &Content, slots: &[Slot]) -> Result<Option<Vec<Replica>>, Fault> {
        let mut replicas: Vec<Replica> = Vec::with_capacity(slots.len());
        for slot in slots {
            let named = |server| content.replicas.iter().find(|replica| replica.server_id == server).copied();
            let replica = match slot {
                Slot::Kept(server) => named(*server),
                Slot::Made(receipt) => settle(self.judge(content.blob_id, receipt))?.ok(),
            };
            let Some(replica) = replica else { return Ok(None) };
            replicas.push(replica);
        }
        let servers: BTreeSet<_> = replicas.iter().map(|replica| replica.server_id).collect();
        let shaped = (1..=usize::from(MAX_COPIES)).contains(&replicas.len()) && servers.len() == replicas.len();
        Ok(shaped.then_some(replicas))
    }

    /// No change leaves fewer copies that count than there were, or than the policy asks for; and where none would
    /// count, each one named may be the last that there is, and stays named. Nor does one leave more on servers that stay
    /// than the policy asks for: it was made before `copies` was lowered, and the walk for that may have passed.
    fn is_safe(&self, old: &[Replica], new: &[Replica]) -> Result<bool, Fault> {
        let (before, after) = (self.counted(old)?, self.counted(new)?);
        let drops = old.iter().any(|old| new.iter().all(|new| !same_copy(old, new)));
        let mut staying = 0;
        for replica in new {
            let server = tables::server(self.store, replica.server_id)?;
            staying +=
                usize::from(server.is_some_and(|server| server.state == ServerState::Up && server.counts(replica)));
        }
        let wanted = self.wanted_copies();
        Ok(after >= before.min(wanted) && staying <= wanted && (after > 0 || !drops))
    }

    fn exchange(&mut self, file_id: FileId, content: &Content, old: &[Replica]) -> Result<(), Fault> {
        let blob = content.blob_id;
        for (position, replica) in old.iter().enumerate() {
            self.count(replica, position, content.size, false)?;
            let at_server = content.replicas.iter().find(|new| new.server_id == replica.server_id);
            if at_server.is_none() {
                tables::delete_placement(self.store, replica.server_id, blob)?;
            }
            if at_server.is_none_or(|new| new.copy_id != replica.copy_id) {
                self.list_garbage(replica.server_id, blob, replica.copy_id)?;
            }
        }
        let placement = Placement { file_id, version: content.version };
        for (position, replica) in content.replicas.iter().enumerate() {
            tables::put_placement(self.store, replica.server_id, blob, &placement)?;
            self.count(replica, position, content.size, true)?;
        }
        Ok(())
    }

    /// A file is owed a repair while its copies are not right for a reason that no server's counters tell: too few or too
    /// many are named, or one of them is damaged.
    pub(super) fn settle_repair(&mut self, entry: &Entry, content: &Content) -> Result<(), Fault> {
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

fn same_copy(one: &Replica, other: &Replica) -> bool {
    (one.server_id, one.copy_id) == (other.server_id, other.copy_id)
}
