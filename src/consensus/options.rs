//! What a node is started with.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::transport::MemberCalls;
use crate::clock::SharedClock;
use crate::domain::NodeId;
use crate::domain::terms::Policy;
use crate::listener::{Counts, Gate, Limits};
use crate::trust::Credentials;

/// What a directory node's consensus is started with.
#[derive(Debug)]
pub struct Options {
    pub node_id: NodeId,
    /// Made if it is not there. One process at a time may use it.
    pub data_dir: PathBuf,
    /// Already bound, so that a port in use is reported before anything is touched on the disk.
    pub peer_listener: std::net::TcpListener,
    /// Where users reach this node, as others are told it.
    pub url: String,
    /// Where other directory nodes reach this node.
    pub peer_url: String,
    pub cluster_name: String,
    /// The first members, this node among them; with `join`, the members that are there already.
    pub members: Vec<Member>,
    /// Wait to be added to a running cluster rather than form one.
    pub join: bool,
    /// What this node shows to others, and whom it believes.
    pub credentials: Credentials,
    /// Who answers members that call what is no call between directory nodes.
    pub others: Option<Arc<dyn MemberCalls>>,
    /// The policy of a cluster that forms now; a formed one has its own.
    pub policy: Policy,
    pub clock: SharedClock,
    pub tuning: Tuning,
}

/// What of the options stays of interest while the node runs.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub node_id: NodeId,
    pub url: String,
    pub peer_url: String,
    pub cluster_name: String,
    pub members: Vec<Member>,
    pub join: bool,
    pub tuning: Tuning,
}

/// One of the first members of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: NodeId,
    pub url: String,
    /// The peer address, `https://host:port`.
    pub peer: String,
}

/// Numbers that tests turn and operators do not.
#[derive(Clone, Debug)]
pub struct Tuning {
    pub heartbeat: Duration,
    pub election_min: Duration,
    pub election_max: Duration,
    /// The most entries that one write batch of the state machine holds.
    pub max_batch_entries: usize,
    /// The most bytes of entries that one write batch of the state machine, or one append to a follower, holds. One
    /// entry is always taken, whatever its size.
    pub max_batch_bytes: usize,
    /// A snapshot is taken after this many entries.
    pub snapshot_after: u64,
    /// Or after this many bytes of them, whichever comes first, so that a log of large entries stays short, too.
    pub snapshot_after_bytes: u64,
    /// How many entries before the last snapshot stay in the log, for followers that are a little behind.
    pub keep_entries: u64,
    /// How many bytes of a snapshot's file go in one request.
    pub snapshot_chunk_bytes: usize,
    /// How long a proposal tries before its outcome is given up as unknown.
    pub propose_deadline: Duration,
    /// How long a linearizable read tries before it answers that there is no leader.
    pub read_deadline: Duration,
    /// A leader whose syncs of the log take longer than this hands over, see `handle/step_down.rs`.
    pub slow_sync: Duration,
    /// Bytes of the data directory's disk that are to stay free, see `handle/room.rs`. Where nobody says, a part of it.
    pub disk_reserve: Option<u64>,
    /// Bytes of the block cache that the log and the state share.
    pub cache_bytes: u64,
    /// Who is let in at the peer listener.
    pub gate: Gate,
    /// A test switch: every sync of the log takes this much longer.
    pub sync_delay: Option<Duration>,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(100),
            election_min: Duration::from_millis(300),
            election_max: Duration::from_millis(500),
            max_batch_entries: 512,
            max_batch_bytes: 4 << 20,
            snapshot_after: 50_000,
            snapshot_after_bytes: 256 << 20,
            keep_entries: 5_000,
            snapshot_chunk_bytes: 1 << 20,
            propose_deadline: Duration::from_secs(6),
            read_deadline: Duration::from_secs(3),
            // Eyeballed: a sound disk takes milliseconds, a busy one tens of them.
            slow_sync: Duration::from_millis(200),
            disk_reserve: None,
            cache_bytes: super::rocks::DEFAULT_CACHE_BYTES as u64,
            gate: Gate::new("peers", Limits::default(), Counts::default()),
            sync_delay: None,
        }
    }
}
