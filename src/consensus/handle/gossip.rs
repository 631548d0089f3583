//! What nodes tell one another about themselves once a second, so that each can answer for all.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;

use super::super::formation::Identity;
use super::super::status::{MemberStatus, Metrics, Role, Room, Status};
use super::super::transport::{Call, decode, encode};
use super::super::types::LogId;
use super::node::{Node, PeerStatus, REACHABLE, RaftNode};
use super::relief::Relief;
use super::room;
use crate::domain::NodeId;

const INTERVAL: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_millis(900);
/// A node that lacks more than this of what is committed says that it is not ready: its reads would wait too long.
/// Eyeballed: about a second of applying.
const MAX_LAG: u64 = 10_000;
/// A snapshot that stopped arriving is thrown away after this. Its sender tries again within seconds, if at all.
const STALE_TRANSFER: Duration = Duration::from_secs(60);

impl Node {
    pub(crate) fn own_status(&self) -> PeerStatus {
        let metrics = self.raft_metrics();
        let metrics = metrics.as_ref();
        let index = |id: Option<LogId>| id.map(|id| id.index);
        PeerStatus {
            last_log_index: metrics.and_then(|metrics| metrics.last_log_index),
            applied_index: self.state.applied().index,
            committed_index: metrics.and_then(|m| index(m.local_committed).max(index(m.cluster_committed))),
            snapshot_index: index(self.snapshots.current().and_then(|snapshot| snapshot.meta.last_log_id)),
            disk_free: Some(self.disk_free.load(Ordering::Relaxed)),
            room: self.room(),
            sync_us: self.log.sync_pace().map(|pace| u64::try_from(pace.median.as_micros()).unwrap_or(u64::MAX)),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hears_no_majority: metrics.is_some_and(|metrics| self.leads_without_majority(metrics)),
            you_were_removed: false,
        }
    }

    pub(crate) fn compute_status(&self) -> Status {
        let metrics = self.raft_metrics();
        let own = self.own_status();
        let leader = self.known_leader();
        let role = metrics.as_ref().map_or(Role::Learner, |metrics| match metrics.state {
            ServerState::Leader => Role::Leader,
            ServerState::Follower | ServerState::Candidate => Role::Follower,
            ServerState::Learner | ServerState::Shutdown => Role::Learner,
        });
        // A node that was just started knows of no commit until a leader tells it.
        let caught_up = metrics.as_ref().is_some_and(|metrics| {
            metrics.local_committed.is_some() && metrics.last_applied >= metrics.local_committed
        });
        // Once and for all: under load there is always a batch that is committed and not applied yet.
        let recovered = self.recovered.fetch_or(caught_up, Ordering::Relaxed) || caught_up;
        let lag = lag(own.committed_index, own.applied_index);
        let doubts = metrics.as_ref().is_some_and(|metrics| self.doubts_its_majority(metrics));
        let in_office = leader != Some(self.id) || (self.office.borrow().is_some() && !doubts);
        Status {
            node_id: self.id,
            cluster_id: self.cluster_id(),
            cluster_name: self.cluster_name.clone(),
            term: metrics.as_ref().map_or(0, |metrics| metrics.current_term),
            leader,
            role,
            ready: leader.is_some() && recovered && lag <= MAX_LAG && in_office && self.stopped_message().is_none(),
            last_log_index: own.last_log_index,
            applied_index: own.applied_index,
            lag,
            full: self.full.load(Ordering::Relaxed),
            members: self.member_statuses(&own),
            waiting_for: self.waiting(),
        }
    }

    fn member_statuses(&self, own: &PeerStatus) -> Vec<MemberStatus> {
        let gossip = self.gossip.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let words = gossip.values().map(|(_, word)| word).chain([own]);
        let committed = words.filter_map(|word| word.committed_index).max();
        let status_of = |id: NodeId, url: &str, peer: &str, voter: bool| {
            let heard = gossip.get(&id);
            let (silent, word) = if id == self.id {
                (Some(Duration::ZERO), Some(own))
            } else {
                (heard.map(|(at, _)| at.elapsed()), heard.map(|(_, word)| word))
            };
            MemberStatus {
                id,
                url: url.to_owned(),
                peer: peer.to_owned(),
                voter,
                reachable: silent.is_some_and(|silent| silent < REACHABLE),
                silent,
                last_log_index: word.and_then(|word| word.last_log_index),
                applied_index: word.and_then(|word| word.applied_index),
                lag: word.map(|word| lag(committed, word.applied_index)),
                snapshot_index: word.and_then(|word| word.snapshot_index),
                disk_free: word.and_then(|word| word.disk_free),
                room: word.map(|word| word.room).unwrap_or_default(),
                sync: word.and_then(|word| word.sync_us).map(Duration::from_micros),
                version: word.map(|word| word.version.clone()).unwrap_or_default(),
            }
        };
        let membership = self.raft_metrics().map(|metrics| metrics.membership_config);
        match membership.filter(|membership| membership.nodes().next().is_some()) {
            Some(membership) => {
                let voters: Vec<u64> = membership.voter_ids().collect();
                let nodes = membership.nodes();
                nodes.map(|(id, node)| status_of(NodeId(*id), &node.url, &node.peer, voters.contains(id))).collect()
            }
            None if self.join => vec![status_of(self.id, &self.url, &self.peer_url, false)],
            None => {
                let mut members = self.members.clone();
                members.sort_by_key(|member| member.id);
                members.iter().map(|member| status_of(member.id, &member.url, &member.peer, true)).collect()
            }
        }
    }

    pub(crate) fn publish_status(&self) {
        let mut next = self.compute_status();
        for member in &mut next.members {
            // They would change all the time. Whoever wants them looks at the status itself.
            member.silent = None;
            member.sync = None;
        }
        self.status.send_if_modified(|status| {
            let changed = *status != next;
            *status = next;
            changed
        });
    }

    pub(crate) fn compute_metrics(&self) -> Metrics {
        let metrics = self.raft_metrics();
        let own = self.own_status();
        let members = self.member_statuses(&own);
        Metrics {
            log_syncs: self.log.syncs(),
            commits: self.commits.load(Ordering::Relaxed),
            is_leader: self.office.borrow().is_some() && self.known_leader() == Some(self.id),
            term: metrics.as_ref().map_or(0, |metrics| metrics.current_term),
            applied_index: self.state.applied().index.unwrap_or(0),
            last_log_index: metrics.as_ref().and_then(|metrics| metrics.last_log_index).unwrap_or(0),
            purged_index: self.log.purged_index().unwrap_or(0),
            snapshots: self.snapshots.taken(),
            snapshot_index: own.snapshot_index.unwrap_or(0),
            snapshot_received: self.receiver.received(),
            snapshot_resumed: self.receiver.resumed(),
            lag: lag(own.committed_index, own.applied_index),
            disk_free: own.disk_free.unwrap_or(0),
            disk_floor: self.disk_floor.load(Ordering::Relaxed),
            is_full: self.full.load(Ordering::Relaxed),
            members: members.len() as u64,
            unreachable: members.iter().filter(|member| !member.reachable).count() as u64,
            read_rounds: self.read_rounds.load(Ordering::Relaxed),
            reads: self.reads.load(Ordering::Relaxed),
        }
    }
}

fn lag(committed: Option<u64>, applied: Option<u64>) -> u64 {
    committed.map_or(0, |index| index + 1).saturating_sub(applied.map_or(0, |index| index + 1))
}

/// Asks the other members, and keeps this node's status up to date, at once when its role or leader changes.
pub(super) async fn run(node: Arc<Node>, raft: RaftNode) {
    let mut server = raft.server_metrics();
    let mut office = node.office.subscribe();
    let mut rounds = tokio::time::interval(INTERVAL);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut looks = tokio::time::interval(node.tuning.heartbeat);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut snapshot_at = node.log.appended_bytes();
    let mut relief = Relief::default();
    let mut disk = Room::Ample;
    loop {
        tokio::select! {
            _ = rounds.tick() => {
                room::measure(&node);
                disk = room::tell(&node, disk);
                node.full.store(room::is_full(&node.compute_status().members), Ordering::Relaxed);
                ask_all(&node);
                node.settle_membership(&raft);
                relief.look(&node, &raft);
                let forgetful = Arc::clone(&node);
                // It may wait for a piece that is just being synced, and delete files.
                tokio::task::spawn_blocking(move || {
                    forgetful.receiver.forget(STALE_TRANSFER, forgetful.state.applied().index);
                });
                if node.log.appended_bytes() - snapshot_at >= node.tuning.snapshot_after_bytes {
                    snapshot_at = node.log.appended_bytes();
                    // Its failure is that of the whole node, and seen below.
                    drop(raft.trigger().snapshot().await);
                }
                watch_health(&node, &raft);
            }
            _ = looks.tick() => {
                node.note_whether_led();
                if let Some(leader) = node.doubtful_leader() {
                    // It knows sooner than we can whether it is cut off, and also when it is back.
                    ask(&node, leader);
                }
                // That somebody has been silent for too long is no event: it is seen by looking.
                if node.status.borrow().leader == node.known_leader() {
                    continue;
                }
            }
            changed = server.changed() => if changed.is_err() {
                watch_health(&node, &raft);
                if !node.closing.load(Ordering::Acquire) {
                    node.stopper.stop("consensus ended unexpectedly: this is a bug, see the log for where");
                }
                node.publish_status();
                return;
            },
            changed = office.changed() => if changed.is_err() {
                return;
            },
        }
        node.publish_status();
    }
}

pub(super) fn ask_all(node: &Arc<Node>) {
    let Some(metrics) = node.raft_metrics() else { return };
    let ids: Vec<NodeId> = metrics.membership_config.nodes().map(|(id, _)| NodeId(*id)).collect();
    for id in ids.into_iter().filter(|id| *id != node.id) {
        ask(node, id);
    }
}

/// Asks a member, on its own: a node that is gone must not hold up the news of the others.
fn ask(node: &Arc<Node>, id: NodeId) {
    let node = Arc::clone(node);
    tokio::spawn(async move {
        let Some(target) = node.target(id) else { return };
        let answer = node.peers.call(&target, Call::Status, encode(&()), TIMEOUT).await;
        let word = answer.map_err(|error| error.to_string()).and_then(|body| decode::<PeerStatus>(&body));
        if let Ok(word) = word {
            if word.you_were_removed {
                leave_for_good(&node).await;
                return;
            }
            let mut gossip = node.gossip.lock().unwrap_or_else(PoisonError::into_inner);
            gossip.insert(id, (Instant::now(), word));
        }
    });
}

/// Ends this node, now and at each start from now on.
async fn leave_for_good(node: &Arc<Node>) {
    let farewell = node.identity().farewell();
    let saver = Arc::clone(node);
    let save = move || saver.change_identity(|identity| Ok(Identity { removed: true, ..identity.clone() }));
    // What cannot be written down is said again by the others after the next start.
    if let Ok(Err(error)) = tokio::task::spawn_blocking(save).await {
        tracing::warn!(%error, "that this node was removed could not be written down");
    }
    node.stopper.stop(farewell);
}

/// Ends the process when the disk or Raft itself has failed.
fn watch_health(node: &Node, raft: &RaftNode) {
    for (name, errors) in [("raft", node.log.background_errors()), ("state", node.state.background_errors())] {
        if errors > 0 {
            node.stopper.stop(format!(
                "RocksDB could not write in the background in {}: the disk may be failing or full. Check it (dmesg, df; \
                 the file LOG there has the details) before you start this node again",
                node.data_dir().join(name).display()
            ));
        }
    }
    let closing = node.closing.load(Ordering::Acquire);
    if let Err(fatal) = &raft.metrics().borrow_watched().running_state
        && !closing
    {
        node.stopper.stop(format!("consensus stopped: {fatal}"));
    }
}
