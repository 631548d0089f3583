//! A member whose disk went back in time does not take part again (`acknowledged.rs` says how that is seen, and why).
//!
//! A node asks each other member what it has acknowledged to it before the two count on each other: before it votes for
//! that member, acknowledges anything to it, or takes a vote or an acknowledgement from it. Most are asked before openraft
//! is made; one that is not up then is asked when it comes up. So what a member remembers is from before this node began,
//! and is compared with what this node had when it began. A node that has less writes down what it owes, so that it ends
//! at each later start as well, tells the others, which show it in their status, and ends.
//!
//! It does not wait for members that are down: a majority that restarts must not need the rest. So one kind of loss is not
//! seen in time: the disk of one member goes back, and the only member that knew better is down as well. Two of three
//! members have failed then, which Raft does not promise to survive.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::super::acknowledged::Acknowledged;
use super::super::formation::{Hello, Identity};
use super::super::transport::{Call, CallError, Introduction, Target, decode, encode};
use super::node::Node;
use crate::domain::NodeId;

const PAUSE: Duration = Duration::from_millis(100);
/// How long a node that ends waits for the others to hear why.
const TELL: Duration = Duration::from_secs(1);

/// A node's question at its start: this is what I have.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Recall {
    pub held: Acknowledged,
    /// What somebody has told it that it has acknowledged, where that is more.
    #[serde(default)]
    pub owed: Option<Acknowledged>,
}

/// What the other node remembers of the one that asks.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Recalled {
    pub acknowledged: Option<Acknowledged>,
}

impl Introduction for Node {
    fn is_introduced(&self, to: NodeId) -> bool {
        self.introductions.is_done(to)
    }

    fn introduce(self: Arc<Self>, to: Target) -> BoxFuture<'static, Result<(), String>> {
        Box::pin(async move {
            let recalled = match self.ask_what_it_recalls(&to).await {
                Ok(recalled) => recalled,
                // It knows nothing of this cluster, or nothing of such questions.
                Err(CallError::Refused(_)) => Recalled::default(),
                Err(error) => return Err(format!("it must first say what it remembers of this node: {error}")),
            };
            // Others may have asked at the same time, and what has been acknowledged since is no news of the past.
            if self.is_introduced(to.id) {
                return Ok(());
            }
            if self.compare(to.id, self.introductions.held(), recalled.acknowledged).await {
                self.introductions.add(to.id);
                return Ok(());
            }
            Err("the disk of this node went back in time".to_owned())
        })
    }
}

impl Node {
    /// As [`Introduction::introduce`], where its address is known. A member that is not known here is one that joined while
    /// this node was away, and tells it of itself.
    pub(super) async fn introduce_to(self: &Arc<Self>, to: NodeId) -> Result<(), String> {
        match self.target(to) {
            Some(target) => Arc::clone(self).introduce(target).await,
            None => Ok(()),
        }
    }

    /// What another member asks at its start.
    pub(super) fn recall(&self, from: NodeId, asked: &Recall) -> Recalled {
        let acknowledged = self.storage.recollections.of(from);
        // By its own word alone: a question that comes late must not be held against what it has acknowledged since.
        let trouble = asked.owed.filter(|owed| asked.held < *owed).map(|known| {
            format!(
                "its disk went back in time: it has {} and has acknowledged {known}. It does not take part any more: remove \
                 it (`ringmaster cluster remove {from}`) and add it under a new id with an empty data_dir",
                asked.held
            )
        });
        if let Some(trouble) = &trouble
            && self.words.trouble(from).as_ref() != Some(trouble)
        {
            tracing::error!(member = %from, "the disk of node {from} went back in time: {trouble}");
        }
        self.words.set_trouble(from, trouble);
        Recalled { acknowledged }
    }

    /// Ends this node, now and at each start from now on, if it has less than it has acknowledged. What it `held` is of a
    /// moment after the witness' word.
    pub(super) async fn compare(
        self: &Arc<Self>,
        witness: NodeId,
        held: Acknowledged,
        acknowledged: Option<Acknowledged>,
    ) -> bool {
        let Some(owed) = acknowledged.filter(|known| held < *known) else { return true };
        let saver = Arc::clone(self);
        let save = move || {
            saver.identity.change(|identity| Ok(Identity { owed: identity.owed.max(Some(owed)), ..identity.clone() }))
        };
        // What cannot be written down is said again by the others after the next start.
        if let Ok(Err(error)) = self.environment.tasks.blocking(save).await {
            tracing::warn!(%error, "that this node's disk went back in time could not be written down");
        }
        self.give_up(held, owed, &format!("node {witness} knows")).await;
        false
    }

    /// Ends this node, which has less than it has acknowledged, once the others have heard of it.
    async fn give_up(&self, held: Acknowledged, owed: Acknowledged, who: &str) {
        let body = encode(&Recall { held, owed: Some(owed) });
        let others = self.others();
        let told = others.iter().map(|target| self.environment.peers.call(target, Call::Recall, body.clone(), TELL));
        // Those that are down hear of it at a later start of this node.
        futures_util::future::join_all(told).await;
        self.stopper.stop(went_back(self.id(), held, owed, who));
    }

    /// Every other member's address, as far as this node knows of it.
    fn others(&self) -> Vec<Target> {
        let mut known: BTreeMap<u64, String> = BTreeMap::new();
        let formed = self.identity.get().cluster;
        for member in self.settings.members.iter().chain(formed.iter().flat_map(|formed| &formed.members)) {
            known.insert(member.id.0, member.peer.clone());
        }
        if let Ok((_, applied)) = self.storage.state.db().applied_state()
            && applied.membership().nodes().next().is_some()
        {
            // It knows better who is a member and where.
            known = applied.membership().nodes().map(|(id, node)| (*id, node.peer.clone())).collect();
        }
        known.remove(&self.id().0);
        known.into_iter().map(|(id, address)| Target { id: NodeId(id), address }).collect()
    }

    async fn ask_what_it_recalls(&self, target: &Target) -> Result<Recalled, CallError> {
        let body = encode(&Recall { held: self.introductions.held(), owed: None });
        let answer = self.environment.peers.call(target, Call::Recall, body, self.patience()).await?;
        decode(&answer).map_err(CallError::Broken)
    }

    /// How long a start waits for members that do not answer: they may be starting as well.
    fn patience(&self) -> Duration {
        self.settings.tuning.election_max * 2
    }
}

/// Asks the others before this node takes part. False when it must not, and has been told to stop.
pub(super) async fn may_take_part(node: &Arc<Node>) -> bool {
    if !is_alone(node).await {
        return false;
    }
    let (held, owed) = (node.introductions.held(), node.identity.get().owed);
    if let Some(owed) = owed.filter(|owed| held < *owed) {
        node.give_up(held, owed, "another node has told it").await;
        return false;
    }
    let deadline = Instant::now() + node.patience();
    let questions = node.others().into_iter().map(|target| async move {
        while Arc::clone(node).introduce(target.clone()).await.is_err() {
            if node.stopped_message().is_some() || Instant::now() + PAUSE >= deadline {
                return;
            }
            sleep(PAUSE).await;
        }
    });
    futures_util::future::join_all(questions).await;
    node.stopped_message().is_none()
}

/// Whether no other process answers as this node where the others look for it: a copy of its folder that runs beside it
/// would vote a second time.
async fn is_alone(node: &Arc<Node>) -> bool {
    let known = node.storage.state.db().applied_state().ok();
    let registered =
        known.and_then(|(_, applied)| applied.membership().get_node(&node.id().0).map(|own| own.peer.clone()));
    let mut addresses = vec![node.settings.peer_url.clone()];
    addresses.extend(registered.filter(|address| *address != node.settings.peer_url));
    for address in addresses {
        let target = Target { id: node.id(), address };
        let answer = node.environment.peers.call(&target, Call::Hello, encode(&()), node.patience()).await;
        let Ok(Ok(hello)) = answer.map(|body| decode::<Hello>(&body)) else { continue };
        if hello.process.is_some_and(|process| process != node.process) {
            node.stopper.stop(format!(
                "another process runs as node {} at {}: a copy of a data_dir must not take part beside the original. Stop \
                 the one that is not wanted for good, and start a further node with an id of its own, an empty data_dir and \
                 join = true",
                node.id(),
                target.address
            ));
            return false;
        }
    }
    true
}

/// What a node says whose disk went back in time.
fn went_back(node: NodeId, held: Acknowledged, owed: Acknowledged, who: &str) -> String {
    format!(
        "the disk of this node went back in time: it has {held}, and {who} that it has acknowledged {owed}. It may have \
         voted for, and acknowledged, what it does not have any more, so it must not take part. If an older copy of data_dir \
         was put back and the newer one is there still, put that back. Else run `ringmaster cluster remove {node}` on the \
         cluster, give this machine another id, an empty data_dir and join = true, start it, and run `ringmaster cluster add \
         ID --url URL --peer PEER`. Nothing that was acknowledged is lost while a majority of the members is sound"
    )
}
