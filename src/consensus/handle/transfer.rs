//! Handing over leadership.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use openraft::Instant as _;
use openraft::async_runtime::watch::WatchReceiver;

use super::super::status::StepDownReason;
use super::RaftNode;
use super::node::Node;

/// How long a successor may take to be elected.
pub(super) const TIMEOUT: Duration = Duration::from_secs(3);
/// Nobody leads who lacks more entries: they would have to arrive first. Eyeballed: a tenth of a second's worth.
pub(super) const CAUGHT_UP: u64 = 1_000;

/// Hands over to the most caught-up voter, where this node leads.
pub(super) async fn leave(node: &Arc<Node>) -> anyhow::Result<()> {
    let Some(raft) = node.raft.get() else { return Ok(()) };
    if !node.submissions.leads() {
        return Ok(());
    }
    hand_over(node, raft, None, StepDownReason::Shutdown).await.map(drop)
}

/// Hands over to a voter, the most caught-up one where none is named, and returns when another node leads: the voter, or
/// whoever was elected where it did not take it.
///
/// # Errors
/// When nobody can take it, or nobody took it in time. A voter that lacks much of the log is refused: nothing would be
/// written until it has it, or until another one was elected.
pub(super) async fn hand_over(
    node: &Arc<Node>,
    raft: &RaftNode,
    to: Option<u64>,
    why: StepDownReason,
) -> anyhow::Result<u64> {
    let successor = match to {
        Some(to) if to == node.id().0 => return Ok(to),
        Some(to) => {
            ensure!(is_voter(raft, to), "node {to} has no vote: see `ringmaster cluster status` for those that have");
            ensure!(hears(node, raft, to), "node {to} does not answer: start it first, or name another one");
            let lacks = lacks(raft, to);
            ensure!(
                lacks.is_some_and(|entries| entries <= CAUGHT_UP),
                "node {to} lacks {} of the log: name another one, or wait until it has caught up",
                lacks.map_or_else(|| "an unknown part".to_owned(), |entries| format!("{entries} entries"))
            );
            to
        }
        None => most_caught_up(node, raft).context("no other voter is up to take over leadership")?,
    };
    node.journal.intend(why);
    raft.trigger().transfer_leader(successor).await.context("consensus has stopped")?;
    let mut metrics = raft.metrics();
    let handed_over = async {
        loop {
            let leader = metrics.borrow_watched().current_leader;
            if let Some(leader) = leader.filter(|leader| *leader != node.id().0) {
                return Ok(leader);
            }
            metrics.changed().await.context("consensus has stopped")?;
        }
    };
    let handed_over = tokio::time::timeout(TIMEOUT, handed_over).await;
    handed_over.unwrap_or_else(|_| bail!("node {successor} did not take over leadership in time"))
}

fn is_voter(raft: &RaftNode, id: u64) -> bool {
    raft.metrics().borrow_watched().membership_config.voter_ids().any(|voter| voter == id)
}

/// Whether a member has answered this leader of late.
pub(super) fn hears(node: &Node, raft: &RaftNode, id: u64) -> bool {
    let receiver = raft.metrics();
    let metrics = receiver.borrow_watched();
    let heard = metrics.heartbeat.as_ref().and_then(|all| all.iter().find(|(other, _)| **other == id));
    heard.and_then(|(_, at)| at.as_ref()).is_some_and(|at| at.elapsed() < node.leaders.patience())
}

/// How many entries of this leader's log a member has not confirmed, where that is known.
pub(super) fn lacks(raft: &RaftNode, id: u64) -> Option<u64> {
    let receiver = raft.metrics();
    let metrics = receiver.borrow_watched();
    let (_, matched) = metrics.replication.as_ref()?.iter().find(|(other, _)| **other == id)?;
    Some(metrics.last_log_index?.saturating_sub((*matched)?.index))
}

fn most_caught_up(node: &Node, raft: &RaftNode) -> Option<u64> {
    let voters: Vec<u64> = raft.metrics().borrow_watched().membership_config.voter_ids().collect();
    let alive = voters.into_iter().filter(|id| *id != node.id().0 && hears(node, raft, *id));
    alive.min_by_key(|id| lacks(raft, *id).unwrap_or(u64::MAX))
}
