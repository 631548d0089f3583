//! Other copies for an extent: what repairs, drains, rebalancing and a changed policy all come to.

use std::collections::BTreeSet;

use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::plant::{Plant, planted};
use crate::domain::record::declare::record;
use crate::domain::rows::{Extent, Placement, ServerState};
use crate::domain::stop::{Stop, require, settle};
use crate::domain::tables::{self, MAX_COPIES};
use crate::domain::terms::{MAX_REHOMES, NewHome, Slot};
use crate::domain::{ExtentAt, Fault, Outcome, RejectionKind, Replica};

record! {
    /// Puts other copies into records. Each change stands for itself: one that met another state is refused, and the
    /// others take effect.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Rehome as "rehoming" {
        /// 1 to `MAX_REHOMES`.
        pub changes: Vec<NewHome> = 1,
    }
}

impl Act for Rehome {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = true;
    // The safety of files comes before a few rows.
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let bounded = (1..=MAX_REHOMES).contains(&self.changes.len());
        require(bounded, RejectionKind::InvalidRequest, "one command puts copies into 1 to 40 records")?;
        let mut refused = Vec::new();
        for (position, new) in self.changes.iter().enumerate() {
            if !rehome(change, new)? {
                refused.push(u32::try_from(position).unwrap_or(u32::MAX));
            }
        }
        Ok(Outcome::Rehomed { refused })
    }
}

fn rehome(change: &mut Change<'_>, new: &NewHome) -> Result<bool, Fault> {
    let Some(mut extent) = tables::live_extent(change.store, new.at)? else { return Ok(false) };
    if planted(Plant::EarlyDequeue)
        && let Some(copies) = extent.owed.take()
    {
        tables::delete_repair(change.store, copies, new.at)?;
        tables::put_extent(change.store, new.at, &extent)?;
    }
    let same_rev = extent.placement_rev == new.placement_rev || planted(Plant::NoPlacementRevCheck);
    if extent.blob_id != new.blob_id || !same_rev {
        return Ok(false);
    }
    let Some(replicas) = fill(change, &extent, &new.slots)? else { return Ok(false) };
    for replica in &replicas {
        // A server has one place for a blob, and two extents may have one of the same id, though no node makes any such.
        let placement = tables::placement(change.store, replica.server_id, extent.blob_id)?;
        if placement.is_some_and(|placement| placement.at != new.at) {
            return Ok(false);
        }
    }
    if replicas == extent.replicas || !is_safe(change, &extent.replicas, &replicas)? {
        return Ok(false);
    }
    let old = std::mem::replace(&mut extent.replicas, replicas);
    extent.placement_rev = extent.placement_rev.saturating_add(1);
    exchange(change, new.at, &extent, &old)?;
    change.settle_repair(new.at, extent)?;
    Ok(true)
}

/// The replicas that the slots come to; nothing where one of them does not stand.
fn fill(change: &Change<'_>, extent: &Extent, slots: &[Slot]) -> Result<Option<Vec<Replica>>, Fault> {
    let mut replicas: Vec<Replica> = Vec::with_capacity(slots.len());
    for slot in slots {
        let named = |server| extent.replicas.iter().find(|replica| replica.server_id == server).copied();
        let replica = match slot {
            Slot::Kept(server) => named(*server),
            Slot::Made(receipt) => settle(change.judge(extent.blob_id, receipt))?.ok(),
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
fn is_safe(change: &Change<'_>, old: &[Replica], new: &[Replica]) -> Result<bool, Fault> {
    let (before, after) = (change.counted(old)?, change.counted(new)?);
    let drops = old.iter().any(|old| new.iter().all(|new| !same_copy(old, new)));
    let mut staying = 0;
    for replica in new {
        let server = tables::server(change.store, replica.server_id)?;
        staying += usize::from(server.is_some_and(|server| server.state == ServerState::Up && server.counts(replica)));
    }
    let wanted = change.wanted_copies();
    Ok(after >= before.min(wanted) && staying <= wanted && (after > 0 || !drops))
}

fn exchange(change: &mut Change<'_>, at: ExtentAt, extent: &Extent, old: &[Replica]) -> Result<(), Fault> {
    let blob = extent.blob_id;
    for (position, replica) in old.iter().enumerate() {
        change.count(blob, replica, position, extent.size, false)?;
        let at_server = extent.replicas.iter().find(|new| new.server_id == replica.server_id);
        if at_server.is_none() {
            tables::delete_placement(change.store, replica.server_id, blob)?;
        }
        if at_server.is_none_or(|new| new.copy_id != replica.copy_id) {
            change.list_garbage(replica.server_id, blob, replica.copy_id)?;
        }
    }
    for (position, replica) in extent.replicas.iter().enumerate() {
        let placement = Placement { at, copy_id: replica.copy_id };
        tables::put_placement(change.store, replica.server_id, blob, &placement)?;
        change.count(blob, replica, position, extent.size, true)?;
    }
    Ok(())
}

fn same_copy(one: &Replica, other: &Replica) -> bool {
    (one.server_id, one.copy_id) == (other.server_id, other.copy_id)
}
