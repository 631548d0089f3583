//! What nodes tell one another about themselves once a second, so that each can answer for all.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;

use super::super::formation::Identity;
use super::super::status::{MemberStatus, Metrics, Role, Room, Status};
use super::super::transport::{Call, decode, encode};
use super::super::types::LogId;
use super::RaftNode;
use super::node::Node;
use super::room;
use super::step_down::StepDown;
use super::words::{PeerStatus, REACHABLE};
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
            applied_index: self.storage.state.applied().index,
            committed_index: metrics.and_then(|m| index(m.local_committed).max(index(m.cluster_committed))),
            snapshot_index: index(self.storage.snapshots.current().and_then(|snapshot| snapshot.meta.last_log_id)),
            disk_free: Some(self.board.disk_free.load(Ordering::Relaxed)),
            room: self.room(),
            sync_us: self
                .storage
                .log
                .sync_pace()
                .map(|pace| u64::try_from(pace.median.as_micros()).unwrap_or(u64::MAX)),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            supports: self.machine.newest().0,
            hears_no_majority: metrics.is_some_and(|metrics| self.leaders.leads_without_majority(metrics)),
            leads_up_to: self.storage.log.leads_up_to(self.id()),
            you_acknowledged: None,
            you_were_removed: false,
        }
    }

    pub(crate) fn compute_status(&self) -> Status {
        let metrics = self.raft_metrics();
        let own = self.own_status();
        let leader = self.leaders.known();
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
        let recovered = self.board.recovered.fetch_or(caught_up, Ordering::Relaxed) || caught_up;
        let lag = lag(own.committed_index, own.applied_index);
        let doubts = metrics.as_ref().is_some_and(|metrics| self.leaders.doubts_its_majority(metrics));
        let in_charge = leader != Some(self.id()) || (self.submissions.leads() && !doubts);
        let members = self.member_statuses(&own);
        Status {
            node_id: self.id(),
            cluster_id: self.identity.cluster_id(),
            cluster_name: self.settings.cluster_name.clone(),
            term: metrics.as_ref().map_or(0, |metrics| metrics.current_term),
            schema: self.storage.state.applied().schema,
            leader,
            role,
            ready: leader.is_some() && recovered && lag <= MAX_LAG && in_charge && self.stopped_message().is_none(),
            last_log_index: own.last_log_index,
            applied_index: own.applied_index,
            lag,
            full: self.board.full.load(Ordering::Relaxed),
            waiting_for: self.leaders.waiting_for().or_else(|| self.missing_majority(&members)),
            members,
        }
    }

    fn member_statuses(&self, own: &PeerStatus) -> Vec<MemberStatus> {
        let words = self.words.all();
        let statuses = words.values().map(|word| &word.status).chain([own]);
        let committed = statuses.filter_map(|word| word.committed_index).max();
        let status_of = |id: NodeId, url: &str, peer: &str, voter: bool| {
            let heard = words.get(&id);
            let (silent, word) = if id == self.id() {
                (Some(Duration::ZERO), Some(own))
            } else {
                (heard.map(|word| word.at.elapsed()), heard.map(|word| &word.status))
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
                trouble: self.words.trouble(id),
            }
        };
        let membership = self.raft_metrics().map(|metrics| metrics.membership_config);
        match membership.filter(|membership| membership.nodes().next().is_some()) {
            Some(membership) => {
                let voters: Vec<u64> = membership.voter_ids().collect();
                let nodes = membership.nodes();
                nodes.map(|(id, node)| status_of(NodeId(*id), &node.url, &node.peer, voters.contains(id))).collect()
            }
            None if self.settings.join => {
                vec![status_of(self.id(), &self.settings.url, &self.settings.peer_url, false)]
            }
            None => {
                let mut members = self.settings.members.clone();
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
        self.board.status.send_if_modified(|status| {
            let changed = *status != next;
            *status = next;
            changed
        });
    }

    pub(crate) fn compute_metrics(&self) -> Metrics {
        let metrics = self.raft_metrics();
        let own = self.own_status();
        let members = self.member_statuses(&own);
        let (read_rounds, reads) = self.reads.counted();
        let counts = self.journal.counts();
        Metrics {
            log_syncs: self.storage.log.syncs(),
            commits: self.storage.commits.load(Ordering::Relaxed),
            is_leader: self.submissions.leads() && self.leaders.known() == Some(self.id()),
            term: metrics.as_ref().map_or(0, |metrics| metrics.current_term),
            applied_index: self.storage.state.applied().index.unwrap_or(0),
            last_log_index: metrics.as_ref().and_then(|metrics| metrics.last_log_index).unwrap_or(0),
            purged_index: self.storage.log.purged_index().unwrap_or(0),
            snapshots: self.storage.snapshots.taken(),
            snapshot_index: own.snapshot_index.unwrap_or(0),
            snapshot_received: self.storage.receiver.received(),
            snapshot_resumed: self.storage.receiver.resumed(),
            lag: lag(own.committed_index, own.applied_index),
            disk_free: own.disk_free.unwrap_or(0),
            disk_floor: self.board.disk_floor.load(Ordering::Relaxed),
            is_full: self.board.full.load(Ordering::Relaxed),
            leader_changes: counts.changes,
            leader_losses: counts.losses,
            step_downs: counts.step_downs,
            full_changes: self.board.full_changes.load(Ordering::Relaxed),
            members: members.len() as u64,
            unreachable: members.iter().filter(|member| !member.reachable).count() as u64,
            in_trouble: members.iter().filter(|member| member.trouble.is_some()).count() as u64,
            read_rounds,
            reads,
        }
    }
}

fn lag(committed: Option<u64>, applied: Option<u64>) -> u64 {
    committed.map_or(0, |index| index + 1).saturating_sub(applied.map_or(0, |index| index + 1))
}

/// Asks the other members, and keeps this node's status up to date, at once when its role or leader changes.
pub(super) async fn run(node: Arc<Node>, raft: RaftNode) {
    let mut server = raft.server_metrics();
    let every = |period| {
        let mut interval = tokio::time::interval(period);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        interval
    };
    let (mut questions, mut looks) = (every(INTERVAL), every(node.settings.tuning.heartbeat));
    let mut upkeep = Upkeep {
        snapshot_at: node.storage.log.appended_bytes(),
        step_down: StepDown::default(),
        disk: Room::Ample,
        reminded: None,
    };
    loop {
        let (leader, leadership) = (node.leaders.verdict().get(), node.submissions.leadership());
        // None of them comes so often that it could keep the others from their turn.
        tokio::select! {
            biased;
            changed = server.changed() => if changed.is_err() {
                watch_health(&node, &raft);
                if !node.stopper.is_closing() {
                    node.stopper.stop("consensus ended unexpectedly: this is a bug, see the log for where");
                }
                node.publish_status();
                return;
            },
            () = node.leaders.verdict().changed_from(&leader) => {}
            () = node.submissions.published().changed_from(&leadership) => {}
            _ = questions.tick() => upkeep.once_a_second(&node, &raft).await,
            _ = looks.tick() => {
                if let Some(leader) = node.leaders.doubtful(&raft) {
                    // It knows sooner than we can whether it is cut off, and also when it is back.
                    ask(&node, leader);
                }
                continue;
            }
        }
        node.note_leader();
        node.publish_status();
    }
}

/// What is looked after once a second.
struct Upkeep {
    /// Bytes appended to the log when its size last asked for a snapshot.
    snapshot_at: u64,
    step_down: StepDown,
    /// What was last said of the disk.
    disk: Room,
    /// When the log last said what this node waits for.
    reminded: Option<tokio::time::Instant>,
}

impl Upkeep {
    async fn once_a_second(&mut self, node: &Arc<Node>, raft: &RaftNode) {
        room::measure(node);
        self.disk = room::tell(node, self.disk);
        room::judge(node);
        ask_all(node);
        node.settle_membership(raft);
        node.settle_schema(raft);
        node.learn_addresses(raft);
        node.announce_address(raft);
        node.remind(&mut self.reminded);
        self.step_down.look(node, raft);
        let forgetful = Arc::clone(node);
        node.environment.tasks.spawn(async move {
            let storage = Arc::clone(&forgetful);
            // It may wait for a piece that is just being synced, and delete files.
            let forget = move || storage.storage.receiver.forget(STALE_TRANSFER, storage.storage.state.applied().index);
            // The node has ended where it does not run.
            let _ = forgetful.environment.tasks.blocking(forget).await;
        });
        if let Some(of) = node.storage.recollections.unwritten() {
            // Its failure ends the node.
            drop(node.storage.log.write_recollections(&of));
        }
        let appended = node.storage.log.appended_bytes();
        if appended - self.snapshot_at >= node.settings.tuning.snapshot_after_bytes {
            self.snapshot_at = appended;
            // Its failure is that of the whole node, and seen below.
            drop(raft.trigger().snapshot().await);
        }
        watch_health(node, raft);
    }
}

pub(super) fn ask_all(node: &Arc<Node>) {
    let Some(metrics) = node.raft_metrics() else { return };
    let ids: Vec<NodeId> = metrics.membership_config.nodes().map(|(id, _)| NodeId(*id)).collect();
    for id in ids.into_iter().filter(|id| *id != node.id()) {
        ask(node, id);
    }
}

/// Asks a member, on its own: a node that is gone must not hold up the news of the others.
fn ask(node: &Arc<Node>, id: NodeId) {
    let node = Arc::clone(node);
    node.environment.tasks.clone().spawn(async move {
        let Some(target) = node.target(id) else { return };
        let answer = node.environment.peers.call(&target, Call::Status, encode(&()), TIMEOUT).await;
        let word = answer.map_err(|error| error.to_string()).and_then(|body| decode::<PeerStatus>(&body));
        if let Ok(word) = word {
            if word.you_were_removed {
                leave_for_good(&node).await;
                return;
            }
            if let Some(point) = word.leads_up_to {
                node.storage.recollections.note(id, point);
            }
            // What is acknowledged is on the disk before, so what this node has now is no older than that word.
            if !node.compare(id, node.storage.held(), word.you_acknowledged).await {
                return;
            }
            node.leaders.hear_of_majority(id, word.hears_no_majority);
            node.words.hear(id, word);
        }
    });
}

/// Ends this node, now and at each start from now on.
async fn leave_for_good(node: &Arc<Node>) {
    let farewell = node.identity.get().farewell();
    let saver = Arc::clone(node);
    let save = move || saver.identity.change(|identity| Ok(Identity { removed: true, ..identity.clone() }));
    // What cannot be written down is said again by the others after the next start.
    if let Ok(Err(error)) = node.environment.tasks.blocking(save).await {
        tracing::warn!(%error, "that this node was removed could not be written down");
    }
    node.stopper.stop(farewell);
}

/// Ends the process when the disk or Raft itself has failed.
fn watch_health(node: &Node, raft: &RaftNode) {
    for (name, errors) in
        [("raft", node.storage.log.background_errors()), ("state", node.storage.state.background_errors())]
    {
        if errors > 0 {
            node.stopper.stop(format!(
                "RocksDB could not write in the background in {}: the disk may be failing or full. Check it (dmesg, df; \
                 the file LOG there has the details) before you start this node again",
                node.identity.path().join(name).display()
            ));
        }
    }
    let closing = node.stopper.is_closing();
    if let Err(fatal) = &raft.metrics().borrow_watched().running_state
        && !closing
    {
        node.stopper.stop(format!("consensus stopped: {fatal}"));
    }
}
