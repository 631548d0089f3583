//! Changes of who takes part, in the words of the floors above and of the wire.

use serde::{Deserialize, Serialize};

use super::options::Member;
use crate::domain::NodeId;

/// What an operator asks of the cluster. Repeating one is harmless, and goes on where the last attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MembershipChange {
    /// Takes in a node that waits for it with an empty disk: first as a learner, as a voter once it has caught up.
    Add { node: u64, url: String, peer: String },
    /// Lets a node go for good. `force` goes without the majority of reachable voters that would be left.
    Remove { node: u64, force: bool },
    /// Has the cluster know a member at other addresses, which its own configuration has. A node that has moved asks for it
    /// by itself.
    SetAddress { node: u64, url: String, peer: String },
    /// Hands leadership to a voter, to the most caught-up one where none is named.
    Transfer { to: Option<u64> },
    /// Has all members promise to understand a schema, then has the cluster rise to it. The leader asks for it by itself.
    Rise { schema: u64 },
}

impl MembershipChange {
    pub fn add(member: &Member) -> Self {
        Self::Add { node: member.id.0, url: member.url.clone(), peer: member.peer.clone() }
    }

    pub const fn remove(node: NodeId, force: bool) -> Self {
        Self::Remove { node: node.0, force }
    }
}

impl std::fmt::Display for MembershipChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Add { node, .. } => write!(f, "adding node {node}"),
            Self::Remove { node, .. } => write!(f, "removing node {node}"),
            Self::SetAddress { node, .. } => write!(f, "changing the address of node {node}"),
            Self::Transfer { .. } => write!(f, "handing over leadership"),
            Self::Rise { schema } => write!(f, "rising to schema {schema}"),
        }
    }
}

/// How far a change has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembershipProgress {
    /// The node that it is about; for a hand-over, the new leader.
    pub node: u64,
    pub stage: Stage,
    /// Entries of the leader's log that a learner does not have yet. Nothing before it has answered.
    pub lag: Option<u64>,
    /// Bytes of a snapshot on the way to it: sent, and all.
    pub snapshot: Option<(u64, u64)>,
}

/// The stages of a change, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// The new node is asked who it is, and told the cluster.
    Greeting,
    /// It has no vote yet and is sent what it lacks.
    CatchingUp,
    /// Its vote is on its way through the log.
    Promoting,
    /// Done: it votes.
    Voter,
    Removing,
    /// Done: it is gone for good.
    Removed,
    /// It is asked at its new address.
    Moving,
    /// Done: the cluster knows its new address.
    Moved,
    HandingOver,
    /// Done: it leads.
    Leads,
    /// All members are asked to promise that they understand the next schema.
    Rising,
    /// Done: the cluster uses it.
    Risen,
}

impl MembershipProgress {
    pub const fn at(node: u64, stage: Stage) -> Self {
        Self { node, stage, lag: None, snapshot: None }
    }

    pub const fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Voter | Stage::Removed | Stage::Moved | Stage::Leads | Stage::Risen)
    }
}

/// Why a change does not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// Ask again later.
    #[error("the cluster has no leader at the moment: {0}")]
    NoLeader(String),
    /// As things stand, it cannot be. The sentence says what to do.
    #[error("{0}")]
    Refused(String),
    /// Another change runs.
    #[error("{0}")]
    Busy(String),
    #[error("this node stops: {0}")]
    Stopped(String),
    /// It may be made yet. To ask for it again is harmless, and tells.
    #[error("the change may or may not have been made: {0}")]
    Unknown(String),
}

/// Why a change does not go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Obstacle {
    /// The next leader goes on with it.
    NotLeader(String),
    Refused(String),
    Busy(String),
    /// It is in the log of a leader that leads no more, or waits for a majority.
    Unknown(String),
}

impl std::fmt::Display for Obstacle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotLeader(text) | Self::Refused(text) | Self::Busy(text) | Self::Unknown(text) => f.write_str(text),
        }
    }
}

/// What one attempt at the leader comes to, also on the wire.
pub(crate) type Attempt = Result<MembershipProgress, Obstacle>;
