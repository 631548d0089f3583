//! What nodes say about themselves, and what is kept of it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::super::acknowledged::Acknowledged;
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
    /// It leads, or led last: what it counts itself for.
    pub leads_up_to: Option<Acknowledged>,
    /// Not about itself: what whoever asks has acknowledged to it.
    pub you_acknowledged: Option<Acknowledged>,
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

/// The last word of each other node, and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Words {
    words: Mutex<BTreeMap<NodeId, Word>>,
    troubles: Mutex<BTreeMap<NodeId, String>>,
}

impl Words {
    pub(crate) fn hear(&self, from: NodeId, status: PeerStatus) {
        let word = Word { at: Instant::now(), status };
        self.words.lock().unwrap_or_else(PoisonError::into_inner).insert(from, word);
    }

    pub(crate) fn all(&self) -> BTreeMap<NodeId, Word> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why a member does not take part and never will as it is, in a sentence that says what to do.
    pub(crate) fn trouble(&self, of: NodeId) -> Option<String> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).get(&of).cloned()
    }

    pub(crate) fn set_trouble(&self, of: NodeId, trouble: Option<String>) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        match trouble {
            Some(trouble) => troubles.insert(of, trouble),
            None => troubles.remove(&of),
        };
    }
}
