//! What this node has seen of the file servers: heartbeats, and calls that failed.
//!
//! Suspicion is this node's own, held in memory and never proposed: it sends reads and new files elsewhere at once,
//! and is wrong at no cost. What the whole cluster goes by stands in the replicated records.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::client::blobs::ServerAddress;
use crate::domain::ServerId;
use crate::domain::rows::Server;
use crate::protocol::registration::HeartbeatRequest;

/// How many heartbeats in a row may be missed before the server is suspect.
const MISSED_HEARTBEATS: u32 = 3;

/// Where a server is, by its record.
pub(crate) fn address(server: &Server) -> ServerAddress {
    ServerAddress { server_id: server.server_id, epoch: server.epoch, url: server.url.clone() }
}

/// The file servers as this node sees them.
#[derive(Debug)]
pub(crate) struct ServerWatch {
    heartbeat: Duration,
    since: Instant,
    seen: Mutex<BTreeMap<ServerId, Sight>>,
}

#[derive(Clone, Debug, Default)]
struct Sight {
    last: Option<(Instant, HeartbeatRequest)>,
    /// A call failed after the last heartbeat.
    failed: bool,
}

impl ServerWatch {
    pub(crate) fn new(heartbeat: Duration) -> Self {
        Self { heartbeat, since: Instant::now(), seen: Mutex::default() }
    }

    pub(crate) fn heard(&self, heartbeat: HeartbeatRequest) {
        let server_id = heartbeat.server_id;
        let mut seen = self.seen();
        let sight = seen.entry(server_id).or_default();
        if sight.failed {
            tracing::info!(%server_id, "file server is heard of again");
        }
        *sight = Sight { last: Some((Instant::now(), heartbeat)), failed: false };
    }

    /// A call to the server could not be made, or broke off: nothing more goes there until its next heartbeat.
    pub(crate) fn suspect(&self, server_id: ServerId) {
        let mut seen = self.seen();
        let sight = seen.entry(server_id).or_default();
        if !sight.failed {
            tracing::warn!(%server_id, "file server is suspect: a call to it failed");
        }
        sight.failed = true;
    }

    /// A server that was never heard of is given the time of a few heartbeats from this node's start.
    pub(crate) fn is_suspect(&self, server_id: ServerId) -> bool {
        let patience = self.heartbeat * MISSED_HEARTBEATS;
        match self.seen().get(&server_id) {
            Some(Sight { failed: true, .. }) => true,
            Some(Sight { last: Some((at, _)), .. }) => at.elapsed() > patience,
            _ => self.since.elapsed() > patience,
        }
    }

    /// The last heartbeat of a server, where it is not an old one.
    pub(crate) fn last(&self, server_id: ServerId) -> Option<HeartbeatRequest> {
        let seen = self.seen();
        let (at, heartbeat) = seen.get(&server_id)?.last.as_ref()?;
        (at.elapsed() <= self.heartbeat * MISSED_HEARTBEATS).then(|| heartbeat.clone())
    }

    /// No code that holds this can panic between two steps of one change.
    fn seen(&self) -> MutexGuard<'_, BTreeMap<ServerId, Sight>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
