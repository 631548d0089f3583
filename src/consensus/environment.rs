//! What consensus needs of the world around it: time and randomness, the way to the other nodes, and where its tasks run.
//!
//! Production's is made in one place (`production.rs`): sockets, threads, the machine's clock. A simulation of several
//! nodes in one thread puts its own in place, and everything above stays as it is. So consensus asks for tasks and for
//! blocking work here, sleeps by tokio's time (which such a simulation stops and moves), and names no other clock: its
//! `Instant` is tokio's. Where several branches of a `select!` may be ready, it is `biased`: otherwise tokio draws the
//! first one to look at.

use std::sync::Arc;

use super::tasks::Tasks;
use super::transport::{Inbound, KnownCluster, Peers};
use crate::clock::SharedClock;

/// The world around one node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Environment {
    pub clock: SharedClock,
    pub tasks: Tasks,
    pub peers: Arc<dyn Peers>,
    /// The cluster that `peers` names in every call. The node sets it.
    pub cluster: KnownCluster,
}

/// Begins to pass what other nodes ask to the node. Called on one of Raft's tasks.
pub(crate) type Listen = Box<dyn FnOnce(Arc<dyn Inbound>) -> anyhow::Result<()> + Send>;
