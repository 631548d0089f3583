//! How the schema of a cluster rises: by itself, once all members run a release that knows the next one.
//!
//! In two steps, so that an upgrade can be taken back until the last node has it. While some member does not know the next
//! schema nothing is promised, and an older release may be started anywhere. Once all of them know it, each is asked to
//! promise, and writes that down, so that an older release refuses its directory; then the rise itself goes through the
//! log. It is a change like those of members, and never runs beside one: who is asked is who is there.

use std::sync::Arc;

use super::super::membership::{MembershipChange, Obstacle};
use super::super::transport::{Call, encode};
use super::RaftNode;
use super::membership::{Task, is_joint, membership, refused};
use super::node::Node;
use super::propose::ProposeOutcome;
use crate::domain::{NodeId, Schema};

impl Node {
    /// Begins the rise to the next schema where all members know it. Called again and again on the leader.
    pub(super) fn settle_schema(self: &Arc<Self>, raft: &RaftNode) {
        let next = self.storage.state.applied().schema.next();
        let idle = self.submissions.leads() && !self.changes.is_running() && !is_joint(raft);
        if next > self.machine.newest() || !idle {
            return;
        }
        let words = self.words.all();
        let knows = |id: &u64| {
            let word = words.get(&NodeId(*id)).filter(|word| word.is_fresh());
            *id == self.id().0 || word.is_some_and(|word| word.status.supports >= next.0)
        };
        if membership(raft).nodes().all(|(id, _)| knows(id)) {
            // What comes of it is logged. It is tried again in a second.
            drop(self.begin(MembershipChange::Rise { schema: next.0 }, raft.clone()));
        }
    }
}

impl Task<'_> {
    /// Has everybody promise, then has the cluster rise.
    pub(super) async fn rise(&self, to: Schema) -> Result<(), Obstacle> {
        let node = self.node;
        if to > node.machine.newest() {
            return refused(format!("this release does not know schema {to}"));
        }
        let saver = Arc::clone(node);
        let promise = move || saver.identity.change(|identity| super::super::formation::promise(identity, to));
        let promised = node.environment.tasks.blocking(promise).await.unwrap_or_else(|ended| Err(ended.to_string()));
        promised.map_err(Obstacle::Refused)?;
        for (id, _) in membership(self.raft).nodes().filter(|(id, _)| **id != node.id().0) {
            let Some(target) = node.target(NodeId(*id)) else { return refused(format!("node {id} has no address")) };
            self.ask::<()>(&target, Call::Promise, encode(&to.0)).await?;
        }
        match node.propose_here(node.machine.rise(to).into()).await {
            ProposeOutcome::Answer(_) => Ok(()),
            ProposeOutcome::NotLeader(text) => Err(Obstacle::NotLeader(text)),
            ProposeOutcome::Unknown(text) => Err(Obstacle::Unknown(text)),
            ProposeOutcome::Refused(text) | ProposeOutcome::Full(text) => Err(Obstacle::Refused(text)),
        }
    }
}
