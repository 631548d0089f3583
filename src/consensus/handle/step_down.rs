//! Slow-disk step-down: a leader whose disk crawls lets another node lead.
//!
//! Commits wait for the quicker half of the disks, so one slow disk costs little while all nodes are up. But a leader's
//! disk also holds up its own snapshots and votes, and with one follower gone every commit waits for it. A disk that
//! takes a fifth of a second for what others do in milliseconds is on its way out.
//!
//! Leadership goes only to a node whose own word says that its disk is clearly better: where all crawl, as on one
//! overloaded machine, handing it round would cost outages and better nothing.

use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use tokio::time::Instant;

use super::super::log::SyncPace;
use super::super::status::StepDownReason;
use super::RaftNode;
use super::node::Node;
use super::transfer;
use crate::domain::NodeId;

/// For how many looks in a row, a second apart, it must crawl. Eyeballed: a burst of write-back is over by then.
const LOOKS: u32 = 3;
/// With fewer syncs in the last seconds a slow one may be chance.
const LEAST_SYNCS: usize = 3;
/// One sync that takes this long is enough: the disk hangs.
const HANGS: Duration = Duration::from_secs(2);
/// Between two attempts, so that a wrong guess costs one short outage a minute at most.
const PAUSE: Duration = Duration::from_secs(60);
/// The successor's syncs take this part of ours at most.
const CLEARLY: u32 = 4;

/// What the leader has seen of its own disk.
#[derive(Default)]
pub(super) struct StepDown {
    crawling: u32,
    tried: Option<Instant>,
    complained: Option<Instant>,
}

impl StepDown {
    /// Looks once. To be called about once a second.
    pub(super) fn look(&mut self, node: &Arc<Node>, raft: &RaftNode) {
        let bound = node.settings.tuning.slow_sync;
        let sure = |pace: &SyncPace| pace.syncs >= LEAST_SYNCS || pace.median >= HANGS;
        let pace = node.storage.log.sync_pace().filter(|pace| pace.median > bound && sure(pace));
        let Some(SyncPace { median, .. }) = pace.filter(|_| node.submissions.leads()) else {
            self.crawling = 0;
            return;
        };
        self.crawling += 1;
        let paused = self.tried.is_some_and(|at| at.elapsed() < PAUSE);
        if self.crawling < LOOKS || paused || node.changes.is_running() {
            return;
        }
        let Some((to, theirs)) = successor(node, raft, median) else {
            if self.complained.is_some_and(|at| at.elapsed() < PAUSE) {
                return;
            }
            self.complained = Some(Instant::now());
            tracing::warn!(
                sync = ?median,
                "the disk of this node, which leads, takes very long to sync the Raft log, and no other node has a clearly \
                 better one: check it (iostat, dmesg)"
            );
            return;
        };
        self.tried = Some(Instant::now());
        let (node, raft) = (Arc::clone(node), raft.clone());
        node.environment.tasks.clone().spawn(async move {
            match transfer::hand_over(&node, &raft, Some(to), StepDownReason::SlowDisk).await {
                // Told with the other changes of the leadership.
                Ok(leader) => tracing::debug!(sync = ?median, to = leader, its_sync = ?theirs, "handed over"),
                Err(error) => tracing::warn!(
                    sync = ?median, to,
                    "the disk of this node takes very long to sync the Raft log, and leadership was not handed over: \
                     {error:#}"
                ),
            }
        });
    }
}

/// The voter with the quickest disk, if that is clearly better than ours, and how long its syncs take.
fn successor(node: &Node, raft: &RaftNode, ours: Duration) -> Option<(u64, Duration)> {
    let words = node.words.all();
    let receiver = raft.metrics();
    let metrics = receiver.borrow_watched().clone();
    let clearly_better = |id: u64| {
        let word = words.get(&NodeId(id)).filter(|word| word.is_fresh())?;
        let sync = Duration::from_micros(word.status.sync_us?);
        let caught_up = transfer::lacks(raft, id)? <= transfer::CAUGHT_UP;
        (caught_up && sync * CLEARLY <= ours).then_some((id, sync))
    };
    let voters = metrics.membership_config.voter_ids().filter(|id| *id != node.id().0);
    voters.filter_map(clearly_better).min_by_key(|(_, sync)| *sync)
}
