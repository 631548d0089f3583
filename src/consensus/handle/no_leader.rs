//! The no-leader timeout: how long it makes sense to wait here for a leader.
//!
//! An election is waited for: whoever waits hears of its end at once. A node that has known no leader for longer than
//! an election takes is probably the one that is cut off, and its callers have other nodes to go to. So it tells them
//! soon instead of holding them until their deadlines. What it may have put in a log is told as unknown.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::node::{Leader, Node};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(25);
/// For how long the leader must be seen as lost. A process that stood still for a second finds all news old when it goes
/// on, and the new ones a moment later.
const MOMENT: Duration = Duration::from_millis(150);

/// One caller's wait for a leader.
#[derive(Debug, Default)]
pub(super) struct NoLeaderTimeout {
    lost: Option<Instant>,
}

impl NoLeaderTimeout {
    /// Looks again. The reason, once there is no sense in waiting.
    pub(super) fn given_up(&mut self, node: &Node) -> Option<String> {
        let Leader::Lost(reason) = node.leader() else {
            self.lost = None;
            return None;
        };
        let lost = *self.lost.get_or_insert_with(Instant::now);
        (lost.elapsed() >= MOMENT).then_some(reason)
    }
}

impl Node {
    /// The end of a piece of work, or the reason for which its caller should not wait on this node.
    pub(super) async fn unless_lost<T>(
        &self,
        timeout: &mut NoLeaderTimeout,
        work: impl Future<Output = T>,
    ) -> Result<T, String> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = sleep(PAUSE) => {
                    if let Some(reason) = timeout.given_up(self) {
                        return Err(reason);
                    }
                }
            }
        }
    }
}
