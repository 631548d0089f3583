//! What the floors above see of a node: its status, its counters, its errors.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::domain::{ClusterId, Fault, NodeId, Schema};

/// Calls between directory nodes that the floor above makes and answers; the peer transport carries them.
pub trait PeerService: Send + Sync + 'static {
    /// Answers a call of another node. An `Err` reaches the caller as [`AskError::Refused`].
    fn serve(&self, from: NodeId, request: Bytes) -> BoxFuture<'static, Result<Bytes, String>>;
}

/// What a node takes part as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Leader,
    Follower,
    /// Has the data, has no vote. So is a node that has not joined a cluster yet.
    Learner,
}

/// What is left on a disk, beside what is to stay free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Room {
    #[default]
    Ample,
    /// Less than twice its floor.
    Low,
    /// Less than its floor. While most voters' disks are so, only what frees room is taken.
    Full,
}

/// A node's view of its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub node_id: NodeId,
    /// Nothing until the cluster has formed.
    pub cluster_id: Option<ClusterId>,
    pub cluster_name: String,
    pub term: u64,
    /// Which forms of stored data the cluster uses, as far as this node has applied the log.
    pub schema: Schema,
    /// Nothing while no leader is known, or while this node leads but has heard of no majority for a while.
    pub leader: Option<NodeId>,
    pub role: Role,
    /// This node has applied what was committed before it was started, is not far behind now, and knows a leader.
    pub ready: bool,
    pub last_log_index: Option<u64>,
    pub applied_index: Option<u64>,
    /// Entries that are committed and that this node has not applied.
    pub lag: u64,
    /// The disks of most voters are below their floors: the leader refuses what does not free room.
    pub full: bool,
    /// This node among them, in the order of their ids.
    pub members: Vec<MemberStatus>,
    /// What this node waits for, while it waits: for people to read.
    pub waiting_for: Option<String>,
}

/// A member as the node that is asked knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    pub id: NodeId,
    pub url: String,
    pub peer: String,
    pub voter: bool,
    /// It answered this node within the last few seconds.
    pub reachable: bool,
    /// How long ago it last answered this node. Nothing where it never has; zero for this node itself.
    pub silent: Option<Duration>,
    pub last_log_index: Option<u64>,
    pub applied_index: Option<u64>,
    /// What it has not applied of what is committed, as far as this node knows of either.
    pub lag: Option<u64>,
    /// The last entry that its newest snapshot covers.
    pub snapshot_index: Option<u64>,
    /// Bytes that its disk has left.
    pub disk_free: Option<u64>,
    pub room: Room,
    /// The median of how long its last syncs of the log took. Nothing where it had nothing to sync of late.
    pub sync: Option<Duration>,
    /// The release that it runs. Empty where it has not said.
    pub version: String,
    /// Why it does not take part and never will as it is: its disk went back in time. The sentence says what to do.
    pub trouble: Option<String>,
}

/// Why a node leads no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepDownReason {
    /// Its disk crawls, and another node's does not.
    SlowDisk,
    /// An admin had another node lead.
    Asked,
    /// It is being removed.
    Removal,
    /// It is shutting down.
    Shutdown,
    /// The others elected somebody else while it led.
    Overtaken,
    /// It hears no majority.
    NoMajority,
}

impl StepDownReason {
    pub const ALL: [Self; 6] =
        [Self::SlowDisk, Self::Asked, Self::Removal, Self::Shutdown, Self::Overtaken, Self::NoMajority];

    /// Its place in [`Self::ALL`].
    pub(crate) const fn number(self) -> usize {
        self as usize
    }

    /// In metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::SlowDisk => "slow_disk",
            Self::Asked => "asked",
            Self::Removal => "removal",
            Self::Shutdown => "shutdown",
            Self::Overtaken => "overtaken",
            Self::NoMajority => "no_majority",
        }
    }

    /// For people, with what to do where there is something to do.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::SlowDisk => {
                "the disk of this node takes very long to sync the Raft log: another node leads now. Check it (iostat, dmesg)"
            }
            Self::Asked => "an admin had another node lead",
            Self::Removal => "it is being removed from the cluster",
            Self::Shutdown => "it is shutting down",
            Self::Overtaken => {
                "the others elected another leader while it led, because they did not hear it in time: it was overloaded, \
                 paused, waiting for its disk, or cut off. Look at its CPU, its disk (iostat) and its network"
            }
            Self::NoMajority => {
                "it hears no majority of the nodes: they are down, overloaded or cut off. See ringmaster cluster status"
            }
        }
    }
}

/// Counters since the start of the process, and gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// How often the log was synced to the disk.
    pub log_syncs: u64,
    /// Entries that this node applied.
    pub commits: u64,
    pub is_leader: bool,
    pub term: u64,
    pub applied_index: u64,
    pub last_log_index: u64,
    /// The log up to here is gone; snapshots stand for it.
    pub purged_index: u64,
    /// Snapshots taken here.
    pub snapshots: u64,
    /// The last entry that the newest snapshot covers.
    pub snapshot_index: u64,
    /// Bytes of snapshots that came from other nodes.
    pub snapshot_received: u64,
    /// Bytes that did not come again when a transfer that had broken off was taken up.
    pub snapshot_resumed: u64,
    /// Entries that are committed and that this node has not applied.
    pub lag: u64,
    /// Bytes left on the disk of the data directory.
    pub disk_free: u64,
    /// Bytes of it that are to stay free.
    pub disk_floor: u64,
    /// The disks of most voters are below their floors.
    pub is_full: bool,
    /// How often this node saw another leader than before, and how often it knew none any more.
    pub leader_changes: u64,
    pub leader_losses: u64,
    /// How often this node stopped leading, by [`StepDownReason::ALL`].
    pub step_downs: [u64; StepDownReason::ALL.len()],
    /// How often `is_full` began or ended.
    pub full_changes: u64,
    /// Voters and learners.
    pub members: u64,
    /// Those that did not answer this node of late.
    pub unreachable: u64,
    /// Those that this node knows to have gone back in time: they do not take part.
    pub in_trouble: u64,
    /// Rounds that asked a majority whether the leader still leads.
    pub read_rounds: u64,
    /// Linearizable reads that those rounds served.
    pub reads: u64,
}

/// Why a proposal has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Nothing was done, and trying again later may work.
    #[error("the cluster has no leader at the moment: {0}")]
    NoLeader(String),
    /// It may have been done or may yet be: repeat it under the same operation id.
    #[error("the outcome is unknown: {0}")]
    OutcomeUnknown(String),
    /// It can never be done as it is.
    #[error("the proposal was refused: {0}")]
    Refused(String),
    /// Nothing was done, because the disks of the directory nodes are nearly full: only what frees room is taken.
    #[error("the disks are nearly full: {0}")]
    Full(String),
    /// This node is ending.
    #[error("this node stops: {0}")]
    Stopped(String),
}

/// Why a read has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("the cluster has no leader at the moment: {0}")]
    NoLeader(String),
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("this node stops: {0}")]
    Stopped(String),
}

/// Why another node did not answer a call of the floor above.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    #[error("the cluster has no leader at the moment: {0}")]
    NoLeader(String),
    /// It may or may not have got the call.
    #[error("node {node} cannot be reached: {cause}")]
    Unreachable { node: NodeId, cause: String },
    /// It answered with an error.
    #[error("node {node} refuses: {cause}")]
    Refused { node: NodeId, cause: String },
    #[error("this node stops: {0}")]
    Stopped(String),
}
