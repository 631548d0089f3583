//! What nodes say about themselves, and what is kept of it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::super::status::Room;
use crate::domain::NodeId;

/// A node that answered this long ago counts as reachable: two rounds of questions may be lost.
pub(crate) const REACHABLE: Duration = Duration::from_millis(3_000);

/// A node's word about itself. What an older version does not say is as in the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PeerStatus {
    pub last_log_index: Option<u64>,
    pub applied_index: Option<u64>,
    pub committed_index: Option<u64>,
    pub snapshot_index: Option<u64>,
    pub disk_free: Option<u64>,
    pub room: Room,
    /// The median of its syncs of the log in the last seconds, in microseconds.
    pub sync_us: Option<u64>,
    pub version: String,
    /// The newest schema that it knows.
    pub supports: u64,
    /// It leads, and has heard of no majority for a while.
    pub hears_no_majority: bool,
    /// Not about itself: it has applied that whoever asks is no member any more.
    pub you_were_removed: bool,
}

/// A word, and when it came.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub at: Instant,
    pub status: PeerStatus,
}

impl Word {
    pub(crate) fn is_fresh(&self) -> bool {
        self.at.elapsed() < REACHABLE
    }
}

/// The last word of each other node.
#[derive(Debug, Default)]
pub(crate) struct Words(Mutex<BTreeMap<NodeId, Word>>);

impl Words {
    pub(crate) fn hear(&self, from: NodeId, status: PeerStatus) {
        let word = Word { at: Instant::now(), status };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(from, word);
    }

    pub(crate) fn all(&self) -> BTreeMap<NodeId, Word> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
