//! Which file servers a new file goes to.
//!
//! Pure, and run by the node that takes a write, on the state as it reads it and on what it has in flight itself:
//! the choice is a matter of balance, and `apply` checks what must hold when the write commits.

use std::collections::{BTreeMap, BTreeSet};

use super::ServerId;
use super::rows::{Server, ServerState};

/// A file server as placement sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub server_id: ServerId,
    /// Up; not down and not draining.
    pub up: bool,
    pub full: bool,
    pub primaries: u64,
    pub backups: u64,
    pub bytes: u64,
    /// Bytes it can hold by its own word; 0 where it is not known.
    pub capacity: u64,
}

impl From<&Server> for Candidate {
    fn from(server: &Server) -> Self {
        Self {
            server_id: server.server_id,
            up: server.state == ServerState::Up,
            full: server.full,
            primaries: server.primaries,
            backups: server.backups,
            bytes: server.bytes,
            capacity: server.capacity,
        }
    }
}

/// What was placed on a server and is not committed yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InFlight {
    pub primaries: u64,
    /// Primaries and backups.
    pub copies: u64,
    pub bytes: u64,
}

/// The servers for a new file, the primary first; nothing when none is eligible. Fewer than `copies` when there are
/// too few: a commit with so few is taken only while no more than these are up and not full, else more copies are to
/// be made.
///
/// Eligible is who is up, not draining, not full, not in `excluded`, and has room for `size_hint` bytes where its
/// capacity is known. Among these the one that is primary of the fewest files becomes the primary (ties: fewest
/// copies, fewest bytes, lowest id; what is in flight counts), and the backups are its next eligible successors in
/// `ring_order`.
pub fn choose(
    servers: &[Candidate],
    ring_order: &[ServerId],
    copies: u32,
    in_flight: &BTreeMap<ServerId, InFlight>,
    excluded: &BTreeSet<ServerId>,
    size_hint: u64,
) -> Option<Vec<ServerId>> {
    let flying = |server: &Candidate| in_flight.get(&server.server_id).copied().unwrap_or_default();
    let eligible: BTreeMap<ServerId, &Candidate> = servers
        .iter()
        .filter(|server| server.up && !server.full && !excluded.contains(&server.server_id))
        .filter(|server| ring_order.contains(&server.server_id))
        .filter(|server| {
            let used = server.bytes.saturating_add(flying(server).bytes).saturating_add(size_hint);
            server.capacity == 0 || used <= server.capacity
        })
        .map(|server| (server.server_id, server))
        .collect();

    let primary = eligible.values().min_by_key(|server| {
        let flying = flying(server);
        (
            server.primaries.saturating_add(flying.primaries),
            server.primaries.saturating_add(server.backups).saturating_add(flying.copies),
            server.bytes.saturating_add(flying.bytes),
            server.server_id,
        )
    })?;
    let start = ring_order.iter().position(|id| *id == primary.server_id)?;
    let wanted = usize::try_from(copies.max(1)).unwrap_or(usize::MAX);
    let ring = ring_order.iter().cycle().skip(start).take(ring_order.len());
    Some(ring.filter(|id| eligible.contains_key(id)).copied().take(wanted).collect())
}
