//! A directory node above consensus: the endpoints that users, file servers and the lock service call, the data path
//! between users and file servers, and the leader's loop.
//!
//! Nothing here decides what is true: that stands in the replicated state, and changes by proposals alone. What this
//! module remembers by itself (heartbeats, what is in flight) may be lost at any moment at no cost but balance.

mod certificates;
mod clocks;
mod damage;
mod detection;
mod doubts;
mod endings;
mod error;
mod gauges;
mod guesses;
pub(crate) mod http;
mod leader;
mod lookout;
mod members_port;
mod node;
mod orders;
mod passwords;
mod peers;
mod placement;
pub mod placer;
mod progress;
mod read_file;
mod reads;
mod replication;
mod room;
mod shedding;
mod signups;
mod store_file;
mod strength;
mod switchboard;
mod timekeeping;
mod touches;
pub mod transfer;
mod unfinished;
mod users_certificate;
mod watched;
mod welcome;
mod witness;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use hyper_util::service::TowerToHyperService;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::blobs::http::HttpBlobs;
use crate::clock::SharedClock;
use crate::config::DirectoryConfig;
use crate::consensus::{self, Handle, Tuning};
use crate::listener::{self, Gate, Limits, Port, Proxies, Purpose};
use crate::monitoring::Monitoring;
use crate::protocol::secret::ClusterSecret;
use crate::telemetry::Metrics;
use certificates::Certificates;
use clocks::Clocks;
use doubts::Doubts;
use guesses::Guesses;
use lookout::{Lookout, Prober, ServerWatch};
use members_port::MembersPort;
use node::{App, Counters, Node, ReplicationSettings, Settings};
use passwords::Passwords;
use placement::PlacementDesk;
use progress::Progress;
use reads::Reads;
use shedding::Shedding;
use signups::Signups;
use switchboard::{PeerCalls, Switchboard};
use touches::Touches;
use unfinished::Budget;
use users_certificate::UsersCertificate;
use watched::Watch;

/// How long a stopping node waits for the bodies in hand.
const DRAIN_DEADLINE: Duration = Duration::from_secs(20);

/// How long a node that starts again keeps its port closed until it can serve. Requests that came earlier would hang
/// in its queue; so they are refused, and clients find another node at once.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(2);
const CATCH_UP_POLL: Duration = Duration::from_millis(10);
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// What a directory node is started with. The sockets are bound by the caller, so that a port in use is reported
/// before anything is touched on the disk; the one for clients does not listen yet.
#[derive(Debug)]
pub struct Options {
    pub config: DirectoryConfig,
    pub secret: ClusterSecret,
    pub clock: SharedClock,
    pub socket: tokio::net::TcpSocket,
    pub peer_listener: std::net::TcpListener,
    pub monitoring: Monitoring,
}

/// A running directory node.
pub struct Directory {
    handle: Handle,
    node: App,
    address: SocketAddr,
    close: CancellationToken,
    server: JoinHandle<()>,
    leader: JoinHandle<()>,
    endings: JoinHandle<()>,
    detection: JoinHandle<()>,
    clocks: JoinHandle<()>,
    certificates: JoinHandle<()>,
    witness: JoinHandle<()>,
    switchboard: Arc<Switchboard>,
    monitoring: Watch,
    _users_certificate: Option<UsersCertificate>,
}

/// Starts a directory node. It returns when the node listens, which is before the cluster has a leader.
///
/// # Errors
/// When the data directory is in use, damaged, or of another node, cluster or role. The message says what to do.
pub async fn start(options: Options) -> anyhow::Result<Directory> {
    let Options { config, secret, clock, socket, peer_listener, monitoring } = options;
    let servers = Arc::new(ServerWatch::new(config.detection.heartbeat));
    let certificates = Arc::new(Certificates::new(&secret, config.node.node_id(), clock.clone())?);
    let lookout = Arc::new(Lookout::new(servers.clone(), Prober::new(certificates.credentials.clone())));
    let desk = PlacementDesk::new(servers.clone(), clock.clone());
    let metrics = Metrics::new();
    let users_certificate = config.tls().map(|(certificate, key)| {
        UsersCertificate::start(certificate.to_owned(), key.to_owned(), clock.clone(), &metrics)
    });
    let users_certificate = users_certificate.transpose()?;
    let handshake = users_certificate.as_ref().map(UsersCertificate::handshake);
    let progress = Arc::new(Progress::new(&metrics));
    let reads = Reads::default();
    let switchboard =
        Arc::new(Switchboard::new(desk, lookout.clone(), (progress.clone(), reads.clone()), clock.clone()));
    let connections = watched::connection_counts(&metrics);
    // Nodes know one another's times: what is configured is for users.
    let peers = Gate::new("peers", Limits::default(), connections.clone());
    let proxies = Proxies::new(&config.trusted_proxies);
    let gate = Gate::behind(proxies, "users", Limits::new(Purpose::Users, &config.connections), connections.clone());
    let members = Arc::new(MembersPort::new());
    let consensus = consensus_options(&config, &certificates, (&clock, members.clone()), peer_listener, peers);
    let handle = Handle::start(consensus, Arc::new(PeerCalls(switchboard.clone()))).await?;
    switchboard.open(handle.clone());

    observe(&metrics, &handle);
    let cluster_id = {
        let handle = handle.clone();
        move || handle.status().cluster_id
    };
    let node = Arc::new(Node {
        node_id: config.node.node_id(),
        blobs: Arc::new(HttpBlobs::new(
            certificates.credentials.clone(),
            Some(certificates.capabilities.clone()),
            cluster_id,
            clock.clone(),
        )),
        secret,
        certificates,
        clock,
        settings: Settings {
            write_routing: config.http.write_routing,
            max_file_bytes: config.limits.max_file_bytes,
            heartbeat: config.detection.heartbeat,
            inventory: config.garbage.inventory,
            dead_after: config.detection.dead_after,
            replication: ReplicationSettings {
                interval: config.replication.interval,
                streams: config.replication.streams,
                bytes_per_second: config.replication.bandwidth,
            },
        },
        servers,
        lookout: lookout.clone(),
        joining: tokio::sync::Semaphore::new(http::join::MOST),
        counters: Counters::new(&metrics),
        progress,
        reads,
        doubts: Doubts::new(),
        clocks: Clocks::default(),
        passwords: Passwords::start(&metrics)?,
        guesses: Guesses::new(config.logins.clone(), &metrics),
        signups: Signups::new(config.logins.address_signups),
        touches: Touches::default(),
        unfinished: Budget::new(config.connections.unfinished, &metrics),
        shedding: Shedding::new(&config.shedding, &metrics),
        metrics,
        handle: OnceLock::from(handle.clone()),
        index_streams: Arc::new(tokio::sync::Semaphore::new(2)),
        stopping: false.into(),
    });

    members.open(http::members_router(node.clone()));
    let monitoring = Watch::start(monitoring, connections, &node);
    caught_up(&handle).await;
    timekeeping::first(&node).await;
    let listener = socket.listen(BACKLOG).context("cannot listen")?;
    let address = listener.local_addr()?;
    let close = CancellationToken::new();
    let service = TowerToHyperService::new(http::router(node.clone()));
    let server =
        tokio::spawn(listener::serve(Port { listener, gate, handshake }, service, close.clone(), DRAIN_DEADLINE));
    let leader = tokio::spawn(vital("the leader's loop", node.clone(), leader::run(node.clone())));
    let endings = tokio::spawn(vital("the end of what has run out", node.clone(), endings::run(node.clone())));
    let detection =
        tokio::spawn(vital("the detection of dead servers", node.clone(), detection::run(node.clone(), lookout)));
    let clocks =
        tokio::spawn(vital("the asking for the other nodes' clocks", node.clone(), timekeeping::run(node.clone())));
    let certificates = tokio::spawn(vital(
        "the renewal of its certificate",
        node.clone(),
        certificates::run(node.certificates.clone(), node.clock.clone()),
    ));
    tracing::info!(node_id = %node.node_id, %address, "directory node listens");
    tokio::spawn(welcome::tell(node.clone()));
    let witness = tokio::spawn(witness::run(node.clone()));
    Ok(Directory {
        handle,
        node,
        address,
        close,
        server,
        leader,
        endings,
        detection,
        clocks,
        certificates,
        witness,
        switchboard,
        monitoring,
        _users_certificate: users_certificate,
    })
}

/// Waits until a node of a cluster that has formed before can serve, or for `CATCH_UP_LIMIT`.
async fn caught_up(handle: &Handle) {
    let stopped = handle.stopped();
    let waits = || handle.status().cluster_id.is_some() && !handle.status().ready && stopped.borrow().is_none();
    let wait = async {
        while waits() {
            tokio::time::sleep(CATCH_UP_POLL).await;
        }
    };
    // Without a majority it listens as well, and says so to whoever asks.
    let _ = tokio::time::timeout(CATCH_UP_LIMIT, wait).await;
}

/// Every path that clients, admins, file servers and the lock service may call, with the methods that it takes (those
/// of its `Allow` header): what `docs/API.md` and `docs/openapi.json` have to describe.
pub fn calls() -> Vec<(&'static str, &'static str)> {
    http::calls()
}

/// The paths of those that are answered at `node.peer_listen`, to members of the cluster, and nowhere else.
pub fn members_calls() -> Vec<&'static str> {
    http::members_calls()
}

impl Directory {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The node below.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Holds a message once the node must end by itself.
    pub fn stopped(&self) -> watch::Receiver<Option<String>> {
        self.handle.stopped()
    }

    /// Not ready, leadership handed over, bodies in hand finished, stopped: in this order, so that clients find another
    /// node while this one still answers.
    pub async fn shutdown(self) {
        self.node.stop();
        if let Err(error) = self.handle.transfer_leadership().await {
            tracing::warn!(%error, "leadership was not handed over: the others will elect a leader");
        }
        self.close.cancel();
        if let Err(error) = self.server.await {
            tracing::error!(%error, "the serving of requests ended by itself: this is a bug");
        }
        self.leader.abort();
        self.endings.abort();
        self.detection.abort();
        self.clocks.abort();
        self.certificates.abort();
        self.witness.abort();
        self.switchboard.close();
        self.handle.shutdown().await;
        self.monitoring.end();
    }

    /// Ends all tasks at once, as a crash would: for tests.
    pub async fn abort(self) {
        self.server.abort();
        self.leader.abort();
        self.detection.abort();
        self.clocks.abort();
        self.certificates.abort();
        self.witness.abort();
        self.switchboard.close();
        self.monitoring.end();
        self.handle.shutdown().await;
    }
}

/// Runs a loop without which a node must not go on leading. Should it end, by a panic or otherwise, the node does, too, and
/// another one leads. In a node that stops it ends first, and the bodies in hand need the node for longer.
async fn vital(name: &'static str, node: App, run: impl Future<Output = ()> + Send + 'static) {
    struct Ends(&'static str, App, bool);
    impl Drop for Ends {
        fn drop(&mut self) {
            // One that is aborted when the node stops is dropped without having ended.
            if self.2 || std::thread::panicking() {
                self.1.handle().stop(format!("{} ended unexpectedly: this is a bug, see the log for where", self.0));
            }
        }
    }
    let mut ends = Ends(name, node, false);
    run.await;
    ends.2 = !ends.1.is_stopping();
}

fn consensus_options(
    config: &DirectoryConfig,
    certificates: &Certificates,
    (clock, others): (&SharedClock, Arc<MembersPort>),
    peer_listener: std::net::TcpListener,
    gate: Gate,
) -> consensus::Options {
    let member = |member: &crate::config::Member| consensus::Member {
        id: crate::domain::NodeId(member.id),
        url: member.url.as_str().to_owned(),
        peer: member.peer.as_str().to_owned(),
    };
    consensus::Options {
        node_id: config.node.node_id(),
        data_dir: config.node.data_dir.clone(),
        peer_listener,
        url: config.node.advertise().as_str().to_owned(),
        peer_url: config.node.peer_advertise().as_str().to_owned(),
        cluster_name: config.cluster.name.clone(),
        members: config.cluster.members.iter().map(member).collect(),
        join: config.cluster.join,
        credentials: certificates.credentials.clone(),
        others: Some(others),
        policy: config.bootstrap_policy(),
        clock: clock.clone(),
        tuning: Tuning {
            heartbeat: config.raft.heartbeat,
            election_min: config.raft.election_min,
            election_max: config.raft.election_max,
            snapshot_after: config.raft.snapshot_after,
            snapshot_after_bytes: config.raft.snapshot_after_bytes,
            keep_entries: config.raft.keep_entries,
            snapshot_chunk_bytes: usize::try_from(config.raft.snapshot_piece).unwrap_or(usize::MAX),
            cache_bytes: config.storage.cache,
            disk_reserve: config.storage.reserve,
            gate,
            sync_delay: Some(config.raft.sync_delay).filter(|delay| !delay.is_zero()),
            ..Tuning::default()
        },
    }
}

/// Registers what consensus counts.
fn observe(metrics: &Metrics, handle: &Handle) {
    let counter = |name: &str, help: &str, read: fn(&consensus::Metrics) -> u64| {
        let handle = handle.clone();
        metrics.observe_counter(name, help, move || read(&handle.metrics()));
    };
    let gauge = |name: &str, help: &str, read: fn(&consensus::Metrics) -> u64| {
        let handle = handle.clone();
        metrics.observe_gauge(name, help, move || i64::try_from(read(&handle.metrics())).unwrap_or(i64::MAX));
    };
    counter("ringmaster_raft_log_syncs_total", "Syncs of the Raft log to the disk", |raft| raft.log_syncs);
    metrics.keep_histogram(
        "ringmaster_raft_sync_seconds",
        "How long syncs of the Raft log to the disk took",
        &handle.sync_seconds(),
    );
    counter("ringmaster_raft_commits_total", "Log entries applied", |raft| raft.commits);
    counter("ringmaster_raft_snapshots_total", "Snapshots taken", |raft| raft.snapshots);
    counter("ringmaster_raft_read_rounds_total", "Rounds that confirmed the leader for reads", |raft| raft.read_rounds);
    counter("ringmaster_raft_reads_total", "Linearizable reads that these rounds served", |raft| raft.reads);
    gauge("ringmaster_raft_is_leader", "1 where this node leads", |raft| u64::from(raft.is_leader));
    gauge("ringmaster_raft_term", "The Raft term", |raft| raft.term);
    gauge("ringmaster_raft_applied_index", "Index of the last applied log entry", |raft| raft.applied_index);
    gauge("ringmaster_raft_last_log_index", "Index of the last log entry", |raft| raft.last_log_index);
    gauge("ringmaster_raft_lag_entries", "Entries that are committed and not applied here", |raft| raft.lag);
    gauge("ringmaster_raft_snapshot_index", "Index that the newest snapshot covers", |raft| raft.snapshot_index);
    counter("ringmaster_raft_snapshot_received_bytes_total", "Bytes of snapshots that came from other nodes", |raft| {
        raft.snapshot_received
    });
    counter(
        "ringmaster_raft_snapshot_resumed_bytes_total",
        "Bytes of snapshots that did not come again, because a transfer that broke off went on where it was",
        |raft| raft.snapshot_resumed,
    );
    gauge("ringmaster_raft_purged_index", "Index up to which the log is gone", |raft| raft.purged_index);
    counter(
        "ringmaster_raft_leader_changes_total",
        "Times that this node came to know a leader, another one or one that it had lost",
        |raft| raft.leader_changes,
    );
    counter("ringmaster_raft_leader_losses_total", "Times that this node knew no leader any more", |raft| {
        raft.leader_losses
    });
    counter("ringmaster_directory_full_changes_total", "Times that ringmaster_directory_full changed", |raft| {
        raft.full_changes
    });
    gauge("ringmaster_raft_members", "Members of the cluster, voters and learners", |raft| raft.members);
    gauge("ringmaster_raft_members_unreachable", "Members that do not answer this node", |raft| raft.unreachable);
    gauge(
        "ringmaster_raft_members_went_back",
        "Members whose disk is older than what they have acknowledged: they take no part, and are to be replaced",
        |raft| raft.in_trouble,
    );
    gauge(
        "ringmaster_directory_full",
        "1 while the disks of most voters are below their floors and only deletions are taken",
        |raft| u64::from(raft.is_full),
    );
    gauge("ringmaster_node_disk_floor_bytes", "Bytes of that disk that are to stay free", |raft| raft.disk_floor);
    gauge("ringmaster_node_disk_free_bytes", "Bytes left on the disk of the data directory", |raft| raft.disk_free);
}
