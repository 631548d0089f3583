//! From a data directory to a running node.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use anyhow::{Context, ensure};
use openraft::errors::{InitializeError, RaftError};
use openraft::{Config, Raft, SnapshotPolicy};
use tokio::sync::{mpsc, watch};

use super::super::apply::StateMachine;
use super::super::damage;
use super::super::deferral::Deferral;
use super::super::environment::{Environment, Listen};
use super::super::formation::{Formed, Forming, Identity, OwnIdentity, PAUSE, Survey};
use super::super::machine::Machine;
use super::super::options::{Settings, Tuning};
use super::super::status::{PeerService, Role, Status};
use super::super::stopper::Stopper;
use super::super::storage::{Open, Opening};
use super::super::transport::{AddressBook, Introduction, Network};
use super::super::types::PeerNode;
use super::changes::MembershipChanges;
use super::introductions::Introductions;
use super::journal::Journal;
use super::leaders::LeaderView;
use super::node::{Board, Node};
use super::read_rounds::{ReadRounds, ReadWaiter};
use super::serve::Gate;
use super::submission::{Submission, Submissions};
use super::words::Words;
use super::{Handle, RaftNode, gossip, leadership, read, recall};
use crate::domain::{ClusterId, Schema};

/// How often a node that waits for others says so in its log.
const REMIND: Duration = Duration::from_secs(10);

/// The two queues whose ends are in the node and in its tasks.
struct Queues {
    proposals: mpsc::Receiver<Submission>,
    reads: mpsc::Receiver<ReadWaiter>,
}

/// What a node is started with.
pub(crate) struct Start {
    pub settings: Settings,
    pub environment: Environment,
    pub listen: Listen,
    pub open: Open,
    pub service: Arc<dyn PeerService>,
    pub machine: Arc<dyn Machine>,
}

/// Opens what the node has, and begins. It returns before the cluster has formed.
///
/// # Errors
/// When the settings make no sense, or what the node has cannot be opened.
pub(crate) async fn start(start: Start) -> anyhow::Result<Handle> {
    let Start { mut settings, mut environment, listen, open, service, machine } = start;
    check(&settings)?;
    settings.members.sort_by_key(|member| member.id);
    let others = settings.members.iter().filter(|member| member.id != settings.node_id);
    let listed = others.map(|member| (member.id, member.peer.clone())).collect();
    environment.peers = Arc::new(AddressBook::new(environment.peers, listed));
    let stopper = Stopper::new();
    let (opened, settings) = {
        let (machine, stopper, tasks) = (Arc::clone(&machine), stopper.clone(), environment.tasks.clone());
        let open = move || {
            let opened = open(Opening { settings: &settings, machine: &*machine, stopper, tasks })?;
            Ok::<_, anyhow::Error>((opened, settings))
        };
        let opened = environment.tasks.blocking(open).await.context("opening the data directory failed")?;
        opened.map_err(|error| anyhow::anyhow!(damage::with_remedy(format!("{error:#}"))))?
    };
    let (submissions, proposals) = Submissions::new();
    let (reads, waiting) = ReadRounds::new();
    let node = Arc::new(Node {
        leaders: LeaderView::new(settings.node_id, &settings.tuning),
        board: Board {
            status: watch::Sender::new(first_status(&settings, &opened.identity)),
            recovered: AtomicBool::new(false),
            moving: AtomicBool::new(false),
            disk_free: AtomicU64::new(0),
            disk_floor: AtomicU64::new(0),
            full: AtomicBool::new(false),
            full_changes: AtomicU64::new(0),
        },
        identity: OwnIdentity::new(opened.identity, environment.cluster.clone(), opened.home),
        settings,
        process: u64::from_be_bytes(environment.clock.random()),
        environment,
        stopper,
        machine,
        service,
        raft: OnceLock::new(),
        submissions,
        reads,
        changes: MembershipChanges::default(),
        words: Words::default(),
        journal: Journal::default(),
        addresses: Arc::default(),
        introductions: Introductions::at(opened.storage.held()),
        storage: opened.storage,
    });
    let task = Arc::clone(&node);
    node.environment.tasks.spawn(async move {
        let result = async {
            listen(Arc::new(Gate(Arc::clone(&task))))?;
            run(Arc::clone(&task), Queues { proposals, reads: waiting }).await
        };
        if let Err(error) = result.await {
            task.stopper.stop(damage::with_remedy(format!("{error:#}")));
        }
    });
    Ok(Handle::new(node))
}

fn check(settings: &Settings) -> anyhow::Result<()> {
    let listed = settings.members.iter().any(|member| member.id == settings.node_id);
    ensure!(
        settings.join || listed,
        "node {} is not among the members: list it under [[cluster.members]], or say join = true to be added to a \
         running cluster",
        settings.node_id
    );
    let mut ids: Vec<_> = settings.members.iter().map(|member| member.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ensure!(ids.len() == settings.members.len(), "two members have the same id: give each its own");
    Ok(())
}

fn first_status(settings: &Settings, identity: &Identity) -> Status {
    Status {
        node_id: settings.node_id,
        cluster_id: identity.cluster.as_ref().map(|formed| formed.id),
        cluster_name: settings.cluster_name.clone(),
        term: 0,
        schema: Schema::FIRST,
        leader: None,
        role: Role::Learner,
        ready: false,
        last_log_index: None,
        applied_index: None,
        lag: 0,
        full: false,
        members: Vec::new(),
        waiting_for: None,
    }
}

/// Forms the cluster if need be, then takes part in it.
async fn run(node: Arc<Node>, queues: Queues) -> anyhow::Result<()> {
    let forming = Forming {
        node_id: node.id(),
        cluster_name: node.settings.cluster_name.clone(),
        members: node.settings.members.clone(),
        peers: Arc::clone(&node.environment.peers),
    };
    // It may wait for long, and is seen meanwhile.
    super::room::measure(&node);
    node.publish_status();
    wait_for_cluster(&node, &forming).await?;
    // It has no vote and acknowledges nothing before.
    if !recall::may_take_part(&node).await {
        return Ok(());
    }
    let raft = open_raft(&node).await?;
    // Set once, here.
    drop(node.raft.set(raft.clone()));
    if forming.is_first() && !node.settings.join && node.storage.log.is_pristine() {
        begin(&node, &forming, &raft).await?;
    }
    say(&node, None);
    let tasks = node.environment.tasks.clone();
    let (watcher, watched) = (Arc::clone(&node), raft.clone());
    tasks.spawn(async move { watcher.leaders.keep(&watched).await });
    tasks.spawn(leadership::keep(Arc::clone(&node), raft.clone()));
    tasks.spawn(leadership::submit_all(Arc::clone(&node), raft.clone(), queues.proposals));
    tasks.spawn(read::run_rounds(Arc::clone(&node), raft.clone(), queues.reads));
    gossip::run(node, raft).await;
    Ok(())
}

/// Returns when this node knows its cluster, by its own word where it is the first member, else by another's.
async fn wait_for_cluster(node: &Arc<Node>, forming: &Forming) -> anyhow::Result<()> {
    let mut reminded: Option<tokio::time::Instant> = None;
    while node.identity.cluster_id().is_none() {
        let asked = forming.ask_all().await;
        if node.identity.cluster_id().is_some() {
            break; // The first member has told it in the meantime: the answers are of a moment that is over.
        }
        let reason = match asked? {
            Survey::AllEmpty if forming.is_first() && !node.settings.join => {
                let (id, saver) = (ClusterId(node.environment.clock.random_u128()), Arc::clone(node));
                let save = move || {
                    saver.identity.change(|identity| match &identity.cluster {
                        // It must not form that one a second time.
                        Some(formed) => Err(format!(
                            "node {} was told of cluster {} while it formed its own: write the same [[cluster.members]] in \
                             the configurations of all members, empty its data_dir and start it again",
                            identity.node_id, formed.id
                        )),
                        None => {
                            let formed = Formed { id, members: saver.settings.members.clone() };
                            Ok(Identity { cluster: Some(formed), ..identity.clone() })
                        }
                    })
                };
                let saved = node.environment.tasks.blocking(save).await.context("writing the identity failed")?;
                saved.map_err(anyhow::Error::msg)?;
                break;
            }
            _ if node.settings.join => "waiting to be added: `ringmaster cluster add` on a running node".to_owned(),
            Survey::AllEmpty => "the first member to form the cluster".to_owned(),
            Survey::Wait(reason) => reason,
        };
        if reminded.is_none_or(|at| at.elapsed() > REMIND) {
            tracing::info!(node = %node.id(), "waiting to form the cluster: {reason}");
            reminded = Some(tokio::time::Instant::now());
        }
        say(node, Some(reason));
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Tells all members, then gives Raft its first entry. Done again after a crash, it comes to the same.
async fn begin(node: &Arc<Node>, forming: &Forming, raft: &RaftNode) -> anyhow::Result<()> {
    let id = node.identity.cluster_id().context("the cluster's id is written down before")?;
    loop {
        let missing = forming.tell_all(id).await;
        if missing.is_empty() {
            break;
        }
        say(node, Some(missing.join("; ")));
        tokio::time::sleep(PAUSE).await;
    }
    let members: BTreeMap<u64, PeerNode> = node
        .settings
        .members
        .iter()
        .map(|member| (member.id.0, PeerNode { url: member.url.clone(), peer: member.peer.clone() }))
        .collect();
    match raft.initialize(members).await {
        Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {
            tracing::info!(cluster = %id, "the cluster has formed");
            Ok(())
        }
        Err(error) => Err(error).context("cannot form the cluster"),
    }
}

fn say(node: &Node, waiting_for: Option<String>) {
    node.leaders.set_waiting_for(waiting_for);
    node.publish_status();
}

async fn open_raft(node: &Arc<Node>) -> anyhow::Result<RaftNode> {
    let config = config(&node.settings.tuning, &node.settings.cluster_name)?;
    let network = Network {
        peers: Arc::clone(&node.environment.peers),
        addresses: Arc::clone(&node.addresses),
        introduction: introduction(node),
        tasks: node.environment.tasks.clone(),
        sending: node.storage.sending.clone(),
        recollections: Arc::clone(&node.storage.recollections),
        snapshot_piece_bytes: node.settings.tuning.snapshot_chunk_bytes,
    };
    let machine = StateMachine {
        store: Arc::clone(&node.storage.state),
        machine: Arc::clone(&node.machine),
        snapshots: Arc::clone(&node.storage.snapshots),
        max_batch_entries: node.settings.tuning.max_batch_entries,
        max_batch_bytes: node.settings.tuning.max_batch_bytes,
        deferral: Deferral::new(node.storage.sending.clone(), node.storage.log.appended()),
        commits: Arc::clone(&node.storage.commits),
        stopper: node.stopper.clone(),
        tasks: node.environment.tasks.clone(),
    };
    let raft = Raft::new(node.id().0, Arc::new(config), network, node.storage.log.clone(), machine).await;
    raft.with_context(|| format!("cannot take up consensus on {}", node.identity.path().display()))
}

/// The node, as its transport may ask it.
fn introduction(node: &Arc<Node>) -> Weak<dyn Introduction> {
    let node: Arc<dyn Introduction> = Arc::clone(node) as _;
    Arc::downgrade(&node)
}

fn config(tuning: &Tuning, cluster_name: &str) -> anyhow::Result<Config> {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let config = Config {
        cluster_name: cluster_name.to_owned(),
        heartbeat_interval: ms(tuning.heartbeat),
        // Openraft waits for the leader's lease, which is its largest timeout, and then for a timeout: half of each makes
        // the silence before an election what the tuning says.
        election_timeout_min: ms(tuning.election_min / 2),
        election_timeout_max: ms(tuning.election_max / 2),
        enable_pre_vote: Some(true),
        // A leader that hears no majority falls silent for a while, again and again, so that nodes which hear it and which
        // it does not hear stop waiting for it. A cut in one direction would otherwise keep a useless leader in place.
        quorum_loss_probe_interval: Some(ms(tuning.election_max) * 2),
        // A restarted leader is elected like anybody else.
        enable_leader_restore: Some(false),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(tuning.snapshot_after),
        max_in_snapshot_log_to_keep: tuning.keep_entries,
        api_channel_size: Some(4096),
        // The default starts at 200 ms, which a restarted follower would wait before it is served.
        backoff: "50ms 100ms 200ms ...500ms".into(),
        ..Config::default()
    };
    config.validate().context("the tuning of consensus makes no sense")
}
