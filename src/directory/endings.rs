//! What has run out ends: locks, holds, sessions, remembered operations, garbage rows.
//!
//! ```text
//! forever: wait for a tick, or for the next lock's end where that is sooner
//!          while this node leads and something is due: propose an Expire
//! ```
//!
//! A loop of its own beside the leader's: a lock's end must not wait for a look at the files, or for a command of the
//! repair job. Each `Expire` ends the locks that are due first, and the loop turns to nothing else before all that is due
//! has ended, so both the size of the batches and their number follow the backlog. One batch is in flight at a time: users'
//! commands come in between.

use std::time::Duration;

use super::node::App;
use crate::domain::plan::{Endings, endings};
use crate::domain::{Command, Outcome, Proposal};

/// How often the state is looked at. No lock is shorter than a second, so each is met before its end.
const TICK: Duration = Duration::from_millis(250);

/// Runs until the node is dropped.
pub(crate) async fn run(node: App) {
    let mut stopped = node.handle().stopped();
    let mut wait = TICK;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            changed = stopped.changed() => {
                if changed.is_err() || stopped.borrow().is_some() { return; }
            }
        }
        if node.is_stopping() {
            return;
        }
        wait = work_off(&node).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "what has run out could not be ended and will be tried again");
            TICK
        });
    }
}

/// Ends what is due, and says when to look again.
async fn work_off(node: &App) -> anyhow::Result<Duration> {
    while leads(node) {
        let now = node.handle().cluster_time();
        let Endings { due, next_lock } = node.handle().read_local(move |store| endings(store, now)).await?;
        let Some(expire) = due else {
            let left = next_lock.map(|at| Duration::from_millis(at.0.saturating_sub(now.0)));
            return Ok(left.map_or(TICK, |left| left.min(TICK)));
        };
        let proposal = Proposal { operation: None, command: Command::Expire(expire) };
        match node.handle().propose(proposal).await? {
            Ok(Outcome::Progress { rows, .. }) if rows > 0 => {}
            Ok(_) => break,
            Err(rejection) => {
                tracing::debug!(reason = rejection.detail, "an Expire came too early");
                break;
            }
        }
    }
    Ok(TICK)
}

fn leads(node: &App) -> bool {
    let status = node.handle().status();
    status.leader == Some(status.node_id)
}
