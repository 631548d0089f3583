//! From a data directory to a running node.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::Duration;

use anyhow::{Context, ensure};
use openraft::errors::{InitializeError, RaftError};
use openraft::{Config, Raft, SnapshotPolicy};
use tokio::sync::{mpsc, watch};

use super::super::apply::StateMachine;
use super::super::damage;
use super::super::deferral::Deferral;
use super::super::formation::{DataDir, Formed, Forming, Identity, PAUSE, Round};
use super::super::log::{LogOptions, LogStore};
use super::super::machine::Machine;
use super::super::options::{Options, Tuning};
use super::super::rocks;
use super::super::snapshot::{Receiver, Snapshots};
use super::super::state::StateStore;
use super::super::status::{PeerService, Role, Status};
use super::super::stopper::Stopper;
use super::super::transport::client::HttpPeers;
use super::super::transport::{Network, Peers, Sending, server};
use super::super::types::PeerNode;
use super::node::{Node, RaftNode, Submission, Waiter};
use super::serve::Gate;
use super::{Handle, Running, gossip, office, read};
use crate::domain::ClusterId;

/// Raft's own threads. Two, so that one long task cannot hold up a heartbeat.
const WORKERS: usize = 2;
/// Applying, snapshots: a few at a time at most.
const BLOCKING_THREADS: usize = 16;
/// How often a node that waits for others says so in its log.
const REMIND: Duration = Duration::from_secs(10);

/// The two queues whose ends are in the node and in its tasks.
struct Queues {
    proposals: mpsc::Receiver<Submission>,
    rounds: mpsc::Receiver<Waiter>,
}

/// What was opened on the disk.
struct Disk {
    data: DataDir,
    identity: Identity,
    log: LogStore,
    state: StateStore,
    snapshots: Arc<Snapshots>,
    receiver: Receiver,
}

pub(super) async fn start(
    mut options: Options,
    service: Arc<dyn PeerService>,
    machine: Arc<dyn Machine>,
) -> anyhow::Result<Handle> {
    check(&options)?;
    options.members.sort_by_key(|member| member.id);
    let stopper = Stopper::new();
    let (disk, options) = {
        let (machine, stopper) = (Arc::clone(&machine), stopper.clone());
        let open = move || open_disk(&options, &*machine, stopper).map(|disk| (disk, options));
        let opened = tokio::task::spawn_blocking(open).await.context("opening the data directory failed")?;
        opened.map_err(|error| anyhow::anyhow!(damage::with_remedy(format!("{error:#}"))))?
    };
    let cluster = Arc::new(RwLock::new(disk.identity.cluster.as_ref().map(|formed| formed.id)));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("raft")
        .enable_all()
        .build()
        .context("cannot start Raft's threads")?;
    let service_runtime = tokio::runtime::Handle::current();
    let running = Running::new(runtime);
    let peers = HttpPeers::new(options.node_id, &options.secret, Arc::clone(&cluster))?;
    let parts = Parts { cluster, stopper, machine, service, service_runtime, peers: Arc::new(peers), disk };
    let (node, queues, listener, secret) = parts.assemble(options);
    let task = Arc::clone(&node);
    running.spawn(async move {
        let result = async {
            server::start(listener, task.id, secret, Arc::new(Gate(Arc::clone(&task))))?;
            run(Arc::clone(&task), queues).await
        };
        if let Err(error) = result.await {
            task.stopper.stop(damage::with_remedy(format!("{error:#}")));
        }
    })?;
    Ok(Handle::new(node, Arc::new(running)))
}

fn check(options: &Options) -> anyhow::Result<()> {
    let listed = options.members.iter().any(|member| member.id == options.node_id);
    ensure!(
        options.join || listed,
        "node {} is not among the members: list it under [[cluster.members]], or say join = true to be added to a \
         running cluster",
        options.node_id
    );
    let mut ids: Vec<_> = options.members.iter().map(|member| member.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ensure!(ids.len() == options.members.len(), "two members have the same id: give each its own");
    Ok(())
}

fn open_disk(options: &Options, machine: &dyn Machine, stopper: Stopper) -> anyhow::Result<Disk> {
    let data = DataDir::take(&options.data_dir)?;
    let identity = data.identity(options.node_id, &options.cluster_name)?;
    ensure!(!identity.removed, "{}", identity.farewell());
    let within = |name: &str| -> PathBuf { data.path().join(name) };
    let node_id = options.node_id.0;
    let shared = rocks::Shared::with_cache(usize::try_from(options.tuning.cache_bytes).unwrap_or(usize::MAX));
    // The log is there before node.json ever names a cluster. Without it this node has forgotten what it promised.
    ensure!(
        identity.cluster.is_none() || within("raft").join("CURRENT").exists(),
        "the Raft log of node {node_id} is gone: {} is missing or empty. Bring it back (is a volume not mounted?). If it is \
         lost, remove node {node_id} from the cluster and add a new one under another id",
        within("raft").display()
    );
    let log = LogStore::open(
        &shared,
        LogOptions {
            dir: within("raft"),
            node_id,
            max_read_bytes: options.tuning.max_batch_bytes,
            sync_delay: options.tuning.sync_delay,
            stopper,
        },
    )?;
    let state = StateStore::open(&shared, within("state"), node_id, machine)?;
    let snapshots = Snapshots::open(within("snapshots"))?;
    // A crash within the installation of a snapshot, or a power cut that took entries which were applied, leaves a state
    // that is ahead of the log. The log is purged up to the state then, and followers that lack those entries need a
    // snapshot that has them.
    let (applied, covered) =
        (state.applied().index, snapshots.current().and_then(|snapshot| snapshot.meta.last_log_id));
    if applied > log.last_index() && applied > covered.map(|id| id.index) {
        snapshots.take(&state.db())?;
    }
    ensure!(
        identity.cluster.is_some() || log.is_pristine(),
        "{} has a Raft log, but its node.json names no cluster: bring that file back from a backup of this directory",
        data.path().display()
    );
    let snapshots = Arc::new(snapshots);
    let receiver = Receiver::new(Arc::clone(&snapshots));
    Ok(Disk { data, identity, log, state, snapshots, receiver })
}

struct Parts {
    cluster: Arc<RwLock<Option<ClusterId>>>,
    stopper: Stopper,
    machine: Arc<dyn Machine>,
    service: Arc<dyn PeerService>,
    service_runtime: tokio::runtime::Handle,
    peers: Arc<dyn Peers>,
    disk: Disk,
}

impl Parts {
    fn assemble(
        self,
        options: Options,
    ) -> (Arc<Node>, Queues, std::net::TcpListener, crate::protocol::secret::ClusterSecret) {
        let (proposals, proposals_rx) = mpsc::channel(office::MAX_WAITING);
        let (rounds, rounds_rx) = mpsc::channel(read::MAX_WAITING);
        let disk = self.disk;
        let node = Node {
            id: options.node_id,
            status: watch::Sender::new(first_status(&options, &disk.identity)),
            cluster_name: options.cluster_name,
            cluster: self.cluster,
            members: options.members,
            join: options.join,
            url: options.url,
            peer_url: options.peer_url,
            tuning: options.tuning,
            clock: options.clock,
            stopper: self.stopper,
            machine: self.machine,
            service: self.service,
            service_runtime: self.service_runtime,
            peers: self.peers,
            log: disk.log,
            state: Arc::new(disk.state),
            receiver: Arc::new(disk.receiver),
            snapshots: disk.snapshots,
            raft: OnceLock::new(),
            commits: Arc::new(AtomicU64::new(0)),
            read_rounds: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            recovered: AtomicBool::new(false),
            office: watch::Sender::new(None),
            proposals,
            rounds,
            waiting_for: Mutex::new(None),
            gossip: Mutex::new(BTreeMap::new()),
            heard: Mutex::new(None),
            known: Mutex::new(None),
            disk_free: AtomicU64::new(0),
            disk_floor: AtomicU64::new(0),
            full: AtomicBool::new(false),
            changing: Mutex::new(None),
            sending: Sending::default(),
            identity: Mutex::new(disk.identity),
            data: disk.data,
        };
        let queues = Queues { proposals: proposals_rx, rounds: rounds_rx };
        (Arc::new(node), queues, options.peer_listener, options.secret)
    }
}

fn first_status(options: &Options, identity: &Identity) -> Status {
    Status {
        node_id: options.node_id,
        cluster_id: identity.cluster.as_ref().map(|formed| formed.id),
        cluster_name: options.cluster_name.clone(),
        term: 0,
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
        node_id: node.id,
        cluster_name: node.cluster_name.clone(),
        members: node.members.clone(),
        peers: Arc::clone(&node.peers),
    };
    // It may wait for long, and is seen meanwhile.
    super::room::measure(&node);
    node.publish_status();
    wait_for_cluster(&node, &forming).await?;
    let raft = open_raft(&node).await?;
    // Set once, here.
    drop(node.raft.set(raft.clone()));
    if forming.is_first() && !node.join && node.log.is_pristine() {
        begin(&node, &forming, &raft).await?;
    }
    say(&node, None);
    tokio::spawn(office::keep(Arc::clone(&node), raft.clone()));
    tokio::spawn(office::submit_all(Arc::clone(&node), raft.clone(), queues.proposals));
    tokio::spawn(read::run_rounds(Arc::clone(&node), raft.clone(), queues.rounds));
    gossip::run(node, raft).await;
    Ok(())
}

/// Returns when this node knows its cluster, by its own word where it is the first member, else by another's.
async fn wait_for_cluster(node: &Arc<Node>, forming: &Forming) -> anyhow::Result<()> {
    let mut reminded: Option<tokio::time::Instant> = None;
    while node.cluster_id().is_none() {
        let asked = forming.ask_all().await;
        if node.cluster_id().is_some() {
            break; // The first member has told it in the meantime: the answers are of a moment that is over.
        }
        let reason = match asked? {
            Round::AllEmpty if forming.is_first() && !node.join => {
                let (id, saver) = (ClusterId(node.clock.random_u128()), Arc::clone(node));
                let save = move || {
                    saver.change_identity(|identity| match &identity.cluster {
                        // It must not form that one a second time.
                        Some(formed) => Err(format!(
                            "node {} was told of cluster {} while it formed its own: write the same [[cluster.members]] in \
                             the configurations of all members, empty its data_dir and start it again",
                            identity.node_id, formed.id
                        )),
                        None => {
                            let formed = Formed { id, members: saver.members.clone() };
                            Ok(Identity { cluster: Some(formed), ..identity.clone() })
                        }
                    })
                };
                let saved = tokio::task::spawn_blocking(save).await.context("writing the identity failed")?;
                saved.map_err(anyhow::Error::msg)?;
                break;
            }
            _ if node.join => "waiting to be added: `ringmaster cluster add` on a running node".to_owned(),
            Round::AllEmpty => "the first member to form the cluster".to_owned(),
            Round::Wait(reason) => reason,
        };
        if reminded.is_none_or(|at| at.elapsed() > REMIND) {
            tracing::info!(node = %node.id, "waiting to form the cluster: {reason}");
            reminded = Some(tokio::time::Instant::now());
        }
        say(node, Some(reason));
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Tells all members, then gives Raft its first entry. Done again after a crash, it comes to the same.
async fn begin(node: &Arc<Node>, forming: &Forming, raft: &RaftNode) -> anyhow::Result<()> {
    let id = node.cluster_id().context("the cluster's id is written down before")?;
    loop {
        let missing = forming.tell_all(id).await;
        if missing.is_empty() {
            break;
        }
        say(node, Some(missing.join("; ")));
        tokio::time::sleep(PAUSE).await;
    }
    let members: BTreeMap<u64, PeerNode> = node
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
    node.set_waiting(waiting_for);
    node.publish_status();
}

async fn open_raft(node: &Arc<Node>) -> anyhow::Result<RaftNode> {
    let config = config(&node.tuning, &node.cluster_name)?;
    let network = Network {
        peers: Arc::clone(&node.peers),
        sending: node.sending.clone(),
        snapshot_piece_bytes: node.tuning.snapshot_chunk_bytes,
    };
    let machine = StateMachine {
        store: Arc::clone(&node.state),
        machine: Arc::clone(&node.machine),
        snapshots: Arc::clone(&node.snapshots),
        max_batch_entries: node.tuning.max_batch_entries,
        max_batch_bytes: node.tuning.max_batch_bytes,
        deferral: Deferral::new(node.sending.clone(), node.log.appended()),
        commits: Arc::clone(&node.commits),
        stopper: node.stopper.clone(),
    };
    let raft = Raft::new(node.id.0, Arc::new(config), network, node.log.clone(), machine).await;
    raft.with_context(|| format!("cannot take up consensus on {}", node.data_dir().display()))
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
        // A follower gets entries as long as there are any; a snapshot costs more than any number of them in the log.
        replication_lag_threshold: tuning.snapshot_after + tuning.keep_entries,
        api_channel_size: Some(4096),
        // The default starts at 200 ms, which a restarted follower would wait before it is served.
        backoff: "50ms 100ms 200ms ...500ms".into(),
        ..Config::default()
    };
    config.validate().context("the tuning of consensus makes no sense")
}
