//! What a running node is made of.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};

use openraft::RaftMetrics;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::watch;

use super::super::environment::Environment;
use super::super::formation::OwnIdentity;
use super::super::machine::Machine;
use super::super::options::Settings;
use super::super::status::{PeerService, Status};
use super::super::stopper::Stopper;
use super::super::storage::Storage;
use super::super::transport::{KnownAddresses, Target};
use super::super::types::TypeConfig;
use super::RaftNode;
use super::changes::MembershipChanges;
use super::introductions::Introductions;
use super::journal::Journal;
use super::leaders::LeaderView;
use super::read_rounds::ReadRounds;
use super::submission::Submissions;
use super::words::Words;
use crate::domain::NodeId;

/// A node. Its tasks and its handles share it. It only holds together: each part owns what it is about.
pub(crate) struct Node {
    pub settings: Settings,
    pub environment: Environment,
    pub stopper: Stopper,
    /// Drawn at the start, so that two processes of one node can be told apart.
    pub process: u64,
    pub machine: Arc<dyn Machine>,
    pub service: Arc<dyn PeerService>,
    /// Set once the cluster has formed.
    pub raft: OnceLock<RaftNode>,
    pub leaders: LeaderView,
    pub submissions: Submissions,
    pub reads: ReadRounds,
    pub changes: MembershipChanges,
    pub words: Words,
    pub journal: Journal,
    pub addresses: Arc<KnownAddresses>,
    pub introductions: Introductions,
    pub board: Board,
    pub storage: Storage,
    /// Last, so that the lock is given back after everything in the directory is closed.
    pub identity: OwnIdentity,
}

/// What a node shows of itself.
pub(crate) struct Board {
    pub status: watch::Sender<Status>,
    /// It has applied what was committed when it started.
    pub recovered: AtomicBool,
    /// This node is telling the cluster that it has moved.
    pub moving: AtomicBool,
    /// Bytes left on the disk, as last measured.
    pub disk_free: AtomicU64,
    /// Bytes of it that are to stay free.
    pub disk_floor: AtomicU64,
    /// Only what frees room is taken. Judged once a second, and looked at for each proposal.
    pub full: AtomicBool,
    pub full_changes: AtomicU64,
}

impl Node {
    pub(crate) const fn id(&self) -> NodeId {
        self.settings.node_id
    }

    pub(crate) fn raft_metrics(&self) -> Option<RaftMetrics<TypeConfig>> {
        self.raft.get().map(|raft| raft.metrics().borrow_watched().clone())
    }

    /// Why this node takes no more calls, where it does not.
    pub(crate) fn stopped_message(&self) -> Option<String> {
        let closing = || self.stopper.is_closing().then(|| format!("node {} is shutting down", self.id()));
        self.stopper.message().or_else(closing)
    }

    pub(crate) fn target(&self, node: NodeId) -> Option<Target> {
        let metrics = self.raft_metrics();
        let known = metrics.as_ref().and_then(|metrics| metrics.membership_config.get_node(&node.0));
        let address = known.map(|node| node.peer.clone()).or_else(|| {
            self.settings.members.iter().find(|member| member.id == node).map(|member| member.peer.clone())
        });
        address.map(|address| Target { id: node, address })
    }
}
