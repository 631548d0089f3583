//! What every request to a directory node has in hand.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::certificates::Certificates;
use super::clocks::Clocks;
use super::doubts::Doubts;
use super::error::ApiResult;
use super::gauges::{RefusalGauges, StepDowns, UpkeepGauges};
use super::guesses::Guesses;
use super::lookout::{Lookout, ServerWatch};
use super::passwords::Passwords;
use super::progress::Progress;
use super::reads::Reads;
use super::shedding::Shedding;
use super::signups::Signups;
use super::touches::Touches;
use super::unfinished::Budget;
use crate::client::blobs::Blobs;
use crate::clock::SharedClock;
use crate::config::WriteRouting;
use crate::consensus::Handle;
use crate::domain::rows::Server;
use crate::domain::{NodeId, Outcome, Proposal, ServerId};
use crate::protocol::secret::ClusterSecret;
use crate::telemetry::{Counter, Metrics};

/// The node, shared by all requests.
pub(crate) type App = Arc<Node>;

/// A directory node above consensus.
pub(crate) struct Node {
    pub(crate) node_id: NodeId,
    pub(crate) secret: ClusterSecret,
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) clock: SharedClock,
    pub(crate) settings: Settings,
    pub(crate) servers: Arc<ServerWatch>,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) lookout: Arc<Lookout>,
    /// Machines that ask to be let in.
    pub(crate) joining: Semaphore,
    pub(crate) metrics: Metrics,
    pub(crate) counters: Counters,
    pub(crate) progress: Arc<Progress>,
    pub(crate) reads: Reads,
    pub(crate) doubts: Doubts,
    pub(crate) clocks: Clocks,
    pub(crate) handle: OnceLock<Handle>,
    pub(crate) passwords: Passwords,
    pub(crate) guesses: Guesses,
    pub(crate) signups: Signups,
    pub(crate) touches: Touches,
    pub(crate) unfinished: Budget,
    pub(crate) shedding: Shedding,
    /// Whole states that are streamed to somebody: each keeps an old state of the database alive.
    pub(crate) index_streams: Arc<Semaphore>,
    pub(crate) stopping: AtomicBool,
}

/// What of the configuration requests go by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) write_routing: WriteRouting,
    pub(crate) max_file_bytes: u64,
    pub(crate) heartbeat: Duration,
    /// Between two complete inventories of a file server.
    pub(crate) inventory: Duration,
    /// How long a file server may be silent before all nodes are asked about it.
    pub(crate) dead_after: Duration,
    pub(crate) replication: ReplicationSettings,
}

/// What the replication job goes by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReplicationSettings {
    pub(crate) interval: Duration,
    /// Copyings that one file server takes part in at once.
    pub(crate) streams: u32,
    pub(crate) bytes_per_second: u64,
}

/// What requests count.
pub(crate) struct Counters {
    pub(crate) requests: Counter,
    pub(crate) failures: Counter,
    pub(crate) fallovers: Counter,
    pub(crate) orphans: Counter,
    pub(crate) damaged_copies: Counter,
    pub(crate) upkeep: UpkeepGauges,
    pub(crate) refusals: RefusalGauges,
    pub(crate) step_downs: StepDowns,
}

impl Counters {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            requests: metrics.counter("ringmaster_http_requests_total", "Requests answered"),
            failures: metrics.counter("ringmaster_http_failures_total", "Requests answered with 5xx"),
            fallovers: metrics.counter("ringmaster_read_fallovers_total", "Reads that went on from another copy"),
            orphans: metrics.counter(
                "ringmaster_inventory_orphans_total",
                "Copies that no record names, found at file servers and listed as garbage by this node",
            ),
            damaged_copies: metrics
                .counter("ringmaster_damaged_copies_total", "Copies that this node has reported as damaged or missing"),
            upkeep: UpkeepGauges::new(metrics),
            refusals: RefusalGauges::new(metrics),
            step_downs: StepDowns::new(metrics),
        }
    }
}

impl Node {
    /// Consensus. It is set before the first request is accepted.
    pub(crate) fn handle(&self) -> &Handle {
        self.handle.get().expect("consensus is started before requests are accepted")
    }

    /// Has the cluster apply a proposal; a rejection becomes the error that the client sees.
    pub(crate) async fn propose(&self, proposal: Proposal) -> ApiResult<Outcome> {
        Ok(self.handle().propose(proposal).await??)
    }

    /// Which of the servers this node does not hear of.
    pub(crate) fn suspects(&self, servers: &[Server]) -> BTreeSet<ServerId> {
        servers.iter().map(|server| server.server_id).filter(|id| self.servers.is_suspect(*id)).collect()
    }

    pub(crate) fn count_request(&self, status: u16) {
        self.counters.requests.inc();
        if status >= 500 {
            self.counters.failures.inc();
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}
