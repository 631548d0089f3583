//! The leader's loop: what must be done without anybody asking for it. (What ends by its time is `endings`' alone.)
//!
//! ```text
//! forever: wait for a tick, a change of leader, or the end of some piece of work
//!          if this node leads: plan(state) → tasks → propose what they come to
//! ```
//!
//! `plan` is pure and reads the replicated state alone, so a new leader begins where the old one was, and nothing has
//! to be handed over. Every node runs the loop; all but one find that they do not lead. What a leader has under way is
//! in its `Shift`, which is dropped, and its work with it, as soon as the node finds that it leads no more: until
//! then, whatever it proposes is judged by the state that it meets.

use std::time::Duration;

use super::node::App;
use super::replication::Shift;
use crate::consensus::QueryKind;
use crate::domain::query;
use crate::domain::rows::ServerState;
use crate::domain::{Command, Proposal, ServerId, command};

/// How often the state is looked at.
const TICK: Duration = Duration::from_millis(250);
/// A server is full below this share of its capacity, and has room again above twice as much.
const FULL_BELOW: u64 = 50; // One fiftieth: 2 %.

/// Runs until the node is dropped.
pub(crate) async fn run(node: App) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut stopped = node.handle().stopped();
    let mut shift: Option<Shift> = None;
    loop {
        let mut ticked = true;
        tokio::select! {
            _ = ticks.tick() => {}
            () = ended(&mut shift) => ticked = false,
            changed = stopped.changed() => {
                if changed.is_err() || stopped.borrow().is_some() { return; }
            }
        }
        if node.is_stopping() {
            return;
        }
        let status = node.handle().status();
        if status.leader != Some(status.node_id) {
            shift = None;
            continue;
        }
        if shift.as_ref().is_some_and(Shift::is_broken) {
            shift = None;
        }
        let shift = shift.get_or_insert_with(|| Shift::new(node.clone()));
        if let Err(error) = step(&node, shift, ticked).await {
            tracing::warn!(%error, "the leader's loop could not do its work and will try again");
            tokio::time::sleep(TICK).await;
        }
    }
}

async fn ended(shift: &mut Option<Shift>) {
    match shift {
        Some(shift) => shift.ended().await,
        None => std::future::pending().await,
    }
}

async fn step(node: &App, shift: &mut Shift, ticked: bool) -> anyhow::Result<()> {
    if ticked {
        note_full_servers(node).await?;
    }
    shift.step().await
}

/// Heartbeats are never proposed; that a server has become full, or has room again, is.
async fn note_full_servers(node: &App) -> anyhow::Result<()> {
    let servers = node.handle().read_local_as(QueryKind::Job, |store| query::servers(store)).await?;
    for server in servers.iter().filter(|server| server.state == ServerState::Up) {
        let Some(full) = node.fullness(server.server_id, server.full) else { continue };
        if full != server.full {
            let command =
                Command::ServerFull(command::ServerFull { server_id: server.server_id, epoch: server.epoch, full });
            let refusal = node.servers.refusal(server.server_id);
            tracing::info!(server_id = %server.server_id, full, refusal, "whether a file server takes new files has changed");
            if let Err(rejection) = node.handle().propose(Proposal { operation: None, command }).await? {
                tracing::debug!(server_id = %server.server_id, reason = rejection.detail, "it has changed meanwhile");
            }
        }
    }
    Ok(())
}

impl super::node::Node {
    /// Whether a server is full by its last heartbeat, with a margin, so that a server at the limit does not change its
    /// state with every file. One whose disk takes no writes is as good as full.
    fn fullness(&self, server_id: ServerId, was_full: bool) -> Option<bool> {
        let heartbeat = self.servers.last(server_id)?;
        let limit = heartbeat.capacity / FULL_BELOW;
        Some(
            heartbeat.refusal.is_some()
                || if was_full { heartbeat.free < limit.saturating_mul(2) } else { heartbeat.free < limit },
        )
    }
}
