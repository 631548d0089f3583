//! The servers, as one call of the planner sees them.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::rows::{Extent, Server, ServerState};
use crate::domain::tables::{self, MAX_COPIES};
use crate::domain::{Fault, ReadStore, Replica, ServerId};

/// The servers, the ring, and what the policy asks for.
#[derive(Clone, Debug)]
pub struct Scene {
    pub servers: BTreeMap<ServerId, Server>,
    pub ring: Vec<ServerId>,
    /// How many copies a file should have.
    pub copies: usize,
    /// Servers that do not answer.
    pub suspect: BTreeSet<ServerId>,
}

/// What a replica is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReplicaState {
    /// It counts, on a server that stays.
    Fit,
    /// It counts, on a server that is being emptied.
    Leaving,
    /// Its server is there, but the replica is of an older epoch, or was reported: it may be good.
    Doubtful,
    /// Its server is down.
    Gone,
}

impl Scene {
    /// # Errors
    /// When the storage fails.
    pub fn read(store: &dyn ReadStore, suspect: BTreeSet<ServerId>) -> Result<Self, Fault> {
        let servers = tables::servers(store)?.into_iter().map(|server| (server.server_id, server)).collect();
        let copies = usize::try_from(tables::policy(store)?.copies).unwrap_or(usize::from(MAX_COPIES));
        Ok(Self { servers, ring: tables::ring(store)?, copies, suspect })
    }

    pub(super) fn state_of(&self, replica: &Replica) -> ReplicaState {
        match self.servers.get(&replica.server_id) {
            None => ReplicaState::Gone,
            Some(server) => match (server.state, server.counts(replica)) {
                (ServerState::Down, _) => ReplicaState::Gone,
                (ServerState::Up, true) => ReplicaState::Fit,
                (ServerState::Draining, true) => ReplicaState::Leaving,
                _ => ReplicaState::Doubtful,
            },
        }
    }

    pub(super) fn fit(&self, extent: &Extent) -> usize {
        extent.replicas.iter().filter(|replica| self.state_of(replica) == ReplicaState::Fit).count()
    }

    pub(super) fn is_up(&self, id: ServerId) -> bool {
        self.servers.get(&id).is_some_and(|server| server.state == ServerState::Up)
    }

    /// Whether a copy can be replaced there by a good one.
    pub fn can_replace(&self, id: ServerId) -> bool {
        self.is_up(id) && self.answers(id)
    }

    pub(super) fn answers(&self, id: ServerId) -> bool {
        !self.suspect.contains(&id)
    }

    /// Whether a copy of so many bytes can be made there.
    pub(super) fn takes(&self, id: ServerId, size: u64) -> bool {
        self.servers.get(&id).is_some_and(|server| {
            let room = server.capacity == 0 || server.bytes.saturating_add(size) <= server.capacity;
            server.is_eligible() && room
        })
    }

    /// Whether some member of the ring that holds no copy takes any. Whether it has room for this one may change by the hour.
    pub(super) fn has_place(&self, extent: &Extent) -> bool {
        let holds = |id: ServerId| extent.replicas.iter().any(|replica| replica.server_id == id);
        let takes = |id: &ServerId| self.servers.get(id).is_some_and(Server::is_eligible);
        self.ring.iter().any(|id| !holds(*id) && takes(id))
    }

    /// The ring's members that come after `id`, which need not be one itself, in the ring's order, itself last.
    pub(super) fn after(&self, id: ServerId) -> impl Iterator<Item = ServerId> + '_ {
        let start = self.ring.partition_point(|member| *member <= id);
        self.ring.iter().cycle().skip(start).take(self.ring.len()).copied()
    }
}
