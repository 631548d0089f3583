//! The one thing that the floors above hold of consensus.

mod address;
mod changes;
mod gossip;
mod introductions;
mod journal;
mod leaders;
mod leadership;
mod membership;
mod node;
mod propose;
mod read;
mod read_rounds;
mod recall;
mod room;
mod schema;
mod serve;
mod slots;
mod start;
mod step_down;
mod submission;
mod succession;
mod transfer;
mod words;

use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use openraft::Raft;
use tokio::sync::watch;

use self::leaders::Leader;
use self::node::Node;
pub use self::slots::QueryKind;
use self::slots::Slots;
use super::apply::StateMachine;
use super::machine::{Machine, Replicated};
use super::media::{Media, OnDisk};
use super::membership::{MembershipChange, MembershipError, MembershipProgress};
use super::options::Options;
use super::production;
use super::rocks;
use super::state::StateDb;
use super::status::{AskError, Metrics, PeerService, ProposeError, ReadError, Status};
use super::tasks::{Ended, Tasks};
use super::types::TypeConfig;
use crate::domain::{Answer, ClusterTime, Fault, NodeId, Proposal, ReadStore, decode_answer};
use crate::telemetry::Histogram;

pub(crate) use self::start::{Start, start};

/// openraft's handle.
type RaftNode = Raft<TypeConfig, StateMachine>;

/// A running node. Cheap to clone; the node ends when the last clone is dropped, or at `shutdown`.
#[derive(Clone)]
pub struct Handle {
    node: Arc<Node>,
    /// Held by all clones, and dropped with the last of them.
    _running: Arc<Running>,
    slots: Slots,
}

/// Raft's tasks. They end with this, whatever they are at: they stop where they wait next, as in a crash.
struct Running(Tasks);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Handle {
    /// Starts the node: takes the data directory, opens what is there, begins to listen. It returns before the cluster
    /// has formed or a leader is known; see `watch` for those, and `stopped` for why it may come to neither.
    ///
    /// # Errors
    /// When the data directory is in use, of another node, role or cluster, or damaged. The message says what to do.
    pub async fn start(options: Options, service: Arc<dyn PeerService>) -> anyhow::Result<Self> {
        let machine = Arc::new(Replicated { policy: options.policy.clone() });
        let shared = rocks::Shared::with_cache(usize::try_from(options.tuning.cache_bytes).unwrap_or(usize::MAX));
        Self::start_with(options, service, machine, Arc::new(OnDisk::new(shared))).await
    }

    /// Starts a node with another state machine, on other media.
    pub(crate) async fn start_with(
        options: Options,
        service: Arc<dyn PeerService>,
        machine: Arc<dyn Machine>,
        media: Arc<dyn Media>,
    ) -> anyhow::Result<Self> {
        let (settings, environment, listen, open) = production::ground(options, media)?;
        start(Start { settings, environment, listen, open, service, machine }).await
    }

    fn new(node: Arc<Node>) -> Self {
        let running = Arc::new(Running(node.environment.tasks.clone()));
        Self { node, _running: running, slots: Slots::new() }
    }

    /// Has the cluster apply a proposal, from any node: it goes to whoever leads, who stamps it with its times. A
    /// proposal with an operation id is tried again when its fate is unclear; one without is tried again only when it
    /// is certain not to be in the log.
    ///
    /// # Errors
    /// See [`ProposeError`]. It takes no longer than `Tuning::propose_deadline`, and ends early where this node has known
    /// no leader for longer than an election takes.
    pub async fn propose(&self, proposal: Proposal) -> Result<Answer, ProposeError> {
        let repeatable = proposal.operation.is_some() || proposal.command.is_repeatable();
        let schema = self.node.storage.state.applied().schema;
        let bytes = proposal.encode_for(schema).map_err(|fault| ProposeError::Refused(fault.0))?;
        let answer = self.propose_bytes(bytes.into(), repeatable).await?;
        decode_answer(&answer).map_err(|fault| ProposeError::OutcomeUnknown(fault.to_string()))
    }

    pub(crate) async fn propose_bytes(&self, proposal: Bytes, repeatable: bool) -> Result<Bytes, ProposeError> {
        let proposing = Arc::clone(&self.node).propose(proposal, repeatable);
        self.on_raft(proposing, ProposeError::Stopped, ProposeError::OutcomeUnknown).await?
    }

    /// A linearizable read on this node: what it sees includes all that was acknowledged anywhere before the call. The
    /// query runs on one consistent state, on a thread for blocking work.
    ///
    /// # Errors
    /// `NoLeader` after `Tuning::read_deadline`, or soon where this node has known no leader for longer than an election
    /// takes; the query's own fault.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&dyn ReadStore) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, ReadError> {
        self.read_as(QueryKind::Point, query).await
    }

    /// As [`Self::read`], for a query of another kind.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn read_as<T: Send + 'static>(
        &self,
        kind: QueryKind,
        query: impl FnOnce(&dyn ReadStore) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, ReadError> {
        let catching_up = Arc::clone(&self.node).catch_up();
        self.on_raft(catching_up, ReadError::Stopped, ReadError::Stopped).await??;
        self.read_local_as(kind, query).await
    }

    /// A read of whatever this node has applied.
    ///
    /// # Errors
    /// The query's own fault.
    pub async fn read_local<T: Send + 'static>(
        &self,
        query: impl FnOnce(&dyn ReadStore) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, ReadError> {
        self.read_local_as(QueryKind::Point, query).await
    }

    /// As [`Self::read_local`], for a query of another kind.
    ///
    /// # Errors
    /// The query's own fault.
    pub async fn read_local_as<T: Send + 'static>(
        &self,
        kind: QueryKind,
        query: impl FnOnce(&dyn ReadStore) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, ReadError> {
        let place = self.slots.take(kind).await;
        let db = self.node.storage.state.db();
        let run = move || {
            let _place = place;
            let answer = query(&db.view());
            drop(db);
            answer
        };
        match self.node.environment.tasks.query(run).await {
            Ok(answer) => Ok(answer?),
            Err(error) => Err(ReadError::Stopped(format!("the query did not end: {error}"))),
        }
    }

    /// As [`Self::read`], for a query that may take long, such as one that streams the whole state to somebody: it
    /// takes no place from the others, so the caller bounds how many there are. It is told the index of the last log
    /// entry in the state that it sees.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn read_whole<T: Send + 'static>(
        &self,
        query: impl FnOnce(&dyn ReadStore, u64) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, ReadError> {
        let catching_up = Arc::clone(&self.node).catch_up();
        self.on_raft(catching_up, ReadError::Stopped, ReadError::Stopped).await??;
        let db = self.node.storage.state.db();
        let run = move || {
            // It comes to each row once, and must not drive out what others read again and again.
            let view = db.view_once();
            let index = StateDb::applied_index(&view)?;
            query(&view, index.unwrap_or(0))
        };
        match self.node.environment.tasks.query(run).await {
            Ok(answer) => Ok(answer?),
            Err(error) => Err(ReadError::Stopped(format!("the query did not end: {error}"))),
        }
    }

    pub fn status(&self) -> Status {
        self.node.compute_status()
    }

    /// Whether there has been no leader for longer than an election takes, as far as this node can see: waiting for one
    /// here makes little sense.
    pub fn has_lost_leader(&self) -> bool {
        matches!(self.node.leaders.leader(), Leader::Lost(_))
    }

    /// The nodes whose disks are below their floors, while so many are that only what frees room is taken.
    pub fn full_nodes(&self) -> Option<String> {
        self.node.is_full().then(|| self.node.which_are_full())
    }

    /// Follows the status: a change of role or leader at once, all else about once a second.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.node.board.status.subscribe()
    }

    /// On the leader the last applied time and what its clock has counted since; elsewhere the last applied time.
    pub fn cluster_time(&self) -> ClusterTime {
        self.node.cluster_time()
    }

    /// Has the leader's [`PeerService`] answer, locally where this node leads.
    ///
    /// # Errors
    /// See [`AskError`]. A call that did not arrive is not tried again.
    pub async fn ask_leader(&self, request: Bytes) -> Result<Bytes, AskError> {
        match self.node.leaders.leader() {
            Leader::Here => self.ask(self.node.id(), request).await,
            Leader::There(target) => self.ask(target.id, request).await,
            Leader::Unknown(reason) | Leader::Lost(reason) => Err(AskError::NoLeader(reason)),
        }
    }

    /// Has the [`PeerService`] of `node` answer.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn ask(&self, node: NodeId, request: Bytes) -> Result<Bytes, AskError> {
        if node == self.node.id() {
            let answer = self.node.service.serve(node, request).await;
            return answer.map_err(|cause| AskError::Refused { node, cause });
        }
        let Some(target) = self.node.target(node) else {
            return Err(AskError::Unreachable { node, cause: "it is not a member of the cluster".into() });
        };
        let asked = Arc::clone(&self.node);
        let asking = async move { asked.ask(&target, request).await };
        self.on_raft(asking, AskError::Stopped, AskError::Stopped).await?
    }

    /// Hands leadership to the most caught-up other voter, and returns when another node leads.
    ///
    /// # Errors
    /// When there is nobody to hand it to, or nobody took it in time. It is no error if this node does not lead.
    pub async fn transfer_leadership(&self) -> anyhow::Result<()> {
        let node = Arc::clone(&self.node);
        self.node
            .environment
            .tasks
            .run(async move { transfer::leave(&node).await })
            .await
            .context("nothing is handed over")?
    }

    /// Has the leader, wherever it is, make a change of who takes part, or say how far it is with it. It returns within
    /// seconds; the change itself goes on. Asking again is harmless until `MembershipProgress::is_done`.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn change(&self, change: MembershipChange) -> Result<MembershipProgress, MembershipError> {
        let changing = Arc::clone(&self.node).change(change);
        self.on_raft(changing, MembershipError::Stopped, MembershipError::Stopped).await?
    }

    /// Hands over leadership if this node has it, and stops. Calls fail from now on. What is on the disk is closed when
    /// the last clone of this handle is dropped.
    pub async fn shutdown(&self) {
        if let Err(error) = self.transfer_leadership().await {
            tracing::info!("shutting down without handing over leadership: {error:#}");
        }
        self.node.stopper.close();
        let tasks = self.node.environment.tasks.clone();
        if let Some(raft) = self.node.raft.get().cloned()
            && let Ok(Err(error)) = tasks.run(async move { raft.shutdown().await }).await
        {
            tracing::warn!(%error, "consensus did not stop cleanly");
        }
        self.node.publish_status();
        let ending = tasks.clone();
        if let Err(error) = tasks.query(move || ending.end()).await {
            tracing::warn!(%error, "Raft's tasks did not end cleanly");
        }
    }

    pub fn metrics(&self) -> Metrics {
        self.node.compute_metrics()
    }

    /// The furthest point that another member has acknowledged to this node.
    #[cfg(test)]
    pub(crate) fn acknowledged_by(&self, member: NodeId) -> Option<super::acknowledged::Acknowledged> {
        self.node.storage.recollections.of(member)
    }

    /// Has the node end by itself, with this message: for a part of the process that it cannot go on without.
    pub fn stop(&self, message: impl Into<String>) {
        self.node.stopper.stop(message);
    }

    /// How long each sync of the log took, in seconds.
    pub fn sync_seconds(&self) -> Histogram {
        self.node.storage.log.sync_seconds()
    }

    /// Holds a message once the node must end by itself: the disk failed, the log is damaged, the state machine met
    /// what it does not know. The process then exits with it and a non-zero code.
    pub fn stopped(&self) -> watch::Receiver<Option<String>> {
        self.node.stopper.watch()
    }

    /// Runs a future among Raft's tasks, where its connections and timers are. It runs to its end even if the caller
    /// gives up.
    async fn on_raft<T: Send + 'static, E>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
        before: impl FnOnce(String) -> E,
        within: impl FnOnce(String) -> E,
    ) -> Result<T, E> {
        self.node.environment.tasks.run(future).await.map_err(|ended| match ended {
            Ended::Before => before(ended.to_string()),
            Ended::Meanwhile => within(ended.to_string()),
        })
    }
}
