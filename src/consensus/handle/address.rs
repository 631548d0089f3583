//! Members that move: a node has its addresses from its configuration, and the cluster knows it by what is in the
//! membership. Where the two differ, the node has moved, and tells whoever leads.
//!
//! The node proves who it is as with every call between nodes, by its certificate, and names the cluster's id; and the
//! leader asks at the new address whether that node answers there and says the same of itself. So what the cluster knows
//! is always what the node's own file says, and a node that was moved by mistake is moved back by its file.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::ChangeMembers;
use tokio::time::Instant;

use super::super::formation::Hello;
use super::super::membership::{Attempt, MembershipChange, Obstacle};
use super::super::status::MemberStatus;
use super::super::transport::{Call, Target, decode, encode};
use super::super::types::PeerNode;
use super::RaftNode;
use super::leaders::Leader;
use super::membership::{Task, membership, refused};
use super::node::Node;
use crate::domain::NodeId;

const TIMEOUT: Duration = Duration::from_secs(3);
/// How often the log says what a node without a leader waits for.
const REMIND: Duration = Duration::from_secs(10);

impl Node {
    /// Has the cluster know this node at the addresses of its configuration. Called once a second.
    pub(super) fn announce_address(self: &Arc<Self>, raft: &RaftNode) {
        let members = membership(raft);
        let own = PeerNode { url: self.settings.url.clone(), peer: self.settings.peer_url.clone() };
        let Some(known) = members.get_node(&self.id().0).filter(|known| **known != own) else { return };
        if self.board.moving.swap(true, Ordering::Relaxed) {
            return;
        }
        let change = MembershipChange::SetAddress { node: self.id().0, url: own.url.clone(), peer: own.peer.clone() };
        let others = members.nodes().filter(|(id, _)| **id != self.id().0);
        let others: Vec<Target> =
            others.map(|(id, node)| Target { id: NodeId(*id), address: node.peer.clone() }).collect();
        let (node, known) = (Arc::clone(self), known.clone());
        self.environment.tasks.spawn(async move {
            match node.have_changed(&change, &others).await {
                Ok(()) => tracing::info!(
                    old_url = known.url, old_peer = known.peer, url = own.url, peer = own.peer,
                    "the cluster is told the new addresses of this node"
                ),
                Err(why) => tracing::warn!(
                    known_url = known.url, known_peer = known.peer, url = own.url, peer = own.peer,
                    "the cluster knows this node by other addresses than its configuration has, and does not take the new \
                     ones yet: {why}. This node tries again"
                ),
            }
            node.board.moving.store(false, Ordering::Relaxed);
        });
    }

    /// Takes up where the members are now.
    pub(super) fn learn_addresses(&self, raft: &RaftNode) {
        let members = membership(raft);
        self.addresses.set(members.nodes().map(|(id, node)| (NodeId(*id), node.peer.clone())).collect());
    }

    /// Has whoever leads make a change. A node that has moved may not be reached by the leader, and so not know it:
    /// everybody is asked.
    async fn have_changed(self: &Arc<Self>, change: &MembershipChange, others: &[Target]) -> Result<(), String> {
        if self.submissions.leads() {
            return self.change_here(change.clone()).await.map(drop).map_err(|obstacle| obstacle.to_string());
        }
        let mut why = "no other node answers".to_owned();
        for target in others {
            let answer = self.environment.peers.call(target, Call::Change, encode(change), TIMEOUT).await;
            match answer.map_err(|error| error.to_string()).and_then(|body| decode::<Attempt>(&body)) {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(Obstacle::NotLeader(text))) if why.starts_with("no ") => why = format!("no leader: {text}"),
                Ok(Err(Obstacle::NotLeader(_))) => {}
                Ok(Err(obstacle)) => why = obstacle.to_string(),
                Err(error) => why = format!("node {}: {error}", target.id),
            }
        }
        Err(why)
    }

    /// What keeps the nodes from a leader, where too many of them do not answer.
    pub(super) fn missing_majority(&self, members: &[MemberStatus]) -> Option<String> {
        if !matches!(self.leaders.leader(), Leader::Lost(_)) {
            return None;
        }
        let voters: Vec<&MemberStatus> = members.iter().filter(|member| member.voter).collect();
        let silent: Vec<String> = voters
            .iter()
            .filter(|member| !member.reachable)
            .map(|member| format!("node {} at {}", member.id, member.peer))
            .collect();
        (silent.len() * 2 >= voters.len() && !silent.is_empty()).then(|| {
            format!(
                "a majority of the directory nodes: no answer from {}. Start them; where one has moved, write its new url and \
                 peer under [[cluster.members]] in the configuration of this node, and start it again",
                silent.join(", ")
            )
        })
    }

    /// Says in the log what this node waits for, now and then.
    pub(super) fn remind(&self, reminded: &mut Option<Instant>) {
        let Some(waits) = self.missing_majority(&self.compute_status().members) else { return };
        if reminded.is_none_or(|at| at.elapsed() > REMIND) {
            tracing::warn!(node = %self.id(), "this node waits for {waits}");
            *reminded = Some(Instant::now());
        }
    }
}

impl Task<'_> {
    /// Has the cluster know a member at other addresses.
    pub(super) async fn set_address(&self, id: u64, new: &PeerNode) -> Result<(), Obstacle> {
        let members = membership(self.raft);
        let Some(known) = members.get_node(&id) else {
            return refused(format!("there is no node {id}: see `ringmaster cluster status`"));
        };
        if known == new {
            return Ok(());
        }
        let taken = |node: &PeerNode| [&node.peer, &node.url].iter().any(|at| **at == new.peer || **at == new.url);
        if let Some((other, _)) = members.nodes().find(|(other, node)| **other != id && taken(node)) {
            return refused(format!(
                "node {other} is at that address already: each node needs addresses of its own. Where nodes have swapped \
                 theirs, give one of them a third address first"
            ));
        }
        let target = Target { id: NodeId(id), address: new.peer.clone() };
        let hello: Hello = self.ask(&target, Call::Hello, encode(&())).await.map_err(|obstacle| match obstacle {
            Obstacle::Refused(text) => Obstacle::Refused(format!(
                "node {id} must be up at its new address first ({text}): write it into its configuration and start it; it \
                 then tells the cluster by itself"
            )),
            other => other,
        })?;
        let ours = self.node.identity.cluster_id().map(|id| id.to_string());
        if hello.node != id || hello.cluster_id != ours {
            return refused(format!(
                "whoever answers at {} is not node {id} of this cluster: correct the address",
                new.peer
            ));
        }
        if hello.url.as_ref() != Some(&new.url) || hello.peer.as_ref() != Some(&new.peer) {
            return refused(format!(
                "node {id} says of itself that users reach it at {} and its peers at {}: correct node.advertise and \
                 node.peer_advertise in its configuration and start it again; it then tells the cluster by itself",
                hello.url.unwrap_or_default(),
                hello.peer.unwrap_or_default()
            ));
        }
        let moved = || {
            let node = BTreeMap::from([(id, new.clone())]);
            self.raft.change_membership(ChangeMembers::SetNodes(node), true)
        };
        self.commit("telling everybody its new address", moved).await?;
        self.node.learn_addresses(self.raft);
        Ok(())
    }
}
