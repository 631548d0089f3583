//! The time that all machines of a cluster agree on, whatever their own clocks say.
//!
//! ```text
//! every two seconds, at first more often: ask each other node for its wall clock
//!     the cluster's time is the median of all clocks, this one among them
//! ```
//!
//! Signed words that pass between machines end by that time, so a clock that is wrong makes no permission too old. Every
//! node works it out for itself from the same clocks. Following the leader's clock was not chosen, because then an
//! election would move the time of all, by an hour where the new leader's clock is an hour off. What a node that does not
//! answer said last goes on counting, so that its death moves nothing either. File servers learn the time with each
//! heartbeat.
//!
//! Locks, sessions and holds do not go by this: they go by cluster time (`ClusterTime`), which is replicated and which
//! nobody's clock moves.

use std::time::Duration;

use super::node::App;
use super::peers::{PeerCall, PeerReply, ask};
use crate::clock::SharedClock;
use crate::domain::NodeId;

/// How often the others are asked.
const INTERVAL: Duration = Duration::from_secs(2);
/// The same while some of them never answered, as at the start of a cluster: until then a wrong clock counts.
const EAGER_INTERVAL: Duration = Duration::from_millis(100);
/// For so many rounds. Then the time is taken from those that answered: of two clocks alone nobody can tell which is right,
/// so their mean is for when the third is down for long.
const EAGER_ROUNDS: u32 = 20;
/// An answer that took longer says too little about the moment that it was given.
const PATIENCE: Duration = Duration::from_millis(500);

/// Asks for the first time, so that a node that comes back does not begin by a clock that is wrong.
pub(crate) async fn first(node: &App) {
    round(node, false).await;
}

/// Runs until the node is dropped.
pub(crate) async fn run(node: App) {
    let mut rounds = 0;
    loop {
        let eager = !node.clocks.are_agreed() && rounds < EAGER_ROUNDS;
        tokio::time::sleep(if eager { EAGER_INTERVAL } else { INTERVAL }).await;
        rounds = EAGER_ROUNDS.min(rounds + 1);
        round(&node, rounds == EAGER_ROUNDS).await;
    }
}

/// Asks all others. The time is taken where all of them have answered at some time, or `anyhow`.
async fn round(node: &App, anyhow: bool) {
    let members: Vec<NodeId> = node.handle().status().members.iter().map(|member| member.id).collect();
    let others = members.iter().copied().filter(|id| *id != node.node_id);
    let asked = futures_util::future::join_all(others.map(|id| async move { (id, ahead(node, id).await) })).await;
    let complete = node.clocks.learn(&members, node.node_id, asked);
    if complete || anyhow || node.clocks.are_agreed() {
        node.clock.agree(node.clocks.agree(), "the other directory nodes");
    }
}

impl super::node::Node {
    /// The agreed time for those who are to go by it, once it is more than this node's own clock.
    pub(crate) fn agreed_ms(&self) -> Option<u64> {
        self.clocks.are_agreed().then(|| self.clock.agreed_ms())
    }
}

/// By how much a node's clock is ahead of this one's.
async fn ahead(node: &App, other: NodeId) -> Option<i64> {
    let asked_at = node.clock.monotonic();
    let answer = tokio::time::timeout(PATIENCE, ask(node.handle(), other, &PeerCall::Time)).await;
    let Ok(Ok(PeerReply::Time { wall_ms })) = answer else { return None };
    let way = node.clock.monotonic().saturating_sub(asked_at) / 2;
    Some(signed(wall_ms).saturating_add(signed(way.as_millis())).saturating_sub(signed(node.clock.wall_ms())))
}

/// What another node is told.
pub(crate) fn told(clock: &SharedClock) -> PeerReply {
    PeerReply::Time { wall_ms: clock.wall_ms() }
}

fn signed(ms: impl TryInto<i64>) -> i64 {
    ms.try_into().unwrap_or(i64::MAX)
}
