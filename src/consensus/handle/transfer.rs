//! Handing over leadership.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use openraft::Instant as _;
use openraft::async_runtime::watch::WatchReceiver;

use super::node::{Node, RaftNode};

/// How long a successor may take to be elected.
pub(super) const TIMEOUT: Duration = Duration::from_secs(3);

/// Hands over to the most caught-up voter, where this node leads.
pub(super) async fn leave(node: &Arc<Node>) -> anyhow::Result<()> {
    let Some(raft) = node.raft.get() else { return Ok(()) };
    if node.office.borrow().is_none() {
        return Ok(());
    }
    hand_over(node, raft, None).await.map(drop)
}

/// Hands over to a voter, the most caught-up one where none is named, and returns when another node leads.
///
/// # Errors
/// When nobody can take it, or nobody took it in time.
pub(super) async fn hand_over(node: &Arc<Node>, raft: &RaftNode, to: Option<u64>) -> anyhow::Result<u64> {
    let successor = match to {
        Some(to) if to == node.id.0 => return Ok(to),
        Some(to) => {
            ensure!(is_voter(raft, to), "node {to} has no vote: see `ringmaster cluster status` for those that have");
            ensure!(heard(node, raft, to), "node {to} does not answer: start it first, or name another one");
            to
        }
        None => most_caught_up(node, raft).context("no other voter is up to take over leadership")?,
    };
    raft.trigger().transfer_leader(successor).await.context("consensus has stopped")?;
    let mut metrics = raft.metrics();
    let handed_over = async {
        loop {
            let leader = metrics.borrow_watched().current_leader;
            if let Some(leader) = leader.filter(|leader| *leader != node.id.0) {
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

fn heard(node: &Node, raft: &RaftNode, id: u64) -> bool {
    let receiver = raft.metrics();
    let metrics = receiver.borrow_watched();
    let heard = metrics.heartbeat.as_ref().and_then(|all| all.iter().find(|(other, _)| **other == id));
    heard.and_then(|(_, at)| at.as_ref()).is_some_and(|at| at.elapsed() < node.patience())
}

fn most_caught_up(node: &Node, raft: &RaftNode) -> Option<u64> {
    let voters: Vec<u64> = raft.metrics().borrow_watched().membership_config.voter_ids().collect();
    let alive: Vec<u64> = voters.into_iter().filter(|id| *id != node.id.0 && heard(node, raft, *id)).collect();
    let receiver = raft.metrics();
    let metrics = receiver.borrow_watched();
    let matched = |id: u64| {
        let progress = metrics.replication.as_ref()?;
        progress.iter().find(|(other, _)| **other == id).and_then(|(_, at)| *at)
    };
    alive.into_iter().max_by_key(|id| matched(*id).map(|at| at.index))
}
