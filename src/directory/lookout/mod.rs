//! What this node by itself knows of the file servers, and how it finds out. The loop that acts on it is `detection`.

mod probe;
mod watch;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::consensus::{Handle, QueryKind};
use crate::domain::query;
use crate::domain::{Epoch, ServerId};

pub(crate) use probe::Prober;
pub(crate) use watch::{ServerWatch, address};

/// Asks a node whether it reaches a file server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReachCall {
    pub(crate) server_id: ServerId,
    pub(crate) epoch: Epoch,
}

/// What a node says of a file server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ReachReply {
    Reached,
    NotReached {
        cause: String,
    },
    /// The node does not know the server in this epoch, or not as one that is up.
    CannotTell,
}

/// Looks at file servers, for this node and for those that ask it.
pub(crate) struct Lookout {
    pub(crate) servers: Arc<ServerWatch>,
    pub(crate) prober: Prober,
}

impl Lookout {
    pub(crate) fn new(servers: Arc<ServerWatch>, prober: Prober) -> Self {
        Self { servers, prober }
    }

    /// Whether this node reaches the server: a heartbeat of the last two periods says so; otherwise it looks, and never
    /// goes by what else it remembers. Takes little more than a second.
    pub(crate) async fn answer(&self, handle: &Handle, call: ReachCall) -> ReachReply {
        if self.servers.heard_lately(call.server_id, call.epoch) {
            ReachReply::Reached
        } else {
            self.look(handle, call).await
        }
    }

    /// Probes the server, and remembers what came of it.
    pub(crate) async fn look(&self, handle: &Handle, call: ReachCall) -> ReachReply {
        let ReachCall { server_id, epoch } = call;
        // The address comes from this node's own state: where another node would send it is not to be trusted.
        let known = handle.read_local_as(QueryKind::Job, move |store| query::server(store, server_id)).await;
        let (Ok(Some(server)), Some(cluster_id)) = (known, handle.status().cluster_id) else {
            return ReachReply::CannotTell;
        };
        if !server.serves(epoch) {
            return ReachReply::CannotTell;
        }
        match self.prober.probe(cluster_id, &address(&server)).await {
            Ok(()) => {
                self.servers.reached(server_id, epoch);
                ReachReply::Reached
            }
            Err(cause) => {
                self.servers.not_reached(server_id, epoch, &cause);
                ReachReply::NotReached { cause }
            }
        }
    }
}
