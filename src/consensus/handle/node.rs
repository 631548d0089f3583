//! What a running node is made of.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::raft::ClientWriteResult;
use openraft::{Instant as _, Raft, RaftMetrics, ServerState};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

use super::super::apply::StateMachine;
use super::super::change::Changing;
use super::super::formation::{DataDir, Identity};
use super::super::log::LogStore;
use super::super::machine::Machine;
use super::super::options::{Member, Tuning};
use super::super::snapshot::{Receiver, Snapshots};
use super::super::state::StateStore;
use super::super::status::{PeerService, Room, Status};
use super::super::stopper::Stopper;
use super::super::transport::{Peers, Sending, Target};
use super::super::types::{LeaderId, TypeConfig};
use crate::clock::SharedClock;
use crate::domain::{ClusterId, ClusterTime, NodeId};

pub(crate) type RaftNode = Raft<TypeConfig, StateMachine>;

/// A node that answered this long ago counts as reachable: two rounds of questions may be lost.
pub(crate) const REACHABLE: Duration = Duration::from_millis(3_000);

/// A node. Its tasks and its handles share it.
pub(crate) struct Node {
    pub id: NodeId,
    pub cluster_name: String,
    /// Shared with the transport, which puts it in every call.
    pub cluster: Arc<RwLock<Option<ClusterId>>>,
    pub members: Vec<Member>,
    pub join: bool,
    pub url: String,
    pub peer_url: String,
    pub tuning: Tuning,
    pub clock: SharedClock,
    pub stopper: Stopper,
    pub machine: Arc<dyn Machine>,
    pub service: Arc<dyn PeerService>,
    /// Where calls of the floor above are answered: not on Raft's own threads.
    pub service_runtime: tokio::runtime::Handle,
    pub peers: Arc<dyn Peers>,
    pub log: LogStore,
    pub state: Arc<StateStore>,
    pub snapshots: Arc<Snapshots>,
    pub receiver: Arc<Receiver>,
    /// Set once the cluster has formed.
    pub raft: OnceLock<RaftNode>,
    pub commits: Arc<AtomicU64>,
    pub read_rounds: AtomicU64,
    pub reads: AtomicU64,
    pub closing: AtomicBool,
    /// It has applied what was committed when it started.
    pub recovered: AtomicBool,
    pub office: watch::Sender<Option<Office>>,
    pub proposals: mpsc::Sender<Submission>,
    pub rounds: mpsc::Sender<Waiter>,
    pub status: watch::Sender<Status>,
    pub waiting_for: Mutex<Option<String>>,
    pub gossip: Mutex<BTreeMap<NodeId, (Instant, PeerStatus)>>,
    /// Bytes left on the disk, as last measured.
    pub disk_free: AtomicU64,
    /// Bytes of it that are to stay free.
    pub disk_floor: AtomicU64,
    /// Only what frees room is taken. Judged once a second, and looked at for each proposal.
    pub full: AtomicBool,
    /// The change of members that this node runs as the leader, or ran last.
    pub changing: Mutex<Option<Changing>>,
    /// Snapshots on their way from here.
    pub sending: Sending,
    /// When a leader last spoke to this node.
    pub heard: Mutex<Option<Instant>>,
    /// When this node last knew who leads, or began to look for that. Looked at once a heartbeat.
    pub known: Mutex<Option<Instant>>,
    pub identity: Mutex<Identity>,
    /// Last, so that the lock is given back after everything in the directory is closed.
    pub data: DataDir,
}

/// The leader that a node knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Leader {
    Here,
    There(Target),
    /// With the reason, for people. It is worth waiting for one.
    Unknown(String),
    /// There has been none for longer than an election takes, as far as this node can see. It may be this node that is
    /// cut off: whoever waits here does better elsewhere.
    Lost(String),
}

impl Node {
    pub(crate) fn cluster_id(&self) -> Option<ClusterId> {
        *self.cluster.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes what this node is part of, and writes it down before anybody hears of it. One change at a time: each is
    /// made from what the one before has left.
    pub(crate) fn change_identity(
        &self,
        change: impl FnOnce(&Identity) -> Result<Identity, String>,
    ) -> Result<(), String> {
        let mut current = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        let next = change(&current)?;
        if next == *current {
            return Ok(());
        }
        self.data.save(&next).map_err(|error| format!("{error:#}"))?;
        *self.cluster.write().unwrap_or_else(PoisonError::into_inner) = next.cluster.as_ref().map(|formed| formed.id);
        *current = next;
        Ok(())
    }

    pub(crate) fn data_dir(&self) -> &Path {
        self.data.path()
    }

    pub(crate) fn raft_metrics(&self) -> Option<RaftMetrics<TypeConfig>> {
        self.raft.get().map(|raft| raft.metrics().borrow_watched().clone())
    }

    /// How long a leader may be silent before it counts as gone. A little more than what the election waits for.
    pub(crate) fn patience(&self) -> Duration {
        self.tuning.election_max * 2
    }

    /// Who leads, as far as this node knows and has reason to believe: a leader that nobody hears is none, and neither
    /// is one that hears nobody.
    pub(crate) fn leader(&self) -> Leader {
        match self.look_for_leader() {
            Leader::Unknown(reason) if self.is_without_leader_for_long() => Leader::Lost(reason),
            leader => leader,
        }
    }

    /// Longer than the elections of a cluster that has its majority, also where the first few come to nothing.
    fn is_without_leader_for_long(&self) -> bool {
        let known = *self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.is_some_and(|at| at.elapsed() > self.patience() * 3 / 2)
    }

    /// The id of the leader that this node knows.
    pub(crate) fn known_leader(&self) -> Option<NodeId> {
        match self.leader() {
            Leader::Here => Some(self.id),
            Leader::There(target) => Some(target.id),
            Leader::Unknown(_) | Leader::Lost(_) => None,
        }
    }

    /// Notes the time where a leader is known. The wait for one begins with the first call.
    pub(crate) fn note_whether_led(&self) {
        let led = self.known_leader().is_some();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if led || known.is_none() {
            *known = Some(Instant::now());
        }
    }

    fn look_for_leader(&self) -> Leader {
        let Some(raft) = self.raft.get() else {
            return Leader::Unknown(self.waiting().unwrap_or_else(|| "the cluster is forming".into()));
        };
        let receiver = raft.metrics();
        let metrics = receiver.borrow_watched();
        let Some(leader) = metrics.current_leader else {
            return Leader::Unknown("an election is under way, or too few nodes are up for a majority".into());
        };
        if leader == self.id.0 {
            return self.own_leadership(&metrics);
        }
        if self.silence().is_none_or(|silence| silence > self.patience()) {
            return Leader::Unknown(format!("node {leader} led last and is silent"));
        }
        if self.is_cut_off(NodeId(leader)) {
            return Leader::Lost(format!("node {leader} leads and hears no majority of the nodes"));
        }
        match metrics.membership_config.get_node(&leader) {
            Some(node) => Leader::There(Target { id: NodeId(leader), address: node.peer.clone() }),
            None => Leader::Unknown(format!("node {leader} leads and its address is not known yet")),
        }
    }

    fn own_leadership(&self, metrics: &RaftMetrics<TypeConfig>) -> Leader {
        if metrics.state != ServerState::Leader {
            return Leader::Unknown("an election is under way".into());
        }
        let alone = metrics.membership_config.voter_ids().count() == 1;
        let fresh = metrics.last_quorum_acked.is_some_and(|at| at.elapsed() < self.patience());
        let reason = || "this node leads and hears no majority of the nodes".to_owned();
        match metrics.last_quorum_acked {
            _ if alone || fresh => Leader::Here,
            // Elected, and not confirmed yet.
            None => Leader::Unknown(reason()),
            Some(_) => Leader::Lost(reason()),
        }
    }

    /// It leads, and has heard no majority for as long as the others wait before they elect another leader. Too early to
    /// give up what waits here, since it may be a stall, and time to send clients elsewhere.
    pub(crate) fn doubts_its_majority(&self, metrics: &RaftMetrics<TypeConfig>) -> bool {
        let alone = metrics.membership_config.voter_ids().count() == 1;
        let silent = metrics.last_quorum_acked.is_some_and(|at| at.elapsed() > self.tuning.election_max);
        metrics.state == ServerState::Leader && silent && !alone
    }

    pub(crate) fn leads_without_majority(&self, metrics: &RaftMetrics<TypeConfig>) -> bool {
        metrics.current_leader == Some(self.id.0) && matches!(self.own_leadership(metrics), Leader::Lost(_))
    }

    /// Another node that leads by its own word and by ours, but was silent for a while or hears no majority.
    pub(crate) fn doubtful_leader(&self) -> Option<NodeId> {
        let leader = self.raft.get()?.metrics().borrow_watched().current_leader.map(NodeId)?;
        let silent = self.silence().is_none_or(|silence| silence > self.tuning.heartbeat * 3);
        (leader != self.id && (silent || self.is_cut_off(leader))).then_some(leader)
    }

    /// For how long no leader has spoken to this node.
    fn silence(&self) -> Option<Duration> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed())
    }

    /// Whether a leader said of itself lately that it hears no majority.
    fn is_cut_off(&self, leader: NodeId) -> bool {
        let gossip = self.gossip.lock().unwrap_or_else(PoisonError::into_inner);
        gossip.get(&leader).is_some_and(|(at, word)| word.hears_no_majority && at.elapsed() < self.patience() * 2)
    }

    pub(crate) fn waiting(&self) -> Option<String> {
        self.waiting_for.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_waiting(&self, text: Option<String>) {
        *self.waiting_for.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    pub(crate) fn stopped_message(&self) -> Option<String> {
        let closing = self.closing.load(std::sync::atomic::Ordering::Acquire);
        self.stopper.message().or_else(|| closing.then(|| format!("node {} is shutting down", self.id)))
    }

    pub(crate) fn target(&self, node: NodeId) -> Option<Target> {
        let metrics = self.raft_metrics();
        let known = metrics.as_ref().and_then(|metrics| metrics.membership_config.get_node(&node.0));
        let address = known
            .map(|node| node.peer.clone())
            .or_else(|| self.members.iter().find(|member| member.id == node).map(|member| member.peer.clone()));
        address.map(|address| Target { id: node, address })
    }
}

/// A leadership that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Office {
    pub leader: LeaderId,
    /// The cluster's time at the monotonic time `since`.
    pub base: ClusterTime,
    pub since: Duration,
}

/// A proposal on its way into the log.
pub(crate) struct Submission {
    pub proposal: Bytes,
    pub reply: oneshot::Sender<Submitted>,
}

/// What became of it.
pub(crate) enum Submitted {
    /// It may be in the log.
    Waiting(oneshot::Receiver<ClientWriteResult<TypeConfig>>),
    /// It is not in the log.
    NotLeader,
    /// It is not in the log, and never will be.
    Refused(String),
    /// It is not in the log: the disks are nearly full.
    Full(String),
}

/// Whoever waits for a round.
pub(crate) type Waiter = oneshot::Sender<Result<u64, String>>;

/// A node's word about itself. What an older release does not say is as in the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PeerStatus {
    pub last_log_index: Option<u64>,
    pub applied_index: Option<u64>,
    pub committed_index: Option<u64>,
    pub snapshot_index: Option<u64>,
    pub disk_free: Option<u64>,
    pub room: Room,
    /// The median of its syncs of the log in the last seconds, in microseconds.
    pub sync_us: Option<u64>,
    pub version: String,
    /// It leads, and has heard of no majority for a while.
    pub hears_no_majority: bool,
    /// Not about itself: it has applied that whoever asks is no member any more.
    pub you_were_removed: bool,
}
