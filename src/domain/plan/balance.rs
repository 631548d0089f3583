//! Where files should be, so that the servers' counts of primaries level out and each file's backups are its primary's
//! successors.

use std::collections::BTreeMap;

use super::scene::Scene;
use crate::domain::ServerId;
use crate::domain::rows::{Extent, Server, ServerState};

/// Fewer files than this are not worth moving.
const LEAST_GAP: u64 = 8;
/// File servers that a reason names.
const MAX_NAMED: usize = 10;

/// The members of the ring that can take files.
fn members(scene: &Scene) -> impl Iterator<Item = &Server> {
    scene.ring.iter().filter_map(|id| scene.servers.get(id)).filter(|server| server.is_eligible())
}

fn total<'a>(counts: impl Iterator<Item = &'a u64>) -> u64 {
    counts.fold(0, |sum, count| sum.saturating_add(*count))
}

/// Why copies cannot be moved or made as they should be, in words with what to do; nothing where enough file servers take
/// files.
pub(super) fn hindrance(scene: &Scene, refusals: &BTreeMap<ServerId, String>) -> Option<String> {
    let wanted = scene.copies.max(2);
    let able = members(scene).count();
    if able >= wanted {
        return None;
    }
    let mut why = unable(scene.servers.values(), refusals);
    if why.is_empty() {
        why.push("there are no more".to_owned());
    }
    Some(format!(
        "{able} file servers take files and {wanted} are needed ({}): make room, bring them back, or add a file server",
        why.join(", ")
    ))
}

/// Which servers take no new files, and why, in words; the first ten. `refusals` are those whose disks take no writes.
pub fn unable<'a>(servers: impl Iterator<Item = &'a Server>, refusals: &BTreeMap<ServerId, String>) -> Vec<String> {
    let told = |server: &Server| {
        let id = server.server_id;
        let refusal = refusals.get(&id).map(|why| format!("file server {id} cannot write ({why})"));
        match server.state {
            ServerState::Down => Some(format!("file server {id} is down")),
            ServerState::Draining => Some(format!("file server {id} is being emptied")),
            ServerState::Up if refusal.is_some() => refusal,
            ServerState::Up => server.full.then(|| format!("file server {id} is full")),
        }
    };
    servers.filter_map(told).take(MAX_NAMED).collect()
}

/// Whether the fullest server's count of primaries exceeds the emptiest's by more than `percent` of the mean.
pub(super) fn is_uneven(scene: &Scene, percent: u32) -> bool {
    Loads::new(scene).are_uneven(percent)
}

/// How many primaries each member has, as far as this window has planned it.
pub(super) struct Loads {
    primaries: BTreeMap<ServerId, u64>,
    /// What an even share is, rounded up.
    share: u64,
}

impl Loads {
    pub(super) fn new(scene: &Scene) -> Self {
        let primaries: BTreeMap<_, _> = members(scene).map(|server| (server.server_id, server.primaries)).collect();
        let share = total(primaries.values()).div_ceil(primaries.len().max(1) as u64);
        Self { primaries, share }
    }

    pub(super) fn are_uneven(&self, percent: u32) -> bool {
        let counts = self.primaries.values();
        let (Some(least), Some(most)) = (counts.clone().min(), counts.clone().max()) else { return false };
        let mean = total(counts) / self.primaries.len() as u64;
        let allowed = mean.saturating_mul(u64::from(percent)) / 100;
        percent > 0 && most - least > allowed.max(LEAST_GAP)
    }

    /// Where a file is to go; nothing where it is there already, or where it cannot go.
    pub(super) fn goal(&mut self, scene: &Scene, extent: &Extent) -> Option<Vec<ServerId>> {
        let current: Vec<ServerId> = extent.replicas.iter().map(|replica| replica.server_id).collect();
        let primary = *current.first()?;
        let load = *self.primaries.get(&primary)?;
        let lightest = self.primaries.iter().min_by_key(|(id, count)| (**count, **id)).map(|(id, count)| (*id, *count));
        let target = match lightest {
            // At least two apart: otherwise the two would only change places.
            Some((id, count)) if load > self.share && count + 1 < load => id,
            _ => primary,
        };
        let fits = |id: &ServerId| current.contains(id) || scene.takes(*id, extent.size);
        let backups = scene.after(target).filter(|id| *id != target).filter(fits);
        let goal: Vec<ServerId> = std::iter::once(target).chain(backups).take(scene.copies).collect();
        if goal == current || goal.len() < scene.copies {
            return None;
        }
        if target != primary {
            self.primaries.entry(primary).and_modify(|count| *count -= 1);
            self.primaries.entry(target).and_modify(|count| *count += 1);
        }
        Some(goal)
    }
}
