//! What a node keeps: its log, its state, its snapshots, and who it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::ensure;

use super::acknowledged::{Acknowledged, Recollections};
use super::formation::{DataDir, Home, Identity};
use super::log::{LogOptions, LogStore};
use super::machine::Machine;
use super::media::Media;
use super::options::Settings;
use super::snapshot::{Receiver, Snapshots};
use super::state::StateStore;
use super::stopper::Stopper;
use super::tasks::Tasks;
use super::transport::Sending;

/// The stores of a node.
pub(crate) struct Storage {
    pub log: LogStore,
    pub state: Arc<StateStore>,
    pub snapshots: Arc<Snapshots>,
    pub receiver: Arc<Receiver>,
    /// Snapshots on their way from here.
    pub sending: Sending,
    /// What the others have acknowledged to this node.
    pub recollections: Arc<Recollections>,
    /// Entries that this process applied.
    pub commits: Arc<AtomicU64>,
}

impl Storage {
    /// What this node has, as a point that it may have acknowledged.
    pub(crate) fn held(&self) -> Acknowledged {
        let held = self.log.held();
        // A snapshot that is being installed has no entries.
        Acknowledged { index: held.index.max(self.state.applied().index), ..held }
    }
}

/// What a node starts from.
pub(crate) struct Opened {
    pub storage: Storage,
    pub identity: Identity,
    pub home: Box<dyn Home>,
}

/// Who opens it, and for what.
pub(crate) struct Opening<'a> {
    pub settings: &'a Settings,
    pub machine: &'a dyn Machine,
    pub stopper: Stopper,
    /// Where the stores do what blocks for long.
    pub tasks: Tasks,
}

/// Opens what a node keeps. Called once, as blocking work.
pub(crate) type Open = Box<dyn FnOnce(Opening<'_>) -> anyhow::Result<Opened> + Send>;

/// Opens the data directory of a node, with its log and its state on `media`.
///
/// # Errors
/// When it is in use, of another node, role or cluster, or damaged.
pub(crate) fn open(data_dir: &Path, media: &dyn Media, opening: Opening<'_>) -> anyhow::Result<Opened> {
    let Opening { settings, machine, stopper, tasks } = opening;
    let data = DataDir::take(data_dir)?;
    let identity = data.identity(settings.node_id, &settings.cluster_name)?;
    ensure!(!identity.removed, "{}", identity.farewell());
    let within = |name: &str| -> PathBuf { data.path().join(name) };
    let node_id = settings.node_id.0;
    // The log is there before node.json ever names a cluster. Without it this node has forgotten what it promised.
    ensure!(
        identity.cluster.is_none() || media.has_log(&within("raft")),
        "the Raft log of node {node_id} is gone: {} is missing or empty. Bring it back (is a volume not mounted?). If it is \
         lost, remove node {node_id} from the cluster and add a new one under another id",
        within("raft").display()
    );
    let log = media.open_log(LogOptions {
        dir: within("raft"),
        node_id,
        max_read_bytes: settings.tuning.max_batch_bytes,
        sync_delay: settings.tuning.sync_delay,
        stopper,
        tasks,
    })?;
    let state = media.open_state(within("state"), node_id, machine)?;
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
    let recollections = Arc::new(Recollections::new(log.recollections()?));
    let storage = Storage {
        log,
        recollections,
        state: Arc::new(state),
        receiver: Arc::new(Receiver::new(Arc::clone(&snapshots))),
        snapshots,
        sending: Sending::default(),
        commits: Arc::default(),
    };
    Ok(Opened { storage, identity, home: Box::new(data) })
}
