//! The leader's loop: what must be done without anybody asking for it.
//!
//! ```text
//! forever: wait for a tick, or for a change of leader
//!          if this node leads: plan(state) → tasks → propose what they come to
//! ```
//!
//! `plan` is pure and reads the replicated state alone, so a new leader begins where the old one was, and nothing has
//! to be handed over. Every node runs the loop; all but one find that they do not lead. A loop that is started and
//! stopped with leadership was dropped: it has to be right about the moments in between, this one does not.

use std::time::Duration;

use super::node::App;
use crate::domain::plan::{Observed, Task};
use crate::domain::rows::ServerState;
use crate::domain::{Command, Outcome, Proposal, ServerId};
use crate::domain::{plan, query};

/// How often the state is looked at. Locks and sessions end this much late at the most, on top of their time.
const TICK: Duration = Duration::from_millis(250);
/// A server is full below this share of its capacity, and has room again above twice as much.
const FULL_BELOW: u64 = 50; // One fiftieth: 2 %.

/// Runs until the node is dropped.
pub(crate) async fn run(node: App) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut stopped = node.handle().stopped();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            changed = stopped.changed() => {
                if changed.is_err() || stopped.borrow().is_some() { return; }
            }
        }
        if node.is_stopping() {
            return;
        }
        let status = node.handle().status();
        if status.leader == Some(status.node_id)
            && let Err(error) = step(&node).await
        {
            tracing::warn!(%error, "the leader's loop could not do its work and will try again");
        }
    }
}

/// Works off what is due, in batches that each leave the log free in between.
async fn step(node: &App) -> anyhow::Result<()> {
    let now = node.handle().cluster_time();
    let plan = node.handle().read_local(move |store| plan(store, &Observed { now, ..Observed::default() })).await?;
    for task in plan.tasks {
        if let Task::Propose(command) = task {
            propose_all(node, command).await?;
        }
    }
    note_full_servers(node).await
}

async fn propose_all(node: &App, command: Command) -> anyhow::Result<()> {
    loop {
        let proposal = Proposal { operation: None, command: command.clone() };
        match node.handle().propose(proposal).await? {
            Ok(Outcome::Progress { more: true, rows }) if rows > 0 => {}
            Ok(_) => return Ok(()),
            Err(rejection) => anyhow::bail!("{command:?} was refused: {}", rejection.detail),
        }
    }
}

/// Heartbeats are never proposed; that a server has become full, or has room again, is.
async fn note_full_servers(node: &App) -> anyhow::Result<()> {
    let servers = node.handle().read_local(|store| query::servers(store)).await?;
    for server in servers.iter().filter(|server| server.state == ServerState::Up) {
        let Some(full) = node.fullness(server.server_id, server.full) else { continue };
        if full != server.full {
            let command = Command::ServerFull { server_id: server.server_id, epoch: server.epoch, full };
            tracing::info!(server_id = %server.server_id, full, "file server crossed its limit of free space");
            propose_all(node, command).await?;
        }
    }
    Ok(())
}

impl super::node::Node {
    /// Whether a server is full by its last heartbeat, with a margin, so that a server at the limit does not change its
    /// state with every file.
    fn fullness(&self, server_id: ServerId, was_full: bool) -> Option<bool> {
        let heartbeat = self.servers.last(server_id)?;
        let limit = heartbeat.capacity / FULL_BELOW;
        Some(if was_full { heartbeat.free < limit.saturating_mul(2) } else { heartbeat.free < limit })
    }
}
