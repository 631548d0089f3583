//! Changes of who takes part. The leader runs them, one at a time, in tasks that outlive the request; whoever asked asks
//! again to see how far it is.
//!
//! Nothing of a change is kept but the membership itself. When the leader dies on the way, the same request to the next
//! one goes on from what the membership says: a learner is promoted, a leader that has handed over is removed by its
//! successor. A membership that was left between two majorities is settled by the next leader without being asked.
//!
//! A node is told the cluster's id before it is in the membership. If the leader dies in between, it waits as a node
//! that nobody calls, and the same request finds it so.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use openraft::ChangeMembers;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::super::formation::{Form, Hello, MemberFile};
use super::super::membership::{Attempt, MembershipChange, MembershipError, MembershipProgress, Obstacle, Stage};
use super::super::status::StepDownReason;
use super::super::transport::{Call, CallError, Target, decode, encode};
use super::super::types::{Membership, PeerNode, TypeConfig};
use super::RaftNode;
use super::changes::ChangeState;
use super::leaders::Leader;
use super::node::Node;
use super::transfer;
use crate::domain::{NodeId, Schema};

/// How long an answer waits for the end of a change before it says how far it is.
const PATIENCE: Duration = Duration::from_millis(800);
/// How long the whole search for a leader may take.
const DEADLINE: Duration = Duration::from_secs(6);
const CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// A learner that lacks no more than this gets its vote: some hundred milliseconds of a loaded cluster. What is left
/// comes with the next appends; a larger rest would hold up commits that need the new voter.
const CLOSE_ENOUGH: u64 = 1_000;
/// A learner that has got nothing for so long does not take part, for whatever reason.
const STALLED: Duration = Duration::from_secs(30);
/// How long a change may wait for its majorities.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

pub(super) fn refused<T>(text: impl Into<String>) -> Result<T, Obstacle> {
    Err(Obstacle::Refused(text.into()))
}

impl Node {
    /// Has whoever leads make the change, or say how far it is.
    pub(crate) async fn change(
        self: Arc<Self>,
        change: MembershipChange,
    ) -> Result<MembershipProgress, MembershipError> {
        let deadline = Instant::now() + DEADLINE;
        let (mut first_leader, mut uncertain) = (None, false);
        loop {
            if let Some(message) = self.stopped_message() {
                return Err(MembershipError::Stopped(message));
            }
            let leader = self.leaders.leader();
            let id = match &leader {
                Leader::Here => Some(self.id()),
                Leader::There(target) => Some(target.id),
                Leader::Unknown(_) | Leader::Lost(_) => None,
            };
            // Asked again, the successor would hand over in its turn.
            match (first_leader, id) {
                (None, _) => first_leader = id,
                (Some(first), Some(now)) if first != now && change == (MembershipChange::Transfer { to: None }) => {
                    return Ok(MembershipProgress::at(now.0, Stage::Leads));
                }
                _ => {}
            }
            let attempt = match leader {
                Leader::Here => self.change_here(change.clone()).await,
                Leader::There(target) => self.change_there(&target, &change).await,
                Leader::Unknown(reason) | Leader::Lost(reason) => Err(Obstacle::NotLeader(reason)),
            };
            uncertain |= matches!(attempt, Err(Obstacle::Unknown(_)));
            match attempt {
                Ok(progress) => return Ok(progress),
                Err(Obstacle::Refused(text)) => return Err(MembershipError::Refused(text)),
                Err(Obstacle::Busy(text)) => return Err(MembershipError::Busy(text)),
                Err(Obstacle::NotLeader(reason) | Obstacle::Unknown(reason)) => {
                    if !self.is_worth_a_retry(deadline).await {
                        let error = if uncertain { MembershipError::Unknown } else { MembershipError::NoLeader };
                        return Err(error(reason));
                    }
                }
            }
        }
    }

    async fn change_there(&self, target: &Target, change: &MembershipChange) -> Attempt {
        let call = self.environment.peers.call(target, Call::Change, encode(change), DEADLINE);
        let answer = match self.leaders.while_it_leads(target, call).await {
            Some(Ok(body)) => decode::<Attempt>(&body),
            // Repeating it is harmless, whether it arrived or not.
            Some(Err(error)) => Err(format!("node {}: {error}", target.id)),
            None => Err(format!("node {} stopped leading", target.id)),
        };
        answer.unwrap_or_else(|text| Err(Obstacle::NotLeader(text)))
    }

    /// Begins a change on this node, which must lead, or says how far it is.
    pub(crate) async fn change_here(self: &Arc<Self>, change: MembershipChange) -> Attempt {
        let Some(raft) = self.raft.get().cloned().filter(|_| self.submissions.leads()) else {
            return Err(Obstacle::NotLeader(format!("node {} does not lead", self.id())));
        };
        if let Leader::Lost(reason) = self.leaders.leader() {
            // A change that runs here is told about by the next leader, which may well go on with it.
            return Err(Obstacle::NotLeader(reason));
        }
        // A little longer than the hand-over's own, which begins later.
        let hand_over = transfer::TIMEOUT + Duration::from_millis(500);
        let patience = if matches!(change, MembershipChange::Transfer { .. }) { hand_over } else { PATIENCE };
        let mut state = self.begin(change, raft)?;
        // Most of them are done by then, and those that are refused.
        let end = async { state.wait_for(|state| matches!(state, ChangeState::Ended(..))).await.is_err() };
        if let Ok(true) = timeout(patience, end).await {
            return Err(Obstacle::NotLeader("the leader is stopping".into()));
        }
        let now = state.borrow().clone();
        match now {
            ChangeState::Runs(progress) => Ok(progress),
            ChangeState::Ended(result, _) => {
                self.changes.collect(&state);
                result
            }
        }
    }

    /// The change if it runs, else a new task for it.
    pub(super) fn begin(
        self: &Arc<Self>,
        change: MembershipChange,
        raft: RaftNode,
    ) -> Result<watch::Receiver<ChangeState>, Obstacle> {
        let (state, told) = self.changes.begin(&change)?;
        if let Some(told) = told {
            let node = Arc::clone(self);
            self.environment.tasks.spawn(async move {
                let task = Task { node: &node, raft: &raft, told: &told };
                let result = task.run(&change).await;
                match &result {
                    Ok(_) => tracing::info!(%change, "the cluster was changed"),
                    Err(why) => tracing::info!(%change, ?why, "the cluster was not changed"),
                }
                told.send_replace(ChangeState::Ended(result, Instant::now()));
            });
        }
        Ok(state)
    }

    /// Ends a change that a former leader left between its two majorities. Called again and again on the leader.
    pub(super) fn settle_membership(self: &Arc<Self>, raft: &RaftNode) {
        if !self.submissions.leads() || !is_joint(raft) || self.changes.is_running() {
            return;
        }
        let raft = raft.clone();
        self.environment.tasks.spawn(async move {
            let nothing = ChangeMembers::AddVoterIds(BTreeSet::new());
            match timeout(COMMIT_TIMEOUT, raft.change_membership(nothing, false)).await {
                Ok(Ok(_)) => tracing::info!("a change of members that a former leader had begun is complete"),
                Ok(Err(error)) => tracing::debug!(%error, "a change of members waits to be completed"),
                Err(_) => tracing::warn!("a change of members waits for a majority of the old or of the new members"),
            }
        });
    }
}

pub(super) fn membership(raft: &RaftNode) -> Membership {
    raft.metrics().borrow_watched().membership_config.membership().clone()
}

pub(super) fn is_joint(raft: &RaftNode) -> bool {
    membership(raft).get_joint_config().len() > 1
}

pub(super) struct Task<'a> {
    pub(super) node: &'a Arc<Node>,
    pub(super) raft: &'a RaftNode,
    told: &'a watch::Sender<ChangeState>,
}

impl Task<'_> {
    async fn run(&self, change: &MembershipChange) -> Attempt {
        match change {
            MembershipChange::Add { node, url, peer } => {
                self.add(*node, &PeerNode { url: url.clone(), peer: peer.clone() }).await?;
                Ok(MembershipProgress::at(*node, Stage::Voter))
            }
            MembershipChange::Remove { node, force } => {
                self.remove(*node, *force).await?;
                Ok(MembershipProgress::at(*node, Stage::Removed))
            }
            MembershipChange::SetAddress { node, url, peer } => {
                self.set_address(*node, &PeerNode { url: url.clone(), peer: peer.clone() }).await?;
                Ok(MembershipProgress::at(*node, Stage::Moved))
            }
            MembershipChange::Rise { schema } => {
                self.rise(Schema(*schema)).await?;
                Ok(MembershipProgress::at(0, Stage::Risen))
            }
            MembershipChange::Transfer { to } => {
                let leader = transfer::hand_over(self.node, self.raft, *to, StepDownReason::Asked).await;
                let leader = leader.map_err(|error| Obstacle::Refused(format!("{error:#}")))?;
                match to {
                    Some(to) if *to != leader => {
                        refused(format!("node {leader} was elected before node {to} could take over: ask again"))
                    }
                    _ => Ok(MembershipProgress::at(leader, Stage::Leads)),
                }
            }
        }
    }

    fn tell(&self, progress: MembershipProgress) {
        self.told.send_replace(ChangeState::Runs(progress));
    }

    async fn add(&self, id: u64, new: &PeerNode) -> Result<(), Obstacle> {
        let members = membership(self.raft);
        match members.get_node(&id) {
            Some(there) if there != new => {
                return refused(format!(
                    "node {id} is a member already, at {} and for its peers at {}: give a new node an id of its own",
                    there.url, there.peer
                ));
            }
            Some(_) if members.voter_ids().any(|voter| voter == id) => return Ok(()),
            Some(_) => {}
            None => {
                self.greet(id, new, &members).await?;
                self.commit("taking in the new node", || self.raft.add_learner(id, new.clone(), false)).await?;
            }
        }
        self.catch_up(id).await?;
        self.tell(MembershipProgress::at(id, Stage::Promoting));
        let vote = || self.raft.change_membership(ChangeMembers::AddVoterIds(BTreeSet::from([id])), true);
        self.commit("giving it its vote", vote).await
    }

    /// Looks whether the node is who it should be and has nothing, and tells it which cluster it now belongs to.
    async fn greet(&self, id: u64, new: &PeerNode, members: &Membership) -> Result<(), Obstacle> {
        let roster = self.node.storage.state.db().roster().map_err(|fault| Obstacle::Refused(fault.to_string()))?;
        if roster.used.contains(&id) {
            return refused(format!(
                "the id {id} was used before, and no id is used twice: the node that had it may come back with what it \
                 had. Give the new node another one, such as {}",
                roster.used.last().map_or(1, |last| last + 1)
            ));
        }
        if let Some((other, _)) = members.nodes().find(|(_, node)| node.peer == new.peer || node.url == new.url) {
            return refused(format!("node {other} is at that address already: each node needs addresses of its own"));
        }
        let target = Target { id: NodeId(id), address: new.peer.clone() };
        let hello: Hello = self.ask(&target, Call::Hello, encode(&())).await?;
        let ours = self.node.identity.cluster_id().map(|id| id.to_string()).unwrap_or_default();
        if hello.cluster_name != self.node.settings.cluster_name {
            return refused(format!(
                "node {id} is of the cluster {:?}, and this is {:?}: correct cluster.name in its configuration",
                hello.cluster_name, self.node.settings.cluster_name
            ));
        }
        match &hello.cluster_id {
            Some(theirs) if *theirs == ours => return Ok(()),
            Some(theirs) => {
                return refused(format!("node {id} belongs to the cluster {theirs}: give it an empty data_dir"));
            }
            None => {}
        }
        let schema = self.node.storage.state.applied().schema;
        if hello.supports < schema.0 {
            return refused(format!(
                "node {id} runs a release that knows schema {} at most, and the cluster is at {schema}: start the release \
                 that the other directory nodes run there, or a newer one",
                hello.supports
            ));
        }
        if !hello.listed.is_empty() || hello.begun {
            return refused(format!(
                "node {id} does not wait to be added: start it with an empty data_dir and join = true under [cluster]"
            ));
        }
        let known = members.nodes().map(|(id, node)| (*id, node));
        let members = known.chain([(id, new)]);
        let members = members.map(|(id, node)| MemberFile { id, url: node.url.clone(), peer: node.peer.clone() });
        let cluster_name = self.node.settings.cluster_name.clone();
        let form = Form { cluster_id: ours, cluster_name, members: members.collect(), schema: schema.0 };
        self.ask::<()>(&target, Call::Form, encode(&form)).await
    }

    pub(super) async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        target: &Target,
        call: Call,
        body: bytes::Bytes,
    ) -> Result<T, Obstacle> {
        let answer = self.node.environment.peers.call(target, call, body, CALL_TIMEOUT).await;
        let body = answer.map_err(|error| match error {
            CallError::Refused(text) => Obstacle::Refused(text),
            CallError::Unreachable(text) | CallError::Broken(text) => Obstacle::Refused(format!(
                "node {} does not answer at {} ({text}): start it with join = true, and give --peer the address that \
                 it listens on for its peers",
                target.id, target.address
            )),
        })?;
        decode(&body).map_err(Obstacle::Refused)
    }

    /// Returns when a learner is close enough to the end of the log.
    async fn catch_up(&self, id: u64) -> Result<(), Obstacle> {
        let mut best: Option<(u64, u64)> = None;
        let mut moved = Instant::now();
        loop {
            let (last, matched) = {
                let receiver = self.raft.metrics();
                let metrics = receiver.borrow_watched();
                let Some(replication) = &metrics.replication else {
                    return Err(Obstacle::NotLeader("leadership has changed".into()));
                };
                let matched = replication.iter().find(|(node, _)| **node == id).and_then(|(_, at)| *at);
                (metrics.last_log_index.unwrap_or_default(), matched.map(|at| at.index))
            };
            let lag = matched.map(|at| last.saturating_sub(at));
            // It also has to be there: the vote of a node that has just died could cost the cluster its majority.
            if lag.is_some_and(|lag| lag <= CLOSE_ENOUGH) && self.is_up(id) {
                return Ok(());
            }
            let snapshot = self.node.storage.sending.to(NodeId(id));
            self.tell(MembershipProgress { node: id, stage: Stage::CatchingUp, lag, snapshot });
            let now = Some((matched.unwrap_or_default(), snapshot.map_or(0, |(there, _)| there)));
            if now != best {
                (best, moved) = (now, Instant::now());
            }
            if moved.elapsed() > STALLED {
                return refused(format!(
                    "node {id} is taken in without a vote, and has got nothing for {} s: see whether it runs, and run \
                     `ringmaster cluster add` again",
                    STALLED.as_secs()
                ));
            }
            sleep(PAUSE).await;
        }
    }

    async fn remove(&self, id: u64, force: bool) -> Result<(), Obstacle> {
        let members = membership(self.raft);
        if members.get_node(&id).is_none() {
            let roster = self.node.storage.state.db().roster().map_err(|fault| Obstacle::Refused(fault.to_string()))?;
            if roster.was_removed(id) {
                return Ok(());
            }
            return refused(format!("there is no node {id}: see `ringmaster cluster status`"));
        }
        let voters: BTreeSet<u64> = members.voter_ids().collect();
        if !voters.contains(&id) {
            let gone = || self.raft.change_membership(ChangeMembers::RemoveNodes(BTreeSet::from([id])), false);
            return self.commit("removing it", gone).await;
        }
        let left: Vec<u64> = voters.iter().copied().filter(|voter| *voter != id).collect();
        if left.is_empty() {
            return refused(format!("node {id} is the last one that votes: add another one before you remove it"));
        }
        let up = left.iter().filter(|voter| self.is_up(**voter)).count();
        if up * 2 <= left.len() && !force {
            return refused(format!(
                "without node {id}, {up} of the {} nodes that vote would be reachable, which is no majority, and the \
                 cluster would stand still: start the others first, or say --force if you know that they come back",
                left.len()
            ));
        }
        if id == self.node.id().0 {
            // The successor removes this one: it must not be this one that counts the votes for its own removal.
            let to = transfer::hand_over(self.node, self.raft, None, StepDownReason::Removal).await;
            return match to {
                Ok(to) => Err(Obstacle::NotLeader(format!("node {to} leads now, and goes on with it"))),
                Err(error) => refused(format!("node {id} leads and cannot hand over: {error:#}")),
            };
        }
        let there = self.node.target(NodeId(id));
        let gone = || self.raft.change_membership(ChangeMembers::RemoveVoters(BTreeSet::from([id])), false);
        self.commit("removing it", gone).await?;
        if let Some(there) = there {
            // It would hear of it within a second, and until then keep its clients waiting for entries that do not come.
            let told = self.node.environment.peers.call(&there, Call::Removed, encode(&()), CALL_TIMEOUT);
            self.node.environment.tasks.spawn(async move {
                if let Err(error) = told.await {
                    tracing::debug!(%error, "the removed node does not hear of it yet");
                }
            });
        }
        Ok(())
    }

    /// Whether a member is this leader or has answered it of late.
    fn is_up(&self, member: u64) -> bool {
        member == self.node.id().0 || transfer::hears(self.node, self.raft, member)
    }

    /// Writes a change to the log and waits until it is committed.
    pub(super) async fn commit<T, F>(&self, what: &str, write: impl Fn() -> F) -> Result<(), Obstacle>
    where
        F: Future<Output = Result<T, RaftError<TypeConfig, ClientWriteError<TypeConfig>>>>,
    {
        let deadline = Instant::now() + COMMIT_TIMEOUT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(written) = timeout(left, write()).await else {
                return Err(Obstacle::Unknown(format!("{what} waits for a majority of the nodes")));
            };
            let error = match written {
                Ok(_) => return Ok(()),
                Err(RaftError::APIError(error)) => error,
                Err(RaftError::Fatal(fatal)) => return Err(Obstacle::Unknown(fatal.to_string())),
            };
            match error {
                ClientWriteError::ChangeMembershipError(
                    ChangeMembershipError::InProgress(_) | ChangeMembershipError::UncommittedLeaderLog(_),
                ) => sleep(PAUSE).await,
                ClientWriteError::ChangeMembershipError(error) => return refused(error.to_string()),
                // Given before anything is written.
                error @ ClientWriteError::ForwardToLeader(_) => return Err(Obstacle::NotLeader(error.to_string())),
                // Written, and then overtaken by an election: a later leader may have it.
                error => return Err(Obstacle::Unknown(error.to_string())),
            }
        }
    }
}
